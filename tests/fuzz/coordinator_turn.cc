// The coordinator's core under a stream of events: three hospitals that may lie under their own keys, strangers, people
// who ask, time and power. What the simulator's watch demands of the coordinator holds (tests/sim/watch.h): answers are
// the exact sums of what was offered, durable before they leave, one a round, each attempt at most one vector a
// hospital; and it starts from its own disk, every view of it is JSON, and its log verifies.
#include "common/secagg/variant.h"
#include "common/storage/audit.h"
#include "common/turn/reply.h"
#include "coordinator/service.h"
#include "tests/fuzz/world.h"
#include "tests/sim/workbench.h"

namespace consilium::fuzz {
namespace {

constexpr std::uint32_t kHospitals = 3;
constexpr std::uint8_t kToken = 50;  // The invitation's key.

PeerKey Peer(std::uint32_t number) { return Transport(number + 100); }

class Federation {
 public:
  explicit Federation(ByteView input)
      : source_(input),
        context_(HostileScenario(false), 1),
        watch_(context_, Identity(kServer).verify_key()),
        host_(context_, TheWorld()) {
    for (std::uint32_t n = 1; n <= kHospitals; ++n) watch_.AddHospital(n);
    std::vector<Write> writes = coordinator::FoundingWrites(Chain().links().front(), "admin");
    for (std::size_t i = 1; i < Chain().links().size(); ++i) {
      writes.emplace_back(PutState{"roster", "0000000000000000000" + std::to_string(i), Encode(Chain().links()[i])});
    }
    CHECK(host_.disk().Commit(writes).has_value());
    watch_.OnCoordinatorCommitted(writes);
    host_.Start();
  }

  void Run() {
    for (int events = 0; !source_.done() && events < 80; ++events) {
      const std::uint8_t op = source_.Byte();
      Act(op & 31U);
      if ((op & 128U) == 0) host_.Turn();  // Else the next event comes in the same turn.
      if ((op & 64U) != 0) host_.WorkAll();
    }
    host_.WorkAll();
    host_.Turn();
    Look();
    CHECK(host_.unanswered() == 0);
    host_.Crash();
    Ask("GET", "/v1/studies");
    host_.Turn();
    CHECK(host_.unanswered() == 0);
  }

 private:
  Host::World TheWorld() {
    Host::World world;
    world.make = [this](Stored stored, Now now) -> Result<std::unique_ptr<Core>> {
      return TRY(coordinator::Service::Create({.identity = TestIdentity(kServer),
                                               .server_key = Transport(kServer),
                                               .endpoint = "tcp://127.0.0.1:7800",
                                               .build = "fuzz",
                                               .stored = std::move(stored),
                                               .storage = &host_.disk(),
                                               .blobs = &host_.disk()},
                                              now));
    };
    world.committed = [this](const std::vector<Write>& writes) {
      for (const Write& write : writes) {
        const auto* put = std::get_if<PutState>(&write);
        if (put == nullptr || put->core != "study" || !known_.insert(put->key).second) continue;
        const auto record = DecodeStudyRecord(put->blob);
        CHECK(record.has_value());
        watch_.AddStudy(*ParsePlan(record->plan));
      }
      watch_.OnCoordinatorCommitted(writes);
    };
    world.sent = [this](const PeerKey& to, const Bytes& frame) { Hear(to, frame); };
    world.answered = [](const RequestReceived& request, int status, const Value&) {
      if (request.path == "/v1/audit/export" && request.method == "GET" && request.local) CHECK(status == 200);
    };
    return world;
  }

  // What the coordinator says to a hospital.
  void Hear(const PeerKey& to, const Bytes& frame) {
    watch_.OnCoordinatorSends(frame);
    if (IsChunk(frame)) return;
    const auto message = sim::Peek(frame);
    CHECK(message.has_value());
    std::uint32_t number = 0;
    for (std::uint32_t n = 1; n <= kHospitals; ++n) number = Peer(n) == to ? n : number;
    if (const auto* invite = std::get_if<Invite>(&*message)) {
      CHECK(number != 0);  // Nobody else is asked.
      invites_[number] = *invite;
      blobs_.push_back(invite->query);
    }
    if (const auto* release = std::get_if<Release>(&*message)) blobs_.push_back(release->model);
    if (const auto* offer = std::get_if<PlanOffer>(&*message)) blobs_.push_back(offer->plan);
    if (const auto* update = std::get_if<RosterUpdate>(&*message)) {
      for (const Blob& blob : update->rosters) blobs_.push_back(blob);
    }
    if (const auto* pull = std::get_if<Pull>(&*message)) pulls_.emplace_back(to, *pull);
    if (const auto* receipt = std::get_if<Receipt>(&*message)) {  // One root an attempt and hospital.
      const auto [known, first] = receipts_.try_emplace({number, receipt->study, receipt->attempt}, receipt->root);
      CHECK(known->second == receipt->root);
    }
  }

  void Say(std::uint32_t number, const Message& message) {
    host_.Give(FrameReceived{Peer(number), EncodeFrame(message, Identity(number))});
  }
  void Ask(std::string method, std::string path, Value body = {}, std::map<std::string, std::string> query = {}) {
    RequestReceived request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.query = std::move(query);
    request.local = true;
    request.body = std::move(body);
    host_.Ask(std::move(request));
  }
  const Plan& APlan() { return Plans()[source_.Below(3)]; }
  std::uint32_t AHospital() { return 1 + source_.Below(kHospitals); }
  Reason AReason() { return static_cast<Reason>(source_.Below(static_cast<std::uint32_t>(Reason::kExpired) + 1)); }

  void Act(std::uint32_t op) {
    switch (op) {
      case 0:
        return host_.Give(PeerConnected{Peer(AHospital())});
      case 1:
        return host_.Give(PeerLost{Peer(AHospital()), "closed"});
      case 2:
        return SayHello(AHospital());
      case 3: {
        const std::uint32_t number = AHospital();
        const auto& pinned = Chain().links()[source_.Below(2)];
        return Say(number, PlanVerdict{APlan().id(), true, Reason::kNone, pinned.hash()});
      }
      case 4: {
        const std::uint32_t number = AHospital();
        return Say(number, PlanVerdict{APlan().id(), source_.Flag(), AReason(), Chain().hash()});
      }
      case 5:
        return HonestOffer(AHospital());
      case 6:
        return FalseOffer(AHospital());
      case 7: {
        const std::uint32_t number = AHospital();
        const Decline decline{APlan().id(), source_.Byte(), AReason()};
        if (source_.Flag()) return Say(number, decline);
        return Say(number, Abandon{decline.study, decline.attempt, decline.reason});
      }
      case 8: {
        const std::uint32_t number = AHospital();
        Pull pull{Digest{}, source_.Byte(), 1 + source_.Below(4)};
        if (!blobs_.empty()) pull.root = blobs_[source_.Byte() % blobs_.size()].root;
        return Say(number, pull);
      }
      case 9:
        return SendChunk();
      case 10: {
        const std::uint32_t number = AHospital();
        const int width = source_.Flag() ? 8 : 2;
        Heartbeat beat{static_cast<Phase>(source_.Below(5)), APlan().id(), source_.Number(width), 0};
        beat.bytes_total = source_.Number(width);
        return Say(number, beat);
      }
      case 11: {
        const std::uint32_t number = AHospital();
        const SignedRoster link = NextLink(source_, LastLink(host_.disk()));
        return Say(number,
                   RosterDraft{link.hash(), source_.Flag() ? Blob{} : InlineBlob(link.roster), link.signatures});
      }
      case 12:
        return host_.Give(FrameReceived{Peer(AHospital()), ToBytes(source_.Take(source_.Byte()))});
      case 13: {
        const auto number = static_cast<std::uint8_t>(AHospital());
        Bytes payload = ToBytes(source_.Take(8UL * source_.Below(64)));
        payload.resize(payload.size() / 8 * 8);
        return host_.Give(FrameReceived{Peer(number), Sealed(payload, Identity(number))});
      }
      case 14:
        return Ask("POST", "/v1/studies", Value().Set("plan", Base64(Canonical(APlan()))));
      case 15:
        return Request();
      case 16:
        return host_.Sleep(std::chrono::milliseconds(1 + source_.Byte()));
      case 17:
        return host_.Sleep(std::chrono::seconds(1 + source_.Byte()));
      case 18:
        return host_.Sleep(std::chrono::hours(1 + source_.Byte()));
      case 19:
        return host_.Work(source_.Byte());
      case 20:
        return host_.Crash();
      case 21:
        return host_.CrashAfter(source_.Below(24));
      case 22:
        return Ask("POST", "/v1/roster", RosterBody(NextLink(source_, LastLink(host_.disk()))));
      case 23:
        return Invite1();
      case 24:
        return Enrol();
      case 25:
        return Mutated();
      case 26:  // All at once, as a good day begins.
        for (std::uint32_t n = 1; n <= kHospitals; ++n) {
          host_.Give(PeerConnected{Peer(n)});
          Say(n, Hello{.build = "fuzz", .rosters = 2, .studies = {}, .ledger = {}});
        }
        return;
      case 27: {
        const StudyId study = APlan().id();
        for (std::uint32_t n = 1; n <= kHospitals; ++n) Say(n, PlanVerdict{study, true, Reason::kNone, Chain().hash()});
        return;
      }
      case 28:
        for (std::uint32_t n = 1; n <= kHospitals; ++n) HonestOffer(n);
        return;
      default:
        for (std::size_t i = pulls_.size(); i > 0; --i) Serve(0, 0);
        return;
    }
  }

  void SayHello(std::uint32_t number) {
    Hello hello{.build = "fuzz", .rosters = source_.Byte(), .studies = {}, .ledger = {}};
    hello.version_high = static_cast<std::uint16_t>(1 + source_.Below(3) / 2);
    hello.ledger = AHead();
    hello.unlocked = AHead();
    for (std::uint32_t i = source_.Below(4); i > 0; --i) {
      StudyMark mark{APlan().id(), source_.Byte(), {}};
      mark.last_release.bytes[0] = source_.Byte();
      hello.studies.push_back(mark);
    }
    Say(number, hello);
  }

  ChainHead AHead() {
    ChainHead head;
    const std::uint32_t kind = source_.Below(8);
    if (kind > 4) head.seq = source_.Number(kind == 7 ? 8 : 1);
    if (kind > 4) head.hash.bytes[0] = source_.Byte();
    return head;
  }

  // The vector that this hospital's patients give, as the simulator has them.
  void HonestOffer(std::uint32_t number) {
    const auto invite = invites_.find(number);
    if (invite == invites_.end()) return;
    Put(number, invite->second, sim::TrueVector(number, QueryOf(number, invite->second), true), {});
  }

  void FalseOffer(std::uint32_t number) {
    const auto invite = invites_.find(number);
    if (invite == invites_.end()) return;
    const std::uint8_t lie = source_.Byte();
    Bytes vector = sim::TrueVector(number, QueryOf(number, invite->second), true);
    if ((lie & 1U) != 0 && forged_[number] < 3) {
      ++forged_[number];
      const std::size_t words = vector.size() / 8 - ((lie & 2U) != 0 ? 0 : 1);  // Perhaps also the one that counts.
      for (std::uint32_t i = 1 + source_.Below(4); i > 0; --i) {
        const std::uint64_t value = source_.Number(8);
        std::memcpy(vector.data() + 8 * (source_.Byte() % words), &value, 8);
      }
      watch_.OnForged(number, vector);
    }
    Offer change;
    change.attempt = (lie & 4U) != 0 ? source_.Byte() : 0;
    if ((lie & 8U) != 0) change.context.bytes[0] = source_.Byte();
    if ((lie & 16U) != 0) vector.resize(vector.size() + source_.Byte());
    if ((lie & 32U) != 0) change.vector.bytes = source_.Byte();
    if ((lie & 64U) != 0) change.ledger = AHead();
    Put(number, invite->second, vector, change);
  }

  Query QueryOf(std::uint32_t number, const Invite& invite) {
    const auto query = ParseQuery(invite.query.content);
    CHECK(query.has_value());
    watch_.OnOfficerApproves(number, invite.study);
    const LedgerRow row{LedgerRow::Kind::kReserve, invite.study, 1, 1, "none", 0, 0, 0};
    watch_.OnHospitalCommitted(number, {AppendChain{"ledger", {}, Encode(row)}});
    node::Given given;
    for (const Blob& blob : invite.inputs) given.inputs[blob.root] = blob.content;
    watch_.OnCompute(number, *query, given);
    return *query;
  }

  void Put(std::uint32_t number, const Invite& invite, const Bytes& vector, const Offer& change) {
    Offer offer;
    offer.study = invite.study;
    offer.attempt = change.attempt != 0 ? change.attempt : invite.attempt;
    offer.context = PlainContext(Chain().current().federation, invite.roster, invite.study, invite.round,
                                 invite.attempt, Blake2b(invite.query.content), invite.last_release, invite.cohort);
    offer.context.bytes[0] ^= change.context.bytes[0];
    offer.vector = BlobOf(vector);
    offer.vector.bytes += change.vector.bytes;
    offer.ledger = change.ledger;
    contents_[offer.vector.root] = vector;
    Say(number, offer);
  }

  void Serve(std::uint32_t nth, std::uint8_t lie) {
    if (pulls_.empty()) return;
    const auto at = pulls_.begin() + static_cast<std::ptrdiff_t>(nth % pulls_.size());
    const auto [peer, pull] = *at;
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
    host_.Give(FrameReceived{lie == 5 ? Peer(1) : peer, frame});
    if (lie == 6) host_.Give(FrameReceived{peer, frame});
  }
  void SendChunk() {
    const std::uint8_t nth = source_.Byte();
    Serve(nth, static_cast<std::uint8_t>(source_.Below(8)));
  }

  void Invite1() {
    Value body;
    body.Set("name", source_.Flag() ? "hospital-d" : "hospital-a").Set("key", Transport(kToken).Hex());
    if (source_.Flag()) body.Set("expires_s", static_cast<std::int64_t>(source_.Number(4)));
    Ask("POST", "/v1/invitations", body);
  }

  void Enrol() {
    const std::uint8_t lie = source_.Byte();
    const auto n = static_cast<std::uint8_t>((lie & 1U) != 0 ? 1 + source_.Below(5) : 4);
    Enroll enroll{.token = Transport(kToken),
                  .name = (lie & 2U) != 0 ? "hospital-x" : "hospital-d",
                  .identity = Identity(n).verify_key(),
                  .transport = Transport(n + 100),
                  .officer = Identity(n + 200).verify_key(),
                  .roster_fingerprint = Chain().links().front().hash(),
                  .membership = {}};
    if ((lie & 4U) != 0) enroll.officer = {};
    const Bytes membership =
        MembershipBytes(Chain().current().federation, enroll.name, enroll.identity, enroll.transport, enroll.officer);
    enroll.membership = SignMembership(membership, Identity((lie & 8U) != 0 ? 9 : n)).signature;
    const PeerKey peer = Transport((lie & 16U) != 0 ? 51 : kToken);
    host_.Give(PeerConnected{peer});
    host_.Give(FrameReceived{peer, EncodeFrame(enroll, Identity(n))});
  }

  // A message that somebody might send, with bytes of its payload changed, well signed.
  void Mutated() {
    const auto number = static_cast<std::uint8_t>(AHospital());
    const StudyId study = APlan().id();
    const std::vector<Message> messages = {Hello{.build = "b", .rosters = 2, .studies = {{study, 1, {}}}, .ledger = {}},
                                           PlanVerdict{study, true, Reason::kNone, Chain().hash()},
                                           Decline{study, 1, Reason::kBusy},
                                           Offer{study, 1, {}, InlineBlob(Bytes(64, 1))},
                                           Pull{{}, 0, 1},
                                           Heartbeat{Phase::kUploading, study, 1, 2},
                                           Refused{Reason::kChain, study, 1},
                                           Welcome{},
                                           Later{9},
                                           RosterDraft{}};
    Bytes payload = PayloadOf(messages[source_.Byte() % messages.size()]);
    for (std::uint32_t i = 1 + source_.Below(4); i > 0; --i) {
      const std::size_t at = source_.Number(2) % payload.size();
      payload[at] = source_.Byte();
    }
    host_.Give(FrameReceived{Peer(number), Sealed(payload, Identity(number))});
  }

  void Request() {
    static constexpr std::array<std::string_view, 14> kPaths = {
        "/v1/status",       "/v1/hospitals", "/v1/roster",         "/v1/roster/next",  "/v1/audit",
        "/v1/audit/export", "/v1/studies",   "/v1/studies/",       "/v1/invitations",  "/v1/roster/withdraw",
        "/v1/none",         "/metrics",      "/v1/studies/small/", "/v1/studies/large"};
    static constexpr std::array<std::string_view, 6> kActs = {"", "/abort", "/pause", "/resume", "/model", "/report"};
    RequestReceived request;
    const std::uint8_t how = source_.Byte();
    request.method = (how & 1U) != 0 ? "POST" : "GET";
    request.local = (how & 2U) != 0;
    request.token = (how & 4U) != 0 ? "admin" : std::string(Text(source_.Take(4)));
    request.path = kPaths[source_.Byte() % kPaths.size()];
    if (request.path == "/v1/studies/") {
      const StudyId study = APlan().id();
      const std::string_view act = kActs[source_.Below(6)];
      request.path += study.Hex() + std::string(act);
      if (act == "/abort") watch_.OnAbortAsked(study);
    }
    static constexpr std::array<std::string_view, 7> kKeys = {"first",      "last",  "add", "revoke",
                                                              "valid_days", "study", "x"};
    for (std::uint32_t i = source_.Below(3); i > 0; --i) {
      const std::string_view key = kKeys[source_.Below(7)];
      request.query[std::string(key)] = std::string(Text(source_.Take(source_.Below(24))));
    }
    if ((how & 8U) != 0) request.query["add"] = "hospital-d";
    if ((how & 16U) != 0) request.path += std::string(Text(source_.Take(source_.Below(16))));
    if ((how & 32U) != 0) request.body = AnyJson(source_.Take(source_.Byte()));
    host_.Ask(std::move(request));
  }

  void Look() {
    for (const char* path :
         {"/v1/status", "/v1/hospitals", "/v1/roster", "/v1/studies", "/v1/audit", "/metrics", "/v1/audit/export"}) {
      Ask("GET", path);
    }
    for (const std::string& study : known_) {
      Ask("GET", "/v1/studies/" + study);
      Ask("GET", "/v1/studies/" + study + "/report");
    }
    host_.Turn();
    std::string text;
    ChainHead head;
    const auto rows = host_.disk().Rows("audit", 1, UINT64_MAX - 1);
    CHECK(rows.has_value());
    for (const Bytes& row : *rows) text += AuditLine(&head, row);
    CHECK(VerifyExport(text + AuditEnd(head)).valid);
  }

  Source source_;
  sim::Context context_;
  sim::Watch watch_;
  std::set<std::string> known_;
  std::map<std::uint32_t, Invite> invites_;
  std::vector<Blob> blobs_;
  std::vector<std::pair<PeerKey, Pull>> pulls_;
  std::map<Digest, Bytes> contents_;
  std::map<std::uint32_t, int> forged_;
  std::map<std::tuple<std::uint32_t, StudyId, std::uint32_t>, Digest> receipts_;
  Host host_;
};

}  // namespace

void CoordinatorTurn(ByteView input) { Federation(input).Run(); }

}  // namespace consilium::fuzz
