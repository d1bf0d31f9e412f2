// Where an HTTP server listens or a client connects.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/error.h"

namespace consilium {

struct HostPort {
  std::string host;  // Without brackets.
  int port = 0;
};
// "127.0.0.1:7880", "[::1]:7880", "localhost:0".
Result<HostPort> ParseHostPort(const std::string& text);
bool IsLoopback(const std::string& host);  // Literal 127.0.0.0/8, ::1 or localhost.

// A unix socket's path in a form that fits sockaddr_un (107 bytes), which real directories often do not: a longer one
// goes through a descriptor of its directory. Valid while the object lives.
class SocketPath {
 public:
  explicit SocketPath(const std::filesystem::path& path);
  SocketPath(const SocketPath&) = delete;
  SocketPath& operator=(const SocketPath&) = delete;
  ~SocketPath();
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
  int directory_ = -1;
};

}  // namespace consilium
