// A round at the hospital (docs/protocol.md, "A round", 2, 3 and 7): what is answered to an invitation, what is durable
// before an offer leaves, what a release changes; and that a restart between any two steps changes nothing of it.
#include "common/algorithms/derive.h"
#include "tests/node/bench.h"

namespace consilium::node {
namespace {

class Round : public Bench {
 protected:
  Reason Declined() {
    const auto decline = Take<Decline>();
    return decline ? decline->reason : Reason::kNone;
  }
};

TEST_F(Round, AnInvitationIsComputedCommittedAndOffered) {
  Join();
  const Invite invite = TestInvite(1, 1);
  Say(invite);
  EXPECT_EQ(Count<Offer>(), 0U);
  EXPECT_EQ(LedgerRows().size(), 1U) << "reserved at approval, nothing committed yet";
  Work();
  const auto offer = Take<Offer>();
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->attempt, 1U);
  EXPECT_EQ(offer->context, ContextOf(invite));
  ASSERT_EQ(LedgerRows().size(), 2U);
  EXPECT_EQ(LedgerRows()[1].kind, LedgerRow::Kind::kCommit);
  EXPECT_EQ(LedgerRows()[1].first_attempt, 1U);
  EXPECT_EQ(Record().contribution, offer->vector);
  EXPECT_EQ(Record().context, offer->context);
  EXPECT_EQ(workbench_.seen_inputs.at(BlobRoot(model_)), model_);
  const auto answer = Answer::Create(TestQuery(1, model_), {2}, offer->vector.content);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->Values("delta"), std::vector<double>(4, 0.25));
}

TEST_F(Round, TheCommitIsInTheTransactionOfTheOffer) {
  Join();
  Say(TestInvite(1, 1));
  ASSERT_EQ(runs_.size(), 1U);
  consilium::Run run = std::move(runs_.front());
  runs_.clear();
  const TurnResult result = service_->Turn({JobFinished{run.job, run.work()}}, At());
  bool committed = false, stored = false, offered = false;
  for (const Write& write : result.transaction) {
    const auto* append = std::get_if<AppendChain>(&write);
    committed |= append != nullptr && append->name == "ledger";
    const auto* put = std::get_if<PutState>(&write);
    stored |= put != nullptr && put->core == "study";
  }
  for (const auto& send : result.sends) {
    const auto message = ReadFrame(std::get<Send>(send).frame, TestIdentity(kSelf).verify_key());
    offered |= message && std::holds_alternative<Offer>(*message);
  }
  EXPECT_TRUE(committed && stored && offered);
}

// The directory was put back to an earlier state: the coordinator tells what it has seen, and nothing is computed
// before an officer has decided; what was reserved then is never given back.
TEST_F(Round, ALedgerThatTheCoordinatorHasSeenMoreOfIsLockedUntilAnOfficerDecides) {
  Join();
  const MemoryStorage backup = storage_;
  Say(TestInvite(1, 1));
  Work();
  const auto offer = Take<Offer>();
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->ledger.seq, 2U);
  storage_ = backup;
  witness_ = offer->ledger;
  for (int restart = 0; restart < 2; ++restart) {
    Restart();
    EXPECT_EQ(Ask("GET", "/v1/status")["ledger"]["locked"].AsString(),
              "the coordinator has seen row 2 of it, but it ends with row 1 here");
    Say(TestInvite(1, 2));
    EXPECT_EQ(Declined(), Reason::kLocked);
    EXPECT_TRUE(runs_.empty());
  }
  witness_ = {};
  Restart();
  EXPECT_FALSE(Ask("GET", "/v1/budget")["locked"].AsString().empty()) << "it stays so without the coordinator's word";
  int status = 0;
  Ask("POST", "/v1/budget/unlock", {}, &status);
  EXPECT_EQ(status, 400) << "nobody answers for it";
  const Value budget = Ask("POST", "/v1/budget/unlock", Value().Set("officer", "officer-1"), &status);
  EXPECT_EQ(status, 200);
  EXPECT_EQ(budget["locked"].AsString(), "");
  EXPECT_TRUE(budget["studies"].AsArray().at(0)["in_doubt"].AsBool());
  EXPECT_FALSE(disconnects_.empty()) << "to greet anew";
  witness_ = offer->ledger;
  for (int restart = 0; restart < 2; ++restart) {
    Restart();
    EXPECT_EQ(Ask("GET", "/v1/budget")["locked"].AsString(), "");
  }
  Turn({PeerConnected{TestTransport(91)}});
  EXPECT_EQ(Take<Hello>()->unlocked, offer->ledger);
  Restart();
  Say(TestInvite(1, 2));
  Work();
  EXPECT_TRUE(Take<Offer>());
  SayRelease(1, 2, true);
  for (const LedgerRow& row : LedgerRows()) EXPECT_NE(row.kind, LedgerRow::Kind::kRelease) << "attempt 1 was used";
  Ask("POST", "/v1/budget/unlock", Value().Set("officer", "officer-1"), &status);
  EXPECT_EQ(status, 409) << "not locked";
}

TEST_F(Round, ALockEndsWhatIsBeingComputed) {
  Join();
  Say(TestInvite(1, 1));
  Turn({PeerLost{TestTransport(91), "closed"}});
  witness_ = {9, Digest{}};
  Greet();
  EXPECT_EQ(Declined(), Reason::kLocked);
  Work();
  EXPECT_EQ(Count<Offer>(), 0U);
  EXPECT_EQ(LedgerRows().size(), 1U);
}

TEST_F(Round, AnInvitationThatIsRepeatedWhileItRunsIsNotComputedTwice) {
  Join();
  Say(TestInvite(1, 1));
  Say(TestInvite(1, 1));
  Work();
  EXPECT_EQ(workbench_.computed, 1);
  EXPECT_EQ(Count<Offer>(), 1U);
}

TEST_F(Round, TheSameAttemptAgainIsTheSameOfferUncharged) {
  Join();
  Say(TestInvite(1, 1));
  Work();
  const auto first = Take<Offer>();
  Say(TestInvite(1, 1));
  const auto second = Take<Offer>();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(LedgerRows().size(), 2U);
  EXPECT_EQ(workbench_.computed, 1);
}

TEST_F(Round, OneAttemptHasOneContext) {
  Join();
  Say(TestInvite(1, 1));
  Invite other = TestInvite(1, 1);
  other.cohort = {1, 2};
  Say(other);
  EXPECT_EQ(Declined(), Reason::kContext) << "while the first is being computed";
  Work();
  sent_.clear();
  Say(other);
  EXPECT_EQ(Declined(), Reason::kContext);
  Restart();
  sent_.clear();
  Say(other);
  EXPECT_EQ(Declined(), Reason::kContext) << "after a restart too";
  EXPECT_EQ(workbench_.computed, 1);
}

TEST_F(Round, AnAttemptAtOrBelowTheLastIsStale) {
  Join();
  Say(TestInvite(1, 3));
  Say(TestInvite(1, 2));
  EXPECT_EQ(Declined(), Reason::kStaleAttempt) << "while attempt 3 is being computed";
  Work();
  Say(TestInvite(1, 2));
  EXPECT_EQ(Declined(), Reason::kStaleAttempt);
  const Invite third = TestInvite(1, 3);
  SayRelease(1, 3);
  Say(third);
  EXPECT_EQ(Declined(), Reason::kStaleAttempt) << "a replayed invitation whose release has come";
  EXPECT_EQ(LedgerRows().size(), 2U);
}

TEST_F(Round, ANewerAttemptReplacesTheOneThatIsBeingComputed) {
  Join();
  Say(TestInvite(1, 1));
  Say(Abandon{plan_.id(), 1, Reason::kQuorum});
  Say(TestInvite(1, 2));
  Work();
  ASSERT_EQ(Count<Offer>(), 1U);
  EXPECT_EQ(Take<Offer>()->attempt, 2U);
  ASSERT_EQ(LedgerRows().size(), 2U);
  EXPECT_EQ(LedgerRows()[1].first_attempt, 2U);
}

TEST_F(Round, AnAbandonedAttemptIsNotOffered) {
  Join();
  Say(TestInvite(1, 1));
  Say(Abandon{plan_.id(), 1, Reason::kDeadline});
  Work();
  EXPECT_EQ(Count<Offer>(), 0U);
  EXPECT_EQ(LedgerRows().size(), 1U);
}

TEST_F(Round, AttemptsBeyondThePlansMaximumAreRefused) {
  Join();
  Say(TestInvite(1, plan_.maximum_attempts + 1));
  EXPECT_EQ(Declined(), Reason::kBudget);
  EXPECT_EQ(workbench_.computed, 0);
  Say(TestInvite(1, plan_.maximum_attempts));
  Work();
  EXPECT_EQ(Count<Offer>(), 1U);
}

TEST_F(Round, WhatDoesNotHoldIsDeclinedAndAuditedOnce) {
  Join();
  Invite invite = TestInvite(1, 1);
  invite.cohort = {1, 3};
  Say(invite);
  EXPECT_EQ(Declined(), Reason::kCohort);
  const std::size_t events = AuditEvents().size();
  EXPECT_EQ(AuditEvents().back(), "declined");
  Say(invite);
  EXPECT_EQ(Declined(), Reason::kCohort);
  EXPECT_EQ(AuditEvents().size(), events) << "a repetition fills no log";
  invite = TestInvite(1, 1);
  invite.roster.bytes[0] ^= 1;
  Say(invite);
  EXPECT_EQ(Declined(), Reason::kCohort);
  invite = TestInvite(1, 1);
  invite.query = InlineBlob(View("{}"));
  Say(invite);
  EXPECT_EQ(Declined(), Reason::kMalformed);
  invite = TestInvite(1, 1);
  invite.last_release = Blake2b(View("another history"));
  Say(invite);
  EXPECT_EQ(Declined(), Reason::kChain);
  invite = TestInvite(1, 1);
  invite.round = 2;
  Say(invite);
  EXPECT_EQ(Declined(), Reason::kQueryNotDerived);
  invite = TestInvite(1, 1);
  invite.study.bytes[0] ^= 1;
  Say(invite);
  EXPECT_EQ(Declined(), Reason::kUnknownStudy);
  EXPECT_EQ(workbench_.computed, 0);
}

TEST_F(Round, AFailedJobAbandonsTheAttemptAndTheNextOneIsComputed) {
  Join();
  workbench_.fail = true;
  Say(TestInvite(1, 1));
  Work();
  const auto abandon = Take<Abandon>();
  ASSERT_TRUE(abandon);
  EXPECT_EQ(abandon->reason, Reason::kFailedHere);
  EXPECT_EQ(AuditEvents().back(), "declined");
  EXPECT_EQ(LedgerRows().size(), 1U);
  workbench_.fail = false;
  Say(TestInvite(1, 2));
  Work();
  EXPECT_EQ(Count<Offer>(), 1U);
}

// ---- releases ----

TEST_F(Round, AReleaseMovesTheMarkAndDropsTheContribution) {
  Join();
  Say(TestInvite(1, 1));
  Work();
  Say(Receipt{plan_.id(), 1, Take<Offer>()->vector.root});
  model_ = Bytes(32, 2);
  SayRelease(1, 1);
  EXPECT_EQ(Record().releases, 1U);
  EXPECT_EQ(Record().last_release, last_release_);
  EXPECT_EQ(Record().model.content, model_);
  EXPECT_EQ(Record().contribution.bytes, 0U);
  EXPECT_EQ(AuditEvents().back(), "released");
  Say(TestInvite(2, 2));
  Work();
  EXPECT_EQ(Count<Offer>(), 1U);
}

TEST_F(Round, AReleaseMustContinueTheChain) {
  Join();
  SayRelease(1, 1);
  const ParticipantRecord before = Record();
  Release fork;
  fork.study = plan_.id();
  fork.seq = 2;
  fork.previous = Blake2b(View("another history"));
  fork.round = 2;
  fork.attempt = 2;
  fork.survivors = {1, 2};
  Say(fork);
  EXPECT_EQ(Record(), before);
  EXPECT_EQ(Take<Refused>()->reason, Reason::kChain);
  EXPECT_EQ(AuditEvents().back(), "declined");
  fork.seq = 1;  // Another first release than the one seen.
  fork.previous = {};
  Say(fork);
  EXPECT_EQ(Record(), before);
}

TEST_F(Round, AReleaseSeenBeforeIsHarmless) {
  Join();
  SayRelease(1, 1);
  SayRelease(2, 2);
  const ParticipantRecord before = Record();
  const std::size_t rows = AuditEvents().size();
  Release old;
  old.study = plan_.id();
  old.seq = 1;
  old.round = 1;
  old.attempt = 1;
  old.survivors = {1, 2, 3};
  old.model = AsBlob(model_);
  Say(old);
  EXPECT_EQ(Record(), before);
  EXPECT_EQ(AuditEvents().size(), rows);
  EXPECT_EQ(Count<Refused>(), 0U);
}

TEST_F(Round, AfterAnAbsenceTheChainBindsFromTheReleaseThatCameOn) {
  Join();
  releases_ = 4;
  last_release_ = Blake2b(View("release 4, not seen here"));
  SayRelease(5, 7);
  EXPECT_EQ(Record().releases, 5U);
  Say(TestInvite(6, 8));
  Work();
  EXPECT_EQ(Count<Offer>(), 1U);
}

TEST_F(Round, TheLastReleaseGivesUnusedAttemptsBackAndLeadsToTheHospitalsOwnResults) {
  Join();
  Say(TestInvite(1, 1));
  Work();
  model_ = Bytes(48, 2);
  SayRelease(1, 1, true);
  EXPECT_EQ(Record().phase, StudyPhase::kComplete);
  ASSERT_EQ(LedgerRows().size(), 3U);
  EXPECT_EQ(LedgerRows()[2].kind, LedgerRow::Kind::kRelease);
  EXPECT_EQ(LedgerRows()[2].first_attempt, 2U);
  EXPECT_EQ(LedgerRows()[2].last_attempt, plan_.maximum_attempts);
  Work();
  const Value results = Ask("GET", "/v1/results")["results"].AsArray().at(0);
  EXPECT_EQ(results["name"].AsString(), "readmission");
  EXPECT_EQ(results["results"]["round"].AsInteger(), 1);
  EXPECT_EQ(results["results"]["model_bytes"].AsInteger(), 48);
  EXPECT_EQ(AuditEvents().back(), "results");
  Say(StudyState{plan_.id(), StudyPhase::kComplete, Reason::kNone, 1});
  Say(TestInvite(2, 2));
  EXPECT_EQ(Declined(), Reason::kWrongState);
  EXPECT_EQ(LedgerRows().size(), 3U);
}

TEST_F(Round, ResultsThatACrashTookAreComputedAgain) {
  Join();
  Say(TestInvite(1, 1));
  Work();
  SayRelease(1, 1, true);
  EXPECT_TRUE(Record().results.empty());
  Start();
  Work();
  EXPECT_FALSE(Record().results.empty());
  const Bytes results = Record().results;
  Start();
  EXPECT_TRUE(runs_.empty()) << "once is enough";
  EXPECT_EQ(Record().results, results);
}

TEST_F(Round, AnAbortEndsTheStudyHere) {
  Join();
  Say(TestInvite(1, 1));
  Say(StudyState{plan_.id(), StudyPhase::kAborted, Reason::kAborted, 0});
  Work();
  EXPECT_EQ(Count<Offer>(), 0U);
  EXPECT_EQ(LedgerRows().back().kind, LedgerRow::Kind::kRelease);
  EXPECT_EQ(LedgerRows().back().first_attempt, 1U);
  Say(TestInvite(1, 2));
  EXPECT_EQ(Declined(), Reason::kAborted);
}

TEST_F(Round, AStateThatOverranItsReleaseStillLetsTheReleaseIn) {
  Join();
  Say(TestInvite(1, 1));
  Work();
  const StudyState ahead{plan_.id(), StudyPhase::kComplete, Reason::kNone, 1};
  Say(ahead);
  EXPECT_EQ(disconnects_.size(), 1U) << "the next Hello says what is missing";
  Greet();
  Say(ahead);  // A coordinator that does not mend it is not asked for ever.
  EXPECT_EQ(disconnects_.size(), 1U);
  SayRelease(1, 1, true);
  Work();
  EXPECT_EQ(Record().releases, 1U);
  EXPECT_FALSE(Record().results.empty());
  EXPECT_EQ(LedgerRows().size(), 3U) << "given back once";
}

// ---- large blobs ----

TEST_F(Round, LargeInputsArePulledAndLargeContributionsServed) {
  coordinates_ = 200000;  // u64: 1.6 MB, two chunks.
  model_ = Bytes(900000, 7);
  Join();
  Say(TestInvite(1, 1));
  EXPECT_TRUE(runs_.empty());
  std::vector<Pull> pulls;
  for (const Message& message : std::exchange(sent_, {})) {
    if (const auto* pull = std::get_if<Pull>(&message)) pulls.push_back(*pull);
  }
  ASSERT_EQ(pulls.size(), 1U);
  Bytes chunk = ChunkHead(pulls[0].root, pulls[0].first, pulls[0].count);
  chunk.insert(chunk.end(), model_.begin(), model_.end());
  Turn({FrameReceived{TestTransport(91), chunk}});
  ASSERT_EQ(runs_.size(), 1U);
  Work();
  EXPECT_EQ(workbench_.seen_inputs.at(BlobRoot(model_)), model_);
  const auto offer = Take<Offer>();
  ASSERT_TRUE(offer);
  ASSERT_EQ(offer->vector.leaves.size(), 7U);
  Restart();  // The upload goes on without a new invitation.
  Say(Pull{offer->vector.root, 0, 4});
  Say(Pull{offer->vector.root, 4, 3});
  ASSERT_EQ(chunks_.size(), 2U);
  EXPECT_EQ(MerkleLeaf(ByteView(chunks_[1].content).first(kLeafBytes)), offer->vector.leaves[4]);
  SayRelease(1, 1);
  EXPECT_FALSE(blobs_.Has(offer->vector.root)) << "dropped with its release";
  sent_.clear();
  Say(Pull{offer->vector.root, 0, 4});
  EXPECT_EQ(chunks_.size(), 2U);
  EXPECT_TRUE(disconnects_.empty());
}

TEST_F(Round, AChunkWithOtherBytesClosesTheSession) {
  model_ = Bytes(900000, 7);
  Join();
  Say(TestInvite(1, 1));
  Bytes chunk = ChunkHead(BlobRoot(model_), 0, 4);
  chunk.resize(chunk.size() + model_.size(), 8);
  Turn({FrameReceived{TestTransport(91), chunk}});
  EXPECT_EQ(disconnects_.size(), 1U);
  EXPECT_TRUE(runs_.empty());
}

TEST_F(Round, APullOfSomethingElseGetsNothing) {
  Join();
  Say(Pull{Blake2b(View("a patient file")), 0, 1});
  EXPECT_TRUE(chunks_.empty());
  EXPECT_EQ(Take<Refused>()->reason, Reason::kWrongState);
}

// ---- restarts ----

// Two rounds and the end, with a power cut at step `cut`; the coordinator repeats what it has open after every Hello.
class RestartAt : public Bench, public testing::WithParamInterface<int> {
 protected:
  void Step() {
    if (++step_ == GetParam()) Start();
    if (step_ == GetParam()) Reconnect();
  }
  void Reconnect() {
    Greet();
    OfferPlan();
    if (open_) Say(*open_);
  }
  void Round(std::uint32_t round, bool last) {
    open_ = TestInvite(round, round);
    Say(*open_);
    Step();
    Work();
    Step();
    const auto offer = Take<Offer>();
    ASSERT_TRUE(offer) << "round " << round;
    EXPECT_EQ(offer->context, ContextOf(*open_));
    roots_.push_back(offer->vector.root);
    Say(Receipt{plan_.id(), round, offer->vector.root});
    Step();
    open_.reset();
    model_ = Bytes(32, static_cast<std::uint8_t>(round + 10));
    SayRelease(round, round, last);
    Step();
  }
  // What the test's workbench contributes in a round.
  [[nodiscard]] Bytes Vector(std::uint32_t round) const {
    return *Encode(TestQuery(round, {}), {{std::vector<double>(coordinates_, 0.25 * round)}}, nullptr);
  }
  std::optional<Invite> open_;
  std::vector<Digest> roots_;
  int step_ = 0;
};

TEST_P(RestartAt, ChangesNothing) {
  Join();
  Step();
  Round(1, false);
  Round(2, true);
  Work();
  const std::vector<LedgerRow> rows = LedgerRows();
  ASSERT_EQ(rows.size(), 4U) << "RESERVE, one COMMIT an attempt, RELEASE";
  EXPECT_EQ(rows[1].first_attempt, 1U);
  EXPECT_EQ(rows[2].first_attempt, 2U);
  EXPECT_EQ(rows[3].kind, LedgerRow::Kind::kRelease);
  EXPECT_EQ(Record().releases, 2U);
  EXPECT_EQ(Record().last_release, last_release_);
  EXPECT_FALSE(Record().results.empty());
  const std::vector<Digest> undisturbed = {InlineBlob(Vector(1)).root, InlineBlob(Vector(2)).root};
  EXPECT_EQ(roots_, undisturbed);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, RestartAt, testing::Range(0, 10));

// ---- this hospital's own figures, under its name ----

class OwnFigures : public Bench {
 protected:
  // Approved with the switch as it is, and released up to the query that asks for them.
  void Reach(bool release) {
    policy_.release_own_figures = release;
    plan_.per_hospital = "released";
    plan_.standardize = "declared";
    plan_.impute = "constant";
    plan_ = *ParsePlan(Canonical(plan_));
    Start();
    Join();
    for (std::uint32_t round = 1; round < TotalSums(plan_); ++round) SayRelease(round, round);
    sent_.clear();
  }
  [[nodiscard]] Invite OwnInvite() const {
    Query query = OwnFiguresQuery(plan_, plan_.rounds, BlobRoot(model_), MakePreprocessing(plan_, {}), 1);
    query.plan = plan_.id();
    query.round = TotalSums(plan_);
    Invite invite = TestInvite(query.round, query.round);
    invite.query = InlineBlob(Canonical(query));
    return invite;
  }
  std::string Own() { return Ask("GET", "/v1/plans/" + plan_.id().Hex())["own_figures"].AsString(); }
};

TEST_F(OwnFigures, LeaveWithTheSwitchOn) {
  Reach(true);
  EXPECT_EQ(Own(), "allowed");
  Say(OwnInvite());
  Work();
  const auto offer = Take<Offer>();
  ASSERT_TRUE(offer);
  EXPECT_EQ(workbench_.computed, 1);
  EXPECT_EQ(Own(), "released");
  EXPECT_EQ(Record().own_figures, ParticipantRecord::OwnFigures::kReleased);
  EXPECT_EQ(AuditEvents().back(), "released_figures");
  EXPECT_EQ(LedgerRows().back().kind, LedgerRow::Kind::kCommit);
  Restart();
  EXPECT_EQ(Own(), "released");
}

TEST_F(OwnFigures, StayWithTheSwitchOffWithoutALookAtTheData) {
  Reach(false);
  EXPECT_EQ(Own(), "withheld");
  workbench_.fail = true;  // Even data that cannot be read do not show.
  Say(OwnInvite());
  Work();
  const auto offer = Take<Offer>();
  ASSERT_TRUE(offer);
  EXPECT_EQ(workbench_.computed, 0);
  Bytes zeros(offer->vector.bytes);
  zeros[zeros.size() - 8] = 1;
  EXPECT_EQ(offer->vector.content, zeros);
  EXPECT_EQ(Own(), "withheld");
  EXPECT_EQ(LedgerRows().back().kind, LedgerRow::Kind::kCommit) << "the attempt is charged like any other";
}

TEST_F(OwnFigures, ASwitchThatIsTurnedOnLaterNeedsANewApproval) {
  Reach(false);
  policy_.release_own_figures = true;
  Restart();
  EXPECT_EQ(Own(), "withheld") << "the officer was told so";
  EXPECT_EQ(Approve()["own_figures"].AsString(), "allowed");
  Say(OwnInvite());
  Work();
  EXPECT_TRUE(Take<Offer>());
  EXPECT_EQ(Own(), "released");
}

TEST_F(OwnFigures, ASwitchThatIsTurnedOffLaterHolds) {
  Reach(true);
  policy_.release_own_figures = false;
  Restart();
  EXPECT_EQ(Own(), "withheld");
  Say(OwnInvite());
  Work();
  EXPECT_TRUE(Take<Offer>());
  EXPECT_EQ(workbench_.computed, 0);
}

TEST_F(OwnFigures, AreNotAskedByOtherPlans) {
  policy_.release_own_figures = true;
  Start();
  Join();
  EXPECT_EQ(Own(), "not asked");
  Invite invite = TestInvite(1, 1);
  Query query = TestQuery(1, model_);
  query.release = ReleaseTo::kHospital;
  invite.query = InlineBlob(Canonical(query));
  Say(invite);
  EXPECT_EQ(Take<Decline>()->reason, Reason::kQueryNotDerived);
  EXPECT_TRUE(runs_.empty());
}

}  // namespace
}  // namespace consilium::node
