// The coordinator's directory: coordinator.toml, keys, admin token. `init` makes it, `run` reads it.
//
//   coordinator.toml   what an operator may change
//   keys/              identity, transport, officer (sealed), passphrase; 0700
//   admin.token        for `consilium login`; 0600
//   database, blobs/, endpoints.json, control.sock, lock
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/crypto/keys.h"

namespace consilium::coordinator {

struct Config {
  std::string federation;
  std::string listen = "tcp://127.0.0.1:7800";  // For hospitals. Port 0: a free one, kept in endpoints.json.
  std::string http = "127.0.0.1:7880";          // For researchers; loopback only.
  std::string endpoint;                         // What tokens tell hospitals; "": `listen` itself.
  std::string log_level = "info";
};
// kInvalid when a name or an address cannot be right.
Status CheckConfig(const Config& config);

std::filesystem::path ConfigFile(const std::filesystem::path& directory);
Status WriteConfig(const std::filesystem::path& directory, const Config& config);
Result<Config> LoadConfig(const std::filesystem::path& directory);
// `file` is its name in messages; `keys` gets every key that there is, as "section.key".
Result<Config> ParseConfig(std::string_view text, const std::string& file, std::vector<std::string>* keys = nullptr);

struct Keys {
  IdentityKey identity;  // Signs every message.
  CurveKey transport;    // The CURVE server key.
};
// New keys, sealed under a new passphrase, and the founding officer's key beside them.
struct FoundingKeys {
  Keys keys;
  IdentityKey officer;
};
Result<FoundingKeys> MakeKeys(const std::filesystem::path& directory);
// kRefused when anybody else can read one; says the chmod.
Result<Keys> LoadKeys(const std::filesystem::path& directory);

std::filesystem::path AdminTokenFile(const std::filesystem::path& directory);
std::filesystem::path OfficerKeyFile(const std::filesystem::path& directory);

}  // namespace consilium::coordinator
