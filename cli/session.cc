#include "cli/session.h"

#include <fmt/format.h>

#include <cstdlib>

#include "common/base/files.h"

namespace consilium::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxLogins = std::size_t{256} * 1024;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string WithoutSlash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

// {"current": url, "logins": {url: {"token", "officer_key"}}}; an absent file is an empty one.
Result<Value> ReadLogins() {
  std::error_code ignored;
  if (!fs::exists(LoginsFile(), ignored)) return Value(Value::Object());
  TRY(RequirePrivateFile(LoginsFile()));
  const Bytes bytes = TRY(ReadFile(LoginsFile(), kMaxLogins));
  return ParseJson(Text(bytes));
}

}  // namespace

fs::path LoginsFile() {
  const std::string xdg = Environment("XDG_CONFIG_HOME");
  const fs::path base = xdg.empty() ? fs::path(Environment("HOME")) / ".config" : fs::path(xdg);
  return base / "consilium" / "logins.json";
}

HostPort AddressOf(const std::string& url) {
  std::string rest = url.substr(url.find("://") + 3);
  rest = rest.substr(0, rest.find('/'));
  return ParseHostPort(rest).value_or(ParseHostPort(rest + ":80").value_or(HostPort{}));
}

Status CheckUrl(const std::string& url) {
  TRY(HttpClient::Tcp(url));
  const std::string host = AddressOf(url).host;
  if (IsLoopback(host)) return {};  // By the address itself: a name may lead anywhere.
  return Fail(Code::kRefused,
              fmt::format("{} is another machine, and http:// would show your token to the network; forward the port "
                          "(ssh -L 7880:127.0.0.1:7880 {}) and use http://127.0.0.1:7880",
                          url, host));
}

Status SaveLogin(const Login& login) {
  TRY(EnsurePrivateDirectory(LoginsFile().parent_path()));
  Value file = TRY(ReadLogins());
  Value logins = file["logins"].IsObject() ? file["logins"] : Value(Value::Object());
  const std::string url = WithoutSlash(login.url);
  logins.Set(url, Value().Set("token", login.token).Set("officer_key", login.officer_key));
  file.Set("logins", logins).Set("current", url);
  return WriteFileAtomic(LoginsFile(), View(PrettyJson(file) + "\n"), 0600);
}

Result<Login> LoadLogin(const std::string& url) {
  const Value file = TRY(ReadLogins());
  std::string wanted = url.empty() ? Environment("CONSILIUM_COORDINATOR") : url;
  if (wanted.empty()) wanted = file["current"].AsString();
  wanted = WithoutSlash(wanted);
  if (wanted.empty()) {
    return Fail(Code::kUnauthorised,
                "no coordinator is known; type: consilium login http://127.0.0.1:7880 --token-file DIR/admin.token");
  }
  TRY(CheckUrl(wanted));
  TRY(HttpClient::Tcp(wanted));
  const Value& entry = file["logins"][wanted];
  if (!entry.IsObject()) {
    return Fail(
        Code::kUnauthorised,
        fmt::format("no token for {0} is stored; type: consilium login {0} --token-file DIR/admin.token", wanted));
  }
  return Login{wanted, entry["token"].AsString(), entry["officer_key"].AsString()};
}

Result<HttpApi> HttpApi::Open(const Login& login) {
  TRY(CheckUrl(login.url));
  return HttpApi(TRY(HttpClient::Tcp(login.url)), login.token);
}
Result<Value> HttpApi::Get(const std::string& path) const { return JsonOf(TRY(client_.Get(path, token_))); }
Result<Value> HttpApi::Post(const std::string& path, const Value& body) const {
  return JsonOf(TRY(client_.Post(path, body, token_)));
}
Result<std::string> HttpApi::Body(const std::string& path) const { return BodyOf(TRY(client_.Get(path, token_))); }

Result<IdentityKey> LoadOfficerKey(const std::string& path) {
  if (path.empty()) {
    return Fail(Code::kUnauthorised,
                "only an officer can sign a roster, and no officer key is stored; type: consilium login URL "
                "--token-file FILE --officer-key DIR/keys/officer");
  }
  const fs::path file(path);
  if (file.parent_path().filename() != "keys") {
    return Fail(Code::kInvalid, fmt::format("{} must lie in a folder keys/ with its passphrase file beside it", path));
  }
  TRY(RequirePrivateFile(file));
  const Secret passphrase = TRY(Passphrase(file.parent_path().parent_path(), false));
  const Secret seed = TRY(LoadSecret(file, passphrase.view()));
  if (seed.size() != 32)
    return Fail(Code::kCorrupt, fmt::format("{} holds no officer key; restore it from a backup", path));
  return IdentityKey::FromSeed(seed.view());
}

}  // namespace consilium::cli
