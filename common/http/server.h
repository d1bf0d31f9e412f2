// HTTP /v1 (docs/api.md) on a loopback port or a unix socket: requests in, replies out; knows nothing of what they
// mean.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/turn/turn.h"

namespace consilium {

struct HttpOptions {
  // "127.0.0.1:7880" (port 0 takes a free one), or the path of a unix socket, which has a '/' in it. A socket is made
  // 0600; a stale one is replaced, one that answers is kConflict.
  std::string listen;
  // Called on HTTP threads, never after Stop, and returns at once; the second argument must be called once, from any
  // thread (as Loop::Submit does).
  std::function<void(RequestReceived, std::function<void(Reply)>)> handler;
  bool local = false;                            // What RequestReceived.local says: true for control sockets.
  Duration patience = std::chrono::seconds(30);  // For a reply; then 502.
};

class HttpServer {
 public:
  // kRefused for an address that is not loopback, kConflict when it is taken.
  static Result<std::unique_ptr<HttpServer>> Start(HttpOptions options);
  ~HttpServer();  // Stop.

  [[nodiscard]] int port() const;  // 0 for a unix socket.
  void Stop();  // Waiting requests are answered 502; the unix socket's file is removed. At most about 1 s.

 private:
  struct Impl;
  explicit HttpServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // Shared with the serving thread.
};

}  // namespace consilium
