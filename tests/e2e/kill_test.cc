// kill -9 of any daemon in any phase: after a restart the study ends by itself, with the model that nothing had disturbed,
// one answer a round and every attempt committed at most once.
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

// Every hospital takes part in every sum, so that the model is the undisturbed one bit for bit.
PlanOptions Plan() { return {.name = "kills", .rounds = 12, .local_epochs = 60}; }
PlanOptions LongRounds() { return {.name = "long-rounds", .rounds = 4, .local_epochs = 6000}; }

class Kill : public ::testing::Test {
 protected:
  // The reference first: it runs on the same port.
  void Begin(const PlanOptions& plan) {
    undisturbed_ = UndisturbedModel(plan);
    federation_ = std::make_unique<Federation>();
    federation_->StartAll();
    study_ = federation_->Submit(plan);
  }
  void ExpectUndisturbed() {
    const Value end = federation_->WaitEnd(study_);
    EXPECT_EQ(end["phase"].AsString(), "complete") << end["reason"].AsString();
    EXPECT_EQ(end["model_sha256"].AsString(), undisturbed_);
    federation_->ExpectOneAnswerPerRound(study_);
  }
  void RestartNode(int i) {
    federation_->KillNode(i);
    federation_->StartNode(i);
  }
  void RestartCoordinator() {
    federation_->KillCoordinator();
    federation_->StartCoordinator();
  }
  bool WaitComputing(int i) {
    const HttpClient control = HttpClient::Unix(federation_->node(i) / "control.sock");
    return WaitUntil([&] {
      const auto reply = control.Get("/v1/status");
      return reply && JsonOf(*reply).value_or(Value())["jobs"].AsInteger() > 0;
    });
  }

  std::unique_ptr<Federation> federation_;
  std::string study_, undisturbed_;
};
using KilledNode = Kill;
using KilledCoordinator = Kill;

TEST_F(KilledNode, WithAPlanBeforeItsOfficer) {
  Begin(Plan());
  federation_->Approve(0, study_);
  RestartNode(1);
  federation_->Approve(1, study_);
  federation_->Approve(2, study_);
  ExpectUndisturbed();
}

TEST_F(KilledNode, RightAfterItsApproval) {
  Begin(Plan());
  federation_->Approve(0, study_);
  federation_->Approve(1, study_);
  RestartNode(1);
  federation_->Approve(2, study_);
  ExpectUndisturbed();
}

TEST_F(KilledNode, InTheFirstRound) {
  Begin(Plan());
  federation_->ApproveAll(study_);
  RestartNode(0);
  ExpectUndisturbed();
}

TEST_F(KilledNode, WhileItComputes) {
  Begin(LongRounds());
  federation_->ApproveAll(study_);
  ASSERT_TRUE(federation_->WaitReleases(study_, 2));
  ASSERT_TRUE(WaitComputing(1));
  RestartNode(1);
  ExpectUndisturbed();
}

TEST_F(KilledNode, AgainAndAgain) {
  Begin(Plan());
  federation_->ApproveAll(study_);
  for (int releases : {3, 7, 11}) {
    ASSERT_TRUE(federation_->WaitReleases(study_, releases));
    RestartNode(releases % kHospitals);
  }
  ExpectUndisturbed();
}

TEST_F(KilledNode, TwoAtOnce) {
  Begin(Plan());
  federation_->ApproveAll(study_);
  ASSERT_TRUE(federation_->WaitReleases(study_, 5));
  federation_->KillNode(0);
  federation_->KillNode(2);
  federation_->StartNode(2);
  federation_->StartNode(0);
  ExpectUndisturbed();
}

TEST_F(KilledNode, AfterTheLastAnswerItStillHasItsResults) {
  Begin(Plan());
  federation_->ApproveAll(study_);
  ASSERT_EQ(federation_->WaitEnd(study_)["phase"].AsString(), "complete");
  RestartNode(2);
  EXPECT_TRUE(WaitUntil([&] { return federation_->NodeJson(2, {"results", "DIR"})["results"].AsArray().size() == 1; }));
  ExpectUndisturbed();
}

TEST_F(KilledCoordinator, BeforeAnyApproval) {
  Begin(Plan());
  RestartCoordinator();
  federation_->ApproveAll(study_);
  ExpectUndisturbed();
}

TEST_F(KilledCoordinator, BetweenApprovals) {
  Begin(Plan());
  federation_->Approve(0, study_);
  RestartCoordinator();
  federation_->Approve(1, study_);
  federation_->Approve(2, study_);
  ExpectUndisturbed();
}

TEST_F(KilledCoordinator, WhenAnApprovalIsGivenWhileItIsAway) {
  Begin(Plan());
  federation_->Approve(0, study_);
  federation_->Approve(1, study_);
  const HttpClient control = HttpClient::Unix(federation_->node(2) / "control.sock");
  ASSERT_TRUE(WaitUntil([&] { return control.Get("/v1/plans/" + study_).value_or(HttpReply{}).status == 200; }));
  federation_->KillCoordinator();
  federation_->Approve(2, study_);
  federation_->StartCoordinator();
  ExpectUndisturbed();
}

TEST_F(KilledCoordinator, InTheFirstRound) {
  Begin(Plan());
  federation_->ApproveAll(study_);
  RestartCoordinator();
  ExpectUndisturbed();
}

TEST_F(KilledCoordinator, WhileTheHospitalsCompute) {
  Begin(LongRounds());
  federation_->ApproveAll(study_);
  ASSERT_TRUE(federation_->WaitReleases(study_, 2));
  ASSERT_TRUE(WaitComputing(0));
  RestartCoordinator();
  ExpectUndisturbed();
}

TEST_F(KilledCoordinator, AgainAndAgain) {
  Begin(Plan());
  federation_->ApproveAll(study_);
  for (int releases : {4, 8, 12}) {
    ASSERT_TRUE(federation_->WaitReleases(study_, releases));
    RestartCoordinator();
  }
  ExpectUndisturbed();
}

TEST_F(KilledCoordinator, TogetherWithEveryNode) {
  Begin(Plan());
  federation_->ApproveAll(study_);
  ASSERT_TRUE(federation_->WaitReleases(study_, 6));
  federation_->KillCoordinator();
  for (int i = 0; i < kHospitals; ++i) federation_->KillNode(i);
  federation_->StartAll();
  ExpectUndisturbed();
}

TEST_F(KilledCoordinator, AfterTheEndTheModelIsTheSame) {
  Begin(Plan());
  federation_->ApproveAll(study_);
  ASSERT_EQ(federation_->WaitEnd(study_)["phase"].AsString(), "complete");
  RestartCoordinator();
  ExpectUndisturbed();
}

}  // namespace
}  // namespace consilium::e2e
