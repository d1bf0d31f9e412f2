// `consilium doctor`: what stands between this user and the coordinator, and the mend.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/session.h"
#include "common/base/version.h"

namespace consilium::cli {
namespace {

std::vector<Check> Examine(const std::string& coordinator, const Status& crypto) {
  std::vector<Check> out;
  const auto add = [&out](Check check) {
    out.push_back(std::move(check));
    return out.back().good;
  };
  const auto bad = [&out](const char* name, const Error& error) { out.push_back({name, false, error.what}); };
  if (!crypto) return bad("locked memory", crypto.error()), out;
  add({"locked memory", true, "keys fit into locked memory"});
  const auto login = LoadLogin(coordinator);
  if (!login) return bad("login", login.error()), out;
  add({"login", true, fmt::format("{}, as {} says", login->url, LoginsFile().string())});
  const HostPort address = AddressOf(login->url);
  if (!add(CheckName(address.host)) || !add(CheckPort(address.host, address.port))) return out;
  const auto api = HttpApi::Open(*login);
  const auto status = api ? api->Get("/v1/status") : std::unexpected(api.error());
  if (!status) return bad("token", status.error()), out;
  add({"token", true, fmt::format("the coordinator of \"{}\" accepts it", (*status)["federation"].AsString())});
  const std::string& build = (*status)["build"].AsString();
  const bool same = build == kProgramVersion;
  add({"version", same,
       same ? fmt::format("{} on both sides", build)
            : fmt::format("the coordinator is version {}, this program {}; install the same one", build,
                          kProgramVersion)});
  if (login->officer_key.empty()) return out;  // Not an officer's login.
  const auto officer = LoadOfficerKey(login->officer_key);
  if (!officer) return bad("officer's key", officer.error()), out;
  add({"officer's key", true, login->officer_key + " opens, and nobody else can read it"});
  return out;
}

}  // namespace

int DoctorCommand(const Context& context, const Status& crypto) {
  return context.terminal.Report(Examine(context.coordinator, crypto));
}

}  // namespace consilium::cli
