// State in memory, for processes that live and end together: a simulated federation. Nothing survives.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/turn/turn.h"

namespace consilium {

class MemoryStorage final : public Storage {
 public:
  Status Commit(const std::vector<Write>& writes) override;  // kCorrupt, as the database, for a head that differs.
  [[nodiscard]] Result<Stored> Load() const override;
  [[nodiscard]] Result<std::vector<Bytes>> Rows(const std::string& chain, std::uint64_t first,
                                                std::uint64_t last) const override;

 private:
  mutable std::mutex mutex_;
  Stored stored_;
  std::map<std::string, std::vector<Bytes>> rows_;
};

// Equal blobs of all stores of one pool lie in memory once, as long as one of them holds them.
class BlobPool {
 public:
  using Shared = std::shared_ptr<const Bytes>;
  Shared Keep(const Digest& root, Bytes bytes);

 private:
  std::mutex mutex_;
  std::map<Digest, std::weak_ptr<const Bytes>> blobs_;
  std::size_t sweep_at_ = 1024;
};

class MemoryBlobs final : public BlobStore {
 public:
  explicit MemoryBlobs(std::shared_ptr<BlobPool> pool) : pool_(std::move(pool)) {}
  [[nodiscard]] bool Has(const Digest& root) const override;
  [[nodiscard]] Result<std::uint64_t> Size(const Digest& root) const override;
  [[nodiscard]] Status Read(const Digest& root, std::uint64_t offset, std::span<std::uint8_t> out) const override;
  Result<Digest> Put(ByteView blob) override;
  Status Write(const BlobWrite& write) override;
  Status Seal(const Digest& root) override;
  Status Drop(const Digest& root) override;
  [[nodiscard]] Result<std::vector<Digest>> List() const override;

 private:
  [[nodiscard]] Result<BlobPool::Shared> Held(const Digest& root) const;

  std::shared_ptr<BlobPool> pool_;
  mutable std::mutex mutex_;
  std::map<Digest, BlobPool::Shared> held_;
  std::map<Digest, Bytes> partial_;
};

}  // namespace consilium
