// Rows of one length: in memory while they are few, else in a file that is read row by row. A file is not mapped: its
// pages would count as this process's memory, and a disk that fails would be a signal instead of an error.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "common/base/bytes.h"
#include "common/crypto/hash.h"

namespace consilium::node {

// The disk no longer gives what was written to it. The workbench's methods make an error of it.
struct StoreUnreadable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct OpenedFile {  // A descriptor, closed with the last who holds it.
  explicit OpenedFile(int descriptor) : fd(descriptor) {}
  OpenedFile(const OpenedFile&) = delete;
  OpenedFile& operator=(const OpenedFile&) = delete;
  ~OpenedFile();
  int fd;
};

class RowStore {
 public:
  RowStore() = default;
  RowStore(Bytes memory, std::size_t row_bytes);
  RowStore(std::shared_ptr<const OpenedFile> file, std::size_t rows, std::size_t row_bytes);
  [[nodiscard]] std::size_t rows() const { return chosen_ == nullptr ? rows_ : chosen_->size(); }
  [[nodiscard]] std::size_t row_bytes() const { return row_bytes_; }
  // Some of these rows, in this order, as a store of its own; both share the bytes.
  [[nodiscard]] RowStore Chosen(std::vector<std::uint32_t> rows) const;
  [[nodiscard]] bool IsChosen() const { return chosen_ != nullptr; }  // Its neighbours need not lie side by side.
  [[nodiscard]] bool InMemory() const { return file_ == nullptr; }
  [[nodiscard]] const std::uint8_t* At(std::size_t row) const { return memory_->data() + Place(row) * row_bytes_; }
  // Rows `first` to `first + count - 1` into `out`. Safe from several threads. Throws StoreUnreadable.
  void Read(std::size_t first, std::size_t count, std::uint8_t* out) const;
  void Announce(std::size_t row) const;  // It will be read soon: the disk may begin to fetch it.

 private:
  [[nodiscard]] std::size_t Place(std::size_t row) const { return chosen_ == nullptr ? row : (*chosen_)[row]; }
  void ReadPlaces(std::size_t first, std::size_t count, std::uint8_t* out) const;

  std::shared_ptr<const Bytes> memory_ = std::make_shared<Bytes>();
  std::shared_ptr<const OpenedFile> file_;
  std::size_t rows_ = 0, row_bytes_ = 0;  // Of the bytes; rows_ counts those that were not chosen too.
  std::shared_ptr<const std::vector<std::uint32_t>> chosen_;
};

// Looks at one row after another; rows that come in order are read ahead together.
class RowCursor {
 public:
  static constexpr std::size_t kAheadBytes = std::size_t{1} << 20;
  explicit RowCursor(const RowStore& store, std::size_t ahead_bytes = kAheadBytes);
  const std::uint8_t* At(std::size_t row);  // Until the next call. Throws StoreUnreadable.

 private:
  const RowStore& store_;
  std::size_t ahead_, first_ = 0, count_ = 0;
  Bytes window_;
};

// Where rows go that are more than memory should hold.
struct Spool {
  std::filesystem::path directory;  // "": the system's folder for temporary files.
  std::string name;                 // Of the finished file in it; "": it has no name, and is gone when it is closed.
};

// Takes rows; beyond `memory_bytes` of them all go to a file. kIo when the disk is full.
class RowWriter {
 public:
  RowWriter(std::size_t row_bytes, std::size_t memory_bytes, Spool spool);
  RowWriter(const RowWriter&) = delete;
  RowWriter& operator=(const RowWriter&) = delete;
  ~RowWriter();  // An unfinished file goes.
  Status Append(const std::uint8_t* row);
  [[nodiscard]] std::size_t rows() const { return rows_; }
  // All rows, after the last one. The store outlives this writer.
  Result<RowStore> Finish();
  // After Finish: whether the rows are in a file with a name, which Keep then gives it, with `tail` and the SHA-256 of
  // all of it behind the rows; without Keep it goes with the writer and the store.
  [[nodiscard]] bool keeps() const { return file_ != nullptr && !spool_.name.empty(); }
  Status Keep(ByteView tail);

 private:
  Status Spill();
  Status Flush();
  Status Write(ByteView bytes);
  [[nodiscard]] std::unexpected<Error> Fault(const char* doing) const;

  std::size_t row_bytes_, memory_bytes_, rows_ = 0;
  Spool spool_;
  Bytes buffer_;  // All rows, or those that the file lacks.
  std::shared_ptr<const OpenedFile> file_;
  std::filesystem::path partial_;  // The file's name until it is finished.
  std::optional<Sha256Stream> hash_;
};

// What an unfinished file's name ends with.
inline constexpr std::string_view kPartialMark = ".part-";

}  // namespace consilium::node
