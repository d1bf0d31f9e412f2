// The node's directory: node.toml, keys. `join` makes it, `run` and every other command read it.
//
//   node.toml    who this hospital is, where the coordinator is, and the site's policy
//   keys/        identity, transport, officer (sealed), passphrase; 0700
//   enroll.frame what `join` sends, kept so that a second call sends the same bytes
//   database, blobs/, control.sock, lock
#pragma once

#include <filesystem>
#include <string>

#include "common/crypto/keys.h"
#include "hospital_node/service.h"

namespace consilium::node {

struct Config {
  std::string name;      // The hospital's, as its token fixed it.
  std::string endpoint;  // tcp://HOST:PORT
  TransportKey server_key;
  Digest roster_fingerprint;  // H of roster 0: the first trust.
  SitePolicy policy;
  std::string metrics;  // 127.0.0.1:PORT for GET /metrics, /healthz and /readyz; "": only on control.sock.
  std::string log_level = "info";
};

std::filesystem::path ConfigFile(const std::filesystem::path& directory);
std::filesystem::path EnrollFrameFile(const std::filesystem::path& directory);
Status WriteConfig(const std::filesystem::path& directory, const Config& config);
// kNotFound when this directory has not joined; says what to type.
Result<Config> LoadConfig(const std::filesystem::path& directory);

struct Keys {
  IdentityKey identity;  // IK
  CurveKey transport;    // TK
};
// New keys, sealed under a new passphrase, and those of the hospital's own officer beside them.
struct FoundingKeys {
  Keys keys;
  IdentityKey officer;
};
Result<FoundingKeys> MakeKeys(const std::filesystem::path& directory);
// kRefused when anybody else can read one; says the chmod.
Result<Keys> LoadKeys(const std::filesystem::path& directory);

}  // namespace consilium::node
