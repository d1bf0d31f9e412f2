// The node as a process: its directory, connection, threads and signals round the pure service; and the commands'
// way to it, whether a daemon runs or not.
#pragma once

#include <filesystem>
#include <string>

#include "common/http/client.h"
#include "hospital_node/config.h"

namespace consilium::node {

struct Joined {
  std::string name, endpoint;
  std::string words;  // Fingerprint(IK, TK): what the officer compares.
};
// Makes the directory and its keys, and enrols with `token`. After a crash or a lost answer the same call sends the
// same bytes; kConflict when DIR belongs to another enrolment.
Result<Joined> Join(const std::filesystem::path& directory, std::string_view token);

struct RunOptions {
  std::string log_file;  // "": stderr.
};
// Until SIGTERM or SIGINT. Errors are those of the start and of storage.
Status RunDaemon(const std::filesystem::path& directory, const RunOptions& options);

// One request of docs/api.md ("Node"): through DIR/control.sock while a daemon runs, else under the lock, here.
Result<Value> Ask(const std::filesystem::path& directory, const std::string& method, const std::string& path,
                  const Value& body = {});
// The same for replies that are no JSON.
Result<std::string> AskText(const std::filesystem::path& directory, const std::string& path);

}  // namespace consilium::node
