// The database keeps what it committed, all or nothing, for one process at a time, and notices every changed row.
#include "common/storage/database.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "common/base/files.h"
#include "tests/storage/directory.h"

namespace consilium {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  std::unique_ptr<Database> Open() {
    auto opened = Database::Open(file_);
    EXPECT_TRUE(opened.has_value()) << (opened ? "" : opened.error().what);
    return opened ? std::move(*opened) : nullptr;
  }
  // What somebody does to the file behind our back.
  void Tamper(const std::string& sql) const {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(file_.c_str(), &db), SQLITE_OK);
    char* message = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK) << (message ? message : "");
    sqlite3_free(message);
    sqlite3_close(db);
  }

  TestDirectory directory_;
  std::filesystem::path file_ = directory_.path() / "state.db";
};

Bytes Row(std::string_view text) { return ToBytes(View(text)); }

// Appends rows "1", "2", ... to a chain and returns its head.
ChainHead Append(Database& database, const std::string& name, int rows) {
  ChainHead head;
  for (int i = 1; i <= rows; ++i) {
    const Bytes row = Row(std::to_string(i));
    EXPECT_TRUE(database.Commit({AppendChain{name, head, row}}).has_value());
    head = ChainNext(head, row);
  }
  return head;
}

TEST_F(DatabaseTest, KeepsWhatWasCommitted) {
  ChainHead head;
  {
    auto database = Open();
    const std::vector<Write> writes = {
        PutState{"study", "a", Row("one")}, PutState{"study", "b", {}}, PutState{"round", "a", Row("gone")},
        PutState{"study", "a", Row("two")}, EraseState{"round", "a"},   EraseState{"round", "never"}};
    ASSERT_TRUE(database->Commit(writes).has_value());
    head = Append(*database, "audit", 3);
  }
  auto database = Open();
  const Stored stored = database->Load().value();
  EXPECT_EQ(stored.state,
            (std::map<std::pair<std::string, std::string>, Bytes>{{{"study", "a"}, Row("two")}, {{"study", "b"}, {}}}));
  EXPECT_EQ(stored.chains, (std::map<std::string, ChainHead>{{"audit", head}}));
  EXPECT_EQ(database->Rows("audit", 2, 3).value(), (std::vector<Bytes>{Row("2"), Row("3")}));
  EXPECT_EQ(database->Rows("audit", 0, 99).value().size(), 3U);
  EXPECT_TRUE(database->Rows("audit", 4, 9).value().empty());
  EXPECT_TRUE(database->Rows("ledger", 1, 9).value().empty());
}

TEST_F(DatabaseTest, ATransactionIsAllOrNothing) {
  auto database = Open();
  const ChainHead head = Append(*database, "ledger", 2);
  const ChainHead other{.seq = 2, .hash = {}};
  const Status refused = database->Commit({PutState{"study", "a", Row("x")}, AppendChain{"ledger", other, Row("y")}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kCorrupt);
  EXPECT_TRUE(database->Load().value().state.empty());
  // And the database goes on.
  ASSERT_TRUE(database->Commit({PutState{"study", "a", Row("x")}, AppendChain{"ledger", head, Row("y")}}).has_value());
  EXPECT_EQ(database->Load().value().chains.at("ledger").seq, 3U);
}

TEST_F(DatabaseTest, TwoRowsOfOneChainFitOneTransaction) {
  auto database = Open();
  const ChainHead first = ChainNext({}, Row("a"));
  ASSERT_TRUE(
      database->Commit({AppendChain{"audit", {}, Row("a")}, AppendChain{"audit", first, Row("b")}}).has_value());
  EXPECT_EQ(database->Load().value().chains.at("audit"), ChainNext(first, Row("b")));
}

TEST_F(DatabaseTest, SurvivesAKillInMidWrite) {
  // The child commits without end and tells each commit; what it told must be there after it was killed.
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto database = Database::Open(file_);
    ChainHead head;
    for (std::uint32_t i = 1; database; ++i) {
      const Bytes row = Row(std::to_string(i));
      if (!(*database)->Commit({AppendChain{"audit", head, row}, PutState{"n", "n", row}})) break;
      head = ChainNext(head, row);
      if (write(pipe_ends[1], &i, sizeof i) != sizeof i) break;
    }
    _exit(1);
  }
  close(pipe_ends[1]);
  std::uint32_t told = 0;
  while (told < 50 && read(pipe_ends[0], &told, sizeof told) == sizeof told) {
  }
  kill(child, SIGKILL);
  while (read(pipe_ends[0], &told, sizeof told) == sizeof told) {
  }
  close(pipe_ends[0]);
  waitpid(child, nullptr, 0);
  ASSERT_GE(told, 50U);
  auto database = Open();
  const Stored stored = database->Load().value();
  EXPECT_GE(stored.chains.at("audit").seq, told);
  EXPECT_EQ(stored.state.at({"n", "n"}), Row(std::to_string(stored.chains.at("audit").seq)));
}

TEST_F(DatabaseTest, OneProcessAtATime) {
  auto first = Open();
  const auto second = Database::Open(file_);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_NE(second.error().what.find("in use"), std::string::npos) << second.error().what;
  first.reset();
  EXPECT_NE(Open(), nullptr);
}

TEST_F(DatabaseTest, RefusesANewerFormatAndAForeignFile) {
  Open().reset();
  Tamper("PRAGMA user_version = 99");
  const auto newer = Database::Open(file_);
  ASSERT_FALSE(newer.has_value());
  EXPECT_EQ(newer.error().code, Code::kRefused);
  EXPECT_NE(newer.error().what.find("format 99"), std::string::npos) << newer.error().what;
  EXPECT_NE(newer.error().what.find("start that version"), std::string::npos) << newer.error().what;

  Tamper("PRAGMA user_version = 2; PRAGMA application_id = 7");
  EXPECT_EQ(Database::Open(file_).error().code, Code::kCorrupt);

  ASSERT_TRUE(WriteFileAtomic(file_, View("this is no database at all, whatever its name says"), 0600).has_value());
  std::filesystem::remove(file_.string() + "-wal");
  EXPECT_EQ(Database::Open(file_).error().code, Code::kCorrupt);
}

TEST_F(DatabaseTest, FilesAreForTheOwnerOnly) {
  auto database = Open();
  Append(*database, "audit", 1);
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    EXPECT_EQ(entry.status().permissions() & std::filesystem::perms(0077), std::filesystem::perms::none)
        << entry.path();
  }
  database.reset();
  chmod(file_.c_str(), 0644);
  EXPECT_EQ(Database::Open(file_).error().code, Code::kRefused);
}

TEST_F(DatabaseTest, FindsEveryKindOfChangedRow) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"UPDATE chain SET row = x'39' WHERE name = 'ledger' AND seq = 2", "row 2 of chain ledger"},
      {"UPDATE chain SET hash = zeroblob(32) WHERE name = 'ledger' AND seq = 3", "row 3 of chain ledger"},
      {"UPDATE chain SET prev = zeroblob(32) WHERE name = 'ledger' AND seq = 4", "row 4 of chain ledger"},
      {"DELETE FROM chain WHERE name = 'ledger' AND seq = 2", "row 2 of chain ledger"},
      {"DELETE FROM chain WHERE name = 'ledger' AND seq = 1", "row 1 of chain ledger"},
      {"UPDATE chain SET seq = 9 WHERE name = 'ledger' AND seq = 1; UPDATE chain SET seq = 1 WHERE name = 'ledger' AND "
       "seq = 2; UPDATE chain SET seq = 2 WHERE name = 'ledger' AND seq = 9",
       "row 1 of chain ledger"},
  };
  for (const auto& [sql, where] : cases) {
    std::filesystem::remove(file_);
    {
      auto database = Open();
      Append(*database, "ledger", 4);
      Append(*database, "audit", 4);
    }
    Tamper(sql);
    auto database = Open();
    const auto loaded = database->Load();
    ASSERT_FALSE(loaded.has_value()) << sql;
    EXPECT_EQ(loaded.error().code, Code::kCorrupt);
    EXPECT_NE(loaded.error().what.find(where), std::string::npos) << loaded.error().what;
  }
}

TEST_F(DatabaseTest, FindsAChangedOrExchangedState) {
  const auto fresh = [this] {
    std::filesystem::remove(file_);
    auto database = Open();
    ASSERT_TRUE(database->Commit(
        {PutState{"study", "a", ToBytes(View("auroc 0.7"))}, PutState{"study", "b", ToBytes(View("auroc 0.9"))}}));
  };
  for (const char* sql :
       {"UPDATE state SET blob = CAST(replace(CAST(blob AS BLOB), x'302e37', x'302e38') AS BLOB) WHERE key = 'a'",
        "UPDATE state SET blob = (SELECT blob FROM state WHERE key = 'b') WHERE key = 'a'",
        "UPDATE state SET blob = x'00' WHERE key = 'a'", "UPDATE state SET blob = x'' WHERE key = 'a'"}) {
    fresh();
    Tamper(sql);
    const auto loaded = Open()->Load();
    ASSERT_FALSE(loaded.has_value()) << sql;
    EXPECT_EQ(loaded.error().code, Code::kCorrupt);
    EXPECT_NE(loaded.error().what.find("study/a"), std::string::npos) << loaded.error().what;
  }
  fresh();
  EXPECT_EQ(Text(Open()->Load()->state.at({"study", "b"})), "auroc 0.9");
}

// Not only the pages that hold states and chains.
TEST_F(DatabaseTest, ADamagedPageIsFoundWhereverItIs) {
  constexpr std::size_t kPage = 4096;
  {
    auto database = Open();
    Append(*database, "audit", 40);
  }
  const Bytes whole = ReadFile(file_, 1 << 20).value();
  ASSERT_GE(whole.size(), 5 * kPage);
  for (std::size_t page = 1; page < whole.size() / kPage; ++page) {
    Bytes damaged = whole;
    std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(page * kPage), kPage, std::uint8_t{0xa5});
    ASSERT_TRUE(WriteFileAtomic(file_, damaged, 0600).has_value());
    const auto opened = Database::Open(file_);
    ASSERT_FALSE(opened.has_value()) << "page " << page;
    EXPECT_EQ(opened.error().code, Code::kCorrupt) << opened.error().what;
    EXPECT_NE(opened.error().what.find("put back a backup"), std::string::npos) << opened.error().what;
  }
  ASSERT_TRUE(WriteFileAtomic(file_, whole, 0600).has_value());
  EXPECT_TRUE(Database::Open(file_).has_value());
}

TEST_F(DatabaseTest, ABackupIsACompleteDatabase) {
  auto database = Open();
  const ChainHead head = Append(*database, "audit", 5);
  const auto copy = directory_.path() / "copy.db";
  ASSERT_TRUE(database->BackupTo(copy).has_value());
  EXPECT_EQ(database->BackupTo(copy).error().code, Code::kConflict);
  EXPECT_TRUE(RequirePrivateFile(copy).has_value());
  auto restored = Database::Open(copy);
  ASSERT_TRUE(restored.has_value()) << restored.error().what;
  EXPECT_EQ((*restored)->Load().value().chains.at("audit"), head);
  EXPECT_TRUE(database->Commit({PutState{"a", "b", Row("c")}}).has_value());
}

}  // namespace
}  // namespace consilium
