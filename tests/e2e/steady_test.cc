// What must not change a study: an orderly stop in mid-round, a machine with one core, a node that stands still.
#include <csignal>
#include <thread>

#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

PlanOptions LongRounds() { return {.name = "steady", .rounds = 4, .local_epochs = 3000}; }

bool WaitComputing(Federation& federation, int i) {
  const HttpClient control = HttpClient::Unix(federation.node(i) / "control.sock");
  return WaitUntil([&] {
    const auto reply = control.Get("/v1/status");
    return reply && JsonOf(*reply).value_or(Value())["jobs"].AsInteger() > 0;
  });
}

void ExpectUndisturbed(Federation& federation, const std::string& study, const std::string& model) {
  const Value end = federation.WaitEnd(study);
  EXPECT_EQ(end["phase"].AsString(), "complete") << end["reason"].AsString();
  EXPECT_EQ(end["model_sha256"].AsString(), model);
  federation.ExpectOneAnswerPerRound(study);
}

TEST(Drain, InMidRoundADaemonExitsWithZeroAndTheStudyGoesOn) {
  const std::string model = UndisturbedModel(LongRounds());
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit(LongRounds());
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 1));
  ASSERT_TRUE(WaitComputing(federation, 0));
  EXPECT_EQ(federation.node_process(0).Stop(kPatience), 0);
  federation.StartNode(0);
  ASSERT_TRUE(federation.WaitReleases(study, 2));
  ASSERT_TRUE(WaitComputing(federation, 1));
  EXPECT_EQ(federation.coordinator_process().Stop(kPatience), 0);
  federation.StartCoordinator();
  ExpectUndisturbed(federation, study, model);
}

void Replace(std::string* text, const std::string& from, const std::string& to) {
  const auto at = text->find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text->replace(at, from.size(), to);
}

// As much to compute as a plan can ask for, which is more than the daemon waits for at its end.
TEST(Drain, ALongComputationIsAbandonedAndDoneAgain) {
  std::string plan = PlanText({.name = "drain", .rounds = 1, .round_deadline = "3600s"});
  Replace(&plan, "local_epochs = 2", "local_steps = 1000000");
  Replace(&plan, "batch_size = 32", "batch_size = 1000000");
  Federation federation;
  federation.StartAll();
  const std::string study = federation.CliJson({"study", "submit", federation.WritePlan(plan)})["study"].AsString();
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 1));  // The moments.
  EXPECT_EQ(federation.node_process(1).Stop(kPatience), 0);
  federation.StartNode(1);
  EXPECT_EQ(federation.coordinator_process().Stop(kPatience), 0);
  federation.StartCoordinator();
  EXPECT_EQ(federation.Study(study)["phase"].AsString(), "running");
  EXPECT_TRUE(WaitComputing(federation, 1)) << "the study did not go on";
  EXPECT_EQ(federation.CliJson({"study", "abort", study})["phase"].AsString(), "aborted");
  for (int i = 0; i < kHospitals; ++i) federation.KillNode(i);  // Nobody waits for their last computation.
}

TEST(SameModel, OnOneCore) {
  const PlanOptions plan{.name = "same", .rounds = 6, .local_epochs = 60};
  const std::string model = UndisturbedModel(plan);
  Federation federation;
  federation.StartAll({.prefix = {"/usr/bin/taskset", "-c", "0"}});
  const std::string study = federation.Submit(plan);
  federation.ApproveAll(study);
  ExpectUndisturbed(federation, study, model);
}

TEST(SameModel, WithANodeStandingStillForAWhile) {
  const PlanOptions plan{.name = "same", .rounds = 6, .local_epochs = 60};
  const std::string model = UndisturbedModel(plan);
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit(plan);
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 2));
  federation.node_process(1).Signal(SIGSTOP);
  std::this_thread::sleep_for(std::chrono::seconds(2));
  federation.node_process(1).Signal(SIGCONT);
  ExpectUndisturbed(federation, study, model);
}

}  // namespace
}  // namespace consilium::e2e
