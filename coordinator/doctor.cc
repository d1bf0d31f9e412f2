#include "coordinator/doctor.h"

#include <fmt/format.h>

#include "common/base/files.h"
#include "common/base/time.h"
#include "common/http/address.h"
#include "coordinator/daemon.h"

namespace consilium::coordinator {
namespace {

constexpr std::uint64_t kLeastFree = 1ULL << 30, kLeastDescriptors = 4096;

// "tcp://HOST:PORT"
HostPort AddressOf(const std::string& endpoint) {
  return ParseHostPort(endpoint.substr(std::min<std::size_t>(endpoint.size(), 6))).value_or(HostPort{});
}

// When this directory's database was written last; a clock that was set back is behind it.
std::int64_t LastWritten(const std::filesystem::path& directory) {
  std::error_code error;
  const auto written = std::filesystem::last_write_time(directory / "database", error);
  if (error) return 0;
  const auto system = std::chrono::file_clock::to_sys(written);
  return std::chrono::duration_cast<std::chrono::milliseconds>(system.time_since_epoch()).count();
}

std::string Summary(const Value& status) {
  return fmt::format("federation \"{}\", {} hospitals, {} of them online", status["federation"].AsString(),
                     status["hospitals"]["members"].AsInteger(), status["hospitals"]["online"].AsInteger());
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
  add({"configuration", true, fmt::format("hospitals at {}, researchers at {}", config->listen, config->http)});
  add(CheckDisk(directory, kLeastFree));
  add(CheckDescriptors(kLeastDescriptors));
  if (!crypto) return bad("locked memory", crypto.error()), out;
  add({"locked memory", true, "keys fit into locked memory"});
  if (const auto keys = LoadKeys(directory); !keys) return bad("keys", keys.error()), out;
  for (const auto& file : {AdminTokenFile(directory), OfficerKeyFile(directory)}) {  // May be kept elsewhere.
    std::error_code ignored;
    const Status closed = std::filesystem::exists(file, ignored) ? RequirePrivateFile(file) : Status();
    if (!closed) return bad("keys", closed.error()), out;
  }
  add({"keys", true, "they open, and nobody else can read them"});
  add(CheckClock(LastWritten(directory)));

  bool running = false;
  const auto status = StatusOf(directory, &running);
  if (!status) return bad(running ? "daemon" : "state", status.error()), out;
  add({running ? "daemon" : "state", true, (running ? "it runs: " : "it opens: ") + Summary(*status)});
  const std::string dialled = config->endpoint.empty() ? config->listen : config->endpoint;
  const HostPort web = ParseHostPort(config->http).value_or(HostPort{}), hospitals = AddressOf(config->listen);
  const bool any = hospitals.host == "*" || hospitals.host == "0.0.0.0" || hospitals.host == "::";
  add(CheckName(AddressOf(dialled).host));
  if (!running) {
    add(CheckPortFree(hospitals.host, hospitals.port));
    add(CheckPortFree(web.host, web.port));
    return out;
  }
  const auto taken = ReadEndpoints(directory);
  if (!taken) return bad("port", taken.error()), out;
  // Where a port is 0 in the configuration, the one that was taken.
  const auto port_of = [](const std::string& url) {
    return ParseHostPort(url.substr(url.find("//") + 2)).value_or(HostPort{}).port;
  };
  add(CheckPort(any ? "127.0.0.1" : hospitals.host, hospitals.port == 0 ? port_of(taken->hospitals) : hospitals.port));
  add(CheckPort(web.host, web.port == 0 ? port_of(taken->http) : web.port));
  return out;
}

}  // namespace consilium::coordinator
