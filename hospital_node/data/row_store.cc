// Rows.
#include "hospital_node/data/row_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/check.h"
#include "common/base/files.h"

namespace consilium::node {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

}  // namespace

OpenedFile::~OpenedFile() { ::close(fd); }

RowStore::RowStore(Bytes memory, std::size_t row_bytes)
    : memory_(std::make_shared<Bytes>(std::move(memory))), rows_(memory_->size() / row_bytes), row_bytes_(row_bytes) {}

RowStore::RowStore(std::shared_ptr<const OpenedFile> file, std::size_t rows, std::size_t row_bytes)
    : file_(std::move(file)), rows_(rows), row_bytes_(row_bytes) {}

RowStore RowStore::Chosen(std::vector<std::uint32_t> rows) const {
  for (std::uint32_t& row : rows) {
    CHECK(row < this->rows());
    row = static_cast<std::uint32_t>(Place(row));
  }
  RowStore out = *this;
  out.chosen_ = std::make_shared<std::vector<std::uint32_t>>(std::move(rows));
  return out;
}

void RowStore::Read(std::size_t first, std::size_t count, std::uint8_t* out) const {
  CHECK(first <= rows() && count <= rows() - first);
  if (!IsChosen()) return ReadPlaces(first, count, out);
  for (std::size_t i = 0; i < count; ++i) ReadPlaces(Place(first + i), 1, out + i * row_bytes_);
}

void RowStore::ReadPlaces(std::size_t first, std::size_t count, std::uint8_t* out) const {
  std::size_t left = count * row_bytes_, at = first * row_bytes_;
  if (file_ == nullptr) {
    std::memcpy(out, memory_->data() + at, left);
    return;
  }
  while (left > 0) {
    const ssize_t got = ::pread(file_->fd, out, left, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw StoreUnreadable(
          fmt::format("the node's own copy of a data set cannot be read at byte {} ({}); look at the disk", at,
                      got == 0 ? "it was cut off" : std::strerror(errno)));
    }
    out += got;
    at += static_cast<std::size_t>(got);
    left -= static_cast<std::size_t>(got);
  }
}

void RowStore::Announce(std::size_t row) const {
  if (file_ == nullptr) return;
  posix_fadvise(file_->fd, static_cast<off_t>(Place(row) * row_bytes_), static_cast<off_t>(row_bytes_), POSIX_FADV_WILLNEED);
}

RowCursor::RowCursor(const RowStore& store, std::size_t ahead_bytes)
    : store_(store),
      ahead_(store.IsChosen() ? 1 : std::max<std::size_t>(1, ahead_bytes / std::max<std::size_t>(1, store.row_bytes()))) {
  if (!store.InMemory()) window_.resize(ahead_ * store.row_bytes());
}

const std::uint8_t* RowCursor::At(std::size_t row) {
  if (store_.InMemory()) return store_.At(row);
  if (row < first_ || row >= first_ + count_) {
    first_ = row;
    count_ = 0;
    const std::size_t count = std::min(ahead_, store_.rows() - row);
    store_.Read(row, count, window_.data());
    count_ = count;
  }
  return window_.data() + (row - first_) * store_.row_bytes();
}

RowWriter::RowWriter(std::size_t row_bytes, std::size_t memory_bytes, Spool spool)
    : row_bytes_(row_bytes), memory_bytes_(memory_bytes), spool_(std::move(spool)) {}

RowWriter::~RowWriter() {
  if (!partial_.empty()) ::unlink(partial_.c_str());
}

std::unexpected<Error> RowWriter::Fault(const char* doing) const {
  const int code = errno;
  return Fail(Code::kIo, fmt::format("cannot {} the node's copy of a data set in {}: {}{}", doing,
                                     spool_.directory.string(), std::strerror(code), MendOf(code)));
}

Status RowWriter::Append(const std::uint8_t* row) {
  buffer_.insert(buffer_.end(), row, row + row_bytes_);
  ++rows_;
  if (file_ == nullptr && buffer_.size() > memory_bytes_) return Spill();
  if (file_ != nullptr && buffer_.size() >= kBufferBytes) return Flush();
  return {};
}

Status RowWriter::Spill() {
  if (spool_.directory.empty()) spool_.directory = std::filesystem::temp_directory_path();
  std::string path = (spool_.directory / (spool_.name.empty() ? "rows" : spool_.name)).string();
  path += std::string(kPartialMark) + "XXXXXX";
  const int fd = ::mkostemp(path.data(), O_CLOEXEC);  // 0600.
  if (fd < 0) return Fault("make");
  file_ = std::make_shared<const OpenedFile>(fd);
  if (spool_.name.empty()) {
    ::unlink(path.c_str());
  } else {
    partial_ = path;
    hash_.emplace();
  }
  TRY(Flush());
  buffer_ = Bytes();
  buffer_.reserve(kBufferBytes + row_bytes_);
  return {};
}

Status RowWriter::Flush() {
  TRY(Write(buffer_));
  buffer_.clear();
  return {};
}

Status RowWriter::Write(ByteView bytes) {
  if (hash_) hash_->Add(bytes);
  while (!bytes.empty()) {
    const ssize_t put = ::write(file_->fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Fault("write");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

Result<RowStore> RowWriter::Finish() {
  buffer_.shrink_to_fit();
  if (file_ == nullptr) return RowStore(std::move(buffer_), row_bytes_);
  TRY(Flush());
  return RowStore(file_, rows_, row_bytes_);
}

Status RowWriter::Keep(ByteView tail) {
  CHECK(keeps());
  TRY(Write(tail));
  const Digest hash = hash_->Finish();
  hash_.reset();
  TRY(Write(hash));
  const std::filesystem::path path = spool_.directory / spool_.name;
  if (::fsync(file_->fd) != 0 || ::rename(partial_.c_str(), path.c_str()) != 0) return Fault("keep");
  partial_.clear();
  return {};  // The rename need not be durable: what is lost is made again.
}

}  // namespace consilium::node
