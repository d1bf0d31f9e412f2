// Blobs as files DIRECTORY/<hex root>; what is still arriving is <hex root>.part. Thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

#include "common/turn/turn.h"

namespace consilium {

class FileBlobs : public BlobStore {
 public:
  // Makes the directory (0700) when it is absent and removes partial files that an earlier process left: the transfers
  // they belonged to are known only in memory. Reads every blob and removes, with a warning in the log, those whose
  // content does not give their name any more: a blob that is absent is fetched or made again, a torn one never is.
  static Result<std::unique_ptr<FileBlobs>> Open(const std::filesystem::path& directory);
  ~FileBlobs() override;

  [[nodiscard]] bool Has(const Digest& root) const override;
  [[nodiscard]] Result<std::uint64_t> Size(const Digest& root) const override;
  Status Read(const Digest& root, std::uint64_t offset, std::span<std::uint8_t> out) const override;
  Result<Digest> Put(ByteView blob) override;
  // A blob that is whole already takes no further writes: they are ignored.
  Status Write(const BlobWrite& write) override;
  Status Seal(const Digest& root) override;
  Status Drop(const Digest& root) override;
  [[nodiscard]] Result<std::vector<Digest>> List() const override;  // Ascending.

 private:
  struct Partial;
  explicit FileBlobs(std::filesystem::path directory);
  void RemoveTorn() const;
  [[nodiscard]] std::filesystem::path PathOf(const Digest& root) const;
  Result<std::shared_ptr<Partial>> PartialOf(const BlobWrite& write);
  [[nodiscard]] Status SyncDirectory() const;

  std::filesystem::path directory_;
  mutable std::mutex mutex_;
  std::map<Digest, std::shared_ptr<Partial>> partials_;
};

}  // namespace consilium
