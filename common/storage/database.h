// What a daemon's core remembers: one SQLite file in WAL mode with full sync (tables meta, state, chain).
//
// One process holds the file at a time. Chains are append-only and hash-linked; Open refuses a file whose links do not
// hold, so that a core never starts from rows that somebody changed.
#pragma once

#include <filesystem>
#include <memory>

#include "common/turn/turn.h"

namespace consilium {

class Database : public Storage {
 public:
  // Makes the file (0600) when it is absent. kConflict: another process holds it. kRefused: written by a newer version.
  // kCorrupt: not a database of ours, or damaged.
  static Result<std::unique_ptr<Database>> Open(const std::filesystem::path& file);
  ~Database() override;

  Status Commit(const std::vector<Write>& writes) override;
  // Verifies every chain; kCorrupt names the chain and the first bad row.
  [[nodiscard]] Result<Stored> Load() const override;
  [[nodiscard]] Result<std::vector<Bytes>> Rows(const std::string& chain, std::uint64_t first,
                                                std::uint64_t last) const override;
  // A consistent copy of the file (0600) while it is in use, for backups. kConflict when `target` exists.
  [[nodiscard]] Status BackupTo(const std::filesystem::path& target) const;

 private:
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace consilium
