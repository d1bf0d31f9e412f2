#include "hospital_node/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/files.h"
#include "common/settings/terminal.h"
#include "common/settings/value.h"

namespace consilium::node {
namespace {

constexpr std::size_t kMaxConfig = std::size_t{64} * 1024;
constexpr std::int64_t kMostPatients = 1'000'000'000;

std::filesystem::path KeyFile(const std::filesystem::path& directory, const char* name) {
  return directory / "keys" / name;
}

SitePolicy ReadPolicy(Reader* reader) {
  SitePolicy policy;
  policy.minimum_patients =
      static_cast<std::uint32_t>(reader->Integer("minimum_patients", 1, kMostPatients, policy.minimum_patients));
  policy.minimum_hospitals =
      static_cast<std::uint32_t>(reader->Integer("minimum_hospitals", 2, 10000, policy.minimum_hospitals));
  policy.allowed_kinds = reader->Strings("kinds", policy.allowed_kinds);
  policy.allowed_researchers = reader->Strings("researchers", {});
  policy.release_own_figures = reader->Bool("release_own_figures", policy.release_own_figures);
  for (const std::string& kind : policy.allowed_kinds) {
    if (kind != "describe" && kind != "train" && kind != "evaluate") {
      reader->Refuse("kinds", fmt::format("'{}' is no kind of query; known: describe, train, evaluate", kind));
    }
  }
  return policy;
}

template <class F>
void TakeHex(Reader* reader, const std::string& key, F* out) {
  const auto value = F::FromHexText(reader->String(key));
  if (value) {
    *out = *value;
  } else {
    reader->Refuse(key, "must be 64 hexadecimal digits, as `consilium-node join` wrote them");
  }
}

}  // namespace

std::filesystem::path ConfigFile(const std::filesystem::path& directory) { return directory / "node.toml"; }
std::filesystem::path EnrollFrameFile(const std::filesystem::path& directory) { return directory / "enroll.frame"; }

Status WriteConfig(const std::filesystem::path& directory, const Config& config) {
  const std::string text = fmt::format(R"(# Consilium's node at this hospital. A change takes effect at the next start.

[hospital]
name = {}

[coordinator]
endpoint = {}
server_key = "{}"
roster_fingerprint = "{}"

# This site's policy. It overrides every plan: what it forbids is refused here, whatever an officer approves.
[policy]
# minimum_patients = 10        # Fewer patients here: no study.
# minimum_hospitals = 2        # Fewer hospitals in a sum: no contribution.
# kinds = ["describe", "train", "evaluate"]
# researchers = []             # Names as in plans; empty: any.
# release_own_figures = false  # true: plans that ask for it get this hospital's own figures, under its name, once an
#                              # officer has approved them with this switch on; false: it takes part without them.

# GET /metrics (Prometheus), /healthz and /readyz on a loopback port; control.sock has them in any case.
[metrics]
# listen = "127.0.0.1:7881"

[log]
level = {}                 # debug, info, warning, error
)",
                                       TomlString(config.name), TomlString(config.endpoint), config.server_key.Hex(),
                                       config.roster_fingerprint.Hex(), TomlString(config.log_level));
  return WriteFileAtomic(ConfigFile(directory), View(text), 0600);
}

Result<Config> LoadConfig(const std::filesystem::path& directory) {
  const std::filesystem::path path = ConfigFile(directory);
  const auto bytes = ReadFile(path, kMaxConfig);
  if (!bytes && bytes.error().code == Code::kNotFound) {
    return Fail(Code::kNotFound,
                fmt::format("{0} has joined no federation; ask its officer for a token (consilium invite NAME) and "
                            "type: consilium-node join {0}",
                            directory.string()));
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
  const Value hospital = section("hospital"), coordinator = section("coordinator"), policy = section("policy"),
              log = section("log"), metrics = section("metrics");
  Reader h(hospital, file, "hospital"), c(coordinator, file, "coordinator"), p(policy, file, "policy"),
      l(log, file, "log"), m(metrics, file, "metrics");
  config.name = h.String("name");
  config.endpoint = c.String("endpoint");
  TakeHex(&c, "server_key", &config.server_key);
  TakeHex(&c, "roster_fingerprint", &config.roster_fingerprint);
  config.policy = ReadPolicy(&p);
  config.log_level = l.Choice("level", {"debug", "info", "warning", "error"}, config.log_level);
  config.metrics = m.String("listen", "");
  const std::pair<const char*, Reader*> readers[] = {
      {"hospital", &h}, {"coordinator", &c}, {"policy", &p}, {"log", &l}, {"metrics", &m}};
  for (const auto& [name, reader] : readers) {
    for (const std::string& key : reader->known()) {
      if (keys != nullptr) keys->push_back(std::string(name) + "." + key);
    }
  }
  for (Reader* reader : {&top, &h, &c, &p, &l, &m}) TRY(reader->Finish());
  return config;
}

Result<FoundingKeys> MakeKeys(const std::filesystem::path& directory) {
  TRY(EnsurePrivateDirectory(directory / "keys"));
  const Secret passphrase = TRY(Passphrase(directory, true));
  FoundingKeys made{{IdentityKey::Generate(), CurveKey::Generate()}, IdentityKey::Generate()};
  TRY(SaveSecret(KeyFile(directory, "identity"), made.keys.identity.seed(), passphrase.view()));
  TRY(SaveSecret(KeyFile(directory, "transport"), made.keys.transport.secret(), passphrase.view()));
  TRY(SaveSecret(KeyFile(directory, "officer"), made.officer.seed(), passphrase.view()));
  return made;
}

Result<Keys> LoadKeys(const std::filesystem::path& directory) {
  TRY(EnsurePrivateDirectory(directory));
  TRY(EnsurePrivateDirectory(directory / "keys"));
  for (const char* name : {"identity", "transport", "officer"}) TRY(RequirePrivateFile(KeyFile(directory, name)));
  const Secret passphrase = TRY(Passphrase(directory, false));
  const Secret identity = TRY(LoadSecret(KeyFile(directory, "identity"), passphrase.view()));
  const Secret transport = TRY(LoadSecret(KeyFile(directory, "transport"), passphrase.view()));
  return Keys{IdentityKey::FromSeed(identity.view()), CurveKey::FromSecret(transport.view())};
}

Result<std::optional<Keys>> LoadNextKeys(const std::filesystem::path& directory, bool make) {
  const auto identity_file = KeyFile(directory, "identity.next"), transport_file = KeyFile(directory, "transport.next");
  std::error_code ignored;
  const bool identity_there = std::filesystem::exists(identity_file, ignored);
  const bool transport_there = std::filesystem::exists(transport_file, ignored);
  if (!make && !(identity_there && transport_there)) return std::optional<Keys>();
  const Secret passphrase = TRY(Passphrase(directory, false));
  if (!identity_there) TRY(SaveSecret(identity_file, IdentityKey::Generate().seed(), passphrase.view()));
  if (!transport_there) TRY(SaveSecret(transport_file, CurveKey::Generate().secret(), passphrase.view()));
  const Secret identity = TRY(LoadSecret(identity_file, passphrase.view()));
  const Secret transport = TRY(LoadSecret(transport_file, passphrase.view()));
  return std::optional<Keys>(Keys{IdentityKey::FromSeed(identity.view()), CurveKey::FromSecret(transport.view())});
}

Status TakeNextKeys(const std::filesystem::path& directory, const Member& self) {
  std::error_code error;
  const auto waiting = [&](const char* name) { return std::filesystem::exists(KeyFile(directory, name), error); };
  if (!waiting("identity.next") && !waiting("transport.next")) return {};
  const Secret passphrase = TRY(Passphrase(directory, false));
  const auto take = [&](const char* next, const char* name) -> Status {
    std::filesystem::rename(KeyFile(directory, next), KeyFile(directory, name), error);
    if (!error) return {};
    return Fail(Code::kIo, fmt::format("{} cannot take the place of {}: {}", KeyFile(directory, next).string(),
                                       KeyFile(directory, name).string(), error.message()));
  };
  if (waiting("identity.next")) {
    const Secret seed = TRY(LoadSecret(KeyFile(directory, "identity.next"), passphrase.view()));
    if (IdentityKey::FromSeed(seed.view()).verify_key() == self.identity) TRY(take("identity.next", "identity"));
  }
  if (waiting("transport.next")) {
    const Secret secret = TRY(LoadSecret(KeyFile(directory, "transport.next"), passphrase.view()));
    if (CurveKey::FromSecret(secret.view()).public_key() == self.transport) TRY(take("transport.next", "transport"));
  }
  return {};
}

std::filesystem::path OfficerKeyFile(const std::filesystem::path& directory, const std::string& label) {
  return label.empty() || label == "officer" ? KeyFile(directory, "officer")
                                             : directory / "keys" / ("officer-" + label);
}

Result<IdentityKey> LoadOfficerKey(const std::filesystem::path& directory, const std::string& label) {
  const auto file = OfficerKeyFile(directory, label);
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) {
    return Fail(Code::kNotFound,
                fmt::format("there is no officer's key {}; those that are here: consilium-node officer "
                            "list {}",
                            file.string(), directory.string()));
  }
  TRY(RequirePrivateFile(file));
  const Secret passphrase = TRY(Passphrase(directory, false));
  const Secret seed = TRY(LoadSecret(file, passphrase.view()));
  return IdentityKey::FromSeed(seed.view());
}

Result<IdentityKey> MakeOfficerKey(const std::filesystem::path& directory, const std::string& label) {
  if (!CheckHospitalName(label) || label == "officer") {
    return Fail(Code::kInvalid, fmt::format("'{}' is no label for a key file; use 1 to 63 of a-z, 0-9 and -, and not "
                                            "\"officer\" itself",
                                            Printable(label)));
  }
  const auto file = OfficerKeyFile(directory, label);
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) return LoadOfficerKey(directory, label);
  const Secret passphrase = TRY(Passphrase(directory, false));
  IdentityKey key = IdentityKey::Generate();
  TRY(SaveSecret(file, key.seed(), passphrase.view()));
  return key;
}

std::vector<std::string> OfficerLabels(const std::filesystem::path& directory) {
  constexpr std::string_view kPrefix = "officer-";
  std::vector<std::string> labels;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory / "keys", ignored)) {
    const std::string name = entry.path().filename().string();
    if (name == "officer") labels.push_back(name);
    if (name.starts_with(kPrefix)) labels.push_back(name.substr(kPrefix.size()));
  }
  std::ranges::sort(labels);
  return labels;
}

}  // namespace consilium::node
