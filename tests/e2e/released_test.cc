// Figures of single hospitals that are released on purpose: where the plan asks, the site's policy lets them and enough
// patients are held out; and nowhere else. `KilledAtEffect...` kills every daemon while that attempt is open.
#include <fmt/format.h>

#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

constexpr int kReleases = 0, kWithholds = 1, kSuppressed = 2;

// One hospital with the switch on, one with it off, and one with it on and a minimum of patients that those to train on
// reach and those held out do not.
void SetPolicies(Federation* federation) {
  federation->StartCoordinator();
  federation->StartNode(kSuppressed);
  const std::int64_t patients =
      federation->NodeJson(kSuppressed, {"data", "list", "DIR"})["datasets"].AsArray().at(0)["patients"].AsInteger();
  EXPECT_EQ(federation->node_process(kSuppressed).Stop(), 0);
  federation->SetPolicy(kReleases, "release_own_figures = true");
  federation->SetPolicy(kSuppressed, fmt::format("release_own_figures = true\nminimum_patients = {}", patients / 2));
  federation->StartAll();
}

bool Contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Released, FiguresLeaveWherePlanAndPolicyLetThemAndReadNotReleasedElsewhere) {
  Federation federation;
  SetPolicies(&federation);
  const auto plan = federation.WritePlan(PlanText({.name = "own", .rounds = 2, .released = true}));
  EXPECT_TRUE(Contains(federation.Cli({"study", "check", plan}).out, "THIS HOSPITAL'S OWN FIGURES, under its name"));
  const std::string study = federation.CliJson({"study", "submit", plan})["study"].AsString();

  // The approval screens say which of both happens here.
  for (int i = 0; i < kHospitals; ++i) {
    ASSERT_TRUE(WaitUntil([&] {
      const auto reply = HttpClient::Unix(federation.node(i) / "control.sock").Get("/v1/plans/" + study);
      return reply && reply->status == 200;
    }));
    const std::string said = i == kWithholds ? "WILL NOT BE RELEASED" : "OWN FIGURES WILL BE RELEASED under its name";
    const std::string not_said = i == kWithholds ? "WILL BE RELEASED" : "WILL NOT BE RELEASED";
    const std::string shown = federation.Node(i, {"plan", "show", "DIR", study}).out;
    EXPECT_TRUE(Contains(shown, said) && !Contains(shown, not_said)) << shown;
    EXPECT_TRUE(Contains(shown, "FIGURES OF SINGLE HOSPITALS ARE RELEASED")) << shown;
    const std::string approved = federation.Node(i, {"plan", "approve", "DIR", study, "--officer", "officer-1"}).out;
    EXPECT_TRUE(Contains(approved, said) && !Contains(approved, not_said)) << approved;
  }

  const Value end = federation.WaitEnd(study);
  EXPECT_EQ(end["phase"].AsString(), "complete") << end["reason"].AsString();
  EXPECT_EQ(end["releases"].AsInteger(), 5) << "moments, two rounds, the pooled evaluation, the own figures";
  const Value::Array& released = end["results"]["released"].AsArray();
  ASSERT_EQ(released.size(), std::size_t{kHospitals});
  for (int i = 0; i < kHospitals; ++i) {
    const Value& entry = released[static_cast<std::size_t>(i)];
    EXPECT_EQ(entry["name"].AsString(), Federation::Name(i));
    EXPECT_EQ(entry["released"].AsBool(), i == kReleases);
    EXPECT_TRUE(i == kReleases || entry.AsObject().size() == 3) << CanonicalJson(entry) << ": nothing but that";
  }

  // What is released is what the hospital itself sees of the federated model.
  ASSERT_TRUE(
      WaitUntil([&] { return federation.NodeJson(kReleases, {"results", "DIR"})["results"].AsArray().size() == 1; }));
  const Value own = federation.NodeJson(kReleases, {"results", "DIR"})["results"].AsArray().at(0);
  EXPECT_EQ(own["own_figures"].AsString(), "released");
  const Value& mine = own["results"]["federated"];
  EXPECT_EQ(released[kReleases]["rows"], own["results"]["test_rows"]);
  EXPECT_NEAR(released[kReleases]["accuracy"].AsDouble(), mine["accuracy"].AsDouble(), 1e-9);
  EXPECT_NEAR(released[kReleases]["brier"].AsDouble(), mine["brier"].AsDouble(), 1e-9);
  EXPECT_LE(released[kReleases]["auroc_low"].AsDouble(), mine["auroc"].AsDouble());
  EXPECT_GE(released[kReleases]["auroc_high"].AsDouble(), mine["auroc"].AsDouble());

  // Every screen and file.
  const std::string shown = federation.Cli({"study", "show", study}).out;
  EXPECT_TRUE(Contains(shown, "each hospital's own figures")) << shown;
  EXPECT_TRUE(Contains(shown, "not released")) << shown;
  const Value files = federation.CliJson({"study", "download", study, "--out", federation.root() / "results"});
  for (const std::string& file : {files["report"].AsString(), files["html"].AsString()}) {
    const std::string text = ReadText(file);
    EXPECT_TRUE(Contains(text, "Each hospital's own figures")) << file;
    EXPECT_TRUE(Contains(text, "not released")) << file;
  }
  const Value log = federation.CliJson({"audit", "verify", files["audit"].AsString()});
  EXPECT_TRUE(log["valid"].AsBool());
  int rows = 0;
  for (const Value& row : federation.CoordinatorAudit()) {
    if (row["event"].AsString() != "released_figures") continue;
    ++rows;
    EXPECT_EQ(CanonicalJson(row["released"]), R"(["hospital-a"])");
    EXPECT_EQ(CanonicalJson(row["not_released"]), R"(["hospital-b","hospital-c"])");
  }
  EXPECT_EQ(rows, 1);
  for (int i = 0; i < kHospitals; ++i) {
    int said = 0;
    for (const Value& row : federation.NodeAudit(i)) {
      if (row["event"].AsString() != "released_figures") continue;
      ++said;
      EXPECT_EQ(row["released"].AsBool(), i == kReleases) << "each hospital's own log knows";
    }
    EXPECT_EQ(said, 1);
  }
  federation.ExpectOneAnswerPerRound(study);
}

// The contributions of who withholds and of who has too few patients are the same bytes.
TEST(Released, WithheldAndSuppressedLookTheSameOnTheWire) {
  Federation federation;
  SetPolicies(&federation);
  const std::string study = federation.Submit({.name = "own", .rounds = 1, .released = true});
  federation.ApproveAll(study);
  const Value end = federation.WaitEnd(study);
  ASSERT_EQ(end["phase"].AsString(), "complete");
  std::map<std::string, std::string> roots;
  for (const Value& row : federation.CoordinatorAudit()) {
    if (row["event"].AsString() == "upload" && row["attempt"].AsInteger() == end["attempt"].AsInteger())
      roots[row["hospital"].AsString()] = row["root"].AsString();
  }
  ASSERT_EQ(roots.size(), std::size_t{kHospitals});
  EXPECT_EQ(roots["hospital-b"], roots["hospital-c"]);
  EXPECT_NE(roots["hospital-a"], roots["hospital-b"]);
}

// Whoever dies while that attempt is open: it is repeated as it was.
TEST(Released, AKillWhileThatAttemptIsOpenChangesNothing) {
  Federation federation;
  SetPolicies(&federation);
  const std::string study = federation.Submit({.name = "own", .rounds = 2, .released = true});
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 4));
  federation.KillCoordinator();
  federation.KillNode(kWithholds);
  federation.StartAll();
  const Value end = federation.WaitEnd(study);
  EXPECT_EQ(end["phase"].AsString(), "complete") << end["reason"].AsString();
  EXPECT_TRUE(end["results"]["released"].AsArray().at(kReleases)["released"].AsBool());
  EXPECT_FALSE(end["results"]["released"].AsArray().at(kWithholds)["released"].AsBool());
  federation.ExpectOneAnswerPerRound(study);
}

TEST(Released, ASwitchThatIsNoSwitchIsRefusedWithItsPlace) {
  Federation federation;
  federation.SetPolicy(0, "release_own_figures = \"yes\"");
  const ProgramOutput refused = federation.Node(0, {"run", "DIR"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_TRUE(Contains(refused.err, "node.toml:") && Contains(refused.err, "release_own_figures")) << refused.err;
}

}  // namespace
}  // namespace consilium::e2e
