// Files: atomic durable writes, and the permissions that secrets need.
#pragma once

#include <filesystem>

#include "common/base/bytes.h"

namespace consilium {

// How people mend a system call's error, with a "; " before it: a full disk, a read-only one, another's file. "" for
// others.
std::string MendOf(int error_number);

// Reads a regular file of at most `limit` bytes.
Result<Bytes> ReadFile(const std::filesystem::path& path, std::size_t limit);
// Writes beside, fsyncs, renames, fsyncs the directory. `mode` as in chmod.
Status WriteFileAtomic(const std::filesystem::path& path, ByteView bytes, unsigned mode = 0644);
// Makes the directory (0700) or checks that nobody else can enter it.
Status EnsurePrivateDirectory(const std::filesystem::path& path);
// kRefused, with the chmod to type, when others can read or write the file.
Status RequirePrivateFile(const std::filesystem::path& path);

// As many open files as the system grants this process: strangers' connections take descriptors too.
void RaiseDescriptorLimit();

// An exclusive lock on DIR/lock for the life of the object; a second holder is kConflict and names the pid.
class DirectoryLock {
 public:
  static Result<DirectoryLock> Take(const std::filesystem::path& directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace consilium
