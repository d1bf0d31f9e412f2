// The other side of server.h, for the command line.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "common/settings/value.h"

namespace consilium {

struct HttpReply {
  int status = 0;
  std::string content_type;
  std::string body;
};
// The JSON body of a 2xx reply; the error that another one carries ({"error": {"code", "message"}}), with its code.
Result<Value> JsonOf(const HttpReply& reply);
// The bytes of a 2xx reply of any type; the error of another one.
Result<std::string> BodyOf(const HttpReply& reply);

class HttpClient {
 public:
  // "http://127.0.0.1:7880"; kInvalid when it is no such URL.
  static Result<HttpClient> Tcp(const std::string& url);
  static HttpClient Unix(const std::filesystem::path& socket);

  void SetPatience(Duration patience) { patience_ = patience; }  // For a reply; one minute unless set.
  // `path` with its query, already encoded. kUnreachable says what to type next. Any status is a reply, not an error.
  // `token` goes into the Authorization header when it is not empty.
  [[nodiscard]] Result<HttpReply> Get(const std::string& path, const std::string& token = "") const;
  [[nodiscard]] Result<HttpReply> Post(const std::string& path, const std::optional<Value>& body,
                                       const std::string& token = "") const;

 private:
  HttpClient() = default;
  std::string host_;  // Or the socket's path.
  int port_ = 0;      // 0: unix socket.
  Duration patience_ = std::chrono::seconds(60);
};
// Percent-encodes one path segment or query value.
std::string UrlEncode(std::string_view text);

}  // namespace consilium
