// `consilium audit verify`: an exported file, or the chains inside a daemon's directory.
#include <fmt/format.h>

#include <filesystem>

#include "cli/commands.h"
#include "common/base/files.h"
#include "common/http/client.h"
#include "common/storage/audit.h"
#include "common/storage/database.h"

namespace consilium::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxExport = 1UL << 30;

Result<AuditVerdict> VerifyFile(const fs::path& file) {
  const Bytes text = TRY(ReadFile(file, kMaxExport));
  return VerifyExport(Text(text));
}

// The database names the chain and its first bad row itself.
AuditVerdict VerdictOf(const Error& error) {
  AuditVerdict verdict;
  verdict.reason = error.what;
  const auto at = error.what.find(": row ");
  if (at != std::string::npos) verdict.first_bad_row = std::strtoull(error.what.c_str() + at + 6, nullptr, 10);
  return verdict;
}

Result<AuditVerdict> VerifyDirectory(const fs::path& directory) {
  const auto lock = DirectoryLock::Take(directory);
  if (!lock && lock.error().code == Code::kConflict) {  // A daemon runs: it exports what it has.
    const HttpReply reply = TRY(HttpClient::Unix(fs::absolute(directory) / "control.sock").Get("/v1/audit/export"));
    const std::string text = TRY(BodyOf(reply));
    return VerifyExport(text);
  }
  if (!lock) return std::unexpected(lock.error());
  const auto database = Database::Open(directory / "database");
  const auto stored = database ? (*database)->Load() : Result<Stored>(std::unexpected(database.error()));
  if (!stored && stored.error().code == Code::kCorrupt) return VerdictOf(stored.error());
  if (!stored) return std::unexpected(stored.error());
  AuditVerdict verdict;
  verdict.valid = true;
  for (const auto& [name, head] : stored->chains) verdict.rows += head.seq;
  return verdict;
}

Result<AuditVerdict> Verify(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored))
    return Fail(Code::kNotFound, fmt::format("{} is not there; give an audit.jsonl or a directory", path.string()));
  if (!fs::is_directory(path, ignored)) return VerifyFile(path);
  if (fs::exists(path / "audit.jsonl", ignored)) return VerifyFile(path / "audit.jsonl");
  if (fs::exists(path / "database", ignored)) return VerifyDirectory(path);
  return Fail(Code::kNotFound, fmt::format("{} holds neither an audit.jsonl nor a database", path.string()));
}

}  // namespace

int AuditVerifyCommand(const Context& context, const std::string& path) {
  const auto verdict = Verify(path);
  if (!verdict) return context.terminal.Fail(verdict.error());
  context.terminal.Document(Value()
                                .Set("rows", verdict->rows)
                                .Set("valid", verdict->valid)
                                .Set("first_bad_row", verdict->valid ? Value() : Value(verdict->first_bad_row))
                                .Set("reason", verdict->reason));
  if (verdict->valid) {
    context.terminal.Say(fmt::format("{}: {} rows, every one in its place and unchanged", path, verdict->rows));
    return 0;
  }
  return context.terminal.Fail(
      {Code::kCorrupt, fmt::format("{}: row {} is the first that does not verify: {}; keep this file as evidence and "
                                   "export the log again",
                                   path, verdict->first_bad_row, verdict->reason)});
}

}  // namespace consilium::cli
