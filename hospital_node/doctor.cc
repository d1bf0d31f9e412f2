#include "hospital_node/doctor.h"

#include <fmt/format.h>

#include "common/base/files.h"
#include "common/http/address.h"
#include "common/transport/connection.h"
#include "hospital_node/config.h"
#include "hospital_node/daemon.h"

namespace consilium::node {
namespace {

constexpr std::uint64_t kLeastFree = 1ULL << 30, kLeastDescriptors = 1024;

// "tcp://HOST:PORT"
HostPort AddressOf(const std::string& endpoint) {
  return ParseHostPort(endpoint.substr(std::min<std::size_t>(endpoint.size(), 6))).value_or(HostPort{});
}

Check SessionOfDaemon(const Value& status) {
  if (status["connected"].AsBool()) return {"session", true, "the running daemon has a session with the coordinator"};
  const std::string& why = status["link"].AsString();
  const std::string mend = why.contains("key")
                               ? "has the officer confirmed this hospital, and is server_key in node.toml right?"
                               : "look at the checks above and at the daemon's log";
  return {"session", false, fmt::format("the running daemon has no session ({}); {}", why, mend)};
}

Check SessionByHand(const Config& config, const Keys& keys) {
  const auto reached = TryHandshake(
      {.endpoint = config.endpoint, .key = &keys.transport, .server_key = config.server_key}, std::chrono::seconds(8));
  if (reached) return {"session", true, "the coordinator's key is right and it admits this node's"};
  return {
      "session", false,
      fmt::format("no handshake with the coordinator ({}); either it does not admit this node's key (has the officer "
                  "confirmed this hospital? was it revoked?), or server_key in node.toml is another coordinator's",
                  reached.error().what)};
}

}  // namespace

std::vector<Check> Examine(const std::filesystem::path& directory, const Status& crypto) {
  std::vector<Check> out;
  const auto add = [&out](Check check) {
    out.push_back(std::move(check));
    return out.back().good;
  };
  const auto bad = [&out](const char* name, const Error& error) { out.push_back({name, false, error.what}); };

  if (!add(CheckDirectory(directory))) return out;
  const auto config = LoadConfig(directory);
  if (!config) return bad("configuration", config.error()), out;
  add({"configuration", true, fmt::format("{} of {}", config->name, config->endpoint)});
  add(CheckDisk(directory, kLeastFree));
  add(CheckDescriptors(kLeastDescriptors));
  if (!crypto) return bad("locked memory", crypto.error()), out;
  add({"locked memory", true, "keys fit into locked memory"});
  const auto keys = LoadKeys(directory);
  if (!keys) return bad("keys", keys.error()), out;
  add({"keys", true, "they open, and nobody else can read them"});
  const auto status = Ask(directory, "GET", "/v1/status");
  if (!status) return bad("state", status.error()), out;
  const std::string& locked = (*status)["ledger"]["locked"].AsString();
  add({"state", locked.empty(),
       locked.empty()
           ? fmt::format("{} ledger rows, every one in its place", (*status)["ledger"]["seq"].AsInteger())
           : fmt::format("the ledger is locked: {}; see: consilium-node budget {}", locked, directory.string())});
  add(CheckClock((*status)["ledger"]["wall_ms"].AsInteger()));
  const HostPort address = AddressOf(config->endpoint);
  if (!add(CheckName(address.host)) || !add(CheckPort(address.host, address.port))) return out;
  const auto lock = DirectoryLock::Take(directory);  // Not ours while a daemon runs.
  add(lock ? SessionByHand(*config, *keys) : SessionOfDaemon(*status));
  return out;
}

}  // namespace consilium::node
