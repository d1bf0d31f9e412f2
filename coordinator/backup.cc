#include "coordinator/backup.h"

#include <fmt/format.h>

#include "common/base/files.h"
#include "common/base/time.h"
#include "common/base/version.h"
#include "common/crypto/hash.h"
#include "common/settings/value.h"

namespace consilium::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSmallFile = std::size_t{1} << 20;
constexpr std::string_view kManifest = "backup.json", kDatabase = "database";
constexpr std::string_view kSmallFiles[] = {"coordinator.toml", "admin.token",     "endpoints.json", "keys/identity",
                                            "keys/transport",   "keys/passphrase", "keys/officer"};

Status CopySmall(const fs::path& from, const fs::path& to) {
  const Bytes bytes = TRY(ReadFile(from, kMaxSmallFile));
  return WriteFileAtomic(to, bytes, 0600);
}

// The file's line in the manifest.
Result<Value> Entry(const fs::path& directory, std::string_view name) {
  const Digest digest = TRY(Sha256OfFile(directory / name));
  std::error_code error;
  const auto size = fs::file_size(directory / name, error);
  if (error) return Fail(Code::kIo, fmt::format("cannot look at {}: {}", (directory / name).string(), error.message()));
  return Value().Set("name", name).Set("bytes", std::uint64_t{size}).Set("sha256", digest.Hex());
}

std::unexpected<Error> Damaged(const fs::path& backup, const std::string& why) {
  return Fail(Code::kCorrupt,
              fmt::format("{} cannot be restored: {}; nothing was written, use another backup", backup.string(), why));
}

BackupSummary SummaryOf(const fs::path& directory, const Value& files) {
  BackupSummary out{directory.string(), files.AsArray().size(), 0};
  for (const Value& file : files.AsArray()) out.bytes += static_cast<std::uint64_t>(file["bytes"].AsInteger());
  return out;
}

bool IsKnown(const std::string& name) {
  return name == kDatabase || std::ranges::find(kSmallFiles, name) != std::end(kSmallFiles);
}

}  // namespace

Result<BackupSummary> BackUp(const fs::path& directory, const Database& database, const fs::path& target) {
  std::error_code error;
  if (fs::exists(target, error))
    return Fail(Code::kConflict, fmt::format("{} exists; name another directory", target.string()));
  TRY(EnsurePrivateDirectory(target));
  TRY(EnsurePrivateDirectory(target / "keys"));
  TRY(database.BackupTo(target / kDatabase));
  Value files{Value::Array()};
  files.Push(TRY(Entry(target, kDatabase)));
  for (const std::string_view name : kSmallFiles) {
    if (!fs::exists(directory / name, error)) continue;
    TRY(CopySmall(directory / name, target / name));
    files.Push(TRY(Entry(target, name)));
  }
  Value manifest;
  manifest.Set("made_ms", WallMilliseconds()).Set("version", kProgramVersion).Set("files", files);
  TRY(WriteFileAtomic(target / kManifest, View(PrettyJson(manifest) + "\n"), 0600));  // Last: without it, no backup.
  return SummaryOf(target, files);
}

Result<BackupSummary> RestoreBackup(const fs::path& backup, const fs::path& directory) {
  std::error_code error;
  if (fs::exists(directory, error) && !fs::is_empty(directory, error)) {
    return Fail(Code::kConflict,
                fmt::format("{} is not empty, and a federation's state is never overwritten; move it away first",
                            directory.string()));
  }
  const auto text = ReadFile(backup / kManifest, kMaxSmallFile);
  if (!text) return Fail(Code::kNotFound, fmt::format("{} holds no {}; is it a backup?", backup.string(), kManifest));
  const auto manifest = ParseJson(Text(*text));
  if (!manifest) return Damaged(backup, fmt::format("{} does not parse", kManifest));
  const Value& files = (*manifest)["files"];
  bool database = false;
  for (const Value& file : files.AsArray()) {
    const std::string& name = file["name"].AsString();
    if (!IsKnown(name)) return Damaged(backup, "its list names a file that is none of a coordinator's");
    const auto digest = Sha256OfFile(backup / name);
    if (!digest) return Damaged(backup, name + " is missing");
    if (digest->Hex() != file["sha256"].AsString()) return Damaged(backup, name + " was changed");
    database = database || name == kDatabase;
  }
  if (!database) return Damaged(backup, "it has no database");

  TRY(EnsurePrivateDirectory(directory));
  TRY(EnsurePrivateDirectory(directory / "keys"));
  for (const Value& file : files.AsArray()) {
    const std::string& name = file["name"].AsString();
    if (name == kDatabase) continue;
    TRY(CopySmall(backup / name, directory / name));
  }
  fs::copy_file(backup / kDatabase, directory / kDatabase, error);
  if (!error) fs::permissions(directory / kDatabase, fs::perms::owner_read | fs::perms::owner_write, error);
  if (error) return Fail(Code::kIo, fmt::format("cannot write {}: {}", directory.string(), error.message()));
  const auto restored = TRY(Database::Open(directory / kDatabase));
  TRY(restored->Load());  // Its chains hold.
  return SummaryOf(directory, files);
}

}  // namespace consilium::coordinator
