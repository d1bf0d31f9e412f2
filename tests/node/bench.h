// A node's Service driven turn by turn: the test is the coordinator, the loop and the disk. What the service commits is
// kept, what it sends is read under its key, and a restart begins again from what was committed and nothing else.
#pragma once

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <deque>

#include "common/algorithms/derive.h"
#include "common/secagg/variant.h"
#include "common/turn/reply.h"
#include "common/wire/codec.h"
#include "common/wire/records.h"
#include "hospital_node/service.h"
#include "tests/memory.h"
#include "tests/roster/federation.h"

namespace consilium::node {

inline constexpr std::uint32_t kSelf = 2;  // hospital-b

inline Plan TestPlan(bool large = false) {
  Plan plan;
  plan.name = "readmission";
  plan.purpose = "Test";
  plan.researcher = "researcher-1";
  plan.rounds = 2;
  plan.minimum_hospitals = 2;
  plan.maximum_attempts = 12;
  plan.dataset = "cohort";
  plan.label = "outcome";
  plan.features = {"age"};
  plan.profile = Plan::Profile::kVisible;
  plan.dropouts = Plan::Dropouts::kRestart;
  plan.seed = large ? 2 : 1;
  Column age;
  age.name = "age";
  age.unit = "years";
  age.maximum = 120;
  Column outcome;
  outcome.name = "outcome";
  outcome.type = Column::Type::kLabel;
  outcome.positive = {"1"};
  outcome.negative = {"0"};
  plan.schema.columns = {age, outcome};
  plan.metrics = MetricsFor(LabelOf(plan));
  return plan;
}

class TestWorkbench final : public Workbench {
 public:
  [[nodiscard]] Result<Value> Check(const DataSetSpec& spec) const override {
    if (spec.folder == "/broken") return Fail(Code::kInvalid, "a.csv:3: column age: \"x\" is no number");
    return Value().Set("rows", 40).Set("patients", 30);
  }
  void Keep(const std::vector<DataSetSpec>& /*registered*/) const override {}
  [[nodiscard]] Status Preflight(const Plan& plan, const DataSetSpec& /*spec*/) const override {
    if (plan.minimum_patients > 30) return Fail(Code::kRefused, "30 patients are fewer than the minimum");
    return {};
  }
  [[nodiscard]] Result<RawContribution> Compute(const Plan& plan, const DataSetSpec& /*spec*/, const Query& query,
                                                const Given& given) const override {
    ++computed;
    if (fail) return Fail(Code::kIo, "the disk is gone");
    seen_inputs = given.inputs;
    seen = given;
    RawContribution raw;
    for (std::size_t i = 0; i + 1 < query.blocks.size(); ++i)
      raw.blocks.emplace_back(query.blocks[i].length, 0.25 * query.round);
    if (NeedsMemory(plan, query) && large_memory)
      raw.memory = Bytes(kInlineBlob + query.round, 9);
    else if (NeedsMemory(plan, query))
      raw.memory = ToBytes(View(fmt::format("{}after round {}", Text(given.memory), query.round)));
    return raw;
  }
  [[nodiscard]] Result<Value> OwnResults(const Plan& /*plan*/, const DataSetSpec& /*spec*/, const Query& last_query,
                                         ByteView model) const override {
    return Value().Set("patients", 30).Set("round", last_query.round).Set("model_bytes", std::uint64_t{model.size()});
  }
  mutable int computed = 0;
  mutable std::map<Digest, Bytes> seen_inputs;
  mutable Given seen;
  bool fail = false, large_memory = false;
};

class Bench : public testing::Test {
 protected:
  Bench() : chain_(TestChain(3)) { Start(); }

  // ---- the daemon's part ----
  void Start() {
    ServiceOptions options{.identity = IdentityKey::FromSeed(Bytes(32, kSelf)),
                           .transport = TestTransport(kSelf + 100),
                           .other_transport = other_transport_,
                           .keys_replaced = &keys_replaced_,
                           .server_key = TestTransport(91),
                           .roster_fingerprint = chain_.links().front().hash(),
                           .name = "hospital-b",
                           .build = "test",
                           .policy = policy_,
                           .stored = *storage_.Load(),
                           .storage = &storage_,
                           .blobs = &blobs_,
                           .workbench = &workbench_};
    auto made = Service::Create(std::move(options), At());
    ASSERT_TRUE(made) << made.error().what;
    service_ = std::move(*made);
    runs_.clear();
    sent_.clear();
    Turn({});
  }
  // Power off and on again, connected and greeted.
  void Restart() {
    Start();
    Greet();
  }
  [[nodiscard]] Now At() const {
    return {Instant(std::chrono::hours(1) + elapsed_), 1'800'000'000'000 + elapsed_.count() / 1000};
  }

  void Turn(std::vector<Event> events) {
    TurnResult result = service_->Turn(std::move(events), At());
    for (const BlobWrite& write : result.blob_writes) ASSERT_TRUE(blobs_.Write(write));
    for (const Digest& root : result.blob_seals) ASSERT_TRUE(blobs_.Seal(root));
    ASSERT_TRUE(storage_.Commit(result.transaction));
    for (const Digest& root : result.blob_drops) ASSERT_TRUE(blobs_.Drop(root));
    for (const auto& send : result.sends) {
      if (const auto* chunk = std::get_if<SendChunk>(&send)) {
        Bytes frame = chunk->head;
        frame.resize(frame.size() + chunk->length);
        ASSERT_TRUE(blobs_.Read(chunk->root, chunk->offset, std::span(frame).subspan(chunk->head.size())));
        chunks_.push_back(*ReadChunk(frame));
        continue;
      }
      auto message = ReadFrame(std::get<Send>(send).frame, TestIdentity(kSelf).verify_key());
      ASSERT_TRUE(message) << message.error().what;
      sent_.push_back(std::move(*message));
    }
    for (consilium::Run& run : result.runs) runs_.push_back(std::move(run));
    for (Reply& reply : result.replies) replies_[reply.request] = std::move(reply);
    for (const Disconnect& disconnect : result.disconnects) disconnects_.push_back(disconnect.reason);
    wake_ = result.wake;
    stopped_ |= result.stop;
  }
  // Does the jobs that wait, and those that follow from them.
  void Work() {
    while (!runs_.empty()) {
      consilium::Run run = std::move(runs_.front());
      runs_.pop_front();
      Turn({JobFinished{run.job, run.work()}});
    }
  }
  Value Ask(const std::string& method, const std::string& path, Value body = {}, int* status = nullptr) {
    RequestReceived request;
    request.id = ++request_;
    request.method = method;
    request.path = path;
    request.local = true;
    request.body = std::move(body);
    Turn({request});
    Work();
    EXPECT_TRUE(replies_.contains(request.id)) << method << " " << path << " was not answered";
    if (status != nullptr) *status = replies_[request.id].status;
    return ParseJson(Text(replies_[request.id].body)).value_or(Value(std::string(Text(replies_[request.id].body))));
  }

  // ---- the coordinator's part ----
  Bytes Say(const Message& message) {
    Bytes frame = EncodeFrame(message, TestIdentity(91));
    Turn({FrameReceived{TestTransport(91), frame}});
    return frame;
  }
  void Greet() {
    Turn({PeerConnected{TestTransport(91)}});
    Say(Welcome{.build = "test",
                .federation = "heart study",
                .rosters = chain_.links().size(),
                .enrolled = true,
                .heartbeat_ms = 10000,
                .ledger = witness_});
    RosterUpdate update;
    for (const SignedRoster& link : chain_.links()) update.rosters.push_back(InlineBlob(Encode(link)));
    Say(update);
  }
  // The last message of this kind, which is taken out with all before it; a failure when there is none.
  template <class M>
  std::optional<M> Take() {
    for (auto at = sent_.rbegin(); at != sent_.rend(); ++at) {
      const M* found = std::get_if<M>(&*at);
      if (found == nullptr) continue;
      const M copy = *found;
      sent_.clear();
      return copy;
    }
    return std::nullopt;
  }
  template <class M>
  [[nodiscard]] std::size_t Count() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(sent_, [](const Message& m) { return std::holds_alternative<M>(m); }));
  }

  // ---- a study ----
  void AddData() {
    Ask("POST", "/v1/datasets", Value().Set("name", "cohort").Set("folder", "/data").Set("schema", "[columns]"));
  }
  void OfferPlan() { Say(PlanOffer{plan_.id(), InlineBlob(Canonical(plan_))}); }
  Value Approve(int* status = nullptr) {
    return Ask("POST", "/v1/plans/" + plan_.id().Hex() + "/approve", Value().Set("officer", "officer-1"), status);
  }
  // Connected, greeted, approved, running.
  void Join() {
    Greet();
    AddData();
    OfferPlan();
    Approve();
    Say(StudyState{plan_.id(), StudyPhase::kRunning, Reason::kNone, 0});
    sent_.clear();
  }
  [[nodiscard]] Query TestQuery(std::uint32_t round, const Bytes& model) const {
    Query query;
    query.plan = plan_.id();
    query.round = round;
    query.kind = "train";
    query.params = Value().Set("inputs", Value().Set("model", BlobRoot(model).Hex())).Set("round", round);
    query.Append("delta", coordinates_, Role::kDelta, 8, 3);
    query.Finish();
    return query;
  }
  [[nodiscard]] Invite TestInvite(std::uint32_t round, std::uint32_t attempt) const {
    Invite invite;
    invite.study = plan_.id();
    invite.round = round;
    invite.attempt = attempt;
    invite.query = InlineBlob(Canonical(TestQuery(round, model_)));
    invite.cohort = {1, 2, 3};
    invite.roster = chain_.hash();
    invite.last_release = last_release_;
    invite.inputs = {AsBlob(model_)};
    invite.time_left_ms = 60000;
    return invite;
  }
  [[nodiscard]] Digest ContextOf(const Invite& invite) const {
    return PlainContext("heart study", invite.roster, invite.study, invite.round, invite.attempt,
                        Blake2b(invite.query.content), invite.last_release, invite.cohort);
  }
  [[nodiscard]] static Blob AsBlob(const Bytes& content) {
    if (content.size() <= kInlineBlob) return InlineBlob(content);
    return {BlobRoot(content), content.size(), BlobLeaves(content), {}};
  }
  // The answer of a round; `model_` is the next model.
  void SayRelease(std::uint32_t round, std::uint32_t attempt, bool last = false) {
    SayReleaseCounting(round, attempt, {{1, attempt}, {2, attempt}, {3, attempt}}, last);
  }
  void SayReleaseCounting(std::uint32_t round, std::uint32_t attempt, std::map<std::uint32_t, std::uint32_t> counted,
                          bool last = false) {
    Release release;
    release.study = plan_.id();
    release.seq = ++releases_;
    release.round = round;
    release.attempt = attempt;
    release.previous = last_release_;
    release.survivors = {1, 2, 3};
    release.model = AsBlob(model_);
    release.last = last;
    release.counted = std::move(counted);
    last_release_ = Blake2b(Say(release));
  }
  [[nodiscard]] std::vector<LedgerRow> LedgerRows() {
    std::vector<LedgerRow> rows;
    for (const Bytes& row : storage_.rows["ledger"]) rows.push_back(*DecodeLedgerRow(row));
    return rows;
  }
  [[nodiscard]] std::vector<std::string> AuditEvents() {
    std::vector<std::string> events;
    for (const Bytes& row : storage_.rows["audit"]) events.push_back((*ParseJson(Text(row)))["event"].AsString());
    return events;
  }
  [[nodiscard]] ParticipantRecord Record() const {
    const Stored stored = *storage_.Load();
    return *DecodeParticipantRecord(stored.state.at({"study", plan_.id().Hex()}));
  }

  RosterChain chain_;
  ChainHead witness_;  // What the coordinator has seen of the ledger.
  MemoryStorage storage_;
  MemoryBlobs blobs_;
  TestWorkbench workbench_;
  SitePolicy policy_;
  Plan plan_ = TestPlan();
  Bytes model_ = Bytes(32, 1);
  std::uint64_t coordinates_ = 4;
  std::unique_ptr<Service> service_;
  std::deque<consilium::Run> runs_;
  std::vector<Message> sent_;
  std::vector<Chunk> chunks_;
  std::map<std::uint64_t, Reply> replies_;
  std::vector<std::string> disconnects_;
  std::optional<Instant> wake_;
  std::optional<TransportKey> other_transport_;
  bool keys_replaced_ = false, stopped_ = false;
  Duration elapsed_{};
  Digest last_release_;
  std::uint32_t releases_ = 0;
  std::uint64_t request_ = 0;
};

}  // namespace consilium::node
