// How `consilium` reaches a coordinator: what `login` stored, and HTTP /v1 with its token.
#pragma once

#include <filesystem>
#include <string>

#include "common/crypto/keys.h"
#include "common/http/address.h"
#include "common/http/client.h"
#include "common/settings/value.h"

namespace consilium::cli {

// One entry of the logins file (0600 in a 0700 folder); a token is sent only to the address it was stored for.
struct Login {
  std::string url;  // http://HOST:PORT
  std::string token;
  std::string officer_key;  // Path of a sealed key, "" when this user is no officer.
};
std::filesystem::path LoginsFile();  // $XDG_CONFIG_HOME/consilium/logins.json or ~/.config/consilium/logins.json
Status SaveLogin(const Login& login);
// `url` from --coordinator, else CONSILIUM_COORDINATOR, else the last login. kUnauthorised says what to type.
Result<Login> LoadLogin(const std::string& url);
// http:// to another machine would show the token to the network: kRefused.
Status CheckUrl(const std::string& url);
HostPort AddressOf(const std::string& url);  // Of a URL that CheckUrl takes.

// HTTP /v1 (docs/api.md), wherever it is answered.
class Api {
 public:
  virtual ~Api() = default;
  [[nodiscard]] virtual Result<Value> Get(const std::string& path) const = 0;
  [[nodiscard]] virtual Result<Value> Post(const std::string& path, const Value& body) const = 0;
  [[nodiscard]] Result<Value> Post(const std::string& path) const { return Post(path, {}); }
  [[nodiscard]] virtual Result<std::string> Body(const std::string& path) const = 0;  // Of any type.
};

class HttpApi final : public Api {
 public:
  static Result<HttpApi> Open(const Login& login);
  using Api::Post;
  [[nodiscard]] Result<Value> Get(const std::string& path) const override;
  [[nodiscard]] Result<Value> Post(const std::string& path, const Value& body) const override;
  [[nodiscard]] Result<std::string> Body(const std::string& path) const override;

 private:
  HttpApi(HttpClient client, std::string token) : client_(std::move(client)), token_(std::move(token)) {}
  HttpClient client_;
  std::string token_;
};

// The officer's key, under the passphrase that lies beside it.
Result<IdentityKey> LoadOfficerKey(const std::string& path);

}  // namespace consilium::cli
