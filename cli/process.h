// Child processes: started with their output in files, waited for with a limit, stopped by their id. A child gets
// SIGTERM when its parent dies.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/error.h"

namespace consilium {

struct ProcessOptions {
  std::vector<std::string> argv;         // argv[0] is the program's path.
  std::string input;                     // What standard input brings.
  std::filesystem::path out, err;        // Appended to; empty: /dev/null.
  std::vector<std::string> environment;  // "NAME=value", on top of the parent's.
};

struct ProgramOutput {
  int status = 0;
  std::string out, err;
};

class Process {
 public:
  static Result<Process> Start(const ProcessOptions& options);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();  // Stops it: SIGTERM, and SIGKILL after 5 s.

  [[nodiscard]] pid_t pid() const { return pid_; }
  // The exit status (128 + signal when a signal ended it), or nullopt when it still runs after `limit`.
  std::optional<int> Wait(std::chrono::milliseconds limit);
  [[nodiscard]] bool Running() { return !Wait(std::chrono::milliseconds(0)).has_value(); }
  void Signal(int signal) const;  // Nothing when it has ended.
  std::optional<int> Stop(
      std::chrono::milliseconds limit = std::chrono::seconds(5));  // SIGTERM, wait; nullopt: killed.
  void Kill();                                                     // SIGKILL, and waits.

 private:
  friend Result<ProgramOutput> RunProgram(const std::vector<std::string>&, const std::string&,
                                          std::chrono::milliseconds, const std::vector<std::string>&);
  Process(pid_t pid, int descriptor) : pid_(pid), descriptor_(descriptor) {}
  pid_t pid_ = -1;
  int descriptor_ = -1;  // pidfd
  std::optional<int> status_;
};

// Runs a program to its end. kIo when it cannot be started or outlives the limit (it is killed then).
Result<ProgramOutput> RunProgram(const std::vector<std::string>& argv, const std::string& input = "",
                                 std::chrono::milliseconds limit = std::chrono::seconds(60),
                                 const std::vector<std::string>& environment = {});

// The folder of the running executable, where its sister programs are.
std::filesystem::path OwnDirectory();

}  // namespace consilium
