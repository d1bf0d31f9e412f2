#include "tests/e2e/proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <list>
#include <vector>

#include "common/base/check.h"

namespace consilium::e2e {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;
constexpr int kTick = 10;  // ms; how soon an order is obeyed.

sockaddr_in Local(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}
int NewSocket(int flags = 0) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  CHECK(fd >= 0);
  return fd;
}

// One way of one connection. What does not fit into the other side's kernel buffer waits here, and nothing more is
// read.
struct Way {
  int from = -1, to = -1;
  std::vector<std::uint8_t> waiting;

  // How many bytes came, at most `most`; below 0 when the connection is over.
  ssize_t Read(std::size_t most) {
    waiting.resize(std::min(most, kBuffer));
    const ssize_t n = recv(from, waiting.data(), waiting.size(), MSG_DONTWAIT);
    waiting.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return n > 0 ? n : (n < 0 && (errno == EAGAIN || errno == EINTR)) ? 0 : -1;
  }
  bool Write() {
    const ssize_t n = send(to, waiting.data(), waiting.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    waiting.erase(waiting.begin(), waiting.begin() + n);
    return true;
  }
};
struct Line {
  Way up, down;
  bool ending = false;  // The coordinator is told, and reads what had come before; nothing else goes over.
  void Close() const {
    if (!ending) close(up.from);
    close(up.to);
  }
  // A plain close would end the other side at once when something from there has not been read.
  void End() {
    close(up.from);
    shutdown(up.to, SHUT_WR);
    ending = true;
  }
};

}  // namespace

Proxy::Proxy(int target_port) : target_port_(target_port), listener_(NewSocket(SOCK_NONBLOCK)) {
  sockaddr_in address = Local(0);
  socklen_t size = sizeof address;
  CHECK(bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) == 0 && listen(listener_, 16) == 0);
  CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

Proxy::~Proxy() {
  ending_ = true;
  thread_.join();
  close(listener_);
}

void Proxy::Serve() {
  std::list<Line> lines;
  while (!ending_) {
    std::vector<pollfd> wanted = {{listener_, POLLIN, 0}};
    const auto want = [&](const Way& way, bool readable) {
      if (!way.waiting.empty()) {
        wanted.push_back({way.to, POLLOUT, 0});
      } else if (readable) {
        wanted.push_back({way.from, POLLIN, 0});
      }
    };
    for (const Line& line : lines) {
      if (line.ending) {
        wanted.push_back({line.up.to, POLLIN, 0});
        continue;
      }
      want(line.up, !holding());
      want(line.down, true);
    }
    poll(wanted.data(), wanted.size(), kTick);

    if (const int from = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC); from >= 0) {
      const int to = NewSocket();
      const sockaddr_in target = Local(target_port_);
      if (connect(to, reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0) {
        lines.push_back({{from, to, {}}, {to, from, {}}});
      } else {
        close(to);
        close(from);
      }
    }
    std::erase_if(lines, [&](Line& line) {
      bool over = false;
      if (line.ending) {
        over = line.down.Read(kBuffer) < 0;
        if (over) line.Close();
        return over;
      }
      if (line.up.waiting.empty() && !holding()) {
        const ssize_t n = line.up.Read(std::min(cut_at_.load(), hold_at_.load()) - up_);
        over = n < 0;
        if (n > 0) up_ += static_cast<std::uint64_t>(n);
      }
      if (line.down.waiting.empty()) {
        const ssize_t n = line.down.Read(kBuffer);
        over = n < 0 || over;
        if (n > 0) down_ += static_cast<std::uint64_t>(n);
      }
      if (!line.up.waiting.empty()) over = !line.up.Write() || over;
      if (!line.down.waiting.empty()) over = !line.down.Write() || over;
      if (up_ >= cut_at_ && line.up.waiting.empty()) {
        cut_at_ = kNever;
        ++cuts_;
        line.End();
        return false;
      }
      if (over) line.Close();
      return over;
    });
  }
  for (Line& line : lines) line.Close();
}

}  // namespace consilium::e2e
