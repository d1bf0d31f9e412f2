// Directories and files: keys that others can read, a second daemon, a directory without a federation.
#include <sys/stat.h>

#include "coordinator/daemon.h"
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

namespace fs = std::filesystem;

ProgramOutput RunOnce(const std::string& program, const fs::path& directory) {
  return RunProgram({Binary(program), "run", directory}).value_or(ProgramOutput{});
}

TEST(Files, KeysThatOthersCanReadAreRefused) {
  Federation federation;
  for (const auto& [program, directory] :
       {std::pair<std::string, fs::path>{"consilium-coordinator", federation.coordinator()},
        {"consilium-node", federation.node(0)}}) {
    for (const char* name : {"identity", "transport", "passphrase"}) {
      const fs::path key = directory / "keys" / name;
      ASSERT_EQ(chmod(key.c_str(), 0640), 0);
      const ProgramOutput refused = RunOnce(program, directory);
      EXPECT_EQ(refused.status, 3) << key << ": " << refused.err;
      EXPECT_NE(refused.err.find("chmod 600"), std::string::npos) << refused.err;
      ASSERT_EQ(chmod(key.c_str(), 0600), 0);
    }
    ASSERT_EQ(chmod((directory / "keys").c_str(), 0755), 0);
    EXPECT_EQ(RunOnce(program, directory).status, 3);
    ASSERT_EQ(chmod((directory / "keys").c_str(), 0700), 0);
  }
  federation.StartCoordinator();  // And mended it starts.
}

TEST(Files, ATokenFileThatOthersCanReadIsRefused) {
  Federation federation;
  federation.StartCoordinator();
  const auto endpoints = coordinator::ReadEndpoints(federation.coordinator());
  const fs::path token = coordinator::AdminTokenFile(federation.coordinator());
  ASSERT_EQ(chmod(token.c_str(), 0644), 0);
  EXPECT_EQ(federation.Cli({"login", endpoints->http, "--token-file", token}).status, 3);
  ASSERT_EQ(chmod(token.c_str(), 0600), 0);
  EXPECT_EQ(federation.Cli({"login", endpoints->http, "--token-file", token}).status, 0);
  EXPECT_EQ(federation.Cli({"login", "http://192.0.2.1:7880", "--token-file", token}).status, 3)
      << "the token would cross the network";
}

TEST(Files, ASecondDaemonOnOneDirectoryIsRefused) {
  Federation federation;
  federation.StartCoordinator();
  federation.StartNode(0);
  const ProgramOutput coordinator = RunOnce("consilium-coordinator", federation.coordinator());
  EXPECT_EQ(coordinator.status, 1);
  EXPECT_NE(coordinator.err.find(std::to_string(federation.coordinator_process().pid())), std::string::npos)
      << coordinator.err;
  EXPECT_EQ(RunOnce("consilium-node", federation.node(0)).status, 1);
  EXPECT_TRUE(federation.WaitOnline(0));
  EXPECT_TRUE(federation.coordinator_process().Running());
}

TEST(Files, ADirectoryWithoutAFederationSaysWhatToType) {
  Federation federation;
  const fs::path empty = federation.root() / "empty";
  fs::create_directory(empty);
  const ProgramOutput coordinator = RunOnce("consilium-coordinator", empty), node = RunOnce("consilium-node", empty);
  EXPECT_EQ(coordinator.status, 5);
  EXPECT_NE(coordinator.err.find("consilium-coordinator init"), std::string::npos);
  EXPECT_EQ(node.status, 5);
  EXPECT_NE(node.err.find("consilium-node join"), std::string::npos);
}

TEST(Files, InitNeverOverwritesAFederation) {
  Federation federation;
  const std::string before = ReadText(federation.coordinator() / "keys" / "identity");
  const auto again =
      RunProgram({Binary("consilium-coordinator"), "init", federation.coordinator(), "--federation", "other"});
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->status, 1);
  EXPECT_EQ(ReadText(federation.coordinator() / "keys" / "identity"), before);
}

TEST(Files, AConfigurationMistakeIsNamedWithItsLine) {
  Federation federation;
  const fs::path config = federation.node(0) / "node.toml";
  const std::string good = ReadText(config);
  std::string bad = good;
  bad.insert(bad.find("[policy]\n") + 9, "minimum_patient = 3\n");
  WriteText(config, bad);
  const ProgramOutput refused = RunOnce("consilium-node", federation.node(0));
  EXPECT_EQ(refused.status, 2);
  EXPECT_NE(refused.err.find("minimum_patients"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("node.toml:"), std::string::npos) << refused.err;
}

TEST(Files, ABackupMadeWhileItRunsIsACoordinatorAgain) {
  Federation federation;
  federation.StartAll();
  const std::string first = federation.Submit({.name = "first", .rounds = 3});
  federation.ApproveAll(first);
  const std::string model = federation.WaitEnd(first)["model_sha256"].AsString();
  const std::string second = federation.Submit({.name = "second", .rounds = 3});

  const fs::path backup = federation.root() / "backup", coordinator = federation.coordinator();
  const auto run = [](const std::vector<std::string>& args) {
    std::vector<std::string> argv = {Binary("consilium-coordinator")};
    argv.insert(argv.end(), args.begin(), args.end());
    return *RunProgram(argv);
  };
  const ProgramOutput made = run({"backup", coordinator, "--to", backup});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(fs::status(backup).permissions(), fs::perms::owner_all);
  EXPECT_EQ(run({"backup", coordinator, "--to", backup}).status, 1) << "nothing is overwritten";
  federation.KillCoordinator();
  EXPECT_EQ(run({"restore", coordinator, "--from", backup}).status, 1) << "a live directory least of all";

  fs::rename(coordinator, federation.root() / "lost");
  const fs::path damaged = federation.root() / "damaged";
  fs::copy(backup, damaged, fs::copy_options::recursive);
  WriteText(damaged / "coordinator.toml", ReadText(damaged / "coordinator.toml") + " ");
  const ProgramOutput refused = run({"restore", coordinator, "--from", damaged});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("coordinator.toml was changed"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(coordinator));

  const ProgramOutput restored = run({"restore", coordinator, "--from", backup});
  ASSERT_EQ(restored.status, 0) << restored.err;
  federation.StartCoordinator();
  ASSERT_TRUE(federation.WaitAllOnline());
  EXPECT_EQ(federation.Study(first)["model_sha256"].AsString(), model);
  federation.ApproveAll(second);
  EXPECT_EQ(federation.WaitEnd(second)["phase"].AsString(), "complete");
  EXPECT_EQ(run({"backup", federation.root() / "nowhere", "--to", federation.root() / "b2"}).status, 5);
}

TEST(Files, ANodeThatLostItsLedgerDoesNotBeginAnotherOne) {
  Federation federation;
  for (const char* file : {"database", "database-wal", "database-shm"}) fs::remove(federation.node(0) / file);
  const ProgramOutput output = federation.Node(0, {"run", "DIR"});
  EXPECT_EQ(output.status, 1);
  EXPECT_NE(output.err.find("lost its database"), std::string::npos) << output.err;
}

}  // namespace
}  // namespace consilium::e2e
