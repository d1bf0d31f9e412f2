// What the targets of data share.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include "hospital_node/data/table.h"
#include "tests/fuzz/fuzz.h"

namespace consilium::fuzz {

// A file without a place on any disk.
class MemoryFile {
 public:
  explicit MemoryFile(ByteView bytes) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    CHECK(fd_ >= 0);
    CHECK(write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(fd_); }
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

// Every value is one that the schema allows, every patient has a number (data_targets.cc).
void CheckTable(const node::Table& table, const Schema& schema);

}  // namespace consilium::fuzz
