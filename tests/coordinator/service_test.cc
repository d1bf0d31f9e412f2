// The coordinator's Service driven turn by turn: enrolment, blobs, what a restart finds. The test is the hospitals, the
// loop and the disk.
#include "coordinator/service.h"

#include <gtest/gtest.h>

#include "common/plan/plan.h"
#include "common/privacy/encode.h"
#include "common/secagg/variant.h"
#include "common/turn/reply.h"
#include "common/wire/codec.h"
#include "tests/memory.h"
#include "tests/roster/federation.h"

namespace consilium::coordinator {
namespace {

// A histogram that is too large for one message, so that uploads are pulled.
constexpr const char* kPlan = R"([study]
name = "NAME"
purpose = "describe the cohort"
researcher = "researcher-1"
minimum_hospitals = 2
[data]
dataset = "heart"
schema = "schema.toml"
[describe]
columns = ["age"]
bins = BINS
[privacy]
mode = "none"
[aggregation]
profile = "visible"
)";
constexpr const char* kSchema = "[columns.age]\ntype = \"number\"\nminimum = 0\nmaximum = 120\n";

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

Plan DescribePlan(const std::string& name, int bins) {
  const std::string text = Replaced(Replaced(kPlan, "NAME", name), "BINS", std::to_string(bins));
  auto plan = ParsePlanToml(text, "plan.toml", [](const std::string&) -> Result<std::string> { return kSchema; });
  EXPECT_TRUE(plan.has_value()) << plan.error().what;
  return *plan;
}

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() : chain_(TestChain(3)) {
    std::vector<Write> writes = FoundingWrites(chain_.links().front(), "admin");
    for (const SignedRoster& link : chain_.links()) {
      const std::string seq = std::to_string(ParseRoster(link.roster)->seq);
      writes.emplace_back(PutState{"roster", std::string(20 - seq.size(), '0') + seq, Encode(link)});
    }
    EXPECT_TRUE(storage_.Commit(writes));
    Start();
  }

  void Start() {
    ServiceOptions options{.identity = IdentityKey::FromSeed(Bytes(32, 91)),
                           .server_key = TestTransport(91),
                           .endpoint = "tcp://127.0.0.1:7800",
                           .build = "test",
                           .stored = *storage_.Load(),
                           .storage = &storage_,
                           .blobs = &blobs_};
    auto made = Service::Create(std::move(options), Now{instant_, 1'800'000'000'000});
    ASSERT_TRUE(made.has_value()) << made.error().what;
    service_ = std::move(*made);
    Turn({});
  }

  void Turn(std::vector<Event> events) {
    TurnResult result = service_->Turn(std::move(events), Now{instant_, 1'800'000'000'000});
    for (const BlobWrite& write : result.blob_writes) ASSERT_TRUE(blobs_.Write(write));
    for (const Digest& root : result.blob_seals) ASSERT_TRUE(blobs_.Seal(root));
    ASSERT_TRUE(storage_.Commit(result.transaction));
    for (const Digest& root : result.blob_drops) ASSERT_TRUE(blobs_.Drop(root));
    for (const auto& send : result.sends) {
      const auto* frame = std::get_if<Send>(&send);
      if (frame == nullptr) continue;
      auto message = ReadFrame(frame->frame, TestIdentity(91).verify_key());
      ASSERT_TRUE(message.has_value()) << message.error().what;
      sent_[frame->to].push_back(std::move(*message));
    }
    for (Reply& reply : result.replies) replies_[reply.request] = std::move(reply);
    for (const Disconnect& disconnect : result.disconnects) ++disconnects_[disconnect.peer];
    for (consilium::Run& run : result.runs) runs_.push_back(std::move(run));
    while (!runs_.empty()) {
      const consilium::Run run = std::move(runs_.back());
      runs_.pop_back();
      Turn({JobFinished{run.job, run.work()}});
    }
  }

  int Ask(const std::string& method, const std::string& path, const Value& body) {
    RequestReceived request;
    request.id = ++requests_;
    request.method = method;
    request.path = path;
    request.local = true;
    request.body = body;
    Turn({request});
    return replies_[request.id].status;
  }
  int Invite(const std::string& name, std::uint8_t token) {
    return Ask("POST", "/v1/invitations", Value().Set("name", name).Set("key", TestTransport(token).Hex()));
  }
  Bytes Enrolment(const std::string& name, std::uint8_t token, std::uint8_t identity, std::uint8_t transport,
                  std::uint8_t officer) const {
    Enroll enroll{.token = TestTransport(token),
                  .name = name,
                  .identity = TestIdentity(identity).verify_key(),
                  .transport = TestTransport(transport),
                  .officer = TestIdentity(officer).verify_key(),
                  .roster_fingerprint = chain_.links().front().hash(),
                  .membership = {}};
    const Bytes membership = MembershipBytes("heart study", name, enroll.identity, enroll.transport, enroll.officer);
    enroll.membership = SignMembership(membership, TestIdentity(identity)).signature;
    return EncodeFrame(enroll, TestIdentity(identity));
  }
  // Of the last message to a key; kNone when it is no refusal.
  Reason LastRefusal(const TransportKey& key) {
    const auto& messages = sent_[key];
    const auto* refused = messages.empty() ? nullptr : std::get_if<Refused>(&messages.back());
    return refused == nullptr ? Reason::kNone : refused->reason;
  }

  static TransportKey Peer(std::uint32_t number) { return TestTransport(static_cast<std::uint8_t>(number + 100)); }
  void Say(std::uint32_t number, const Message& message) {
    Turn({FrameReceived{Peer(number), EncodeFrame(message, TestIdentity(static_cast<std::uint8_t>(number)))}});
  }
  void Greet(std::uint32_t number) {
    Turn({PeerConnected{Peer(number)}});
    Say(number, Hello{.build = "test", .rosters = chain_.links().size(), .studies = {}, .ledger = {}});
  }
  StudyId Submit(const Plan& plan) {
    EXPECT_EQ(Ask("POST", "/v1/studies", Value().Set("plan", Base64(Canonical(plan)))), 200);
    return plan.id();
  }
  template <class M>
  std::optional<M> Last(std::uint32_t number, const StudyId& study) {
    for (auto at = sent_[Peer(number)].rbegin(); at != sent_[Peer(number)].rend(); ++at) {
      if (const auto* found = std::get_if<M>(&*at); found != nullptr && found->study == study) return *found;
    }
    return std::nullopt;
  }
  std::optional<Pull> LastPull(std::uint32_t number) {
    for (auto at = sent_[Peer(number)].rbegin(); at != sent_[Peer(number)].rend(); ++at) {
      if (const auto* found = std::get_if<Pull>(&*at)) return *found;
    }
    return std::nullopt;
  }
  // An honest answer to an invitation, with all patients in one bin.
  std::pair<Offer, Bytes> Answer(const consilium::Invite& invite) const {
    const Query query = *ParseQuery(invite.query.content);
    RawContribution raw;
    for (const Block& block : query.blocks) {
      if (block.name != kCountBlock) raw.blocks.emplace_back(block.length, block.role == Role::kPresent ? 1 : 0);
    }
    Bytes words = *Encode(query, raw, nullptr);
    const Digest context = PlainContext("heart study", invite.roster, invite.study, invite.round, invite.attempt,
                                        HashOf(query), invite.last_release, invite.cohort);
    return {Offer{invite.study, invite.attempt, context, Blob{BlobRoot(words), words.size(), BlobLeaves(words), {}}},
            words};
  }
  // The chunk that answers the last pull from a hospital.
  void Serve(std::uint32_t number, const Bytes& words) {
    const auto pull = LastPull(number);
    ASSERT_TRUE(pull.has_value());
    Bytes frame = ChunkHead(pull->root, pull->first, pull->count);
    frame.insert(frame.end(), words.begin(), words.end());
    Turn({FrameReceived{Peer(number), frame}});
  }

  RosterChain chain_;
  MemoryStorage storage_;
  MemoryBlobs blobs_;
  Instant instant_{std::chrono::hours(1)};
  std::unique_ptr<Service> service_;
  std::map<TransportKey, std::vector<Message>> sent_;
  std::map<TransportKey, int> disconnects_;
  std::map<std::uint64_t, Reply> replies_;
  std::vector<consilium::Run> runs_;
  std::uint64_t requests_ = 0;
};

// ---- enrolment ----

TEST_F(ServiceTest, AnEnrolmentWithKeysOfItsOwnIsTaken) {
  ASSERT_EQ(Invite("hospital-x", 60), 200);
  Turn({FrameReceived{TestTransport(60), Enrolment("hospital-x", 60, 61, 62, 63)}});
  EXPECT_EQ(LastRefusal(TestTransport(60)), Reason::kNone);
  EXPECT_FALSE(sent_[TestTransport(60)].empty());
  EXPECT_EQ(Ask("GET", "/v1/roster/next", {}), 404) << "without a name";
}

// A key in two places could sign as one party what it was shown as another; a roster with it would never be accepted,
// so the hospital learns it at once.
TEST_F(ServiceTest, AKeyThatServesElsewhereInAnyRoleIsRefused) {
  ASSERT_EQ(Invite("hospital-w", 50), 200);
  Turn({FrameReceived{TestTransport(50), Enrolment("hospital-w", 50, 51, 52, 53)}});  // Waits for confirmation.
  ASSERT_EQ(Invite("hospital-x", 60), 200);
  const struct {
    const char* what;
    std::uint8_t identity, transport, officer;
  } cases[] = {{"a member's officer", 61, 62, 201},
               {"a member's identity as officer", 61, 62, 1},
               {"a member's officer as identity", 202, 62, 63},
               {"the founder as officer", 61, 62, 90},
               {"the server's identity", 91, 62, 63},
               {"the server's transport", 61, 91, 63},
               {"a member's transport", 61, 101, 63},
               {"identity and officer the same", 61, 62, 61},
               {"a waiting one's officer", 61, 62, 53},
               {"a waiting one's identity as officer", 61, 62, 51}};
  for (const auto& c : cases) {
    Turn({FrameReceived{TestTransport(60), Enrolment("hospital-x", 60, c.identity, c.transport, c.officer)}});
    EXPECT_EQ(LastRefusal(TestTransport(60)), Reason::kNameTaken) << c.what;
  }
  Turn({FrameReceived{TestTransport(60), Enrolment("hospital-x", 60, 61, 62, 63)}});
  EXPECT_EQ(LastRefusal(TestTransport(60)), Reason::kNone) << "the token was not spent by them";
}

TEST_F(ServiceTest, InvitingAnewReplacesWhatWasNeverConfirmed) {
  ASSERT_EQ(Invite("hospital-x", 60), 200);
  Turn({FrameReceived{TestTransport(60), Enrolment("hospital-x", 60, 61, 62, 63)}});  // Somebody else's keys, say.
  ASSERT_EQ(Invite("hospital-x", 70), 200);
  EXPECT_TRUE((*storage_.Load()).state.at({"invitation", "hospital-x"}).size() > 0);
  EXPECT_FALSE((*storage_.Load()).state.contains({"enrolment", "hospital-x"}));
  Turn({FrameReceived{TestTransport(60), Enrolment("hospital-x", 60, 61, 62, 63)}});
  EXPECT_EQ(LastRefusal(TestTransport(60)), Reason::kUnknownPeer) << "the first token is worth nothing now";
  Turn({FrameReceived{TestTransport(70), Enrolment("hospital-x", 70, 71, 72, 73)}});
  EXPECT_EQ(LastRefusal(TestTransport(70)), Reason::kNone);
  EXPECT_EQ(Invite("hospital-a", 80), 409) << "a member is never replaced";
}

// ---- metrics ----

TEST_F(ServiceTest, MetricsAndHealthNeedNoTokenAndNothingElseDoesWithout) {
  const auto get = [this](const std::string& path) {
    RequestReceived request;
    request.id = ++requests_;
    request.method = "GET";
    request.path = path;
    Turn({request});
    return std::pair(replies_[request.id].status, std::string(Text(replies_[request.id].body)));
  };
  EXPECT_EQ(get("/healthz").first, 200);
  EXPECT_EQ(get("/readyz").first, 200);
  EXPECT_EQ(get("/v1/status").first, 401);
  Greet(1);
  Submit(DescribePlan("one", 16));
  Turn({FrameReceived{Peer(1), ToBytes(View("garbage"))}});
  const auto [status, text] = get("/metrics");
  EXPECT_EQ(status, 200);
  for (const char* line : {"# TYPE consilium_hospitals gauge\nconsilium_hospitals 3\n",
                           "consilium_studies{phase=\"awaiting consent\"} 1\n", "consilium_refused_peers_total 1\n",
                           "# TYPE consilium_answers_total counter\nconsilium_answers_total 0\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
}

// ---- blobs ----

TEST_F(ServiceTest, WhatACrashLeftBehindIsDroppedAtTheStart) {
  const Digest orphan = *blobs_.Put(Bytes(200000, 3));
  Start();
  EXPECT_FALSE(blobs_.Has(orphan));
}

TEST_F(ServiceTest, UploadsArePulledAddedAndDropped) {
  const StudyId study = Submit(DescribePlan("one", 20000));
  for (std::uint32_t n : {1, 2, 3}) Greet(n);
  for (std::uint32_t n : {1, 2, 3}) Say(n, PlanVerdict{study, true, Reason::kNone, chain_.hash()});
  for (std::uint32_t n : {1, 2, 3}) {
    const auto invite = Last<consilium::Invite>(n, study);
    ASSERT_TRUE(invite.has_value());
    const auto [offer, words] = Answer(*invite);
    ASSERT_GT(words.size(), kInlineBlob);
    Say(n, offer);
    Serve(n, words);
    EXPECT_TRUE(Last<Receipt>(n, study).has_value());
    EXPECT_TRUE(blobs_.sealed.empty()) << "spooled only until it was added";
  }
  const auto release = Last<Release>(1, study);
  ASSERT_TRUE(release.has_value());
  EXPECT_EQ(release->survivors, (std::vector<std::uint32_t>{1, 2, 3}));
}

// Two sizes under one root: the store could not hold both, and one of them is a lie.
TEST_F(ServiceTest, ASecondOfferOfARootWithAnotherSizeClosesThatSessionOnly) {
  const StudyId study = Submit(DescribePlan("one", 20000));
  const StudyId other = Submit(DescribePlan("two", 20001));
  for (std::uint32_t n : {1, 2}) Greet(n);
  for (const StudyId& id : {study, other}) {
    for (std::uint32_t n : {1, 2, 3}) {
      if (n == 3) Greet(3);
      Say(n, PlanVerdict{id, true, Reason::kNone, chain_.hash()});
    }
  }
  const auto [honest, words] = Answer(*Last<consilium::Invite>(1, study));
  Say(1, honest);  // Its transfer is under way.
  auto [liar, more] = Answer(*Last<consilium::Invite>(2, other));
  ASSERT_NE(liar.vector.bytes, honest.vector.bytes);
  liar.vector.root = honest.vector.root;
  liar.vector.leaves = honest.vector.leaves;
  Say(2, liar);
  EXPECT_EQ(disconnects_[Peer(2)], 1);
  EXPECT_EQ(LastRefusal(Peer(2)), Reason::kMalformed);
  Serve(1, words);
  EXPECT_TRUE(Last<Receipt>(1, study).has_value());
  for (const Bytes& row : storage_.rows["audit"]) EXPECT_EQ(Text(row).find("attempt_failed"), std::string_view::npos);
}

}  // namespace
}  // namespace consilium::coordinator
