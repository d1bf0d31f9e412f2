// Schemas hold: only what is declared and possible is read, faults name their place, every way of writing one reads
// back.
#include <gtest/gtest.h>

#include "common/plan/schema.h"

namespace consilium {
namespace {

constexpr const char* kHeart = R"([file]
pattern = "*.data"
header = false
columns = ["age", "sex", "trestbps", "cp", "num", "id", "part"]
missing = ["?", ""]

[patient]
id = "id"

[split]
column = "part"
train = ["train"]
test = ["test", "holdout"]

[columns.age]
type = "number"
unit = "years"
minimum = 0
maximum = 120
meaning = "age at admission"

[columns.trestbps]
type = "number"
unit = "mmHg"
minimum = 0.5
maximum = 300
missing = ["0", -9]

[columns.cp]
type = "category"
levels = [1, 2, 3, 4]

[columns.num]
type = "label"
positive = ["1", "2", "3", "4"]
negative = [0]
)";

Schema Heart() {
  const Result<Schema> schema = ParseSchema(kHeart, "heart.toml");
  EXPECT_TRUE(schema.has_value()) << schema.error().what;
  return schema ? *schema : Schema();
}
std::string ErrorOf(const std::string& toml) {
  const Result<Schema> schema = ParseSchema(toml, "s.toml");
  if (schema) return "no error";
  EXPECT_EQ(schema.error().code, Code::kInvalid);
  return schema.error().what;
}
std::string With(const std::string& what, const std::string& by) {
  std::string text = kHeart;
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}
void ExpectError(const std::string& toml, const std::string& part) {
  EXPECT_NE(ErrorOf(toml).find(part), std::string::npos) << ErrorOf(toml);
}

TEST(Schema, ReadsWhatIsDeclaredInTheFilesOrder) {
  const Schema s = Heart();
  ASSERT_EQ(s.columns.size(), 4U);
  EXPECT_EQ(s.columns[0].name, "age");
  EXPECT_EQ(s.columns[1].name, "trestbps");
  EXPECT_EQ(s.columns[2].name, "cp");
  EXPECT_EQ(s.columns[3].name, "num");
  EXPECT_FALSE(s.header);
  EXPECT_EQ(s.columns[0].meaning, "age at admission");
  EXPECT_EQ(s.columns[1].missing, (std::vector<std::string>{"0", "-9"}));
  EXPECT_EQ(s.columns[2].levels, (std::vector<std::string>{"1", "2", "3", "4"}));
  EXPECT_EQ(s.columns[3].negative, std::vector<std::string>{"0"});
  EXPECT_EQ(s.split_test.size(), 2U);
  EXPECT_EQ(s.Find("nothing"), nullptr);
}

TEST(Schema, EveryWayOfWritingReadsBack) {
  const Schema s = Heart();
  EXPECT_EQ(SchemaFromValue(ToValue(s), "again").value(), s);
  EXPECT_EQ(SchemaFromValue(ParseJson(CanonicalJson(ToValue(s))).value(), "again").value(), s);
  const Result<Schema> toml = ParseSchema(SchemaToml(s), "again");
  ASSERT_TRUE(toml.has_value()) << toml.error().what << SchemaToml(s);
  EXPECT_EQ(*toml, s);
}

TEST(Schema, DefaultsAreWrittenOut) {
  const Schema s = ParseSchema("[columns.\"a.b\"]\ntype = 'text'\nmeaning = 'q\"uote \\\\'\n", "s").value();
  EXPECT_EQ(
      CanonicalJson(ToValue(s)),
      R"({"columns":[{"meaning":"q\"uote \\\\","missing":[],"name":"a.b","type":"text","unit":""}],)"
      R"("file":{"columns":[],"delimiter":",","header":true,"missing":[""],"pattern":"*.csv"},"patient":{"id":"row"}})");
  EXPECT_EQ(ParseSchema(SchemaToml(s), "s").value(), s);
}

TEST(Schema, RefusesWhatCannotBe) {
  ExpectError(With("maximum = 120", "maximum = 0"),
              "s.toml:19:1: [columns.age] maximum: must be above minimum (0), got 0");
  ExpectError(With("maximum = 120", "maximun = 120"),
              "s.toml:19:1: [columns.age]: unknown key 'maximun'; did you mean 'maximum'?");
  ExpectError(With("maximum = 120", "maximum = 1e31"), "maximum: must be between");
  ExpectError(With("maximum = 120\n", ""), "[columns.age] maximum: is required");
  ExpectError(With("type = \"number\"", "type = \"numbr\""), "did you mean 'number'?");
  ExpectError(With("levels = [1, 2, 3, 4]", "levels = [1]"), "at least two levels");
  ExpectError(With("levels = [1, 2, 3, 4]", "levels = [1, '1.0']"), "'1.0' is there twice");
  ExpectError(With("levels = [1, 2, 3, 4]", "levels = [1, '?']"), "'?' is a code for missing in [file] too");
  ExpectError(With("levels = [1, 2, 3, 4]", "levels = [1, true]"), "texts and numbers only");
  ExpectError(With("levels = [1, 2, 3, 4]", "levels = [1, 2]\nminimum = 0"), "minimum: only a number has it");
  ExpectError(With("levels = [1, 2, 3, 4]", "levels = [1, 2]\nmissing = [2]"), "is a code for missing too");
  ExpectError(With("levels = [1, 2, 3, 4]", "levels = ['a', \"b\\u001b[31m\"]"), "control characters");
  ExpectError(With("negative = [0]", "negative = ['1.0']"), "'1' means 1 already");
  ExpectError(With("negative = [0]", ""), "negative: a label needs");
  ExpectError(With("positive = [\"1\", \"2\", \"3\", \"4\"]", ""), "positive: a label needs");
  ExpectError(With("id = \"id\"", "id = \"idd\""), "'idd' is no column of this schema; did you mean 'id'?");
  ExpectError(With("column = \"part\"", "column = \"x\""), "[split] column: 'x' is no column");
  ExpectError(With("test = [\"test\", \"holdout\"]", "test = [\"train\"]"), "means training already");
  ExpectError(With("\"cp\", ", ""), "[columns.cp]: is not among [file] columns");
  ExpectError(With("columns = [\"age\"", "columns = [\"age\", \"age\""), "'age' is there twice");
  ExpectError(With("columns = [\"age\", \"sex\", \"trestbps\", \"cp\", \"num\", \"id\", \"part\"]", ""),
              "a file without a header needs");
  ExpectError(With("pattern = \"*.data\"", "pattern = \"../*.data\""), "without a folder");
  ExpectError(With("header = false", "header = false\ndelimiter = ';;'"), "delimiter: must be one of");
  ExpectError(With("[columns.age]", "[columns.\"a ge\"]"), "'a ge': a column's name is");
  ExpectError(With("[columns.age]", "[colums.age]"), "unknown key 'colums'; did you mean 'columns'?");
  ExpectError("", "no column is declared");
}

TEST(Schema, OnlyMeaningMustAgreeBetweenHospitals) {
  const Schema wanted = Heart();
  Schema local = wanted;
  local.missing = {"NA"};
  local.header = true;
  local.columns[1].missing = {"-1"};
  local.columns[2].levels = {"1.0", "2.0", "3", "4"};
  local.columns[3].positive = {"4", "3", "2", "1"};
  for (const char* name : {"age", "trestbps", "cp", "num"})
    EXPECT_TRUE(Compatible(wanted, local, name).has_value()) << name;
  const auto differs = [&](std::size_t column, auto change, const std::string& part) {
    Schema other = local;
    change(other.columns[column]);
    const Status status = Compatible(wanted, other, local.columns[column].name);
    ASSERT_FALSE(status.has_value());
    EXPECT_NE(status.error().what.find(part), std::string::npos) << status.error().what;
  };
  differs(0, [](Column& c) { c.type = Column::Type::kText; }, "type number, this data set text");
  differs(0, [](Column& c) { c.unit = "months"; }, "unit 'years', this data set 'months'");
  differs(0, [](Column& c) { c.minimum = 18; }, "minimum 0, this data set 18");
  differs(0, [](Column& c) { c.maximum = 90; }, "maximum 120, this data set 90");
  differs(2, [](Column& c) { std::swap(c.levels[0], c.levels[1]); }, "levels");
  differs(3, [](Column& c) { c.positive.pop_back(); }, "positive");
  differs(3, [](Column& c) { c.negative.emplace_back("9"); }, "negative");
  EXPECT_FALSE(Compatible(wanted, local, "sex").has_value());
  local.columns.erase(local.columns.begin());
  EXPECT_NE(Compatible(wanted, local, "age").error().what.find("not in this data set's schema"), std::string::npos);
}

constexpr const char* kImages = R"([file]
parts = ["train", "val", "test"]
[split]
column = "part"
train = ["train", "val"]
test = ["test"]
[columns.image]
type = "tensor"
array = "images"
shape = [28, 28]
minimum = 0
maximum = 255
[columns.digit]
type = "label"
classes = [0, 1, 2, 3]
)";

TEST(Schema, TensorsClassesAndPartsReadBack) {
  const Schema s = ParseSchema(kImages, "s.toml").value();
  EXPECT_EQ(s.columns[0].shape, (std::vector<std::uint32_t>{28, 28}));
  EXPECT_EQ(s.columns[0].Elements(), 784U);
  EXPECT_EQ(s.columns[1].classes, (std::vector<std::string>{"0", "1", "2", "3"}));
  EXPECT_EQ(s.columns[1].Elements(), 1U);
  EXPECT_TRUE(s.SplitByPart());
  EXPECT_EQ(SchemaFromValue(ParseJson(CanonicalJson(ToValue(s))).value(), "again").value(), s);
  EXPECT_EQ(ParseSchema(SchemaToml(s), "again").value(), s) << SchemaToml(s);
}

TEST(Schema, RefusesTensorsClassesAndPartsThatCannotBe) {
  const auto expect = [](const std::string& what, const std::string& by, const std::string& part) {
    std::string text = kImages;
    const std::size_t at = text.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    ExpectError(text.replace(at, what.size(), by), part);
  };
  expect("shape = [28, 28]\n", "", "[columns.image] shape: a tensor needs the lengths of its 1 to 4 axes");
  expect("[28, 28]", "[28, 0]", "must hold whole numbers from 1");
  expect("[28, 28]", "[28, 2.5]", "must hold whole numbers from 1");
  expect("[28, 28]", "[1, 1, 1, 1, 1]", "1 to 4 axes");
  expect("[28, 28]", "[2048, 2048]", "more than 1048576 elements");
  expect("maximum = 255", "maximum = 0", "must be above minimum");
  expect("maximum = 255", "maximum = 255\nmissing = [0]", "a tensor is there or not");
  expect("maximum = 255", "maximum = 255\nlevels = [1, 2]", "only a category has it; this column is a tensor");
  expect("array = \"images\"", "array = \"a b\"", "[columns.image] array: 'a b'");
  expect("[0, 1, 2, 3]", "[0, 1]", "with two, write positive and negative");
  expect("[0, 1, 2, 3]", "[0, 1, 2]\npositive = [1]", "stands beside classes");
  expect("[0, 1, 2, 3]", "[0, 1, \"\"]", "is a code for missing in [file] too");
  expect("type = \"label\"", "type = \"category\"", "classes: only a label has it");
  expect("test = [\"test\"]", "test = [\"tests\"]", "[split] test: 'tests' is not among [file] parts");
  expect("train = [\"train\", \"val\"]", "train = [\"train\"]", "neither train nor test has the part 'val'");
  expect("parts = [\"train\", \"val\", \"test\"]", "", "[split] column: 'part' is no column");
  expect("\"val\", \"test\"]", "\"val\", \"val\", \"test\"]", "[file] parts: 'val' is there twice");
}

TEST(Schema, TensorsAndClassesMustAgreeBetweenHospitals) {
  const Schema wanted = ParseSchema(kImages, "s.toml").value();
  Schema local = wanted;
  local.columns[0].array = "pictures";
  local.parts = {};
  EXPECT_TRUE(Compatible(wanted, local, "image").has_value()) << "where an array lies is each hospital's own matter";
  local.columns[0].shape = {28, 29};
  local.columns[1].classes = {"1", "0", "2", "3"};
  EXPECT_NE(Compatible(wanted, local, "image").error().what.find("shape 28 x 28, this data set 28 x 29"),
            std::string::npos);
  EXPECT_NE(Compatible(wanted, local, "digit").error().what.find("classes"), std::string::npos)
      << "a class is its place";
}

TEST(Schema, PlainTextCannotTakeOverAScreen) {
  for (const char* bad : {"a\nb", "a\x1b[31m", "a\x7f",
                          "a\xc2\x9b"
                          "31m",
                          "a\xe2\x80\xae"
                          "b",
                          "a\xe2\x81\xa6"
                          "b",
                          "a\xe2\x80\xa8"
                          "b"}) {
    EXPECT_FALSE(IsPlainText(bad, 100)) << bad;
  }
  EXPECT_TRUE(
      IsPlainText("Herzinsuffizienz \xc3\xbc"
                  "ber 65 \xe2\x80\x93 \xe5\xbf\x83",
                  100));
  EXPECT_FALSE(IsPlainText("abc", 2));
}

}  // namespace
}  // namespace consilium
