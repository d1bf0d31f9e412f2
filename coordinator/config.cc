#include "coordinator/config.h"

#include <fmt/format.h>

#include "common/base/files.h"
#include "common/http/address.h"
#include "common/roster/roster.h"
#include "common/settings/terminal.h"
#include "common/settings/value.h"

namespace consilium::coordinator {
namespace {

constexpr std::size_t kMaxConfig = std::size_t{64} * 1024;

std::filesystem::path KeyFile(const std::filesystem::path& directory, const char* name) {
  return directory / "keys" / name;
}

}  // namespace

std::filesystem::path ConfigFile(const std::filesystem::path& directory) { return directory / "coordinator.toml"; }
std::filesystem::path AdminTokenFile(const std::filesystem::path& directory) { return directory / "admin.token"; }
std::filesystem::path OfficerKeyFile(const std::filesystem::path& directory) { return KeyFile(directory, "officer"); }

Status CheckConfig(const Config& config) {
  if (config.federation.empty() || config.federation.size() > 100 ||
      Printable(config.federation) != config.federation) {
    return Fail(Code::kInvalid, "the federation's name must have 1 to 100 characters and no control characters");
  }
  if (!config.endpoint.empty()) TRY(CheckEndpoint(config.endpoint));
  if (!config.listen.starts_with("tcp://")) {
    return Fail(Code::kInvalid, fmt::format("'{}' is no address to listen on; write tcp://HOST:PORT", config.listen));
  }
  const auto listen = ParseHostPort(config.listen.substr(6));
  if (!listen) return std::unexpected(listen.error());
  const auto http = ParseHostPort(config.http);
  if (!http) return std::unexpected(http.error());
  if (!IsLoopback(http->host)) {
    return Fail(Code::kRefused,
                fmt::format("http = '{}' is not a loopback address, and this version has no TLS of its own; write "
                            "127.0.0.1:{} and reach it through ssh -L or a TLS proxy",
                            config.http, http->port));
  }
  const bool wildcard = listen->host == "*" || listen->host == "0.0.0.0" || listen->host == "::";
  if (config.endpoint.empty() && wildcard) {
    return Fail(Code::kInvalid,
                fmt::format("listen = '{}' is no address that a hospital can dial; set endpoint = \"tcp://NAME:{}\" in "
                            "coordinator.toml (with init: --endpoint)",
                            config.listen, listen->port));
  }
  return {};
}

Status WriteConfig(const std::filesystem::path& directory, const Config& config) {
  const std::string text =
      fmt::format(R"(# Consilium's coordinator. A change takes effect at the next start.

[federation]
name = {}             # As the founding roster says; a change here changes nothing there.

[hospitals]
listen = {}           # One port; hospitals dial in. Port 0: a free one, kept in endpoints.json.
{}endpoint = {}       # What new tokens tell hospitals to dial, when it is not `listen`.

[http]
listen = {}           # The /v1 interface for `consilium`; loopback only.

[log]
level = {}            # debug, info, warning, error
)",
                  TomlString(config.federation), TomlString(config.listen), config.endpoint.empty() ? "# " : "",
                  TomlString(config.endpoint.empty() ? "tcp://federation.example.org:7800" : config.endpoint),
                  TomlString(config.http), TomlString(config.log_level));
  return WriteFileAtomic(ConfigFile(directory), View(text), 0600);
}

Result<Config> LoadConfig(const std::filesystem::path& directory) {
  const std::filesystem::path path = ConfigFile(directory);
  const auto bytes = ReadFile(path, kMaxConfig);
  if (!bytes && bytes.error().code == Code::kNotFound) {
    return Fail(Code::kNotFound,
                fmt::format("{} holds no coordinator; type: consilium-coordinator init {} --federation NAME",
                            directory.string(), directory.string()));
  }
  if (!bytes) return std::unexpected(bytes.error());
  return ParseConfig(Text(*bytes), path.string());
}

Result<Config> ParseConfig(std::string_view text, const std::string& file, std::vector<std::string>* keys) {
  const Value root = TRY(ParseToml(text, file));
  Config config;
  Reader top(root, file, "");
  const auto section = [&](const char* name) {
    const Value* v = top.Take(name);
    return v == nullptr ? Value(Value::Object()) : *v;
  };
  const Value federation = section("federation"), hospitals = section("hospitals"), http = section("http"),
              log = section("log");
  Reader f(federation, file, "federation"), h(hospitals, file, "hospitals"), w(http, file, "http"), l(log, file, "log");
  config.federation = f.String("name");
  config.listen = h.String("listen", config.listen);
  config.endpoint = h.String("endpoint", "");
  config.http = w.String("listen", config.http);
  config.log_level = l.Choice("level", {"debug", "info", "warning", "error"}, config.log_level);
  const std::pair<const char*, Reader*> readers[] = {{"federation", &f}, {"hospitals", &h}, {"http", &w}, {"log", &l}};
  for (const auto& [name, reader] : readers) {
    for (const std::string& key : reader->known()) {
      if (keys != nullptr) keys->push_back(std::string(name) + "." + key);
    }
  }
  for (Reader* reader : {&top, &f, &h, &w, &l}) TRY(reader->Finish());
  TRY(CheckConfig(config));
  return config;
}

Result<FoundingKeys> MakeKeys(const std::filesystem::path& directory) {
  TRY(EnsurePrivateDirectory(directory / "keys"));
  const Secret passphrase = TRY(Passphrase(directory, true));
  FoundingKeys made{{IdentityKey::Generate(), CurveKey::Generate()}, IdentityKey::Generate()};
  TRY(SaveSecret(KeyFile(directory, "identity"), made.keys.identity.seed(), passphrase.view()));
  TRY(SaveSecret(KeyFile(directory, "transport"), made.keys.transport.secret(), passphrase.view()));
  TRY(SaveSecret(OfficerKeyFile(directory), made.officer.seed(), passphrase.view()));
  return made;
}

Result<Keys> LoadKeys(const std::filesystem::path& directory) {
  TRY(EnsurePrivateDirectory(directory));
  TRY(EnsurePrivateDirectory(directory / "keys"));
  for (const char* name : {"identity", "transport"}) TRY(RequirePrivateFile(KeyFile(directory, name)));
  const Secret passphrase = TRY(Passphrase(directory, false));
  const Secret identity = TRY(LoadSecret(KeyFile(directory, "identity"), passphrase.view()));
  const Secret transport = TRY(LoadSecret(KeyFile(directory, "transport"), passphrase.view()));
  return Keys{IdentityKey::FromSeed(identity.view()), CurveKey::FromSecret(transport.view())};
}

}  // namespace consilium::coordinator
