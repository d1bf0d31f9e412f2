#include "common/base/checkup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "common/base/files.h"
#include "common/base/time.h"

namespace consilium {
namespace {

constexpr std::int64_t kProgramMade = 1'764'000'000'000;  // No run of this program was before: November 2025.

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses Resolve(const std::string& host, int port, int* error) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const std::string bare = host.size() > 2 && host.front() == '[' ? host.substr(1, host.size() - 2) : host;
  *error = getaddrinfo(bare.c_str(), std::to_string(port).c_str(), &hints, &found);
  return {found, freeaddrinfo};
}

// 0, or errno.
int TryToConnect(const addrinfo& address) {
  constexpr int kPatienceMs = 5000;
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  int error = connect(fd, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd wait{fd, POLLOUT, 0};
    socklen_t size = sizeof error;
    if (poll(&wait, 1, kPatienceMs) != 1) {
      error = ETIMEDOUT;
    } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
      error = errno;
    }
  }
  close(fd);
  return error;
}

}  // namespace

Check CheckDisk(const std::filesystem::path& directory, std::uint64_t least_free_bytes) {
  struct statvfs info{};
  if (statvfs(directory.c_str(), &info) != 0)
    return {"disk", false, fmt::format("cannot look at {}: {}", directory.string(), std::strerror(errno))};
  const std::uint64_t free = std::uint64_t{info.f_bavail} * info.f_frsize;
  const std::string found = fmt::format("{} MiB free for {}", free >> 20, directory.string());
  if ((info.f_flag & ST_RDONLY) != 0) return {"disk", false, found + ", but mounted read-only; mount it writable"};
  if (free >= least_free_bytes) return {"disk", true, found};
  return {"disk", false,
          fmt::format("{}; {} MiB are the least: make room, or move the directory", found, least_free_bytes >> 20)};
}

Check CheckDirectory(const std::filesystem::path& directory) {
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error))
    return {"directory", false, directory.string() + " is not there; give the directory that was made for it"};
  if (const auto closed = EnsurePrivateDirectory(directory); !closed) return {"directory", false, closed.error().what};
  if (access(directory.c_str(), W_OK | X_OK) != 0) {
    return {"directory", false,
            fmt::format("{} cannot be written by this user; type: chown -R $(id -un) {}", directory.string(),
                        directory.string())};
  }
  return {"directory", true, directory.string() + " is closed to others and writable"};
}

Check CheckDescriptors(std::uint64_t least) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const std::string found = fmt::format("up to {} open files", limit.rlim_max);
  if (limit.rlim_max >= least) return {"descriptors", true, found};
  return {"descriptors", false,
          fmt::format("{}; {} are the least: LimitNOFILE= in the unit, or ulimit -Hn", found, least)};
}

Check CheckClock(std::int64_t not_before_ms) {
  const std::int64_t now = WallMilliseconds();
  if (now < kProgramMade)
    return {"clock", false, "the clock says a year before this program was made; set it (timedatectl set-ntp true)"};
  if (now < not_before_ms) {
    return {"clock", false,
            fmt::format("the clock is {} s behind what was written here before; set it (timedatectl set-ntp true)",
                        (not_before_ms - now) / 1000)};
  }
  return {"clock", true, "not behind anything that was written here"};
}

Check CheckName(const std::string& host) {
  int error = 0;
  const Addresses addresses = Resolve(host, 0, &error);
  if (error == 0) return {"name", true, host + " has an address"};
  return {"name", false,
          fmt::format("{} has no address ({}); mend the name in the configuration, /etc/hosts or the DNS server", host,
                      gai_strerror(error))};
}

Check CheckPortFree(const std::string& host, int port) {
  int error = 0;
  const Addresses addresses = Resolve(host == "*" ? "0.0.0.0" : host, port, &error);
  if (error != 0) return {"port", false, fmt::format("{} is no address of this machine; mend `listen`", host)};
  const int fd = socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const int why = fd >= 0 && bind(fd, addresses->ai_addr, addresses->ai_addrlen) == 0 ? 0 : errno;
  if (fd >= 0) close(fd);
  if (why == 0) return {"port", true, fmt::format("{}:{} can be listened on", host, port)};
  const std::string mend = why == EADDRINUSE ? "another process listens there: stop it, or choose another port"
                           : why == EACCES   ? "ports below 1024 are the administrator's: choose another one"
                                             : "is it an address of this machine?";
  return {"port", false, fmt::format("{}:{} cannot be listened on ({}); {}", host, port, std::strerror(why), mend)};
}

Check CheckPort(const std::string& host, int port) {
  int error = 0;
  const Addresses addresses = Resolve(host, port, &error);
  if (error != 0) return {"port", false, "not tried: the name has no address"};
  int last = 0;
  for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
    last = TryToConnect(*one);
    if (last == 0) return {"port", true, fmt::format("{}:{} accepts connections", host, port)};
  }
  const std::string mend = last == ECONNREFUSED
                               ? "nothing listens there: is the coordinator running, and the port right?"
                               : "a firewall or the way there: let outgoing TCP to this port through";
  return {"port", false, fmt::format("{}:{} cannot be reached ({}); {}", host, port, std::strerror(last), mend)};
}

}  // namespace consilium
