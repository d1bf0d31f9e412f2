#include "common/http/client.h"

#include <fmt/format.h>
#include <httplib.h>

#include "common/http/address.h"
#include "common/turn/reply.h"

namespace consilium {
namespace {

constexpr ParseLimits kReplyLimits{.bytes = 256U << 20, .depth = 64};

Error ErrorOf(const HttpReply& reply) {
  const Result<Value> parsed = ParseJson(reply.body, kReplyLimits);
  if (parsed && (*parsed)["error"]["message"].IsString()) {
    return {CodeFromName((*parsed)["error"]["code"].AsString()), (*parsed)["error"]["message"].AsString()};
  }
  return {Code::kProtocol, fmt::format("the answer has status {} and no explanation; is this the address of a "
                                       "consilium daemon?",
                                       reply.status)};
}

bool Good(const HttpReply& reply) { return reply.status >= 200 && reply.status < 300; }

Error Unreachable(const std::string& where, bool unix_socket, httplib::Error error, Duration waited,
                  Duration patience) {
  if (error == httplib::Error::Read && waited < patience) {
    return {Code::kUnreachable,
            fmt::format("{} took the request and closed the connection without an answer; look at the daemon's log",
                        where)};
  }
  if (error == httplib::Error::Read) {
    return {Code::kUnreachable,
            fmt::format("{} took the request and did not answer within {} s; look at the daemon's log "
                        "and try again",
                        where, std::chrono::duration_cast<std::chrono::seconds>(patience).count())};
  }
  if (unix_socket)
    return {Code::kUnreachable, fmt::format("no daemon answers on {}; start it with: ... run DIR", where)};
  return {Code::kUnreachable, fmt::format("no coordinator answers at {} ({}); start it with: consilium-coordinator run "
                                          "DIR, or name another one with --coordinator URL",
                                          where, httplib::to_string(error))};
}

}  // namespace

Result<std::string> BodyOf(const HttpReply& reply) {
  if (!Good(reply)) return std::unexpected(ErrorOf(reply));
  return reply.body;
}

Result<Value> JsonOf(const HttpReply& reply) {
  if (!Good(reply)) return std::unexpected(ErrorOf(reply));
  auto parsed = ParseJson(reply.body, kReplyLimits);
  if (!parsed) return Fail(Code::kProtocol, "the answer is no JSON; is this the address of a consilium daemon?");
  return parsed;
}

Result<HttpClient> HttpClient::Tcp(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  const Error wrong{Code::kInvalid, "'" + url + "' is no coordinator's address; write it as http://127.0.0.1:7880"};
  if (!url.starts_with(kScheme)) return std::unexpected(wrong);
  std::string rest = url.substr(kScheme.size());
  if (rest.ends_with('/')) rest.pop_back();
  const Result<HostPort> address = ParseHostPort(rest);
  if (!address || address->port == 0) return std::unexpected(wrong);
  HttpClient out;
  out.host_ = address->host;
  out.port_ = address->port;
  return out;
}

HttpClient HttpClient::Unix(const std::filesystem::path& socket) {
  HttpClient out;
  out.host_ = socket.string();
  return out;
}

namespace {

struct Call {
  std::string host;
  int port = 0;
  Duration patience;
  std::string token;
};

template <class Ask>
Result<HttpReply> Perform(const Call& call, Ask ask) try {
  const bool unix_socket = call.port == 0;
  const std::optional<SocketPath> path =
      unix_socket ? std::optional<SocketPath>(std::in_place, call.host) : std::nullopt;
  httplib::Client client(unix_socket ? path->text() : call.host, unix_socket ? 80 : call.port);
  if (unix_socket) client.set_address_family(AF_UNIX);
  client.set_connection_timeout(std::chrono::seconds(10));
  client.set_read_timeout(call.patience);
  client.set_write_timeout(std::chrono::seconds(10));
  client.set_keep_alive(false);
  httplib::Headers headers;
  if (unix_socket) headers.emplace("Host", "localhost");
  if (!call.token.empty()) headers.emplace("Authorization", "Bearer " + call.token);
  const auto asked = std::chrono::steady_clock::now();
  httplib::Result result = ask(client, headers);
  const auto waited = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - asked);
  if (!result) {
    const std::string where = unix_socket ? call.host : fmt::format("http://{}:{}", call.host, call.port);
    return std::unexpected(Unreachable(where, unix_socket, result.error(), waited, call.patience));
  }
  return HttpReply{result->status, result->get_header_value("Content-Type"), std::move(result->body)};
} catch (const std::exception& error) {
  return Fail(Code::kIo, std::string("the request failed: ") + error.what());
}

}  // namespace

Result<HttpReply> HttpClient::Get(const std::string& path, const std::string& token) const {
  return Perform({host_, port_, patience_, token},
                 [&](httplib::Client& client, const httplib::Headers& headers) { return client.Get(path, headers); });
}

Result<HttpReply> HttpClient::Post(const std::string& path, const std::optional<Value>& body,
                                   const std::string& token) const {
  const std::string text = body ? CanonicalJson(*body) : "";
  return Perform({host_, port_, patience_, token}, [&](httplib::Client& client, const httplib::Headers& headers) {
    return client.Post(path, headers, text, "application/json");
  });
}

std::string UrlEncode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      out.push_back(c);
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace consilium
