// A table is what the schema declares, or an error that names file, line, column and the mend.
#include "hospital_node/data/table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "hospital_node/data/cell.h"
#include "hospital_node/data/profile.h"
#include "tests/data/columns.h"
#include "tests/data/tables.h"

namespace consilium::node {
namespace {

namespace fs = std::filesystem;

Schema SmallSchema() {
  Schema schema;
  Column age = testing::NumberColumn("age", 0, 120);
  age.unit = "years";
  age.missing = {"-9"};
  const Column sex = testing::CategoryColumn("sex", {"0", "1"});
  const Column sick = testing::LabelColumn("sick", {"1", "2"}, {"0"});
  schema.columns = {age, sex, sick};
  schema.missing = {"", "?"};
  return schema;
}

class TableTest : public ::testing::Test {
 protected:
  TableTest()
      : folder_(fs::path(::testing::TempDir()) /
                ("table-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()))) {
    fs::create_directories(folder_);
  }
  ~TableTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, std::string_view text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  Result<Table> Read(const ReadOptions& options = {}) { return ReadTable(folder_.string(), schema_, options); }
  Result<Table> ReadText(std::string_view text, const ReadOptions& options = {}) {
    Write("p.csv", text);
    return Read(options);
  }
  // The message without the folder's name; it must be kInvalid.
  std::string Fault(std::string_view text, const ReadOptions& options = {}) {
    const auto table = ReadText(text, options);
    if (table) return "no fault";
    EXPECT_EQ(table.error().code, Code::kInvalid);
    const std::string prefix = (folder_ / "").string();
    return table.error().what.starts_with(prefix) ? table.error().what.substr(prefix.size()) : table.error().what;
  }

  fs::path folder_;
  Schema schema_ = SmallSchema();
};

TEST_F(TableTest, TypedColumnsWithMissingValues) {
  const auto table = ReadText("sick,age,sex,extra\n0,41,1,x\n2,?,0,y\n1,-9.0,,z\n,50.5,1.0,\n");
  ASSERT_TRUE(table.has_value()) << table.error().what;
  EXPECT_EQ(table->rows(), 4U);
  EXPECT_EQ(table->patients(), 4U);
  const std::vector<double> age = testing::NumbersOf(*table, "age");
  EXPECT_EQ(age[0], 41);
  EXPECT_TRUE(std::isnan(age[1])) << "the code for every column";
  EXPECT_TRUE(std::isnan(age[2])) << "the column's own code, as a number";
  EXPECT_EQ(age[3], 50.5);
  EXPECT_EQ(testing::LevelsOf(*table, "sex"), (std::vector<int>{1, 0, -1, 1})) << "1.0 is level 1";
  EXPECT_EQ(table->Find("sick")->numbers[1], 1);
  EXPECT_TRUE(table->Find("sick")->MissingAt(3));
  const std::vector<Profile> profiles = ProfilesOf(*table);
  EXPECT_EQ(profiles[0].missing, 2U);
  EXPECT_EQ(profiles[0].mean, 45.75);
  EXPECT_EQ(profiles[1].counts, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(profiles[2].counts, (std::vector<std::uint64_t>{1, 2})) << "negative, positive";
  EXPECT_EQ(table->ignored_columns, std::vector<std::string>{"extra"});
}

TEST_F(TableTest, WrongTypeIsNamedWithoutItsValue) {
  const std::string fault = Fault("age,sex,sick\n41,1,0\nforty,1,0\n");
  EXPECT_TRUE(
      fault.starts_with("p.csv:3: column \"age\": text where a number is expected; write a number from 0 to 120 years"))
      << fault;
  EXPECT_EQ(fault.find("forty"), std::string::npos);
  EXPECT_NE(Fault("age,sex,sick\nforty,1,0\n", {.show_values = true}).find("(\"forty\")"), std::string::npos);
}

TEST_F(TableTest, DecimalCommaInfinityNanAndHexAreNoNumbers) {
  EXPECT_NE(Fault("age,sex,sick\n\"41,5\",1,0\n").find("write a point, not a comma"), std::string::npos);
  for (const char* text : {"inf", "-Inf", "+infinity", "nan", "NaN", "-nan", "nan(1)", "1e999"})
    EXPECT_NE(Fault(std::string("age,sex,sick\n") + text + ",1,0\n").find("text where a number"), std::string::npos)
        << text;
  EXPECT_NE(Fault("age,sex,sick\n0x20,1,0\n").find("text where a number"), std::string::npos);
}

TEST_F(TableTest, OutOfRangeIsAnError) {
  const std::string above = Fault("age,sex,sick\n121,1,0\n"), below = Fault("age,sex,sick\n-1,1,0\n");
  EXPECT_TRUE(
      above.starts_with("p.csv:2: column \"age\": a number above the declared range; the schema allows 0 to 120 years"))
      << above;
  EXPECT_TRUE(below.starts_with("p.csv:2: column \"age\": a number below the declared range")) << below;
  EXPECT_EQ(above.find("121"), std::string::npos);
}

TEST_F(TableTest, UnknownCategoryAndLabelAreErrors) {
  const std::string category = Fault("age,sex,sick\n41,other,0\n");
  EXPECT_TRUE(category.starts_with("p.csv:2: column \"sex\": an unknown category; the schema knows \"0\", \"1\""))
      << category;
  const std::string label = Fault("age,sex,sick\n41,1,7\n");
  EXPECT_TRUE(label.starts_with("p.csv:2: column \"sick\": a label that is neither positive nor negative")) << label;
}

TEST_F(TableTest, RaggedRowEmptyFileAndMissingColumnAreErrors) {
  EXPECT_TRUE(Fault("age,sex,sick\n41,1,0\n41,1\n").starts_with("p.csv:3: 2 fields where 3 are expected"));
  EXPECT_TRUE(Fault("age,sex,sick\n41,1,0,5\n").starts_with("p.csv:2: 4 fields where 3 are expected"));
  EXPECT_TRUE(Fault("").starts_with("p.csv: the file is empty"));
  EXPECT_TRUE(Fault("age,sex,sick\n").starts_with("p.csv: has a header but no rows"));
  EXPECT_TRUE(
      Fault("agee,sex,sick\n41,1,0\n").starts_with("p.csv:1: column \"age\" is missing (the header has \"agee\")"));
  EXPECT_TRUE(Fault("age,sex,sick,age\n41,1,0,5\n").starts_with("p.csv:1: column \"age\" is there twice"));
}

TEST_F(TableTest, SeveralProblemsAreListedWhenAskedFor) {
  const std::string faults =
      Fault("age,sex,sick\nx,1,0\n41,2,0\n41\n41,1,9\n", {.show_values = true, .maximum_problems = 3});
  EXPECT_EQ(std::count(faults.begin(), faults.end(), '\n'), 2) << faults;
  EXPECT_NE(faults.find("p.csv:2:"), std::string::npos);
  EXPECT_NE(faults.find("p.csv:3:"), std::string::npos);
  EXPECT_NE(faults.find("p.csv:4:"), std::string::npos);
}

TEST_F(TableTest, FilesOfAFolderAreReadTogetherInNameOrder) {
  Write("b.csv", "age,sex,sick\n2,1,0\n");
  Write("a.csv", "sick,sex,age\n0,1,1\n");
  Write("c.txt", "not read");
  Write(".hidden.csv", "not read");
  const auto table = Read();
  ASSERT_TRUE(table.has_value()) << table.error().what;
  EXPECT_EQ(testing::NumbersOf(*table, "age"), (std::vector<double>{1, 2}));
  EXPECT_EQ(table->files.size(), 2U);
  const auto one = ReadTable((folder_ / "b.csv").string(), schema_);
  ASSERT_TRUE(one.has_value()) << "a data set may be one file";
  EXPECT_EQ(one->rows(), 1U);
}

TEST_F(TableTest, NoFolderAndNoMatchingFileAreErrors) {
  EXPECT_FALSE(Read().has_value());
  EXPECT_FALSE(ReadTable((folder_ / "absent").string(), schema_).has_value());
}

TEST_F(TableTest, FilesWithoutAHeaderTakeTheirNamesFromTheSchema) {
  schema_.header = false;
  schema_.file_columns = {"age", "spare", "sex", "sick"};
  const auto table = ReadText("41,x,1,0\n42,y,0,1\n");
  ASSERT_TRUE(table.has_value()) << table.error().what;
  EXPECT_EQ(testing::NumbersOf(*table, "age"), (std::vector<double>{41, 42}));
  EXPECT_TRUE(Fault("41,1,0\n").starts_with("p.csv:1: 3 fields where 4 are expected"));
  EXPECT_TRUE(Fault("").starts_with("p.csv: the file is empty"));
}

TEST_F(TableTest, RowsOfAPatientShareTheirNumber) {
  schema_.patient_id = "id";
  const auto table = ReadText("id,age,sex,sick\nx,1,0,0\ny,2,0,0\nx,3,0,1\n");
  ASSERT_TRUE(table.has_value()) << table.error().what;
  EXPECT_EQ(table->patient, (std::vector<std::uint32_t>{0, 1, 0}));
  EXPECT_EQ(table->patient_ids.names, (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(Fault("id,age,sex,sick\n,1,0,0\n").starts_with("p.csv:2: column \"id\": the patient id is missing"));
}

TEST_F(TableTest, ADeclaredSplitIsKeptPerPatient) {
  schema_.patient_id = "id";
  schema_.split_column = "part";
  schema_.split_train = {"train"};
  schema_.split_test = {"test"};
  const auto table = ReadText("id,part,age,sex,sick\nx,train,1,0,0\ny,test,2,0,0\nx,train,3,0,1\n");
  ASSERT_TRUE(table.has_value()) << table.error().what;
  EXPECT_EQ(table->declared_side, (std::vector<Side>{Side::kTrain, Side::kTest}));
  EXPECT_NE(Fault("id,part,age,sex,sick\nx,train,1,0,0\nx,test,3,0,1\n")
                .find("p.csv:3: column \"part\": this patient has rows on both sides"),
            std::string::npos);
  EXPECT_NE(Fault("id,part,age,sex,sick\nx,maybe,1,0,0\n").find("a value that is not declared"), std::string::npos);
}

TEST(Cell, ValuesCompareAsTextOrAsNumbers) {
  EXPECT_TRUE(SameValue("1", "1.0"));
  EXPECT_TRUE(SameValue(" 1 ", "+1e0"));
  EXPECT_TRUE(SameValue("male", "male"));
  EXPECT_FALSE(SameValue("male", "Male"));
  EXPECT_FALSE(SameValue("1", "one"));
  EXPECT_EQ(ParseNumber(".7"), 0.7);
  EXPECT_FALSE(ParseNumber("").has_value());
  EXPECT_FALSE(ParseNumber("1 2").has_value());
  EXPECT_FALSE(ParseNumber("+-1").has_value());
  EXPECT_FALSE(ParseNumber("nan").has_value());
}

}  // namespace
}  // namespace consilium::node
