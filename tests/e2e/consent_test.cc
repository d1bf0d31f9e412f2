// Nothing is computed that was not approved here: default deny, rejection, the site's own policy.
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

std::int64_t LedgerRows(Federation* federation, int i) {
  return federation->NodeJson(i, {"budget", "DIR"})["rows"].AsInteger();
}

bool PlanArrived(Federation* federation, int i, const std::string& study) {
  const HttpClient control = HttpClient::Unix(federation->node(i) / "control.sock");
  return WaitUntil([&] { return control.Get("/v1/plans/" + study).value_or(HttpReply{}).status == 200; });
}

TEST(Consent, WithoutApprovalNothingIsComputed) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({});
  for (int i = 0; i < kHospitals; ++i) {
    ASSERT_TRUE(PlanArrived(&federation, i, study));
    const Value plans = federation.NodeJson(i, {"plan", "list", "DIR"})["plans"];
    ASSERT_EQ(plans.AsArray().size(), 1U);
    EXPECT_EQ(plans.AsArray()[0]["consent"].AsString(), "pending");
    EXPECT_EQ(LedgerRows(&federation, i), 0);
  }
  EXPECT_EQ(federation.Study(study)["phase"].AsString(), "awaiting consent");
  const ProgramOutput shown = federation.Node(0, {"plan", "show", "DIR"});
  EXPECT_EQ(shown.status, 0) << shown.err;
  EXPECT_NE(shown.out.find("NO DIFFERENTIAL PRIVACY"), std::string::npos);
  EXPECT_NE(shown.out.find("trestbps"), std::string::npos);
}

TEST(Consent, ARejectedPlanRunsWithoutThatHospital) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 2, .minimum_hospitals = 2});
  ASSERT_TRUE(PlanArrived(&federation, 2, study));
  EXPECT_EQ(federation.NodeJson(2, {"plan", "reject", "DIR", study, "--officer", "officer-1"})["consent"].AsString(),
            "rejected");
  federation.Approve(0, study);
  federation.Approve(1, study);
  const Value end = federation.WaitEnd(study);
  EXPECT_EQ(end["phase"].AsString(), "complete");
  EXPECT_EQ(end["hospitals"].AsArray().at(2)["verdict"].AsString(), "rejected");
  EXPECT_EQ(end["last_answer"]["survivors"].AsArray().size(), 2U);
  EXPECT_EQ(LedgerRows(&federation, 2), 0);
}

TEST(Consent, TheSitesPolicyOverridesTheOfficer) {
  const std::vector<std::string> policies = {"minimum_patients = 100000", "kinds = [\"describe\"]",
                                             "researchers = [\"Somebody else\"]"};
  Federation federation;
  federation.StartCoordinator();
  const std::string study = federation.Submit({});
  const std::string toml = ReadText(federation.node(0) / "node.toml");
  for (const std::string& policy : policies) {
    std::string changed = toml;
    const auto at = changed.find("[policy]\n");
    ASSERT_NE(at, std::string::npos);
    WriteText(federation.node(0) / "node.toml", changed.insert(at + 9, policy + "\n"));
    federation.StartNode(0);
    ASSERT_TRUE(PlanArrived(&federation, 0, study));
    const ProgramOutput refused = federation.Node(0, {"plan", "approve", "DIR", study});
    EXPECT_EQ(refused.status, 3) << policy << ": " << refused.err;
    EXPECT_TRUE(refused.out.empty());
    EXPECT_EQ(LedgerRows(&federation, 0), 0) << policy;
    EXPECT_EQ(federation.node_process(0).Stop(), 0);
  }
}

TEST(Consent, ASumOfFewerHospitalsThanTheSiteAllowsIsDeclined) {
  Federation federation;
  const auto config = federation.node(0) / "node.toml";
  std::string toml = ReadText(config);
  WriteText(config, toml.insert(toml.find("[policy]\n") + 9, "minimum_hospitals = 9\n"));
  federation.StartAll();
  const std::string study = federation.Submit({});
  federation.ApproveAll(study);
  EXPECT_TRUE(WaitUntil([&] {
    for (const Value& row : federation.CoordinatorAudit()) {
      if (row["event"].AsString() == "declined" && row["reason"].AsString() == "too_few_hospitals")
        return row["hospital"].AsString() == Federation::Name(0);
    }
    return false;
  }));
  EXPECT_EQ(federation.CliJson({"study", "abort", study})["releases"].AsInteger(), 0);
  for (const Value& account : federation.NodeJson(0, {"budget", "DIR"})["studies"].AsArray())
    EXPECT_EQ(account["committed"].AsInteger(), 0);
}

TEST(Consent, APlanForDataThatAreNotHereIsRefused) {
  Federation federation;
  federation.StartCoordinator();
  federation.StartNode(0);
  std::string text = PlanText({});
  const auto at = text.find("dataset = \"cohort\"");
  ASSERT_NE(at, std::string::npos);
  const auto plan = federation.WritePlan(text.replace(at, 18, "dataset = \"other\""));
  const std::string study = federation.CliJson({"study", "submit", plan})["study"].AsString();
  ASSERT_TRUE(PlanArrived(&federation, 0, study));
  const ProgramOutput refused = federation.Node(0, {"plan", "approve", "DIR"});
  EXPECT_EQ(refused.status, 3) << refused.err;
  EXPECT_NE(refused.err.find("data add"), std::string::npos) << refused.err;
}

TEST(Consent, AnApprovalSurvivesWithoutADaemonToo) {
  Federation federation;
  federation.StartCoordinator();
  for (int i = 0; i < kHospitals; ++i) federation.StartNode(i);
  const std::string study = federation.Submit({.rounds = 2});
  ASSERT_TRUE(PlanArrived(&federation, 0, study));
  EXPECT_EQ(federation.node_process(0).Stop(), 0);
  const Value approved = federation.NodeJson(0, {"plan", "approve", "DIR", study});  // Under the lock, no daemon.
  EXPECT_EQ(approved["consent"].AsString(), "approved");
  federation.StartNode(0);
  federation.Approve(1, study);
  federation.Approve(2, study);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
}

}  // namespace
}  // namespace consilium::e2e
