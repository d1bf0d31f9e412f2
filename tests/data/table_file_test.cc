// Rows that memory should not hold lie in a file, and give the same table; a named one is found again, a damaged one is
// made again.
#include "hospital_node/data/table_file.h"

#include <gtest/gtest.h>

#include "hospital_node/data/source.h"
#include "tests/data/scratch.h"
#include "tests/data/tables.h"

namespace consilium::node {
namespace {

namespace fs = std::filesystem;

class TableFileTest : public ::testing::Test {
 protected:
  TableFileTest() {
    std::string csv = "id,age,dose,grade,sick,note\n";
    for (int i = 0; i < 200; ++i) {
      csv += "p" + std::to_string(i / 2) + "," + (i % 7 == 3 ? "?" : std::to_string(i % 100)) + ",0.25," +
             std::to_string(1 + i % 3) + "," + (i % 11 == 5 ? "" : std::to_string(i % 2)) + ",x\n";
    }
    scratch_.Write("patients.csv", csv);
    fs::create_directories(spool_);
    spec_ = {"cohort", scratch_.path().string(), testing::kSmallSchema};
  }
  Result<Table> Read(std::size_t memory, const std::string& name, const std::set<std::string>* excluded = nullptr) {
    return ReadSource(spec_, schema_, {.excluded = excluded, .memory_bytes = memory, .spool = {spool_, name}});
  }
  [[nodiscard]] std::size_t Files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(spool_), fs::directory_iterator()));
  }
  static void ExpectSame(const Table& a, const Table& b) {
    ASSERT_EQ(a.rows(), b.rows());
    for (const char* name : {"age", "dose", "sick"}) {
      const std::vector<double> x = testing::NumbersOf(a, name), y = testing::NumbersOf(b, name);
      for (std::size_t i = 0; i < x.size(); ++i)
        EXPECT_TRUE(x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) << i;
    }
    EXPECT_EQ(testing::LevelsOf(a, "grade"), testing::LevelsOf(b, "grade"));
    EXPECT_EQ(a.patient, b.patient);
    EXPECT_EQ(a.patient_ids.names, b.patient_ids.names);
    EXPECT_EQ(a.declared_side, b.declared_side);
    EXPECT_EQ(a.ignored_columns, b.ignored_columns);
  }

  testing::Scratch scratch_;
  const fs::path spool_ = scratch_.path() / "spool";
  const Schema schema_ = *ParseSchema(testing::kSmallSchema, "schema");
  DataSetSpec spec_;
};

TEST_F(TableFileTest, AFileGivesWhatMemoryGives) {
  const auto memory = Read(1 << 20, ""), file = Read(100, "");
  ASSERT_TRUE(memory.has_value() && file.has_value());
  EXPECT_TRUE(memory->store.InMemory());
  EXPECT_FALSE(file->store.InMemory());
  ExpectSame(*memory, *file);
  EXPECT_EQ(Files(), 0U) << "a file without a name is in no folder";
  RowCursor ahead(file->store), alone(file->store, 1);
  for (const std::size_t row : {199U, 0U, 57U, 58U, 56U, 199U})
    EXPECT_EQ(std::memcmp(ahead.At(row), alone.At(row), file->store.row_bytes()), 0) << row;
}

TEST_F(TableFileTest, ANamedFileIsReadInsteadOfTheSources) {
  const auto made = Read(100, "one");
  ASSERT_TRUE(made.has_value()) << made.error().what;
  EXPECT_EQ(Files(), 1U);
  const auto permissions = fs::status(spool_ / "one").permissions();
  EXPECT_EQ(permissions, fs::perms::owner_read | fs::perms::owner_write);
  scratch_.Write("patients.csv", "not a table any more");
  const auto found = Read(100, "one");
  ASSERT_TRUE(found.has_value()) << found.error().what;
  ExpectSame(*made, *found);
}

TEST_F(TableFileTest, WhatFitsInMemoryIsNotWritten) {
  ASSERT_TRUE(Read(1 << 20, "one").has_value());
  EXPECT_EQ(Files(), 0U);
}

TEST_F(TableFileTest, AFaultOfTheSourcesLeavesNoFile) {
  std::string csv = "id,age,dose,grade,sick\n";
  for (int i = 0; i < 300; ++i) csv += "p,1,0,1,1\n";
  scratch_.Write("patients.csv", csv + "p,1000,0,1,1\n");
  EXPECT_FALSE(Read(100, "one").has_value());
  EXPECT_EQ(Files(), 0U);
}

TEST_F(TableFileTest, ADamagedFileIsMadeAgain) {
  const auto right = Read(1 << 20, "");
  ASSERT_TRUE(right.has_value() && Read(100, "one").has_value());
  const auto size = fs::file_size(spool_ / "one");
  for (const std::uint64_t at : {std::uint64_t{0}, size / 2, size - 40, size - 1}) {
    std::fstream file(spool_ / "one", std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
    file.close();
    const auto damaged = OpenTableFile(spool_ / "one", schema_);
    ASSERT_FALSE(damaged.has_value()) << at;
    EXPECT_EQ(damaged.error().code, Code::kCorrupt);
    const auto again = Read(100, "one");
    ASSERT_TRUE(again.has_value()) << again.error().what;
    ExpectSame(*right, *again);
    EXPECT_TRUE(OpenTableFile(spool_ / "one", schema_).has_value());
  }
  fs::resize_file(spool_ / "one", size - 100);
  EXPECT_EQ(OpenTableFile(spool_ / "one", schema_).error().code, Code::kCorrupt);
  fs::resize_file(spool_ / "one", 3);
  EXPECT_EQ(OpenTableFile(spool_ / "one", schema_).error().code, Code::kCorrupt);
  EXPECT_EQ(OpenTableFile(spool_ / "two", schema_).error().code, Code::kNotFound);
}

TEST_F(TableFileTest, TheKeyTellsContentSchemaAndWithdrawalsApart) {
  Schema other = schema_;
  other.columns[1].maximum = 101;
  const std::set<std::string> none, one = {PatientMark("p1")};
  const std::set<std::string> keys = {TableKey("a", schema_, none), TableKey("b", schema_, none),
                                      TableKey("a", other, none), TableKey("a", schema_, one)};
  EXPECT_EQ(keys.size(), 4U);
}

TEST_F(TableFileTest, ADiskThatLosesRowsIsAnErrorAndNoSignal) {
  const auto made = Read(100, "one");
  ASSERT_TRUE(made.has_value());
  fs::resize_file(spool_ / "one", 50);
  Bytes row(made->store.row_bytes());
  EXPECT_THROW(made->store.Read(199, 1, row.data()), StoreUnreadable);
}

TEST_F(TableFileTest, AFullDiskSaysSo) {
  const auto full = ReadSource(spec_, schema_, {.memory_bytes = 100, .spool = {scratch_.path() / "absent", ""}});
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, Code::kIo);
  EXPECT_NE(full.error().what.find("cannot make the node's copy of a data set in"), std::string::npos)
      << full.error().what;
}

}  // namespace
}  // namespace consilium::node
