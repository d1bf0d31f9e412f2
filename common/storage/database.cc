#include "common/storage/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include "common/base/check.h"
#include "common/base/files.h"

namespace consilium {
namespace {

constexpr int kVersion = 2;
constexpr int kApplicationId = 0x434e534c;  // "CNSL": tells our file from any other SQLite file.
constexpr std::uint64_t kMaxRows = 1 << 20;

constexpr char kSchema[] = R"(
CREATE TABLE meta(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
CREATE TABLE state(core TEXT NOT NULL, key TEXT NOT NULL, blob BLOB NOT NULL, PRIMARY KEY(core, key));
CREATE TABLE chain(name TEXT NOT NULL, seq INTEGER NOT NULL, prev BLOB NOT NULL, row BLOB NOT NULL, hash BLOB NOT NULL,
                   PRIMARY KEY(name, seq));
INSERT INTO meta VALUES('format', 'consilium');
)";

Code CodeOf(int sqlite) {
  switch (sqlite & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kConflict;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kCorrupt;
    default:
      return Code::kIo;
  }
}

// Makes the file before SQLite does, so that neither it nor its journals are ever readable by others.
Status MakePrivate(const std::filesystem::path& file) {
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) return RequirePrivateFile(file);
  if (fd < 0)
    return Fail(Code::kIo, fmt::format("cannot make {}: {}{}", file.string(), std::strerror(errno), MendOf(errno)));
  close(fd);
  const std::filesystem::path parent = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  const int dir = open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = dir >= 0 && fsync(dir) == 0;
  if (dir >= 0) close(dir);
  if (!synced) return Fail(Code::kIo, fmt::format("cannot sync {}: {}", parent.string(), std::strerror(errno)));
  return {};
}

ByteView BlobAt(sqlite3_stmt* row, int column) {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(row, column));
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(row, column))};
}
std::string TextAt(sqlite3_stmt* row, int column) {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(row, column));
  return {data == nullptr ? "" : data, static_cast<std::size_t>(sqlite3_column_bytes(row, column))};
}

// A state's blob as it is stored: behind the hash of its name and itself, so that damage is found at the start.
Bytes Sealed(const std::string& core, const std::string& key, ByteView blob) {
  Bytes out = ToBytes(Fields("consilium/state").AddText(core).AddText(key).Add(blob).Hash());
  out.insert(out.end(), blob.begin(), blob.end());
  return out;
}

// One use of a cached statement; rewinds it at the end.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Statement& Bind(const std::string& text) {
    CHECK(sqlite3_bind_text64(statement_, ++bound_, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
    return *this;
  }
  Statement& Bind(ByteView blob) {
    // A null pointer would bind NULL; an empty blob is a value.
    const void* data = blob.empty() ? static_cast<const void*>("") : blob.data();
    ok_ = ok_ && sqlite3_bind_blob64(statement_, ++bound_, data, blob.size(), SQLITE_STATIC) == SQLITE_OK;
    return *this;
  }
  Statement& Bind(std::uint64_t number) {
    CHECK(sqlite3_bind_int64(statement_, ++bound_, static_cast<std::int64_t>(number)) == SQLITE_OK);
    return *this;
  }
  int Step() { return ok_ ? sqlite3_step(statement_) : SQLITE_TOOBIG; }
  sqlite3_stmt* row() { return statement_; }

 private:
  sqlite3_stmt* statement_;
  int bound_ = 0;
  bool ok_ = true;
};

enum Sql { kBegin, kCommit, kRollback, kPut, kErase, kHead, kAppend, kAllState, kAllChains, kRows, kStatements };
constexpr std::array<const char*, kStatements> kSql = {
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "INSERT INTO state(core, key, blob) VALUES(?, ?, ?) ON CONFLICT(core, key) DO UPDATE SET blob = excluded.blob",
    "DELETE FROM state WHERE core = ? AND key = ?",
    "SELECT seq, hash FROM chain WHERE name = ? ORDER BY seq DESC LIMIT 1",
    "INSERT INTO chain(name, seq, prev, row, hash) VALUES(?, ?, ?, ?, ?)",
    "SELECT core, key, blob FROM state ORDER BY core, key",
    "SELECT name, seq, prev, row, hash FROM chain ORDER BY name, seq",
    "SELECT row FROM chain WHERE name = ? AND seq BETWEEN ? AND ? ORDER BY seq",
};

}  // namespace

struct Database::Impl {
  std::filesystem::path file;
  sqlite3* db = nullptr;
  std::array<sqlite3_stmt*, kStatements> statements{};
  mutable std::mutex mutex;  // Jobs may read rows while the loop commits.

  ~Impl() {
    for (sqlite3_stmt* statement : statements) sqlite3_finalize(statement);
    sqlite3_close(db);
  }

  [[nodiscard]] Error Failed(std::string_view doing) const {
    const Code code = CodeOf(sqlite3_extended_errcode(db));
    if (code == Code::kConflict) {
      return {code, fmt::format("{} is in use by another process; stop that one first", file.string())};
    }
    if (code == Code::kCorrupt) {
      return {code, fmt::format("{} is damaged or no database of ours ({}); put back a backup of this directory",
                                file.string(), sqlite3_errmsg(db))};
    }
    const int system = sqlite3_system_errno(db);
    if (sqlite3_errcode(db) == SQLITE_FULL || system == ENOSPC || system == EDQUOT) {
      return {code,
              fmt::format("cannot {} {}: the disk is full. What was kept before is whole, and nothing was sent or "
                          "counted that is not kept; free some space there and start this again: it goes on",
                          doing, file.string())};
    }
    if (system != 0 && !MendOf(system).empty())
      return {code, fmt::format("cannot {} {}: {}{}", doing, file.string(), std::strerror(system), MendOf(system))};
    return {code, fmt::format("cannot {} {}: {}; look at the disk's free space and health", doing, file.string(),
                              sqlite3_errmsg(db))};
  }

  Status Exec(const std::string& sql, std::string_view doing) const {
    if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return std::unexpected(Failed(doing));
    return {};
  }
  [[nodiscard]] Result<int> Number(const char* sql) const {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, nullptr) != SQLITE_OK) return std::unexpected(Failed("read"));
    const int step = sqlite3_step(statement);
    const int number = step == SQLITE_ROW ? sqlite3_column_int(statement, 0) : 0;
    sqlite3_finalize(statement);
    if (step != SQLITE_ROW) return std::unexpected(Failed("read"));
    return number;
  }
  Status Run(Sql which) const {
    Statement query(statements[which]);
    if (query.Step() != SQLITE_DONE) return std::unexpected(Failed("write"));
    return {};
  }

  Status Connect() {
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX;
    if (sqlite3_open_v2(std::filesystem::absolute(file).c_str(), &db, kFlags, nullptr) != SQLITE_OK) {
      return std::unexpected(Failed("open"));
    }
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, 500);  // Outlasts a process that is just ending.
    // The lock is held from the first transaction to the end; a second process never gets in between two commits.
    TRY(Exec("PRAGMA locking_mode = EXCLUSIVE", "lock"));
    TRY(Exec("PRAGMA journal_mode = WAL", "open"));
    TRY(Exec("PRAGMA synchronous = FULL", "open"));
    TRY(Exec("PRAGMA trusted_schema = OFF", "open"));
    TRY(Exec("PRAGMA journal_size_limit = 67108864", "open"));
    return Exec("BEGIN IMMEDIATE; COMMIT", "lock");
  }

  Status Found() {
    const std::string head =
        fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kApplicationId, kVersion);
    return Exec("BEGIN IMMEDIATE;" + head + kSchema + "COMMIT", "make");
  }

  Status CheckFormat() {
    const int version = TRY(Number("PRAGMA user_version"));
    const int application = TRY(Number("PRAGMA application_id"));
    const int tables = TRY(Number("SELECT count(*) FROM sqlite_schema"));
    if (version == 0 && application == 0 && tables == 0) return Found();
    if (application != kApplicationId) {
      return Fail(Code::kCorrupt, fmt::format("{} is a database of another program; move it away", file.string()));
    }
    if (version != kVersion) {
      return Fail(Code::kRefused,
                  fmt::format("{} has format {}, this program reads format {}: a newer version wrote it, and nothing "
                              "was changed; start that version, or a newer one",
                              file.string(), version, kVersion));
    }
    return {};
  }

  // Load checks the content of what it reads; this finds damage in pages that it does not come by.
  [[nodiscard]] Status CheckPages() const {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, nullptr) != SQLITE_OK)
      return std::unexpected(Failed("read"));
    const int step = sqlite3_step(statement);
    const std::string found = step == SQLITE_ROW ? TextAt(statement, 0) : "";
    sqlite3_finalize(statement);
    if (step != SQLITE_ROW) return std::unexpected(Failed("read"));
    if (found == "ok") return {};
    return Fail(Code::kCorrupt,
                fmt::format("{} is damaged ({}); keep this file as evidence and put back a backup of this directory",
                            file.string(), found));
  }

  Status Prepare() {
    for (int i = 0; i < kStatements; ++i) {
      if (sqlite3_prepare_v3(db, kSql[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], nullptr) != SQLITE_OK) {
        return std::unexpected(Failed("read"));
      }
    }
    return {};
  }

  [[nodiscard]] Result<ChainHead> Head(const std::string& name) const {
    Statement query(statements[kHead]);
    const int step = query.Bind(name).Step();
    if (step == SQLITE_DONE) return ChainHead{};
    if (step != SQLITE_ROW) return std::unexpected(Failed("read"));
    auto hash = Digest::From(BlobAt(query.row(), 1));
    if (!hash) return Fail(Code::kCorrupt, fmt::format("{}: chain {} has a damaged head", file.string(), name));
    return ChainHead{static_cast<std::uint64_t>(sqlite3_column_int64(query.row(), 0)), *hash};
  }

  Status Apply(const PutState& put) const {
    Statement query(statements[kPut]);
    const Bytes sealed = Sealed(put.core, put.key, put.blob);
    if (query.Bind(put.core).Bind(put.key).Bind(sealed).Step() != SQLITE_DONE) return std::unexpected(Failed("write"));
    return {};
  }
  Status Apply(const EraseState& erase) const {
    Statement query(statements[kErase]);
    if (query.Bind(erase.core).Bind(erase.key).Step() != SQLITE_DONE) return std::unexpected(Failed("write"));
    return {};
  }
  Status Apply(const AppendChain& append) const {
    const ChainHead stored = TRY(Head(append.name));
    if (stored != append.before) {
      return Fail(Code::kCorrupt,
                  fmt::format("{}: chain {} ends at row {}, but row {} was to follow row {} or another "
                              "content of it",
                              file.string(), append.name, stored.seq, append.before.seq + 1, append.before.seq));
    }
    const ChainHead next = ChainNext(stored, append.row);
    Statement query(statements[kAppend]);
    query.Bind(append.name).Bind(next.seq).Bind(stored.hash).Bind(append.row).Bind(next.hash);
    if (query.Step() != SQLITE_DONE) return std::unexpected(Failed("write"));
    return {};
  }
  Status ApplyAll(const std::vector<Write>& writes) const {
    for (const Write& write : writes) TRY(std::visit([this](const auto& one) { return Apply(one); }, write));
    return Run(kCommit);
  }

  Status LoadState(Stored* out) const {
    Statement query(statements[kAllState]);
    int step = query.Step();
    for (; step == SQLITE_ROW; step = query.Step()) {
      const std::string core = TextAt(query.row(), 0), key = TextAt(query.row(), 1);
      const ByteView stored = BlobAt(query.row(), 2);
      const ByteView blob = stored.subspan(std::min<std::size_t>(stored.size(), Digest::kSize));
      if (!std::ranges::equal(stored, Sealed(core, key, blob))) {
        return Fail(Code::kCorrupt,
                    fmt::format("{}: the state {}/{} was changed or is damaged; keep this file as evidence "
                                "and put back a backup of this directory",
                                file.string(), core, key));
      }
      out->state[{core, key}] = ToBytes(blob);
    }
    if (step != SQLITE_DONE) return std::unexpected(Failed("read"));
    return {};
  }

  Status LoadChains(Stored* out) const {
    Statement query(statements[kAllChains]);
    int step = query.Step();
    for (; step == SQLITE_ROW; step = query.Step()) {
      const std::string name = TextAt(query.row(), 0);
      ChainHead& head = out->chains[name];
      const ChainHead next = ChainNext(head, BlobAt(query.row(), 3));
      const bool linked = static_cast<std::uint64_t>(sqlite3_column_int64(query.row(), 1)) == next.seq &&
                          std::ranges::equal(BlobAt(query.row(), 2), head.hash.bytes) &&
                          std::ranges::equal(BlobAt(query.row(), 4), next.hash.bytes);
      if (!linked) {
        return Fail(Code::kCorrupt, fmt::format("{}: row {} of chain {} is missing or was changed; keep this file as "
                                                "evidence and put back a backup of this directory",
                                                file.string(), next.seq, name));
      }
      head = next;
    }
    if (step != SQLITE_DONE) return std::unexpected(Failed("read"));
    return {};
  }
};

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::Open(const std::filesystem::path& file) {
  TRY(MakePrivate(file));
  auto impl = std::make_unique<Impl>();
  impl->file = file;
  TRY(impl->Connect());
  TRY(impl->CheckFormat());
  TRY(impl->CheckPages());
  TRY(impl->Prepare());
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

Status Database::Commit(const std::vector<Write>& writes) {
  if (writes.empty()) return {};
  const std::lock_guard lock(impl_->mutex);
  TRY(impl_->Run(kBegin));
  Status done = impl_->ApplyAll(writes);
  // After some errors SQLite has rolled back already.
  if (!done && sqlite3_get_autocommit(impl_->db) == 0) [[maybe_unused]]
    const Status undone = impl_->Run(kRollback);
  return done;
}

Result<Stored> Database::Load() const {
  const std::lock_guard lock(impl_->mutex);
  Stored out;
  TRY(impl_->LoadState(&out));
  TRY(impl_->LoadChains(&out));
  return out;
}

Result<std::vector<Bytes>> Database::Rows(const std::string& chain, std::uint64_t first, std::uint64_t last) const {
  std::vector<Bytes> out;
  first = std::max<std::uint64_t>(first, 1);
  if (last < first) return out;
  last = std::min(last, first + kMaxRows - 1);
  const std::lock_guard lock(impl_->mutex);
  Statement query(impl_->statements[kRows]);
  query.Bind(chain).Bind(first).Bind(last);
  int step = query.Step();
  for (; step == SQLITE_ROW; step = query.Step()) out.push_back(ToBytes(BlobAt(query.row(), 0)));
  if (step != SQLITE_DONE) return std::unexpected(impl_->Failed("read"));
  return out;
}

Status Database::BackupTo(const std::filesystem::path& target) const {
  std::error_code ignored;
  if (std::filesystem::exists(target, ignored)) {
    return Fail(Code::kConflict, target.string() + " exists; name another file");
  }
  TRY(MakePrivate(target));
  const std::lock_guard lock(impl_->mutex);
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(impl_->db, "VACUUM INTO ?", -1, &statement, nullptr) != SQLITE_OK) {
    return std::unexpected(impl_->Failed("copy"));
  }
  const std::string path = std::filesystem::absolute(target).string();
  int step = SQLITE_DONE;
  {
    Statement query(statement);
    step = query.Bind(path).Step();
  }
  sqlite3_finalize(statement);
  if (step == SQLITE_DONE) return {};
  std::filesystem::remove(target, ignored);
  return std::unexpected(impl_->Failed("copy"));
}

}  // namespace consilium
