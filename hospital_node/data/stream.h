// Bytes of files in order, plain or inflated: a file is never whole in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/base/error.h"

namespace consilium::node {

// A regular file, open for reading at any place and by several threads at once.
class InputFile {
 public:
  // kInvalid when it is not a regular file, kIo when it cannot be opened.
  static Result<std::shared_ptr<const InputFile>> Open(const std::string& path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  // All of `out`. kInvalid, with the offset, when the file ends before.
  Status ReadAt(std::uint64_t offset, std::span<std::uint8_t> out) const;

 private:
  InputFile(std::string path, int fd, std::uint64_t size) : path_(std::move(path)), fd_(fd), size_(size) {}
  std::string path_;
  int fd_;
  std::uint64_t size_;
};
using SharedFile = std::shared_ptr<const InputFile>;

class ByteStream {
 public:
  explicit ByteStream(std::string name) : name_(std::move(name)) {}
  virtual ~ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  // As many bytes as fit in `out`; fewer at the end alone, where kInvalid says that it came too early for the packing.
  virtual Result<std::size_t> Read(std::span<std::uint8_t> out) = 0;
  // No more bytes than this can come: what a header promises beyond it is false, and found before it is believed.
  [[nodiscard]] virtual std::uint64_t Most() const = 0;
  [[nodiscard]] const std::string& name() const { return name_; }  // "FILE" or "FILE: MEMBER", for messages.

  // All of `out`; kInvalid names the byte at which there was no more of `what`.
  Status ReadAll(std::span<std::uint8_t> out, std::string_view what);
  Status ExpectEnd(std::string_view what);
  [[nodiscard]] std::uint64_t taken() const { return taken_; }  // Bytes that ReadAll has given.

 private:
  std::string name_;
  std::uint64_t taken_ = 0;
};

enum class Packing : std::uint8_t { kNone, kDeflate, kGzip };
// Deflate makes at most 1032 bytes of one (zlib's technical details).
inline constexpr std::uint64_t kMostInflation = 1032;

// `length` bytes of the file from `offset` on; what the packing leaves over is an error.
std::unique_ptr<ByteStream> OpenStream(SharedFile file, std::string name, std::uint64_t offset, std::uint64_t length,
                                       Packing packing);
// A whole file, inflated when it begins as gzip does.
Result<std::unique_ptr<ByteStream>> OpenFileStream(const std::string& path);

// CRC-32 as zip and gzip have it; begin with 0.
std::uint32_t Crc32(std::uint32_t crc, std::span<const std::uint8_t> bytes);

}  // namespace consilium::node
