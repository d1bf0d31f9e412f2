// Copies of a coordinator's directory that are consistent while it runs, and the way back.
//
// A backup is a directory (0700) as secret as the original: database, keys/, coordinator.toml, admin.token, and
// backup.json, which names every file with its SHA-256. Blobs are left out: what a study needs of them it makes anew
// from the database, or hospitals send it again.
#pragma once

#include <filesystem>

#include "common/storage/database.h"

namespace consilium::coordinator {

struct BackupSummary {
  std::string directory;
  std::uint64_t files = 0, bytes = 0;
};

// Copies `directory` into `target`, which must not exist yet. `database` is the open one. kConflict, kIo.
Result<BackupSummary> BackUp(const std::filesystem::path& directory, const Database& database,
                             const std::filesystem::path& target);
// Verifies the backup whole, then copies it into `directory`, which must be absent or empty. kCorrupt names the file
// that is missing or changed; kConflict when something is there.
Result<BackupSummary> RestoreBackup(const std::filesystem::path& backup, const std::filesystem::path& directory);

}  // namespace consilium::coordinator
