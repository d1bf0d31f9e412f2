// A federation of the real programs on localhost, for tests: founded once, copied for each test, killed at will.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/process.h"
#include "cli/session.h"
#include "common/settings/value.h"

namespace consilium::e2e {

inline constexpr int kHospitals = 3;                         // hospital-a, hospital-b, hospital-c
inline constexpr auto kPatience = std::chrono::seconds(90);  // For one thing to happen on a busy machine.

// What a plan may differ in from the generated one.
struct PlanOptions {
  std::string name = "heart";
  std::uint32_t rounds = 12;
  std::uint32_t local_epochs = 2;       // More makes a round longer, so that a test can meet it half-way.
  std::uint32_t minimum_hospitals = 3;  // All: the study waits for who is missing.
  std::string round_deadline = "60s";
  bool describe = false;
  std::string strategy = "algorithm = \"fedavg\"\n";  // Lines of [training].
  std::string learning_rate = "0.1";
  std::string model = "kind = \"logistic\"\n";  // Lines of [model].
  bool released = false;                        // Of hospitals' own figures.
};
std::string PlanText(const PlanOptions& options);
// Describes all columns of a Founding with columns; every hospital must take part.
std::string NumbersPlan(const std::string& name, const struct Founding& founding, int bins);

// What is founded. With columns: 12 patients a hospital, whose numbers stand in columns x0, x1, ...; else the demo's.
struct Founding {
  int hospitals = kHospitals;
  int columns = 0;
  auto operator<=>(const Founding&) const = default;
};

// How a daemon is started when it is not just started.
struct Launch {
  std::vector<std::string> prefix = {};       // Words before its own, for example of taskset.
  std::vector<std::string> environment = {};  // "NAME=value"
};

class Federation {
 public:
  // A copy of the founded federation: its members with their data, nothing running.
  explicit Federation(const Founding& founding = {});
  ~Federation();  // Stops what runs; the folder goes, unless the test failed.

  [[nodiscard]] const std::filesystem::path& root() const { return root_; }
  [[nodiscard]] std::filesystem::path coordinator() const { return root_ / "coordinator"; }
  [[nodiscard]] std::filesystem::path node(int i) const;
  [[nodiscard]] int hospitals() const { return founding_.hospitals; }
  [[nodiscard]] static std::string Name(int i) { return std::string("hospital-") + static_cast<char>('a' + i); }

  void StartCoordinator(const Launch& launch = {});  // And waits until it answers.
  void StartNode(int i, const Launch& launch = {});  // And waits until its control socket answers.
  void StartAll(const Launch& launch = {});          // And waits until every node is online.
  // Without waiting, for a daemon that may die at once.
  void LaunchCoordinator(const Launch& launch = {});
  void LaunchNode(int i, const Launch& launch = {});
  bool CoordinatorAnswers();
  bool NodeAnswers(int i);
  void KillCoordinator();  // SIGKILL
  void KillNode(int i);
  Process& coordinator_process() { return *coordinator_process_; }
  Process& node_process(int i) { return node_processes_.at(i); }
  void SetPolicy(int i, const std::string& line);  // A line of node.toml's [policy]; from the node's next start on.
  void SetEndpoint(int i, int port);               // Where this node dials from its next start on: a proxy's port.
  int HospitalPort();                              // The coordinator's own; once it has run.
  bool WaitOnline(int i, bool online = true);
  bool WaitAllOnline();

  // `consilium ARGS`, logged in to this coordinator.
  ProgramOutput Cli(std::vector<std::string> args, const std::string& input = "");
  // With --json; the status must be 0.
  Value CliJson(std::vector<std::string> args);
  // `consilium-node ARGS`; "DIR" among them stands for this node's directory.
  ProgramOutput Node(int i, std::vector<std::string> args, const std::string& input = "");
  Value NodeJson(int i, std::vector<std::string> args);

  std::string Submit(const PlanOptions& options);            // The study's id.
  std::filesystem::path WritePlan(const std::string& text);  // Beside the schema.
  // NumbersPlan for at least `minimum` hospitals, with words on each column: too large for a message, so it is pulled.
  std::filesystem::path WriteLargePlan(const std::string& name, int minimum);
  void Approve(int i, const std::string& study);  // Once the plan has arrived there.
  void ApproveAll(const std::string& study);
  Value Study(const std::string& study);                   // As HTTP shows it; null when the coordinator is away.
  bool WaitReleases(const std::string& study, int least);  // True once that many answers are there.
  // The state at the end; a failure when it does not come.
  Value WaitEnd(const std::string& study, std::chrono::milliseconds limit = kPatience);

  // Rows of the audit chains, parsed.
  std::vector<Value> CoordinatorAudit();
  std::vector<Value> NodeAudit(int i);

  // After any number of kills: one answer a round, each attempt committed at most once everywhere, valid logs, and
  // every attempt that an answer used is covered by each contributor's ledger.
  void ExpectOneAnswerPerRound(const std::string& study);

 private:
  Founding founding_;
  std::filesystem::path root_;
  std::optional<Process> coordinator_process_;
  std::map<int, Process> node_processes_;
  std::optional<cli::HttpApi> api_;
};

// True as soon as `done` is, false when `limit` passes first.
bool WaitUntil(const std::function<bool()>& done, std::chrono::milliseconds limit = kPatience);
// A port below the range from which outgoing connections take theirs, so that it stays free between restarts.
int FreePort();
std::string Binary(const std::string& name);
std::string ReadText(const std::filesystem::path& path);
void WriteText(const std::filesystem::path& path, const std::string& text);

// The model's SHA-256 of the study with nothing killed, run on a copy of the same federation (same keys, same plan).
std::string UndisturbedModel(const PlanOptions& options);

}  // namespace consilium::e2e
