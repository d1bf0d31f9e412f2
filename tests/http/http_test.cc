// A request reaches the handler as it was sent, its reply comes back, and whatever else arrives gets an error that says
// so.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "common/http/client.h"
#include "common/http/server.h"
#include "common/turn/reply.h"
#include "tests/storage/directory.h"

namespace consilium {
namespace {

// Answers with what it was asked.
void Echo(RequestReceived request, const std::function<void(Reply)>& done) {
  Value query;
  for (const auto& [key, value] : request.query) query.Set(key, value);
  Value body;
  body.Set("method", request.method).Set("path", request.path).Set("query", query).Set("token", request.token);
  body.Set("local", request.local).Set("body", request.body);
  done(JsonReply(request.id, body));
}

std::unique_ptr<HttpServer> Serve(HttpOptions options) {
  auto server = HttpServer::Start(std::move(options));
  EXPECT_TRUE(server.has_value()) << (server ? "" : server.error().what);
  return server ? std::move(*server) : nullptr;
}
HttpClient ClientOf(const HttpServer& server) {
  return HttpClient::Tcp("http://127.0.0.1:" + std::to_string(server.port())).value();
}

// Raw bytes to the port and all that comes back.
std::string Raw(int port, std::string_view text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  std::string out;
  while (!text.empty()) {
    const ssize_t n = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) break;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<std::size_t>(n));
  close(fd);
  return out;
}

TEST(HttpTest, CarriesARequestAndItsReply) {
  auto server = Serve({.listen = "127.0.0.1:0", .handler = Echo});
  const HttpClient client = ClientOf(*server);
  const Value got = JsonOf(client.Get("/v1/audit?first=1&study=" + UrlEncode("a b/é&"), "secret").value()).value();
  EXPECT_EQ(got["method"].AsString(), "GET");
  EXPECT_EQ(got["path"].AsString(), "/v1/audit");
  EXPECT_EQ(got["query"], Value().Set("first", "1").Set("study", "a b/é&"));
  EXPECT_EQ(got["token"].AsString(), "secret");
  EXPECT_FALSE(got["local"].AsBool(true));
  EXPECT_TRUE(got["body"].IsNull());
  const Value body = Value().Set("name", "hospital-a").Set("n", 3);
  const Value posted = JsonOf(client.Post("/v1/invitations", body).value()).value();
  EXPECT_EQ(posted["method"].AsString(), "POST");
  EXPECT_EQ(posted["body"], body);
  EXPECT_EQ(posted["token"].AsString(), "");
  EXPECT_TRUE(JsonOf(client.Post("/v1/studies/x/abort", std::nullopt).value()).value()["body"].IsNull());
}

TEST(HttpTest, APostWithoutABodyAndATokenInAnyCaseAreUnderstood) {
  HttpOptions options;
  options.listen = "127.0.0.1:0";
  options.handler = Echo;
  const auto server = Serve(std::move(options));
  ASSERT_NE(server, nullptr);
  const std::string reply =
      Raw(server->port(), "POST /v1/studies/a/abort HTTP/1.1\r\nHost: a\r\nAuthorization: bearer abc\r\n\r\n");
  EXPECT_NE(reply.find("200 OK"), std::string::npos) << reply;
  EXPECT_NE(reply.find("\"token\":\"abc\""), std::string::npos) << reply;
}

TEST(HttpTest, IdleConnectionsDoNotStarveOthers) {
  HttpOptions options;
  options.listen = "127.0.0.1:0";
  options.handler = Echo;
  const auto server = Serve(std::move(options));
  ASSERT_NE(server, nullptr);
  std::vector<int> idle;
  for (int i = 0; i < 100; ++i) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(server->port()));
    idle.push_back(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(connect(idle.back(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  HttpClient client = ClientOf(*server);
  client.SetPatience(std::chrono::seconds(20));  // Not what is measured: all of them held for good would be for ever.
  EXPECT_TRUE(client.Get("/v1/status").has_value());
  for (const int fd : idle) close(fd);
}

TEST(HttpTest, RepliesMayComeFromAnotherThreadAndBeBinary) {
  std::vector<std::thread> threads;
  Bytes model(3'000'000);
  for (std::size_t i = 0; i < model.size(); ++i) model[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  auto server =
      Serve({.listen = "127.0.0.1:0", .handler = [&](const RequestReceived&, std::function<void(Reply)> done) {
               threads.emplace_back([done, model] { done({0, 200, "application/octet-stream", model}); });
             }});
  const HttpReply reply = ClientOf(*server).Get("/v1/studies/x/model").value();
  EXPECT_EQ(reply.content_type, "application/octet-stream");
  EXPECT_TRUE(std::ranges::equal(View(BodyOf(reply).value()), model));
  for (std::thread& thread : threads) thread.join();
}

TEST(HttpTest, AnErrorComesBackAsTheSameError) {
  auto server =
      Serve({.listen = "127.0.0.1:0", .handler = [](const RequestReceived&, const std::function<void(Reply)>& done) {
               done(ErrorReply(0, {Code::kConflict, "the name is taken; choose another"}));
             }});
  const HttpReply reply = ClientOf(*server).Get("/v1/x").value();
  EXPECT_EQ(reply.status, 409);
  EXPECT_EQ(JsonOf(reply).error().code, Code::kConflict);
  EXPECT_EQ(BodyOf(reply).error().what, "the name is taken; choose another");
}

TEST(HttpTest, RefusesWhatIsNoGoodRequest) {
  int handled = 0;
  auto server =
      Serve({.listen = "127.0.0.1:0", .handler = [&](RequestReceived request, const std::function<void(Reply)>& done) {
               ++handled;
               Echo(std::move(request), done);
             }});
  const int port = server->port();
  const std::string post = "POST /v1/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  EXPECT_TRUE(Raw(port, post + "Content-Length: 9\r\n\r\n{\"a\": 1,}").starts_with("HTTP/1.1 400"));
  EXPECT_NE(Raw(port, post + "Content-Length: 9\r\n\r\n{\"a\": 1,}").find("\"invalid\""), std::string::npos);
  EXPECT_TRUE(Raw(port, "GET /v1/x?a=1&a=2 HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(Raw(port, "DELETE /v1/x HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 405"));
  EXPECT_TRUE(
      Raw(port, "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 414"));
  Raw(port, std::string(5000, '\xff') + "\r\n\r\n");
  Raw(port, "GET / HTTP/9.9\r\n\r\n");
  EXPECT_EQ(handled, 0);
  EXPECT_TRUE(
      Raw(port, "GET /" + std::string(8000, 'a') + " HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 200"));
  EXPECT_EQ(ClientOf(*server).Get("/v1/status").value().status, 200);
}

TEST(HttpTest, ABodyOverOneMebibyteIsRefusedHoweverItIsSent) {
  int handled = 0;
  auto server =
      Serve({.listen = "127.0.0.1:0", .handler = [&](RequestReceived request, const std::function<void(Reply)>& done) {
               ++handled;
               Echo(std::move(request), done);
             }});
  const std::string text = "\"" + std::string(1 << 20, 'x') + "\"";
  const HttpReply reply = ClientOf(*server).Post("/v1/studies", Value(std::string(1 << 20, 'x'))).value();
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(BodyOf(reply).error().code, Code::kInvalid);
  std::string chunked = "POST /v1/studies HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0; at < text.size(); at += 0x8000) {
    const std::string part = text.substr(at, 0x8000);
    char head[16];
    std::snprintf(head, sizeof head, "%zx\r\n", part.size());
    chunked += head + part + "\r\n";
  }
  EXPECT_TRUE(Raw(server->port(), chunked + "0\r\n\r\n").starts_with("HTTP/1.1 413"));
  EXPECT_EQ(handled, 0);
  const std::string almost((1 << 20) - 2, 'x');
  EXPECT_EQ(JsonOf(ClientOf(*server).Post("/v1/studies", Value(almost)).value()).value()["body"].AsString(), almost);
}

TEST(HttpTest, ALateReplyIs502AndHarmless) {
  std::function<void(Reply)> kept;
  std::promise<void> asked;
  auto server =
      Serve({.listen = "127.0.0.1:0",
             .handler = [&](const RequestReceived&, std::function<void(Reply)> done) { kept = std::move(done); },
             .patience = std::chrono::milliseconds(20)});
  EXPECT_EQ(ClientOf(*server).Get("/v1/status").value().status, 502);
  server.reset();
  kept(JsonReply(0, Value()));
}

TEST(HttpTest, StoppingAnswersWhoWaits) {
  std::promise<void> asked;
  auto server =
      Serve({.listen = "127.0.0.1:0",
             .handler = [&](const RequestReceived&, const std::function<void(Reply)>&) { asked.set_value(); }});
  const HttpClient client = ClientOf(*server);
  auto reply = std::async(std::launch::async, [&] { return client.Get("/v1/status"); });
  asked.get_future().wait();
  server->Stop();
  EXPECT_EQ(reply.get().value().status, 502);
  EXPECT_EQ(client.Get("/v1/status").error().code, Code::kUnreachable);
}

TEST(HttpTest, ASilentClientDoesNotHoldUpTheEnd) {
  auto server = Serve({.listen = "127.0.0.1:0", .handler = Echo});
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(server->port()));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(send(fd, "POST /v1/x HTTP/1.1\r\n", 21, MSG_NOSIGNAL), 21);
  EXPECT_EQ(ClientOf(*server).Get("/v1/status").value().status, 200);
  server.reset();
  // What it says now goes nowhere.
  send(fd, "\r\n", 2, MSG_NOSIGNAL);
  close(fd);
}

TEST(HttpTest, ListensOnLoopbackOnly) {
  for (const char* listen : {"0.0.0.0:0", "10.0.0.1:7880", "[::]:0", "example.org:80"}) {
    const auto server = HttpServer::Start({.listen = listen, .handler = Echo});
    ASSERT_FALSE(server.has_value()) << listen;
    EXPECT_EQ(server.error().code, Code::kRefused);
    EXPECT_NE(server.error().what.find("loopback only"), std::string::npos);
  }
  EXPECT_EQ(HttpServer::Start({.listen = "7880", .handler = Echo}).error().code, Code::kInvalid);
  EXPECT_EQ(HttpServer::Start({.listen = "127.0.0.1:70000", .handler = Echo}).error().code, Code::kInvalid);
}

TEST(HttpTest, APortHasOneServer) {
  auto server = Serve({.listen = "127.0.0.1:0", .handler = Echo});
  const auto second = HttpServer::Start({.listen = "127.0.0.1:" + std::to_string(server->port()), .handler = Echo});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kConflict) << second.error().what;
}

TEST(HttpTest, UnreachableSaysWhatToType) {
  EXPECT_EQ(HttpClient::Tcp("127.0.0.1:7880").error().code, Code::kInvalid);
  EXPECT_EQ(HttpClient::Tcp("http://127.0.0.1").error().code, Code::kInvalid);
  auto server = Serve({.listen = "127.0.0.1:0", .handler = Echo});
  const HttpClient client = ClientOf(*server);
  server.reset();
  const auto reply = client.Get("/v1/status");
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().code, Code::kUnreachable);
  EXPECT_NE(reply.error().what.find("consilium-coordinator run"), std::string::npos);
}

TEST(ControlSocketTest, IsPrivateLocalAndRemovedAtTheEnd) {
  const TestDirectory directory;
  const auto path = directory.path() / "control.sock";
  auto server = Serve({.listen = path.string(), .handler = Echo, .local = true});
  EXPECT_EQ(server->port(), 0);
  struct stat info{};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const Value got =
      JsonOf(HttpClient::Unix(path).Post("/v1/plans/x/approve", Value().Set("officer", "o")).value()).value();
  EXPECT_TRUE(got["local"].AsBool());
  EXPECT_EQ(got["body"]["officer"].AsString(), "o");
  server.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(HttpClient::Unix(path).Get("/v1/status").error().code, Code::kUnreachable);
}

TEST(ControlSocketTest, AStaleSocketIsReplacedALiveOneIsNot) {
  const TestDirectory directory;
  const auto path = directory.path() / "control.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.string().size());
  const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(dead);
  ASSERT_TRUE(std::filesystem::exists(path));
  auto server = Serve({.listen = path.string(), .handler = Echo, .local = true});
  EXPECT_EQ(HttpClient::Unix(path).Get("/v1/status").value().status, 200);
  const auto second = HttpServer::Start({.listen = path.string(), .handler = Echo, .local = true});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_EQ(HttpClient::Unix(path).Get("/v1/status").value().status, 200);
}

TEST(ControlSocketTest, AFileThatIsNoSocketIsLeftAlone) {
  const TestDirectory directory;
  const auto path = directory.path() / "control.sock";
  std::filesystem::create_directory(path);
  EXPECT_EQ(HttpServer::Start({.listen = path.string(), .handler = Echo}).error().code, Code::kConflict);
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(ControlSocketTest, ALongDirectoryNameWorksToo) {
  const TestDirectory directory;
  const auto deep = directory.path() / std::string(90, 'a') / std::string(90, 'b');
  std::filesystem::create_directories(deep);
  auto server = Serve({.listen = (deep / "control.sock").string(), .handler = Echo, .local = true});
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(HttpClient::Unix(deep / "control.sock").Get("/v1/status").value().status, 200);
  server.reset();
  EXPECT_FALSE(std::filesystem::exists(deep / "control.sock"));
}

}  // namespace
}  // namespace consilium
