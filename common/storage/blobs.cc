#include "common/storage/blobs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "common/base/files.h"
#include "common/base/log.h"

namespace consilium {
namespace {

constexpr std::string_view kPart = ".part";

Error IoError(std::string_view doing, const std::filesystem::path& path) {
  const int code = errno;
  return {code == ENOENT ? Code::kNotFound : Code::kIo,
          fmt::format("cannot {} {}: {}{}", doing, path.string(), std::strerror(code), MendOf(code))};
}

// Descriptors kept back for blobs, because connections of strangers may have used up all others.
class Reserve {
 public:
  int Open(const std::filesystem::path& path, int flags, mode_t mode = 0) {
    const std::lock_guard lock(mutex_);
    while (kept_.size() < kKept) {
      const int spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
      if (spare < 0) break;
      kept_.push_back(spare);
    }
    int fd = open(path.c_str(), flags, mode);
    if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || kept_.empty()) return fd;
    close(kept_.back());
    kept_.pop_back();
    return open(path.c_str(), flags, mode);
  }

 private:
  static constexpr std::size_t kKept = 32;
  std::mutex mutex_;
  std::vector<int> kept_;
};

int OpenFile(const std::filesystem::path& path, int flags, mode_t mode = 0) {
  static Reserve reserve;
  return reserve.Open(path, flags, mode);
}

struct Descriptor {
  int fd;
  explicit Descriptor(int opened) : fd(opened) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Status WriteAt(int fd, std::uint64_t offset, ByteView bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::unexpected(IoError("write", path));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

}  // namespace

struct FileBlobs::Partial {
  std::filesystem::path path;
  std::uint64_t total = 0;
  Descriptor file{-1};
};

FileBlobs::FileBlobs(std::filesystem::path directory) : directory_(std::move(directory)) {}
FileBlobs::~FileBlobs() = default;

Result<std::unique_ptr<FileBlobs>> FileBlobs::Open(const std::filesystem::path& directory) {
  TRY(EnsurePrivateDirectory(directory));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    std::error_code ignored;
    if (entry.path().extension() == kPart) std::filesystem::remove(entry.path(), ignored);
  }
  if (error) return Fail(Code::kIo, fmt::format("cannot list {}: {}", directory.string(), error.message()));
  std::unique_ptr<FileBlobs> blobs(new FileBlobs(directory));
  blobs->RemoveTorn();
  return blobs;
}

void FileBlobs::RemoveTorn() const {
  const auto roots = List();
  Bytes leaf(kLeafBytes);
  for (std::size_t i = 0; roots && i < roots->size(); ++i) {
    const Digest& root = (*roots)[i];
    const auto size = Size(root);
    std::vector<Digest> leaves;
    bool read = size.has_value();
    for (std::uint64_t at = 0; read && at < *size; at += kLeafBytes) {
      const std::span<std::uint8_t> part = std::span(leaf).first(std::min<std::uint64_t>(kLeafBytes, *size - at));
      read = Read(root, at, part).has_value();
      leaves.push_back(MerkleLeaf(part));
    }
    if (read && MerkleRoot(leaves) == root) continue;
    Log(LogLevel::kWarning, "blob_torn", {{"blob", PathOf(root).string()}, {"removed", "it is fetched or made again"}});
    unlink(PathOf(root).c_str());
  }
}

std::filesystem::path FileBlobs::PathOf(const Digest& root) const { return directory_ / root.Hex(); }

Status FileBlobs::SyncDirectory() const {
  const Descriptor dir(OpenFile(directory_, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.fd < 0 || fsync(dir.fd) != 0) return std::unexpected(IoError("sync", directory_));
  return {};
}

bool FileBlobs::Has(const Digest& root) const { return access(PathOf(root).c_str(), F_OK) == 0; }

Result<std::uint64_t> FileBlobs::Size(const Digest& root) const {
  struct stat info{};
  const std::filesystem::path path = PathOf(root);
  if (stat(path.c_str(), &info) != 0) return std::unexpected(IoError("look at", path));
  return static_cast<std::uint64_t>(info.st_size);
}

Status FileBlobs::Read(const Digest& root, std::uint64_t offset, std::span<std::uint8_t> out) const {
  const std::filesystem::path path = PathOf(root);
  const Descriptor file(OpenFile(path, O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) return std::unexpected(IoError("read", path));
  while (!out.empty()) {
    const ssize_t n = pread(file.fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(IoError("read", path));
    if (n == 0) return Fail(Code::kCorrupt, fmt::format("{} ends before byte {}", path.string(), offset + out.size()));
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<Digest> FileBlobs::Put(ByteView blob) {
  static std::atomic<std::uint64_t> count = 0;
  const Digest root = BlobRoot(blob);
  if (Has(root)) return root;
  // A name of its own: two jobs may put the same blob at once.
  const std::filesystem::path part = directory_ / fmt::format("{}.{}{}", root.Hex(), ++count, kPart);
  const Descriptor file(OpenFile(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.fd < 0) return std::unexpected(IoError("write", part));
  Status done = WriteAt(file.fd, 0, blob, part);
  if (done && (fsync(file.fd) != 0 || rename(part.c_str(), PathOf(root).c_str()) != 0)) {
    done = std::unexpected(IoError("write", part));
  }
  if (!done) {
    unlink(part.c_str());
    return std::unexpected(std::move(done).error());
  }
  TRY(SyncDirectory());
  return root;
}

Result<std::shared_ptr<FileBlobs::Partial>> FileBlobs::PartialOf(const BlobWrite& write) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Partial>& partial = partials_[write.root];
  if (partial != nullptr) return partial;
  auto made = std::make_shared<Partial>();
  made->path = PathOf(write.root).string() + std::string(kPart);
  made->total = write.total;
  made->file.fd = OpenFile(made->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  // Reserves the space, so that a full disk is found at the first chunk and not at the last.
  const bool sized =
      made->file.fd >= 0 && (write.total == 0 || fallocate(made->file.fd, 0, 0, static_cast<off_t>(write.total)) == 0 ||
                             (errno == EOPNOTSUPP && ftruncate(made->file.fd, static_cast<off_t>(write.total)) == 0));
  if (!sized) {
    Error error = IoError("make room for", made->path);
    unlink(made->path.c_str());
    partials_.erase(write.root);
    return std::unexpected(std::move(error));
  }
  partial = std::move(made);
  return partial;
}

Status FileBlobs::Write(const BlobWrite& write) {
  if (write.bytes.size() > write.total || write.offset > write.total - write.bytes.size()) {
    return Fail(Code::kInvalid, fmt::format("bytes {} to {} lie outside a blob of {} bytes", write.offset,
                                            write.offset + write.bytes.size(), write.total));
  }
  if (Has(write.root)) return {};
  const std::shared_ptr<Partial> partial = TRY(PartialOf(write));
  if (partial->total != write.total) {
    return Fail(Code::kInvalid,
                fmt::format("blob {} has {} bytes, not {}", write.root.Hex(), partial->total, write.total));
  }
  TRY(WriteAt(partial->file.fd, write.offset, write.bytes, partial->path));
  // Starts the disk now, so that Seal waits for the last chunk only.
  sync_file_range(partial->file.fd, static_cast<off_t>(write.offset), static_cast<off_t>(write.bytes.size()),
                  SYNC_FILE_RANGE_WRITE);
  return {};
}

Status FileBlobs::Seal(const Digest& root) {
  std::shared_ptr<Partial> partial;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = partials_.find(root); found != partials_.end()) {
      partial = found->second;
      partials_.erase(found);
    }
  }
  if (partial == nullptr) {
    if (Has(root)) return {};
    return Fail(Code::kNotFound, fmt::format("blob {} was never written", root.Hex()));
  }
  struct stat info{};
  if (fstat(partial->file.fd, &info) != 0) return std::unexpected(IoError("look at", partial->path));
  if (static_cast<std::uint64_t>(info.st_size) != partial->total) {
    return Fail(Code::kCorrupt,
                fmt::format("{} has {} bytes instead of {}", partial->path.string(), info.st_size, partial->total));
  }
  if (fsync(partial->file.fd) != 0 || rename(partial->path.c_str(), PathOf(root).c_str()) != 0) {
    return std::unexpected(IoError("seal", partial->path));
  }
  return SyncDirectory();
}

Status FileBlobs::Drop(const Digest& root) {
  const std::filesystem::path path = PathOf(root);
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = partials_.find(root); found != partials_.end()) {
      unlink(found->second->path.c_str());
      partials_.erase(found);
    }
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return std::unexpected(IoError("remove", path));
  return {};
}

Result<std::vector<Digest>> FileBlobs::List() const {
  std::vector<Digest> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    if (auto root = Digest::FromHexText(entry.path().filename().string())) out.push_back(*root);
  }
  if (error) return Fail(Code::kIo, fmt::format("cannot list {}: {}", directory_.string(), error.message()));
  std::ranges::sort(out);
  return out;
}

}  // namespace consilium
