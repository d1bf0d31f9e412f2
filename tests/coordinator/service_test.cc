// The coordinator's Service, turn by turn: enrolment, blobs, what a restart finds.
#include "tests/coordinator/bench.h"

namespace consilium::coordinator {
namespace {

class ServiceTest : public Bench {};

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

// ---- the witness of ledgers ----

TEST_F(ServiceTest, AHospitalIsToldTheHighestHeadOfItsLedgerThatItEverTold) {
  const auto head = [](std::uint64_t seq) { return ChainHead{seq, Sha256(View(std::to_string(seq)))}; };
  const auto greet = [&](const ChainHead& ledger, const ChainHead& unlocked) {
    sent_.clear();
    Turn({PeerConnected{Peer(1)}});
    Hello hello;
    hello.build = "test";
    hello.rosters = chain_.links().size();
    hello.ledger = ledger;
    hello.unlocked = unlocked;
    Say(1, hello);
    return std::get<Welcome>(sent_[Peer(1)].front()).ledger;
  };
  const auto troubled = [&] {
    RequestReceived request;
    EXPECT_EQ(Ask("GET", "/v1/hospitals", {}), 200);
    return !ParseJson(Text(replies_[requests_].body))
                ->operator[]("hospitals")
                .AsArray()
                .at(0)["trouble"]
                .AsString()
                .empty();
  };
  EXPECT_EQ(greet(head(1), {}), ChainHead{});
  EXPECT_EQ(greet(head(2), {}), head(1));
  const StudyId study = Submit(DescribePlan("one", 16));
  for (std::uint32_t n : {2, 3}) Greet(n);
  for (std::uint32_t n : {1, 2, 3}) Say(n, PlanVerdict{study, true, Reason::kNone, chain_.hash()});
  for (std::uint32_t n : {1, 2, 3}) {
    auto [offer, words] = Answer(*Last<consilium::Invite>(n, study));
    if (words.size() <= kInlineBlob) offer.vector = InlineBlob(words);
    offer.ledger = head(n == 1 ? 7 : 3);
    Say(n, offer);
    if (words.size() > kInlineBlob) Serve(n, words);
  }
  ASSERT_TRUE(Last<Release>(1, study).has_value());
  Start();  // What an answer rests on is durable with it.
  EXPECT_FALSE(troubled());
  EXPECT_EQ(greet(head(2), {}), head(7)) << "put back to an earlier state";
  EXPECT_TRUE(troubled());
  EXPECT_EQ(greet(head(3), {}), head(7)) << "and it stays so";
  EXPECT_EQ(greet(head(3), head(6)), head(7)) << "an officer let go of another one";
  EXPECT_EQ(greet(head(4), head(7)), head(7)) << "an officer there let go of it";
  EXPECT_FALSE(troubled());
  EXPECT_EQ(greet(head(5), head(7)), head(4)) << "from there on it counts anew";
  EXPECT_EQ(greet(ChainHead{5, Digest{}}, head(7)), head(5));
  EXPECT_TRUE(troubled()) << "another row under the same number";
}

// ---- blobs ----

// What a hospital says of itself, or a client asks for, may be any number; answers are JSON, which ends at 2^53.
TEST_F(ServiceTest, NumbersBeyondJsonsStopNothing) {
  Greet(1);
  const StudyId study = Submit(DescribePlan("cohort", 16));
  Say(1, Heartbeat{Phase::kUploading, study, UINT64_MAX, UINT64_MAX - 1});
  EXPECT_EQ(Ask("GET", "/v1/studies/" + study.Hex(), {}), 200);
  RequestReceived request;
  request.id = ++requests_;
  request.method = "GET";
  request.path = "/v1/audit";
  request.local = true;
  request.query = {{"first", "999999999999999999"}};
  Turn({request});
  EXPECT_EQ(replies_[request.id].status, 200);
}

TEST_F(ServiceTest, AStudysPlanIsGivenAsItWasSubmitted) {
  const Plan plan = DescribePlan("cohort", 16);
  const StudyId study = Submit(plan);
  EXPECT_EQ(Ask("GET", "/v1/studies/" + study.Hex() + "/plan", {}), 200);
  EXPECT_EQ(replies_[requests_].body, Canonical(plan));
}

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
