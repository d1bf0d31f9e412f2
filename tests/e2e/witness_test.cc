// A hospital's directory that was put back to an earlier state: its ledger has forgotten what left. The coordinator's
// word locks it, an officer decides, and the study goes on meanwhile without it and afterwards with it.
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

namespace fs = std::filesystem;

bool TookPart(const Value& study, std::int64_t number) {
  const auto& survivors = study["last_answer"]["survivors"].AsArray();
  return std::ranges::any_of(survivors, [&](const Value& n) { return n.AsInteger() == number; });
}

TEST(Witness, ALedgerThatWentBackIsLockedUntilAnOfficerDecides) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 2000, .local_epochs = 200, .minimum_hospitals = 2});
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 2));
  ASSERT_EQ(federation.node_process(2).Stop(), 0);
  const fs::path copy = federation.root() / "copy";
  fs::copy(federation.node(2), copy, fs::copy_options::recursive);
  federation.StartNode(2);
  const auto rows = [&] { return federation.NodeJson(2, {"budget", "DIR"})["rows"].AsInteger(); };
  const std::int64_t before = rows();
  ASSERT_TRUE(WaitUntil([&] { return rows() >= before + 3; }));
  federation.KillNode(2);
  fs::remove_all(federation.node(2));
  fs::rename(copy, federation.node(2));

  federation.StartNode(2);
  const auto locked = [&] { return federation.NodeJson(2, {"budget", "DIR"})["locked"].AsString(); };
  ASSERT_TRUE(WaitUntil([&] { return !locked().empty(); }));
  const int releases = static_cast<int>(federation.Study(study)["releases"].AsInteger());
  ASSERT_TRUE(federation.WaitReleases(study, releases + 2));
  EXPECT_FALSE(TookPart(federation.Study(study), 3));
  EXPECT_NE(federation.Cli({"hospital", "list"}).out.find("hospital-c: its ledger has fewer rows"), std::string::npos);
  EXPECT_NE(federation.Node(2, {"status", "DIR"}).out.find("The ledger is locked: the coordinator has seen row"),
            std::string::npos);
  EXPECT_EQ(federation.Node(2, {"doctor", "DIR"}).status, 1);

  const auto kept = federation.Node(2, {"budget", "DIR", "unlock"}, "n\n");
  EXPECT_EQ(kept.status, 3) << kept.err;
  EXPECT_NE(kept.err.find("there is a newer copy"), std::string::npos) << kept.err;
  EXPECT_FALSE(locked().empty());
  const auto unlocked = federation.Node(2, {"budget", "DIR", "unlock", "--officer", "officer-3"}, "y\n");
  EXPECT_EQ(unlocked.status, 0) << unlocked.err;
  EXPECT_EQ(locked(), "");
  EXPECT_TRUE(federation.NodeJson(2, {"budget", "DIR"})["studies"].AsArray().at(0)["in_doubt"].AsBool());
  EXPECT_TRUE(WaitUntil([&] { return TookPart(federation.Study(study), 3); })) << "not taken back";
  EXPECT_EQ(federation.Cli({"hospital", "list"}).out.find("fewer rows"), std::string::npos);
  EXPECT_EQ(federation.CliJson({"study", "abort", study})["phase"].AsString(), "aborted");
}

}  // namespace
}  // namespace consilium::e2e
