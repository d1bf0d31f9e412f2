#include "common/http/server.h"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <condition_variable>
#include <future>
#include <shared_mutex>
#include <thread>

#include "common/http/address.h"
#include "common/turn/reply.h"

namespace consilium {
namespace {

constexpr std::size_t kMaxBody = 1 << 20;
constexpr std::size_t kThreads = 64;  // An idle connection holds one until kIdle has passed.
constexpr auto kIdle = std::chrono::seconds(1);
constexpr auto kMinute = std::chrono::seconds(60);
constexpr Duration kPatienceOfStop = std::chrono::seconds(1);

// One waits for its reply here; shared with the callback, which may come after the server is gone.
struct Pending {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Reply> reply;
  bool closed = false;

  void Deliver(Reply made) {
    const std::lock_guard lock(mutex);
    if (!reply) reply = std::move(made);
    changed.notify_all();
  }
  void Close() {
    const std::lock_guard lock(mutex);
    closed = true;
    changed.notify_all();
  }
  Reply Wait(Duration patience) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, patience, [this] { return reply.has_value() || closed; });
    if (reply) return std::move(*reply);
    if (closed)
      return ErrorReply(0, {Code::kUnreachable, "the daemon is stopping; start it again and repeat the command"});
    return ErrorReply(0, {Code::kUnreachable,
                          "the daemon did not answer in time; it may be busy: look at its log, then "
                          "repeat the command"});
  }
};

void Fill(const Reply& reply, httplib::Response* out) {
  out->status = reply.status;
  out->set_content(reinterpret_cast<const char*>(reply.body.data()), reply.body.size(), reply.content_type);
  out->set_header("Cache-Control", "no-store");
  out->set_header("X-Content-Type-Options", "nosniff");
}

void WriteError(const Error& error, httplib::Response* out, int status = 0) {
  Reply reply = ErrorReply(0, error);
  if (status != 0) reply.status = status;
  Fill(reply, out);
}

Result<RequestReceived> Understand(const httplib::Request& request, std::string_view body, bool local) {
  RequestReceived out;
  out.method = request.method;
  out.path = request.path;
  out.local = local;
  for (const auto& [key, value] : request.params) {
    if (!out.query.emplace(key, value).second)
      return Fail(Code::kInvalid, "'" + key + "' is given twice; give it once");
  }
  constexpr std::string_view kBearer = "bearer ";  // RFC 7235: in any case.
  const std::string authorization = request.get_header_value("Authorization");
  const bool bearer = authorization.size() > kBearer.size() &&
                      std::equal(kBearer.begin(), kBearer.end(), authorization.begin(),
                                 [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
  if (bearer) out.token = authorization.substr(kBearer.size());
  if (body.empty()) return out;
  auto value = ParseJson(body);
  if (!value) return Fail(Code::kInvalid, "the body is no JSON: " + value.error().what);
  out.body = std::move(*value);
  return out;
}

// What httplib itself refuses (no handler, a broken request) gets our form of an error too.
void DescribeRefusal(const httplib::Request& request, httplib::Response* out) {
  if (!out->body.empty()) return;
  const int status = out->status;
  switch (status) {
    case 404:
      return WriteError({Code::kInvalid, request.method + " is not served; use GET or POST"}, out, 405);
    case 413:
      return WriteError({Code::kInvalid, "the body is larger than 1 MiB"}, out, status);
    case 414:
      return WriteError({Code::kInvalid, "the path is too long"}, out, status);
    default:
      return WriteError({status >= 500 ? Code::kIo : Code::kInvalid, "the request was not understood"}, out, status);
  }
}

bool Answers(const SocketPath& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.text().size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.text().data(), path.text().size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool answers = fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (fd >= 0) close(fd);
  return answers;
}

// Leaves nothing at `path`, unless a server or something else than a socket is there.
Status ClearStale(const std::string& path, const SocketPath& usable) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return Fail(Code::kIo, fmt::format("cannot look at {}: {}", path, std::strerror(errno)));
  }
  if (!S_ISSOCK(info.st_mode)) return Fail(Code::kConflict, path + " exists and is no socket; move it away");
  if (Answers(usable)) return Fail(Code::kConflict, path + " is served by another process; stop that one first");
  if (unlink(path.c_str()) != 0)
    return Fail(Code::kIo, fmt::format("cannot remove {}: {}", path, std::strerror(errno)));
  return {};
}

}  // namespace

struct HttpServer::Impl {
  HttpOptions options;
  httplib::Server server;
  std::thread thread;
  std::promise<void> finished;
  std::future<void> end = finished.get_future();
  int port = 0;
  std::string socket;      // Path of the unix socket, if any.
  std::shared_mutex gate;  // Shared while the handler is called: it never is after Stop.
  bool stopping = false;   // Changed under both.
  std::mutex mutex;
  std::set<std::shared_ptr<Pending>> waiting;

  void Serve(const httplib::Request& request, std::string_view body, httplib::Response* out) {
    auto understood = Understand(request, body, options.local);
    if (!understood) return WriteError(understood.error(), out);
    auto pending = std::make_shared<Pending>();
    {
      const std::lock_guard lock(mutex);
      if (stopping) pending->closed = true;
      waiting.insert(pending);
    }
    Hand(std::move(*understood), pending);
    Fill(pending->Wait(options.patience), out);
    const std::lock_guard lock(mutex);
    waiting.erase(pending);
  }

  void Hand(RequestReceived request, const std::shared_ptr<Pending>& pending) {
    const std::shared_lock open(gate);
    if (stopping) return;
    options.handler(std::move(request), [pending](Reply reply) { pending->Deliver(std::move(reply)); });
  }

  void ServePost(const httplib::Request& request, const httplib::ContentReader& reader, httplib::Response* out) {
    // Read here and not by httplib, whose own limit does not hold for chunked or compressed bodies.
    std::string body;
    bool fits = true;
    // RFC 9112, 6.3: without either header there is no body, as with curl -X POST.
    const bool none = !request.has_header("Content-Length") && !request.has_header("Transfer-Encoding");
    const bool read = none || reader([&](const char* data, std::size_t size) {
                        fits = body.size() + size <= kMaxBody;
                        if (fits) body.append(data, size);
                        return fits;
                      });
    if (!fits || out->status == 413) return WriteError({Code::kInvalid, "the body is larger than 1 MiB"}, out, 413);
    if (!read) return WriteError({Code::kInvalid, "the body did not arrive whole"}, out);
    Serve(request, body, out);
  }

  void Configure() {
    server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    // httplib's default is SO_REUSEPORT, with which a second daemon would share the port unnoticed.
    server.set_socket_options([](int fd) {
      const int yes = 1;
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server.set_keep_alive_max_count(1);  // An idle connection would hold one of the threads.
    server.set_read_timeout(kIdle);
    server.set_write_timeout(kMinute);
    server.set_payload_max_length(kMaxBody);
    const std::string any = R"(/.*)";
    server.Get(any, [this](const httplib::Request& in, httplib::Response& out) { Serve(in, "", &out); });
    server.Post(any, [this](const httplib::Request& in, httplib::Response& out, const httplib::ContentReader& reader) {
      ServePost(in, reader, &out);
    });
    server.set_error_handler([](const httplib::Request& in, httplib::Response& out) { DescribeRefusal(in, &out); });
    server.set_exception_handler([](const httplib::Request&, httplib::Response& out, const std::exception_ptr&) {
      WriteError({Code::kIo, "the request failed inside the daemon; look at its log"}, &out);
    });
  }

  Status BindTcp() {
    const HostPort address = TRY(ParseHostPort(options.listen));
    if (!IsLoopback(address.host)) {
      return Fail(Code::kRefused, fmt::format("{} is no loopback address: HTTP listens on loopback only unless a "
                                              "certificate and key are configured; write 127.0.0.1:{}, and reach it "
                                              "from elsewhere through ssh -L",
                                              options.listen, address.port));
    }
    errno = 0;
    port = address.port;
    const bool bound =
        port == 0 ? (port = server.bind_to_any_port(address.host)) > 0 : server.bind_to_port(address.host, port);
    if (bound) return {};
    return Fail(errno == EADDRINUSE ? Code::kConflict : Code::kIo,
                fmt::format("cannot listen on {}: {}; choose another port or stop the program that has it",
                            options.listen, std::strerror(errno)));
  }

  Status BindUnix() {
    const SocketPath usable(options.listen);
    TRY(ClearStale(options.listen, usable));
    errno = 0;
    server.set_address_family(AF_UNIX);
    if (!server.bind_to_port(usable.text(), 80) || chmod(options.listen.c_str(), 0600) != 0) {
      return Fail(Code::kIo, fmt::format("cannot listen on {}: {}", options.listen, std::strerror(errno)));
    }
    socket = options.listen;
    return {};
  }

  static void Launch(const std::shared_ptr<Impl>& self) {
    self->thread = std::thread([self] {
      self->server.listen_after_bind();
      self->finished.set_value();
    });
    while (!self->server.is_running() && !self->Ended(Duration::zero()))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  [[nodiscard]] bool Ended(Duration patience) const { return end.wait_for(patience) == std::future_status::ready; }

  void Stop() {
    {
      const std::unique_lock closed(gate);
      const std::lock_guard lock(mutex);
      stopping = true;
      for (const auto& pending : waiting) pending->Close();
    }
    if (!thread.joinable()) return;
    server.stop();
    if (!socket.empty()) unlink(socket.c_str());
    // A client that neither reads nor writes holds its thread until a timeout; the process need not wait for that.
    if (Ended(kPatienceOfStop)) {
      thread.join();
    } else {
      thread.detach();
    }
  }
};

HttpServer::HttpServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { Stop(); }
int HttpServer::port() const { return impl_->port; }
void HttpServer::Stop() { impl_->Stop(); }

Result<std::unique_ptr<HttpServer>> HttpServer::Start(HttpOptions options) try {
  auto impl = std::make_shared<Impl>();
  impl->options = std::move(options);
  impl->Configure();
  TRY(impl->options.listen.find('/') != std::string::npos ? impl->BindUnix() : impl->BindTcp());
  Impl::Launch(impl);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
} catch (const std::exception& error) {
  return Fail(Code::kIo, std::string("cannot start the HTTP server: ") + error.what());
}

}  // namespace consilium
