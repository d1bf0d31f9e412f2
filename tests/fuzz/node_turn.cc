// A hospital's core under a stream of events: a coordinator that may lie under its own key, the hospital's people, its
// jobs, time and power. What the simulator's watch demands of a hospital whatever the coordinator does holds
// (tests/sim/watch.h): nothing is computed without a durable approval or from other inputs than the query names, what
// leaves is in the durable ledger, one vector and context an attempt, releases are one chain. It starts from its own
// disk with an open ledger, every view of it is JSON, and a patient who withdrew stays out.
#include "common/secagg/variant.h"
#include "common/storage/audit.h"
#include "common/turn/reply.h"
#include "hospital_node/service.h"
#include "tests/fuzz/world.h"
#include "tests/sim/workbench.h"

namespace consilium::fuzz {
namespace {

constexpr std::uint32_t kSelf = 2;  // hospital-b
constexpr std::string_view kDataSchema =
    "[patient]\nid = 'id'\n[columns.id]\ntype = 'text'\n[columns.outcome]\ntype = 'label'\npositive = [1]\nnegative = "
    "[0]\n";

// The longest of what must be pulled: two leaves.
constexpr std::size_t kLargeModel = 300'000;

class Hospital {
 public:
  explicit Hospital(ByteView input)
      : source_(input),
        context_(HostileScenario(true), 1),
        watch_(context_, Identity(kServer).verify_key()),
        workbench_(kSelf, true, false,
                   [this](const Plan&, const Query& query, const std::map<Digest, Bytes>& inputs) -> Status {
                     watch_.OnCompute(kSelf, query, inputs);
                     if (fails_) return Fail(Code::kIo, "a file of the data set cannot be read");
                     return {};
                   }),
        host_(context_, TheWorld()) {
    watch_.AddHospital(kSelf);
    for (const Plan& plan : Plans()) watch_.AddStudy(plan);
    links_ = Chain().links();
    host_.Start();
  }

  void Run() {
    for (int events = 0; !source_.done() && events < 80 && !host_.stopped(); ++events) {
      const std::uint8_t op = source_.Byte();
      Act(op & 31U);
      if ((op & 128U) == 0) host_.Turn();
      if ((op & 64U) != 0) host_.WorkAll();
    }
    host_.WorkAll();
    Look();
    host_.Give(PeerLost{Transport(kServer), "closed"});
    host_.Turn();
    CHECK(host_.unanswered() == 0);
    host_.Crash();
    host_.WorkAll();
    Ask("GET", "/v1/status");
    host_.Turn();
    CHECK(host_.unanswered() == 0);
  }

 private:
  Host::World TheWorld() {
    Host::World world;
    world.make = [this](Stored stored, Now now) -> Result<std::unique_ptr<Core>> {
      return TRY(node::Service::Create({.identity = TestIdentity(kSelf),
                                        .transport = Transport(kSelf + 100),
                                        .server_key = Transport(kServer),
                                        .roster_fingerprint = Chain().links().front().hash(),
                                        .name = "hospital-b",
                                        .build = "fuzz",
                                        .policy = {.release_own_figures = true},
                                        .stored = std::move(stored),
                                        .storage = &host_.disk(),
                                        .blobs = &host_.disk(),
                                        .workbench = &workbench_},
                                       now));
    };
    world.committed = [this](const std::vector<Write>& writes) { watch_.OnHospitalCommitted(kSelf, writes); };
    world.sent = [this](const PeerKey& to, const Bytes& frame) {
      CHECK(to == Transport(kServer));
      watch_.OnHospitalSends(kSelf, frame);
      if (IsChunk(frame)) return;
      const auto message = sim::Peek(frame);
      CHECK(message.has_value());
      if (const auto* pull = std::get_if<Pull>(&*message)) pulls_.push_back(*pull);
      if (const auto* offer = std::get_if<Offer>(&*message)) offer_ = *offer;
    };
    world.answered = [this](const RequestReceived& request, int status, const Value& body) {
      if (request.path == "/v1/status" && request.method == "GET")
        CHECK(witnessed_ || body["ledger"]["locked"].AsString().empty());
      if (status != 200) return;
      const std::string& name = request.body["name"].AsString();
      if (request.path == "/v1/datasets/remove") withdrawn_.erase(name);
      if (request.path != "/v1/datasets/exclude") return;
      for (const Value& mark : request.body["marks"].AsArray()) {
        const auto digest = Digest::FromHexText(mark.AsString());
        CHECK(digest.has_value());
        withdrawn_[name].insert(digest->Hex());
      }
    };
    return world;
  }

  void Say(const Message& message) {
    const Bytes frame = EncodeFrame(message, Identity(kServer));
    if (std::holds_alternative<Release>(message)) watch_.OnForgedRelease(frame);
    if (const auto* invite = std::get_if<Invite>(&message)) watch_.OnForgedInvite(*invite);
    host_.Give(FrameReceived{Transport(kServer), frame});
  }
  void Ask(std::string method, std::string path, Value body = {}) {
    RequestReceived request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.local = true;
    request.body = std::move(body);
    host_.Ask(std::move(request));
  }
  const Plan& APlan() { return Plans()[source_.Below(3)]; }
  Reason AReason() { return static_cast<Reason>(source_.Below(static_cast<std::uint32_t>(Reason::kExpired) + 1)); }

  void Act(std::uint32_t op) {
    switch (op) {
      case 0:
        return host_.Give(PeerConnected{Transport(kServer)});
      case 1:
        return host_.Give(PeerLost{Transport(kServer), source_.Flag() ? "closed" : "key refused"});
      case 2: {
        Welcome welcome{.build = "fuzz", .federation = "heart study", .rosters = 2, .enrolled = true};
        welcome.version = static_cast<std::uint16_t>(source_.Below(8) == 7 ? 2 : 1);
        welcome.heartbeat_ms = static_cast<std::uint32_t>(1 + source_.Number(2));
        if (source_.Below(8) == 7) {  // A witness of a row that may be here, and then another one.
          welcome.ledger.seq = source_.Number(source_.Flag() ? 8 : 1);
          welcome.ledger.hash.bytes[0] = source_.Byte();
          witnessed_ = true;
        }
        return Say(welcome);
      }
      case 3:
        return SayRosters();
      case 4:
        return OfferPlan();
      case 5: {
        const Plan& plan = APlan();
        watch_.OnOfficerApproves(kSelf, plan.id());
        return Ask("POST", "/v1/plans/" + plan.id().Hex() + "/approve", Value().Set("officer", "officer-1"));
      }
      case 6:
        return Ask("POST", "/v1/plans/" + APlan().name + "/reject", Value().Set("officer", "officer-1"));
      case 7:
        return DataRequest();
      case 8:
        return SayInvite(false);
      case 9:
        return SayInvite(true);
      case 10:
        return SayRelease();
      case 11:
        return Say(Abandon{APlan().id(), source_.Byte(), AReason()});
      case 12: {
        Receipt receipt{offer_.study, offer_.attempt, offer_.vector.root};
        if (source_.Flag()) receipt.attempt += source_.Byte();
        return Say(receipt);
      }
      case 13:
        return Say(StudyState{APlan().id(), static_cast<StudyPhase>(source_.Below(6)), AReason(), source_.Byte()});
      case 14:
        return Say(Heartbeat{static_cast<Phase>(source_.Below(5)), APlan().id(), source_.Number(8), source_.Number(8)});
      case 15:
        return Say(Pull{source_.Flag() ? offer_.vector.root : Digest{}, source_.Below(4), 1 + source_.Below(4)});
      case 16:
        return SendChunk();
      case 17: {
        const SignedRoster link = NextLink(source_, links_.back());
        RosterDraft draft{link.hash(), SomeBlob(link.roster), link.signatures};
        if (source_.Flag()) draft.hash.bytes[0] ^= source_.Byte();
        if (draft.hash.IsZero()) draft.hash.bytes[1] = 1;
        return Say(draft);
      }
      case 18:
        return Say(Refused{AReason(), source_.Flag() ? StudyId{} : APlan().id(), source_.Byte()});
      case 19:
        return host_.Give(FrameReceived{Transport(kServer), ToBytes(source_.Take(source_.Byte()))});
      case 20: {
        witnessed_ = true;  // Whatever it says.
        Bytes payload = ToBytes(source_.Take(8UL * source_.Below(64)));
        payload.resize(payload.size() / 8 * 8);
        return host_.Give(FrameReceived{Transport(kServer), Sealed(payload, Identity(kServer))});
      }
      case 21:
        return host_.Sleep(std::chrono::milliseconds(1 + source_.Number(2)));
      case 22:
        return host_.Sleep(std::chrono::minutes(1 + source_.Byte()));
      case 23:
        return host_.Work(source_.Byte());
      case 24:
        return host_.Crash();
      case 25:
        return host_.CrashAfter(source_.Below(16));
      case 26:
        return Request();
      case 27:
        return Ask("POST", "/v1/roster", RosterBody(NextLink(source_, LastLink(host_.disk()))));
      case 28:  // As a good day begins.
        host_.Give(PeerConnected{Transport(kServer)});
        Say(Welcome{.build = "fuzz", .federation = "heart study", .rosters = 2, .enrolled = true});
        return SayLinks(0, links_.size());
      case 29: {  // A study that runs.
        const Plan& plan = APlan();
        Ask("POST", "/v1/datasets", DataSet("cohort"));
        Say(PlanOffer{plan.id(), BlobOf(Canonical(plan))});
        host_.Turn();
        host_.WorkAll();
        watch_.OnOfficerApproves(kSelf, plan.id());
        Ask("POST", "/v1/plans/" + plan.id().Hex() + "/approve", Value().Set("officer", "officer-1"));
        host_.Turn();
        host_.WorkAll();
        return Say(StudyState{plan.id(), StudyPhase::kRunning, Reason::kNone, 0});
      }
      case 30:
        fails_ = source_.Flag();
        return;
      default:
        for (std::size_t i = pulls_.size(); i > 0; --i) Serve(0, 0);
        return;
    }
  }

  // ---- what the coordinator says ----

  void SayLinks(std::size_t first, std::size_t count) {
    RosterUpdate update{first, {}};
    for (std::size_t i = first; i < std::min(first + count, links_.size()); ++i)
      update.rosters.push_back(BlobOf(Encode(links_[i])));
    if (!update.rosters.empty()) Say(update);
  }
  void SayRosters() {
    if (source_.Flag()) return SayLinks(source_.Below(8), 1 + source_.Below(8));
    const SignedRoster link = NextLink(source_, links_.back());
    RosterUpdate update{links_.size(), {SomeBlob(Encode(link))}};
    if (source_.Below(8) == 0) {  // Several, perhaps at odds with one another.
      update.rosters.push_back(SomeBlob(Encode(link)));
      update.rosters.push_back(SomeBlob(Bytes(100, 7)));
    }
    RosterChain chain = Chain();  // What was signed well is in force from now on.
    bool good = true;
    for (std::size_t i = Chain().links().size(); i < links_.size(); ++i)
      good = good && chain.Extend(links_[i]).has_value();
    if (good && chain.Extend(link)) links_.push_back(link);
    Say(update);
  }

  // As it should be; or large, with leaves to be pulled, and perhaps a size that is not its own.
  Blob SomeBlob(ByteView content) {
    const std::uint8_t how = source_.Byte();
    if ((how & 7U) != 7) return BlobOf(content);
    Bytes large((how & 8U) != 0 ? kLargeModel : kInlineBlob + 10, source_.Byte());
    std::ranges::copy(content.first(std::min(content.size(), large.size())), large.begin());
    Blob blob = BlobOf(large);
    contents_[blob.root] = large;
    if ((how & 16U) != 0) blob.bytes -= 1 + (how >> 5);  // A size is not in the root.
    return blob;
  }

  void OfferPlan() {
    const Plan& plan = APlan();
    const std::uint8_t how = source_.Byte();
    if (how < 128 || contents_.empty()) return Say(PlanOffer{plan.id(), SomeBlob(Canonical(plan))});
    // The bytes of something else that is pulled.
    Blob blob = BlobOf(std::next(contents_.begin(), static_cast<std::ptrdiff_t>(how % contents_.size()))->second);
    if ((how & 64U) != 0) --blob.bytes;
    Say(PlanOffer{plan.id(), blob});
  }

  void SayInvite(bool wrong) {
    const Plan& plan = APlan();
    const ParticipantRecord* record = watch_.RecordOf(kSelf, plan.id());
    const std::uint8_t twist = source_.Byte();
    Invite invite;
    invite.study = plan.id();
    invite.round = 1 + (record == nullptr ? 0 : record->releases);
    invite.attempt = 1 + (record == nullptr ? 0 : record->last_attempt) + (twist & 3U);
    invite.roster = links_.back().hash();
    invite.cohort = {1, 2, 3};
    invite.last_release = record == nullptr ? Digest{} : record->last_release;
    invite.time_left_ms = 20000;
    auto algorithm = MakeAlgorithm(plan);
    auto step = (*algorithm)->Next(3);
    Query& query = step->query;
    if ((twist & 4U) != 0 && plan.task == Plan::Task::kTrain) {  // The node's part, whatever the plan's next step is.
      Bytes model((twist & 8U) != 0 ? kLargeModel : 32, twist);
      query.kind = "train";
      query.params = Value().Set("inputs", Value().Set("model", BlobRoot(model).Hex())).Set("round", invite.round);
      query.blocks.clear();
      query.Append("delta", (twist & 16U) != 0 ? 40000 : 4, Role::kDelta, 8, 3);
      query.Finish();
      Blob input = BlobOf(model);
      contents_[input.root] = model;
      if ((twist & 32U) != 0) --input.bytes;
      invite.inputs = {input};
    }
    query.plan = plan.id();
    query.round = invite.round;
    if (wrong) Twist(&invite, &query);
    invite.query = SomeBlob(Canonical(query));
    Say(invite);
  }

  void Twist(Invite* invite, Query* query) {
    switch (source_.Below(11)) {
      case 0:
        invite->attempt = source_.Byte();
        break;
      case 1:
        invite->round = source_.Byte();
        break;
      case 2:
        query->round = 1 + source_.Byte();
        break;
      case 3: {
        const std::uint8_t members = source_.Byte();
        invite->cohort.clear();
        for (std::uint32_t n = 0; n < 6; ++n) {
          if ((members >> n & 1U) != 0) invite->cohort.push_back(n + 1);
        }
        break;
      }
      case 4:
        invite->roster = links_[source_.Byte() % links_.size()].hash();
        break;
      case 5:
        invite->last_release.bytes[0] ^= source_.Byte();
        break;
      case 6:
        query->blocks.front().bound *= source_.Byte();
        query->blocks.front().bound += 1;
        break;
      case 7:
        query->kind = source_.Flag() ? "evaluate" : "describe";
        break;
      case 8:
        invite->inputs.push_back(SomeBlob(Bytes(10, source_.Byte())));
        break;
      case 9:
        query->release = ReleaseTo::kHospital;
        break;
      default:
        query->plan = APlan().id();
        break;
    }
  }

  void SayRelease() {
    const Plan& plan = APlan();
    const ParticipantRecord* record = watch_.RecordOf(kSelf, plan.id());
    const std::uint8_t twist = source_.Byte();
    Release release;
    release.study = plan.id();
    release.seq = 1 + (record == nullptr ? 0 : record->releases) + ((twist & 1U) != 0 ? source_.Byte() : 0);
    release.round = release.seq;
    release.attempt = record == nullptr ? 1 : record->last_attempt;
    release.previous = record == nullptr ? Digest{} : record->last_release;
    if ((twist & 2U) != 0) release.previous.bytes[0] ^= source_.Byte();
    if ((twist & 16U) != 0) release.seq -= std::min<std::uint32_t>(release.seq, source_.Byte());
    release.survivors = {1, 2, 3};
    release.last = (twist & 4U) != 0;
    release.model = (twist & 8U) != 0 ? SomeBlob(Bytes(16, twist)) : Blob{};
    Say(release);
  }

  void Serve(std::uint32_t nth, std::uint8_t lie) {
    if (pulls_.empty()) return;
    const auto at = pulls_.begin() + static_cast<std::ptrdiff_t>(nth % pulls_.size());
    const Pull pull = *at;
    pulls_.erase(at);
    const auto content = contents_.find(pull.root);
    if (content == contents_.end()) return;
    const std::size_t from = std::min<std::size_t>(pull.first * kLeafBytes, content->second.size());
    const std::size_t length = std::min<std::size_t>(pull.count * kLeafBytes, content->second.size() - from);
    Bytes frame = ChunkHead(pull.root, pull.first + (lie == 1 ? 1 : 0), pull.count + (lie == 2 ? 1 : 0));
    const std::size_t head = frame.size();
    frame.insert(frame.end(), content->second.begin() + static_cast<std::ptrdiff_t>(from),
                 content->second.begin() + static_cast<std::ptrdiff_t>(from + length));
    if (lie == 3 && frame.size() > head) frame.back() ^= 1;
    if (lie == 4 && frame.size() > head) frame.pop_back();
    host_.Give(FrameReceived{Transport(kServer), frame});
    if (lie == 5) host_.Give(FrameReceived{Transport(kServer), frame});
  }
  void SendChunk() {
    const std::uint8_t nth = source_.Byte();
    Serve(nth, static_cast<std::uint8_t>(source_.Below(8)));
  }

  // ---- what people ask ----

  static Value DataSet(const std::string& name) {
    return Value().Set("name", name).Set("folder", "/data").Set("schema", kDataSchema);
  }
  void DataRequest() {
    const std::string name = source_.Below(4) == 3 ? "other" : "cohort";
    Value body = DataSet(name);
    switch (source_.Below(6)) {
      case 0:
        return Ask("POST", "/v1/datasets/remove", body);
      case 1:
        return Ask("POST", "/v1/datasets/check", body);
      case 2:
        body.Set("folder", "/other");
        return Ask("POST", "/v1/datasets", body);
      case 3:
      case 4: {
        std::string mark = Fields("patient").AddText(std::to_string(source_.Byte())).Hash().Hex();
        if (source_.Flag()) std::ranges::transform(mark, mark.begin(), [](char c) { return c >= 'a' ? c - 32 : c; });
        return Ask("POST", "/v1/datasets/exclude", body.Set("marks", Value().Push(mark)));
      }
      default:
        return Ask("POST", "/v1/datasets", body);
    }
  }

  void Request() {
    static constexpr std::array<std::string_view, 15> kPaths = {"/v1/status",
                                                                "/v1/plans",
                                                                "/v1/plans/",
                                                                "/v1/datasets",
                                                                "/v1/roster",
                                                                "/v1/datasets/check",
                                                                "/v1/results",
                                                                "/v1/budget",
                                                                "/v1/audit/export",
                                                                "/readyz",
                                                                "/metrics",
                                                                "/v1/datasets/exclude",
                                                                "/v1/datasets/remove",
                                                                "/v1/budget/unlock",
                                                                "/"};
    static constexpr std::array<std::string_view, 4> kActs = {"", "/approve", "/reject", "/x"};
    RequestReceived request;
    const std::uint8_t how = source_.Byte();
    request.method = (how & 1U) != 0 ? "POST" : "GET";
    request.local = true;
    request.path = kPaths[source_.Byte() % kPaths.size()];
    if (request.path == "/v1/plans/") {
      const Plan& plan = APlan();
      request.path += plan.id().Hex() + std::string(kActs[source_.Below(4)]);
    }
    if ((how & 8U) != 0) request.query["study"] = std::string(Text(source_.Take(source_.Below(16))));
    if ((how & 16U) != 0) request.path += std::string(Text(source_.Take(source_.Below(16))));
    if ((how & 32U) != 0) request.body = AnyJson(source_.Take(source_.Byte()));
    if (request.path.ends_with("/approve") && !request.body["officer"].AsString().empty()) {
      for (const Plan& plan : Plans()) watch_.OnOfficerApproves(kSelf, plan.id());
    }
    host_.Ask(std::move(request));
  }

  // ---- the end ----

  void Look() {
    for (const char* path : {"/v1/status", "/v1/plans", "/v1/datasets", "/v1/roster", "/v1/results", "/v1/budget",
                             "/v1/audit/export", "/metrics"}) {
      Ask("GET", path);
    }
    for (const Plan& plan : Plans()) Ask("GET", "/v1/plans/" + plan.id().Hex());
    host_.Turn();
    std::string text;
    ChainHead head;
    const auto rows = host_.disk().Rows("audit", 1, UINT64_MAX - 1);
    CHECK(rows.has_value());
    for (const Bytes& row : *rows) text += AuditLine(&head, row);
    CHECK(VerifyExport(text + AuditEnd(head)).valid);
    for (const auto& [name, marks] : withdrawn_) {  // Who withdrew stays out.
      const auto stored = host_.disk().durable().stored.state.find({"dataset", name});
      if (stored == host_.disk().durable().stored.state.end()) continue;
      const Value data_set = *ParseJson(Text(stored->second));
      std::set<std::string> excluded;
      for (const Value& mark : data_set["excluded"].AsArray()) excluded.insert(mark.AsString());
      for (const std::string& mark : marks) CHECK(excluded.contains(mark));
    }
  }

  Source source_;
  sim::Context context_;
  sim::Watch watch_;
  std::vector<SignedRoster> links_;  // As the coordinator has them.
  std::vector<Pull> pulls_;
  std::map<Digest, Bytes> contents_;
  Offer offer_;
  std::map<std::string, std::set<std::string>> withdrawn_;
  bool fails_ = false, witnessed_ = false;  // By then the ledger may be locked.
  sim::FakeWorkbench workbench_;
  Host host_;
};

}  // namespace

void NodeTurn(ByteView input) { Hospital(input).Run(); }

}  // namespace consilium::fuzz
