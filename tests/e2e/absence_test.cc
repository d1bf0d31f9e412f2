// Hospitals that are late or away: named, left out when the plan allows it, waited for when it does not, taken back.
#include <csignal>

#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

bool Contains(const Value& numbers, std::int64_t wanted) {
  return std::ranges::any_of(numbers.AsArray(), [&](const Value& n) { return n.AsInteger() == wanted; });
}

TEST(Absence, ANodeThatStartsLateIsWaitedForWhenThePlanNeedsIt) {
  Federation federation;
  federation.StartCoordinator();
  federation.StartNode(0);
  federation.StartNode(1);
  const std::string study = federation.Submit({.rounds = 3});
  federation.Approve(0, study);
  federation.Approve(1, study);
  EXPECT_EQ(federation.Study(study)["phase"].AsString(), "awaiting consent");
  federation.StartNode(2);
  federation.Approve(2, study);
  const Value end = federation.WaitEnd(study);
  EXPECT_EQ(end["phase"].AsString(), "complete");
  EXPECT_EQ(end["last_answer"]["survivors"].AsArray().size(), 3U);
  federation.ExpectOneAnswerPerRound(study);
}

TEST(Absence, AMissingHospitalIsNamedLeftOutAndTakenBack) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 2000, .local_epochs = 200, .minimum_hospitals = 2});
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 2));
  federation.KillNode(2);
  Value state;
  ASSERT_TRUE(WaitUntil([&] {
    state = federation.Study(study);
    return state["releases"].AsInteger() > 0 && !Contains(state["last_answer"]["survivors"], 3);
  }));
  ASSERT_EQ(state["last_answer"]["absent"].AsArray().size(), 1U);
  EXPECT_EQ(state["last_answer"]["absent"].AsArray()[0]["hospital"].AsInteger(), 3);
  EXPECT_FALSE(state["last_answer"]["absent"].AsArray()[0]["reason"].AsString().empty());
  EXPECT_FALSE(state["hospitals"].AsArray().at(2)["absent_reason"].AsString().empty());

  federation.StartNode(2);
  EXPECT_TRUE(WaitUntil([&] { return Contains(federation.Study(study)["last_answer"]["survivors"], 3); })) << "not taken back";
  EXPECT_EQ(federation.Study(study)["phase"].AsString(), "running");
  EXPECT_EQ(federation.CliJson({"study", "abort", study})["phase"].AsString(), "aborted");
  federation.ExpectOneAnswerPerRound(study);
}

TEST(Absence, BelowTheQuorumARoundFailsWithItsReasonAndIsTriedAgain) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 40, .local_epochs = 20, .round_deadline = "5s"});
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 1));
  federation.node_process(1).Signal(SIGSTOP);  // Connected, but it gives no answer.
  const auto failed = [&]() -> Value {
    for (const Value& row : federation.CoordinatorAudit()) {
      if (row["event"].AsString() == "attempt_failed") return row;
    }
    return {};
  };
  ASSERT_TRUE(WaitUntil([&] { return !failed().IsNull(); }));
  EXPECT_FALSE(failed()["reason"].AsString().empty());
  ASSERT_EQ(failed()["absent"].AsArray().size(), 1U);
  EXPECT_EQ(failed()["absent"].AsArray()[0]["hospital"].AsInteger(), 2);
  EXPECT_EQ(federation.Study(study)["phase"].AsString(), "running");

  federation.KillNode(1);
  federation.StartNode(1);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  federation.ExpectOneAnswerPerRound(study);
}

TEST(Absence, ANodeStopsAndGoesOnInMidStudy) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 10, .local_epochs = 100});
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 3));
  EXPECT_EQ(federation.node_process(0).Stop(std::chrono::seconds(30)), 0);
  federation.StartNode(0);
  ASSERT_TRUE(federation.WaitReleases(study, 6));
  EXPECT_EQ(federation.coordinator_process().Stop(std::chrono::seconds(30)), 0);
  federation.StartCoordinator();
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  federation.ExpectOneAnswerPerRound(study);
}

}  // namespace
}  // namespace consilium::e2e
