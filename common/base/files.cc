#include "common/base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace consilium {

std::string MendOf(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "; the disk is full: free some space there, then type the same command again";
    case EROFS:
      return "; that file system is read-only: mount it for writing, then type the same command again";
    case EACCES:
    case EPERM:
      return "; only its owner can: run this as that user, or give it to yours with chown -R USER DIRECTORY";
    default:
      return "";
  }
}

namespace {

Error IoError(std::string_view doing, const std::filesystem::path& path) {
  const int code = errno;
  return {code == ENOENT ? Code::kNotFound : Code::kIo,
          fmt::format("cannot {} {}: {}{}", doing, path.string(), std::strerror(code), MendOf(code))};
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Status SyncDirectory(const std::filesystem::path& directory) {
  const Descriptor dir{open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (dir.fd < 0 || fsync(dir.fd) != 0) return std::unexpected(IoError("sync", directory));
  return {};
}

}  // namespace

Result<Bytes> ReadFile(const std::filesystem::path& path, std::size_t limit) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info{};
  if (file.fd < 0 || fstat(file.fd, &info) != 0) return std::unexpected(IoError("read", path));
  if (!S_ISREG(info.st_mode)) return Fail(Code::kInvalid, path.string() + " is not a regular file");
  if (static_cast<std::uint64_t>(info.st_size) > limit) {
    return Fail(Code::kInvalid,
                fmt::format("{} has {} bytes; at most {} are read", path.string(), info.st_size, limit));
  }
  Bytes out(static_cast<std::size_t>(info.st_size));
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = read(file.fd, out.data() + done, out.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(IoError("read", path));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  out.resize(done);
  return out;
}

Status WriteFileAtomic(const std::filesystem::path& path, ByteView bytes, unsigned mode) {
  const std::filesystem::path beside = path.string() + fmt::format(".new.{}", getpid());
  const Descriptor file{open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)};
  if (file.fd < 0 || fchmod(file.fd, mode) != 0) return std::unexpected(IoError("write", beside));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = write(file.fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      Error error = IoError("write", beside);
      unlink(beside.c_str());
      return std::unexpected(std::move(error));
    }
    done += static_cast<std::size_t>(n);
  }
  if (fsync(file.fd) != 0 || rename(beside.c_str(), path.c_str()) != 0) {
    Error error = IoError("write", path);
    unlink(beside.c_str());
    return std::unexpected(std::move(error));
  }
  return SyncDirectory(path.has_parent_path() ? path.parent_path() : ".");
}

Status EnsurePrivateDirectory(const std::filesystem::path& path) {
  std::error_code ignored;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return std::unexpected(IoError("make", path));
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return std::unexpected(IoError("look at", path));
  if (!S_ISDIR(info.st_mode)) return Fail(Code::kInvalid, path.string() + " is not a directory");
  if ((info.st_mode & 077) != 0) {
    return Fail(Code::kRefused, fmt::format("{0} can be entered by others (mode {1:o}); type: chmod 700 {0}",
                                            path.string(), info.st_mode & 0777));
  }
  return {};
}

Status RequirePrivateFile(const std::filesystem::path& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return std::unexpected(IoError("look at", path));
  if ((info.st_mode & 077) != 0) {
    return Fail(Code::kRefused, fmt::format("{0} can be read by others (mode {1:o}); type: chmod 600 {0}",
                                            path.string(), info.st_mode & 0777));
  }
  return {};
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  constexpr rlim_t kEnough = 65536;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kEnough));
  setrlimit(RLIMIT_NOFILE, &limit);
}

Result<DirectoryLock> DirectoryLock::Take(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return std::unexpected(IoError("lock", path));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char pid[16] = {};
    const ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    close(fd);
    return Fail(Code::kConflict, fmt::format("{} is in use by process {}; stop that one first", directory.string(),
                                             n > 0 ? std::string(pid) : std::string("?")));
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    Error error = IoError("lock", path);
    close(fd);
    return std::unexpected(std::move(error));
  }
  return DirectoryLock(fd);
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace consilium
