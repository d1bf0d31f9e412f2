// The `consilium` commands. Each prints what it has to say and returns the exit status.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/settings/terminal.h"

namespace consilium::cli {

struct Context {
  Terminal terminal;
  std::string coordinator;  // --coordinator; "" when not given.
};

int LoginCommand(const Context& context, const std::string& url, const std::string& token_file,
                 const std::string& officer_key);
int DoctorCommand(const Context& context, const Status& crypto);  // doctor.cc; `crypto`: what StartCrypto said.
int StatusCommand(const Context& context);
int InviteCommand(const Context& context, const std::string& name, int hours);
int HospitalListCommand(const Context& context);
// Where the founding officer decides, signed at once; otherwise proposed to the hospitals' officers. `valid_days`: how
// long the keys serve, also of a member; 0: without end.
int HospitalConfirmCommand(const Context& context, const std::vector<std::string>& names, int valid_days, bool yes);
int HospitalRevokeCommand(const Context& context, const std::string& name, bool yes);
int RosterShowCommand(const Context& context);
int RosterWithdrawCommand(const Context& context);

int StudyCheckCommand(const Context& context, const std::string& plan);
int StudySubmitCommand(const Context& context, const std::string& plan);
int StudyListCommand(const Context& context);
int StudyShowCommand(const Context& context, const std::string& study);
int StudyWatchCommand(const Context& context, const std::string& study);
int StudyLogsCommand(const Context& context, const std::string& study);
// `what`: "pause", "resume" or "abort".
int StudyPostCommand(const Context& context, const std::string& study, const std::string& what);
int StudyDownloadCommand(const Context& context, const std::string& study, const std::string& directory);

int AuditVerifyCommand(const Context& context, const std::string& path);

struct DemoOptions {
  std::uint32_t hospitals = 4;  // Of the generated cohort; with --data it is the number of files.
  std::uint32_t rounds = 20;
  std::string data, schema;  // A file or a folder for each hospital; "": generated.
  std::string directory;     // "": ./demo/DATE-TIME
  bool keep = false;         // Keep the processes' directories (keys, databases) as well.
};
int DemoCommand(const Context& context, const DemoOptions& options);

struct SimulateOptions {
  std::string plan, data, directory;  // A file or a folder for each hospital; where results go ("": ./simulation/...).
  unsigned workers = 0;               // Threads that train; 0: one for each core.
  bool compare = true;                // With each hospital's own model, and with the pooled one.
};
int SimulateCommand(const Context& context, const SimulateOptions& options);

// Set by SIGINT and SIGTERM after CatchInterrupts; commands that wait look at it.
void CatchInterrupts();
bool Interrupted();
inline constexpr int kInterruptedStatus = 130;

}  // namespace consilium::cli
