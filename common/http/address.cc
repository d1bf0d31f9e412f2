#include "common/http/address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>

namespace consilium {

Result<HostPort> ParseHostPort(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  HostPort out;
  bool good = colon != std::string::npos && colon > 0;
  if (good) {
    out.host = text.substr(0, colon);
    if (out.host.size() > 2 && out.host.front() == '[' && out.host.back() == ']') {
      out.host = out.host.substr(1, out.host.size() - 2);
    } else {
      good = out.host.find_first_of(":/@ ") == std::string::npos;
    }
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + colon + 1, end, out.port);
    good = good && error == std::errc() && at == end && out.port >= 0 && out.port <= 65535;
  }
  if (!good) return Fail(Code::kInvalid, "'" + text + "' is no address; write it as 127.0.0.1:7880");
  return out;
}

bool IsLoopback(const std::string& host) {
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return host == "localhost";
}

SocketPath::SocketPath(const std::filesystem::path& path) : text_(path.string()) {
  if (text_.size() < sizeof(sockaddr_un::sun_path)) return;
  directory_ = open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory_ >= 0) text_ = "/proc/self/fd/" + std::to_string(directory_) + "/" + path.filename().string();
}

SocketPath::~SocketPath() {
  if (directory_ >= 0) close(directory_);
}

}  // namespace consilium
