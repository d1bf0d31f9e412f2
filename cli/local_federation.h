// A federation of real processes on this machine, for the demo: one coordinator, some nodes, everything through their
// public commands and interfaces.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/demo_cohort.h"
#include "cli/process.h"
#include "cli/session.h"

namespace consilium::cli {

class LocalFederation {
 public:
  // `state` holds the daemons' directories (short: unix sockets live there), `logs` their logs.
  LocalFederation(std::filesystem::path state, std::filesystem::path logs, std::function<bool()> interrupted);

  Status StartCoordinator(const std::string& federation);
  // Invites, enrols, confirms and starts every hospital, and registers its data.
  Status AddHospitals(const Cohort& cohort);
  // Waits until every node has been offered the study, then has its officer approve it.
  Status Approve(const std::string& study);
  // A node's own answer, asked at its control socket.
  [[nodiscard]] Result<Value> AskNode(const std::string& name, const std::string& path) const;
  // SIGTERM to all; kIo when one does not end well.
  Status Stop();

  [[nodiscard]] const Api& api() const { return *api_; }
  [[nodiscard]] std::filesystem::path NodeDirectory(const std::string& name) const { return state_ / name; }
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }  // By hospital, as confirmed.

 private:
  struct Daemon {
    std::string name;
    Process process;
  };
  Status StartDaemon(const std::string& name, const std::string& program, const std::filesystem::path& directory);
  // One command per hospital, all at once; the first failure with what it said.
  Status OnEvery(const std::function<ProcessOptions(const std::string& name)>& command);
  Status WaitUntil(const std::string& what, const std::function<bool()>& done);
  [[nodiscard]] std::string LogTail(const std::string& name) const;

  std::filesystem::path state_, logs_, programs_;
  std::function<bool()> interrupted_;
  std::vector<Daemon> daemons_;
  std::vector<std::string> names_, words_;
  std::optional<HttpApi> api_;
};

}  // namespace consilium::cli
