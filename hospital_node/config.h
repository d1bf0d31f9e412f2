// The node's directory: node.toml, keys. `join` makes it, `run` and every other command read it.
//
//   node.toml    who this hospital is, where the coordinator is, and the site's policy
//   keys/        identity, transport, officer, officer-LABEL (sealed), passphrase; 0700. While keys are rotated also
//                identity.next and transport.next, which take the others' place once a roster names them.
//   enroll.frame what `join` sends, kept so that a second call sends the same bytes
//   database, blobs/, control.sock, lock
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

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
// `file` is its name in messages; `keys` gets every key that there is, as "section.key".
Result<Config> ParseConfig(std::string_view text, const std::string& file, std::vector<std::string>* keys = nullptr);

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

// Rotation: the keys that wait for a roster to name them. `make`: made when there are none; else nullopt.
Result<std::optional<Keys>> LoadNextKeys(const std::filesystem::path& directory, bool make);
// Each waiting key that `self` names takes the old one's place. Done again after a crash, it ends what was begun.
Status TakeNextKeys(const std::filesystem::path& directory, const Member& self);

// An officer's key: keys/officer, the one that the hospital enrolled with, for label "" or "officer"; else
// keys/officer-LABEL. The daemon never reads them.
std::filesystem::path OfficerKeyFile(const std::filesystem::path& directory, const std::string& label);
Result<IdentityKey> LoadOfficerKey(const std::filesystem::path& directory, const std::string& label);
Result<IdentityKey> MakeOfficerKey(const std::filesystem::path& directory, const std::string& label);
std::vector<std::string> OfficerLabels(const std::filesystem::path& directory);  // Of the key files here, sorted.

}  // namespace consilium::node
