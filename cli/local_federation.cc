#include "cli/local_federation.h"

#include <fmt/format.h>

#include <csignal>
#include <map>
#include <thread>

#include "cli/federation.h"
#include "common/base/files.h"
#include "coordinator/daemon.h"

namespace consilium::cli {
namespace {

namespace fs = std::filesystem;

constexpr auto kStep = std::chrono::milliseconds(10);
constexpr auto kPatience = std::chrono::seconds(60);  // For one step of the demo on a busy machine.

}  // namespace

LocalFederation::LocalFederation(fs::path state, fs::path logs, std::function<bool()> interrupted)
    : state_(std::move(state)),
      logs_(std::move(logs)),
      programs_(OwnDirectory()),
      interrupted_(std::move(interrupted)) {}

Status LocalFederation::WaitUntil(const std::string& what, const std::function<bool()>& done) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (interrupted_()) return Fail(Code::kIo, "interrupted");
    for (Daemon& daemon : daemons_) {
      if (!daemon.process.Running()) {
        return Fail(Code::kIo, fmt::format("{} ended while waiting for {}; its log ends:\n{}", daemon.name, what,
                                           LogTail(daemon.name)));
      }
    }
    if (std::chrono::steady_clock::now() > until)
      return Fail(Code::kIo, fmt::format("{} did not happen; see the logs in {}", what, logs_.string()));
    std::this_thread::sleep_for(kStep);
  }
  return {};
}

std::string LocalFederation::LogTail(const std::string& name) const {
  const auto bytes = ReadFile(logs_ / (name + ".log"), 64 << 20);
  if (!bytes) return "(no log)";
  const std::string_view text = Text(*bytes);
  return std::string(text.substr(text.size() > 2000 ? text.size() - 2000 : 0));
}

// What the last command of a log had to say: from its last line that begins with the program's name.
std::string LastMessage(const std::string& log) {
  const auto at = log.rfind("consilium-node: ");
  return at == std::string::npos ? log : log.substr(at);
}

Status LocalFederation::StartDaemon(const std::string& name, const std::string& program, const fs::path& directory) {
  const fs::path log = logs_ / (name + ".log");
  daemons_.push_back({name, TRY(Process::Start({.argv = {programs_ / program, "run", directory},
                                                .input = "",
                                                .out = log,
                                                .err = log,
                                                .environment = {}}))});
  return {};
}

Status LocalFederation::OnEvery(const std::function<ProcessOptions(const std::string& name)>& command) {
  std::vector<Process> running;
  for (const std::string& name : names_) {
    ProcessOptions options = command(name);
    options.out = options.err = logs_ / (name + ".log");
    running.push_back(TRY(Process::Start(options)));
  }
  for (std::size_t i = 0; i < running.size(); ++i) {
    const auto status = running[i].Wait(kPatience);
    if (status == 0) continue;
    const Code code = status == ExitStatus(Code::kInvalid) ? Code::kInvalid : Code::kIo;  // Wrong data are no accident.
    return Fail(code, fmt::format("at {}: {}", names_[i], LastMessage(LogTail(names_[i]))));
  }
  return {};
}

Status LocalFederation::StartCoordinator(const std::string& federation) {
  const fs::path directory = state_ / "coordinator";
  const std::string program = programs_ / "consilium-coordinator";
  const ProgramOutput init = TRY(RunProgram({program, "init", directory, "--federation", federation, "--listen",
                                             "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"}));
  if (init.status != 0) return Fail(Code::kIo, "the coordinator's init failed: " + init.err);
  TRY(StartDaemon("coordinator", "consilium-coordinator", directory));
  TRY(WaitUntil("the coordinator's start", [&] { return coordinator::ReadEndpoints(directory).has_value(); }));
  const coordinator::Endpoints endpoints = TRY(coordinator::ReadEndpoints(directory));
  const Bytes token = TRY(ReadFile(coordinator::AdminTokenFile(directory), 4096));
  std::string line(Text(token));
  line.erase(line.find_last_not_of("\r\n") + 1);
  api_ = TRY(HttpApi::Open({endpoints.http, line, ""}));
  return {};
}

Status LocalFederation::AddHospitals(const Cohort& cohort) {
  std::map<std::string, std::string> tokens;
  for (const CohortHospital& hospital : cohort.hospitals) {
    names_.push_back(hospital.name);
    const Secret token = TRY(Invite(*api_, hospital.name, std::chrono::hours(1)));
    tokens[hospital.name] = std::string(Text(token.view())) + "\n";
  }
  const std::string node = programs_ / "consilium-node";
  TRY(OnEvery([&](const std::string& name) {
    return ProcessOptions{
        .argv = {node, "join", NodeDirectory(name)}, .input = tokens[name], .out = {}, .err = {}, .environment = {}};
  }));
  const IdentityKey officer = TRY(LoadOfficerKey(coordinator::OfficerKeyFile(state_ / "coordinator")));
  // All in one roster: the founding officer decides alone only until three hospitals have officers.
  const Proposal proposal = TRY(ProposeRoster(*api_, {.add = names_, .revoke = "", .valid_days = 0}));
  TRY(SignProposal(*api_, proposal, &officer));
  const Roster roster = TRY(ParseRoster(proposal.roster));
  for (const std::string& name : names_) {
    const Member* member = roster.ByName(name);
    words_.push_back(Fingerprint(member->identity, member->transport));
  }
  for (const std::string& name : names_) TRY(StartDaemon(name, "consilium-node", NodeDirectory(name)));
  TRY(WaitUntil("every node's start", [&] {
    return std::all_of(names_.begin(), names_.end(),
                       [&](const std::string& name) { return AskNode(name, "/v1/status").has_value(); });
  }));
  std::size_t index = 0;
  TRY(OnEvery([&](const std::string& name) {
    const CohortHospital& hospital = cohort.hospitals[index++];
    return ProcessOptions{.argv = {node, "data", "add", NodeDirectory(name), cohort.dataset, "--csv", hospital.data,
                                   "--schema", cohort.schema},
                          .input = "",
                          .out = {},
                          .err = {},
                          .environment = {}};
  }));
  return WaitUntil("every hospital's connection", [&] {
    const auto status = api_->Get("/v1/status");
    return status && status.value()["hospitals"]["online"].AsInteger() == static_cast<std::int64_t>(names_.size());
  });
}

Status LocalFederation::Approve(const std::string& study) {
  TRY(WaitUntil("the plan's arrival at every hospital", [&] {
    return std::all_of(names_.begin(), names_.end(),
                       [&](const std::string& name) { return AskNode(name, "/v1/plans/" + study).has_value(); });
  }));
  return OnEvery([&](const std::string& name) {
    return ProcessOptions{.argv = {programs_ / "consilium-node", "plan", "approve", NodeDirectory(name), study,
                                   "--officer", "officer of " + name},
                          .input = "",
                          .out = {},
                          .err = {},
                          .environment = {}};
  });
}

Result<Value> LocalFederation::AskNode(const std::string& name, const std::string& path) const {
  return JsonOf(TRY(HttpClient::Unix(fs::absolute(NodeDirectory(name)) / "control.sock").Get(path)));
}

Status LocalFederation::Stop() {
  for (const Daemon& daemon : daemons_) daemon.process.Signal(SIGTERM);
  Status result;
  for (Daemon& daemon : daemons_) {
    const auto status = daemon.process.Stop();
    if (status != 0 && result)
      result =
          Fail(Code::kIo, fmt::format("{} did not stop well; its log ends:\n{}", daemon.name, LogTail(daemon.name)));
  }
  daemons_.clear();
  return result;
}

}  // namespace consilium::cli
