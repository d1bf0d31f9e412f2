// Streams; zlib's door.
#include "hospital_node/data/stream.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "common/base/check.h"

namespace consilium::node {
namespace {

constexpr std::size_t kPiece = std::size_t{64} * 1024;
constexpr int kGzipWindow = 15 + 16, kRawWindow = -15;  // As inflateInit2 wants them.

class PlainStream final : public ByteStream {
 public:
  PlainStream(SharedFile file, std::string name, std::uint64_t offset, std::uint64_t length)
      : ByteStream(std::move(name)), file_(std::move(file)), at_(offset), left_(length) {}
  Result<std::size_t> Read(std::span<std::uint8_t> out) override {
    out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left_)));
    TRY(file_->ReadAt(at_, out));
    at_ += out.size();
    left_ -= out.size();
    return out.size();
  }
  [[nodiscard]] std::uint64_t Most() const override { return left_; }

 private:
  SharedFile file_;
  std::uint64_t at_, left_;
};

class InflateStream final : public ByteStream {
 public:
  InflateStream(SharedFile file, std::string name, std::uint64_t offset, std::uint64_t length, int window)
      : ByteStream(name), source_(std::move(file), std::move(name), offset, length), begin_(offset), piece_(kPiece) {
    CHECK(inflateInit2(&state_, window) == Z_OK);
  }
  ~InflateStream() override { inflateEnd(&state_); }

  Result<std::size_t> Read(std::span<std::uint8_t> out) override {
    std::size_t filled = 0;
    while (filled < out.size() && !ended_) {
      constexpr std::size_t kMost = 1U << 30;  // avail_out is 32 bits wide.
      const std::size_t wanted = std::min(out.size() - filled, kMost);
      state_.next_out = out.data() + filled;
      state_.avail_out = static_cast<uInt>(wanted);
      const int status = inflate(&state_, Z_NO_FLUSH);
      filled += wanted - state_.avail_out;
      if (status == Z_STREAM_END) {
        TRY(End());
      } else if (status == Z_BUF_ERROR && state_.avail_in == 0) {
        TRY(Refill());  // Only now: what zlib had taken in may have been enough for the end.
      } else if (status != Z_OK) {
        return Fault(fmt::format("the compressed data are damaged ({})", state_.msg == nullptr ? "zlib" : state_.msg));
      }
    }
    return filled;
  }
  [[nodiscard]] std::uint64_t Most() const override {
    return (source_.Most() + state_.avail_in + 1) * kMostInflation + kPiece;
  }

 private:
  Status Refill() {
    const std::size_t got = TRY(source_.Read(piece_));
    if (got == 0) return Fault("the compressed data end in the middle");
    state_.next_in = piece_.data();
    state_.avail_in = static_cast<uInt>(got);
    given_ += got;
    return {};
  }
  Status End() {
    ended_ = true;
    if (state_.avail_in > 0 || source_.Most() > 0) return Fault("more bytes follow the compressed data");
    return {};
  }
  [[nodiscard]] std::unexpected<Error> Fault(const std::string& what) const {
    return Fail(Code::kInvalid, fmt::format("{}: {} at byte {} of the file; copy it again from where it came from",
                                            name(), what, begin_ + given_ - state_.avail_in));
  }

  PlainStream source_;
  std::uint64_t begin_, given_ = 0;
  std::vector<std::uint8_t> piece_;
  z_stream state_{};
  bool ended_ = false;
};

}  // namespace

Result<SharedFile> InputFile::Open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // A FIFO must not hold us up.
  const int why = errno;
  struct stat status{};
  const bool regular = fd >= 0 && ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  if (regular) return SharedFile(new InputFile(path, fd, static_cast<std::uint64_t>(status.st_size)));
  if (fd >= 0) ::close(fd);
  if (fd >= 0 || why == ENOENT) return Fail(Code::kInvalid, fmt::format("{}: not a file", path));
  return Fail(Code::kIo,
              fmt::format("{}: cannot be opened ({}); let the node's user read it", path, std::strerror(why)));
}

InputFile::~InputFile() { ::close(fd_); }

Status InputFile::ReadAt(std::uint64_t offset, std::span<std::uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return Fail(Code::kIo, fmt::format("{}: cannot be read at byte {} ({})", path_, offset, std::strerror(errno)));
    if (got == 0)
      return Fail(Code::kInvalid, fmt::format("{}: the file ends at byte {}, {} bytes too early; copy it again", path_,
                                              offset, out.size()));
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Status ByteStream::ReadAll(std::span<std::uint8_t> out, std::string_view what) {
  const std::size_t got = TRY(Read(out));
  taken_ += got;
  if (got == out.size()) return {};
  return Fail(Code::kInvalid, fmt::format("{}: ends at byte {}, in the middle of {}; it was cut off, copy it again",
                                          name_, taken_, what));
}

Status ByteStream::ExpectEnd(std::string_view what) {
  std::uint8_t one = 0;
  if (TRY(Read({&one, 1})) == 0) return {};
  return Fail(Code::kInvalid,
              fmt::format("{}: more bytes follow {}, from byte {} on; is this the right file?", name_, what, taken_));
}

std::unique_ptr<ByteStream> OpenStream(SharedFile file, std::string name, std::uint64_t offset, std::uint64_t length,
                                       Packing packing) {
  if (packing == Packing::kNone) return std::make_unique<PlainStream>(std::move(file), std::move(name), offset, length);
  return std::make_unique<InflateStream>(std::move(file), std::move(name), offset, length,
                                         packing == Packing::kGzip ? kGzipWindow : kRawWindow);
}

Result<std::unique_ptr<ByteStream>> OpenFileStream(const std::string& path) {
  const SharedFile file = TRY(InputFile::Open(path));
  std::array<std::uint8_t, 2> magic{};
  if (file->size() >= magic.size()) TRY(file->ReadAt(0, magic));
  const bool gzip = magic[0] == 0x1f && magic[1] == 0x8b;
  return OpenStream(file, path, 0, file->size(), gzip ? Packing::kGzip : Packing::kNone);
}

std::uint32_t Crc32(std::uint32_t crc, std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint32_t>(crc32_z(crc, bytes.data(), bytes.size()));
}

}  // namespace consilium::node
