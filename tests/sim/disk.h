// A disk in memory: the transaction is durable when Commit returns, a blob when it is sealed; a crash loses the rest.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "common/turn/turn.h"
#include "tests/sim/random.h"

namespace consilium::sim {

class Disk final : public Storage, public BlobStore {
 public:
  Status Commit(const std::vector<consilium::Write>& writes) override;
  [[nodiscard]] Result<Stored> Load() const override;
  [[nodiscard]] Result<std::vector<Bytes>> Rows(const std::string& chain, std::uint64_t first,
                                                std::uint64_t last) const override;

  [[nodiscard]] bool Has(const Digest& root) const override;
  [[nodiscard]] Result<std::uint64_t> Size(const Digest& root) const override;
  Status Read(const Digest& root, std::uint64_t offset, std::span<std::uint8_t> out) const override;
  Result<Digest> Put(ByteView blob) override;
  Status Write(const BlobWrite& write) override;
  Status Seal(const Digest& root) override;
  Status Drop(const Digest& root) override;
  [[nodiscard]] Result<std::vector<Digest>> List() const override;

  // What power loss does: unsealed blobs are gone, or lie there torn.
  void LoseUnsynced(Random& random);
  // Everything durable, for a restore from an old backup.
  struct Backup {
    Stored stored;
    std::map<std::string, std::vector<Bytes>> rows;
    std::map<Digest, std::shared_ptr<const Bytes>> blobs;
  };
  [[nodiscard]] const Backup& durable() const { return durable_; }
  void Restore(Backup backup);

 private:
  struct Partial {
    Bytes bytes;
    std::uint64_t written = 0;  // Highest end.
  };
  Backup durable_;
  std::map<Digest, Partial> partial_;
};

}  // namespace consilium::sim
