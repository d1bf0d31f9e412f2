// The coordinator as a process: its directory, sockets, threads and signals round the pure service.
#pragma once

#include <filesystem>
#include <string>

#include "common/settings/value.h"
#include "coordinator/config.h"

namespace consilium::coordinator {

// What `init` made; for the screen.
struct Founded {
  Digest fingerprint;  // Of roster 0.
  std::string words;   // Of roster 0 and the server's key, as `consilium login` shows them.
};
// Makes the whole directory. kConflict when anything is in it: a federation's keys are never overwritten.
Result<Founded> Initialise(const std::filesystem::path& directory, const Config& config);

// What `run` listens on, in DIR/endpoints.json while it runs (ports as they were taken).
struct Endpoints {
  std::string hospitals;  // tcp://HOST:PORT
  std::string http;       // http://HOST:PORT
};
Result<Endpoints> ReadEndpoints(const std::filesystem::path& directory);

// A consistent copy (backup.h) into `target`, which must not exist; also while the daemon runs. What was written.
Result<Value> BackUpDirectory(const std::filesystem::path& directory, const std::filesystem::path& target);
Result<Value> RestoreDirectory(const std::filesystem::path& backup, const std::filesystem::path& directory);

// What GET /v1/status says: the running daemon's, through its control socket (then *running), else of the state at
// rest.
Result<Value> StatusOf(const std::filesystem::path& directory, bool* running);

struct RunOptions {
  std::string log_file;  // "": stderr.
};
// Until SIGTERM or SIGINT. Errors are those of the start and of storage.
Status RunDaemon(const std::filesystem::path& directory, const RunOptions& options);

}  // namespace consilium::coordinator
