// What a hospital remembers of a study between rounds (schemas/storage.capnp, ParticipantRecord.Memory): pending with
// the contribution, confirmed by the release that counts it, else dropped, whatever is cut off or missed in between.
#include "tests/node/bench.h"

namespace consilium::node {
namespace {

class Memory : public Bench {
 protected:
  void SetUp() override { plan_.algorithm = "scaffold"; }

  // Computes and offers the attempt.
  void Contribute(std::uint32_t round, std::uint32_t attempt, const std::string& kind = "train") {
    Say(InviteTo(round, attempt, kind));
    Work();
    EXPECT_TRUE(Take<Offer>()) << "round " << round << ", attempt " << attempt;
  }
  [[nodiscard]] Invite InviteTo(std::uint32_t round, std::uint32_t attempt, const std::string& kind = "train") const {
    Invite invite = TestInvite(round, attempt);
    Query query = TestQuery(round, model_);
    query.kind = kind;
    invite.query = InlineBlob(Canonical(query));
    return invite;
  }
  [[nodiscard]] std::string Remembered() const { return std::string(Text(Record().memory.content.content)); }
  [[nodiscard]] std::string Pending() const { return std::string(Text(Record().pending.content.content)); }
  [[nodiscard]] std::string Seen() const { return std::string(Text(workbench_.seen.memory)); }
  Reason Declined() {
    const auto decline = Take<Decline>();
    return decline ? decline->reason : Reason::kNone;
  }
};

TEST_F(Memory, IsPendingWithTheContributionAndConfirmedByItsRelease) {
  Join();
  Contribute(1, 1);
  EXPECT_EQ(Pending(), "after round 1");
  EXPECT_EQ(Record().pending.attempt, 1U);
  EXPECT_EQ(Record().memory, ParticipantRecord::Memory{});
  SayRelease(1, 1);
  EXPECT_EQ(Remembered(), "after round 1");
  EXPECT_EQ(Record().memory.attempt, 1U);
  EXPECT_EQ(Record().counted, 1U);
  EXPECT_EQ(Record().pending, ParticipantRecord::Memory{});
  Contribute(2, 2);
  EXPECT_EQ(Seen(), "after round 1");
  EXPECT_EQ(Pending(), "after round 1after round 2");
}

TEST_F(Memory, IsWrittenInTheTransactionOfTheCommit) {
  Join();
  Say(InviteTo(1, 1));
  consilium::Run run = std::move(runs_.front());
  runs_.clear();
  const TurnResult result = service_->Turn({JobFinished{run.job, run.work()}}, At());
  bool committed = false, pending = false;
  for (const Write& write : result.transaction) {
    const auto* append = std::get_if<AppendChain>(&write);
    committed |= append != nullptr && append->name == "ledger";
    const auto* put = std::get_if<PutState>(&write);
    if (put != nullptr && put->core == "study") pending |= DecodeParticipantRecord(put->blob)->pending.attempt == 1;
  }
  EXPECT_TRUE(committed && pending);
}

TEST_F(Memory, OfALeftOutHospitalDoesNotMove) {
  Join();
  Contribute(1, 1);
  SayRelease(1, 1);
  Contribute(2, 2);
  SayReleaseCounting(2, 2, {{1, 2}, {2, 1}, {3, 2}});
  EXPECT_EQ(Remembered(), "after round 1");
  EXPECT_EQ(Record().pending, ParticipantRecord::Memory{});
  Contribute(3, 3);
  EXPECT_EQ(Seen(), "after round 1");
}

TEST_F(Memory, OfAnAttemptThatFailedIsReplacedByTheNextOnes) {
  Join();
  Contribute(1, 1);
  Say(Abandon{plan_.id(), 1, Reason::kQuorum});
  Contribute(1, 2);
  EXPECT_EQ(Seen(), "") << "computed from what counts, not from what was pending";
  EXPECT_EQ(Record().pending.attempt, 2U);
  SayRelease(1, 2);
  EXPECT_EQ(Record().memory.attempt, 2U);
}

// The release of its own attempt went by while it was away; the next one that it gets still says what counts.
TEST_F(Memory, OfOneThatWasAwayIsSettledByALaterRelease) {
  for (const bool counted : {true, false}) {
    SetUp();
    storage_ = {};
    releases_ = 0;
    last_release_ = {};
    Start();
    Join();
    Contribute(1, 1);
    releases_ = 3;
    last_release_ = Blake2b(View("a release that was missed"));
    SayReleaseCounting(4, 5,
                       counted ? std::map<std::uint32_t, std::uint32_t>{{1, 5}, {2, 1}, {3, 5}}
                               : std::map<std::uint32_t, std::uint32_t>{{1, 5}, {3, 5}});
    EXPECT_EQ(Remembered(), counted ? "after round 1" : "");
    Contribute(5, 6);
    EXPECT_EQ(Seen(), counted ? "after round 1" : "");
  }
}

TEST_F(Memory, IsCarriedThroughRoundsThatDoNotChangeIt) {
  Join();
  Contribute(1, 1);
  SayRelease(1, 1);
  Contribute(2, 2, "evaluate");
  EXPECT_EQ(Seen(), "") << "an evaluation has no use for it";
  SayRelease(2, 2);
  EXPECT_EQ(Remembered(), "after round 1");
  EXPECT_EQ(Record().memory.attempt, 2U);
  Contribute(3, 3);
  EXPECT_EQ(Seen(), "after round 1");
}

TEST_F(Memory, SurvivesAPowerCutBetweenAnyTwoSteps) {
  Join();
  Contribute(1, 1);
  Restart();
  EXPECT_EQ(Pending(), "after round 1");
  const Digest root = Record().contribution.root;
  Say(InviteTo(1, 1));
  EXPECT_EQ(Take<Offer>()->vector.root, root) << "the same bytes, so the same memory";
  EXPECT_TRUE(runs_.empty());
  SayRelease(1, 1);
  Restart();
  EXPECT_EQ(Remembered(), "after round 1");
  Contribute(2, 2);
  EXPECT_EQ(Seen(), "after round 1");
}

// Its directory was put back behind a contribution that counts: what it remembers is not what the sums were made with.
TEST_F(Memory, ThatIsNotTheOneThatCountsTakesNoPartInTraining) {
  Join();
  Contribute(1, 1);
  SayRelease(1, 1);
  const MemoryStorage backup = storage_;
  Contribute(2, 2);
  storage_ = backup;
  Restart();
  SayReleaseCounting(2, 2, {{1, 2}, {2, 2}, {3, 2}});
  EXPECT_FALSE(Record().Remembers());
  Say(InviteTo(3, 3));
  EXPECT_TRUE(runs_.empty());
  EXPECT_EQ(Declined(), Reason::kMemory);
  Contribute(3, 4, "evaluate");
  SayReleaseCounting(3, 4, {{1, 4}, {2, 4}, {3, 4}});
  Say(InviteTo(4, 5));
  EXPECT_EQ(Declined(), Reason::kMemory) << "an evaluation mends nothing";
}

TEST_F(Memory, TooLargeForItsRecordLiesInTheBlobStore) {
  workbench_.large_memory = true;
  Join();
  Contribute(1, 1);
  const Digest first = Record().pending.content.root;
  EXPECT_TRUE(blobs_.Has(first));
  EXPECT_TRUE(Record().pending.content.content.empty());
  SayRelease(1, 1);
  EXPECT_TRUE(blobs_.Has(first));
  Restart();
  Contribute(2, 2);
  EXPECT_EQ(workbench_.seen.memory, Bytes(kInlineBlob + 1, 9));
  EXPECT_TRUE(blobs_.Has(first) && blobs_.Has(Record().pending.content.root));
  SayRelease(2, 2);
  EXPECT_FALSE(blobs_.Has(first)) << "no longer of use";
  const Digest second = Record().memory.content.root;
  EXPECT_TRUE(blobs_.Has(second));
  EXPECT_TRUE(blobs_.Drop(second));
  Say(InviteTo(3, 3));
  EXPECT_EQ(Declined(), Reason::kMemory) << "the disk lost it";
}

TEST_F(Memory, EndsWithTheStudy) {
  Join();
  Contribute(1, 1);
  SayRelease(1, 1);
  Contribute(2, 2);
  Say(StudyState{plan_.id(), StudyPhase::kAborted, Reason::kAborted, 1});
  EXPECT_EQ(Record().memory, ParticipantRecord::Memory{});
  EXPECT_EQ(Record().pending, ParticipantRecord::Memory{});
}

TEST_F(Memory, TheWorkbenchLearnsTheHospitalsSeat) {
  Join();
  Contribute(1, 1);
  EXPECT_EQ(workbench_.seen.seat, 1U) << "hospital 2 of 1, 2, 3";
  EXPECT_EQ(workbench_.seen.seats, 3U);
}

}  // namespace
}  // namespace consilium::node
