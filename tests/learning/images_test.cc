// Real images through the examples' schemas: MNIST as idx files, PneumoniaMNIST as npz. Counts and sums are those that
// numpy gives for the same files. Skipped, with a notice, where the data are absent.
#include <gtest/gtest.h>

#include <cstdlib>

#include "hospital_node/data/source.h"
#include "hospital_node/training/split.h"
#include "tests/learning/federation.h"

namespace consilium {
namespace {

using testing::Federation;

const testing::fs::path kExamples = testing::fs::path(CONSILIUM_SOURCE_DIR) / "deploy" / "examples";

testing::fs::path DataFolder(const std::string& name) {
  const char* set = std::getenv("CONSILIUM_DATA");
  const testing::fs::path base =
      set != nullptr ? testing::fs::path(set) : testing::fs::path(CONSILIUM_SOURCE_DIR) / ".." / "shared" / "data";
  return base / name;
}

std::int64_t PixelSum(const node::Table& table, std::size_t row) {
  std::int64_t out = 0;
  node::RowCursor cursor(table.store);
  const std::uint8_t* bytes = cursor.At(row);
  table.series.front().Elements(bytes, [&](auto /*zero*/, const std::uint8_t* at, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) out += at[i];
  });
  return out;
}
std::int64_t PixelSum(const node::Table& table) {
  std::int64_t out = 0;
  for (std::size_t row = 0; row < table.rows(); ++row) out += PixelSum(table, row);
  return out;
}

std::vector<std::int64_t> CountsOf(const Value& column) {
  std::vector<std::int64_t> out;
  for (const Value& one : column["classes"].AsArray()) out.push_back(one["count"].AsInteger());
  return out;
}

TEST(Mnist, IsReadFromItsGzippedFiles) {
  const testing::fs::path folder = DataFolder("mnist");
  node::DataSetSpec spec{"digits", "", testing::FileText(kExamples / "mnist" / "schema.toml")};
  spec.format = node::Format::kIdx;
  for (const char* file : {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
                           "t10k-labels-idx1-ubyte.gz"})
    spec.files.push_back((folder / file).string());
  if (!testing::fs::exists(spec.files.front()))
    GTEST_SKIP() << "MNIST is not at " << folder << "; set CONSILIUM_DATA to the folder that holds mnist";
  const node::FileWorkbench workbench;
  const auto report = workbench.Check(spec);
  ASSERT_TRUE(report.has_value()) << report.error().what;
  EXPECT_EQ((*report)["rows"].AsInteger(), 70'000);
  EXPECT_EQ((*report)["patients"].AsInteger(), 70'000);
  const Value &image = (*report)["columns"].AsArray()[0], &digit = (*report)["columns"].AsArray()[1];
  EXPECT_EQ(image["minimum"].AsDouble(), 0);
  EXPECT_EQ(image["maximum"].AsDouble(), 255);
  EXPECT_NEAR(image["mean"].AsDouble(), 33.385964741253645, 1e-9);
  EXPECT_EQ(CountsOf(digit), (std::vector<std::int64_t>{6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958}));
  const node::Table table = *node::ReadSource(spec, *ParseSchema(spec.schema, "schema"), {});
  EXPECT_EQ(PixelSum(table), 1832221745);
  EXPECT_EQ(PixelSum(table, 0), 27525);
  EXPECT_EQ(PixelSum(table, 59'999), 20920);
  EXPECT_EQ(PixelSum(table, 60'000), 18454);
  EXPECT_EQ(std::count(table.declared_side.begin(), table.declared_side.end(), node::Side::kTest), 10'000);
}

class PneumoniaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    spec_.format = node::Format::kNpz;
    spec_.files = {(DataFolder("pneumoniamnist") / "pneumoniamnist_rebuilt.npz").string()};
    if (!testing::fs::exists(spec_.files.front())) {
      GTEST_SKIP() << "PneumoniaMNIST is not at " << spec_.files.front()
                   << "; set CONSILIUM_DATA to the folder that holds pneumoniamnist";
    }
  }
  const std::string schema_ = testing::FileText(kExamples / "pneumoniamnist" / "schema.toml");
  node::DataSetSpec spec_{"xrays", "", schema_};
};

TEST_F(PneumoniaTest, IsReadWithItsOwnSplit) {
  const node::FileWorkbench workbench;
  const auto report = workbench.Check(spec_);
  ASSERT_TRUE(report.has_value()) << report.error().what;
  EXPECT_EQ((*report)["rows"].AsInteger(), 4708 + 524 + 624);
  const Value& label = (*report)["columns"].AsArray()[1];
  EXPECT_EQ(label["positive"].AsInteger(), 4273);
  EXPECT_EQ(label["negative"].AsInteger(), 1583);
  const node::Table table = *node::ReadSource(spec_, *ParseSchema(schema_, "schema"), {});
  EXPECT_EQ(PixelSum(table), 668285208);
  EXPECT_EQ(PixelSum(table, 0), 109285);
  EXPECT_EQ(PixelSum(table, 5855), 118026);
  const Plan plan = testing::PlanFromText(testing::FileText(kExamples / "pneumoniamnist" / "train.toml"), schema_);
  const node::Rows rows = *node::SplitRows(plan, table);
  EXPECT_EQ(rows.train.size(), 5232U);
  EXPECT_EQ(rows.test.size(), 624U);
}

TEST_F(PneumoniaTest, TheExamplesPlanLearnsFromImages) {
  Federation federation;
  federation.plan = testing::PlanFromText(testing::FileText(kExamples / "pneumoniamnist" / "train.toml"), schema_);
  federation.hospitals = {spec_, spec_};
  auto algorithm = *MakeAlgorithm(federation.plan);
  const auto run = federation.Run(algorithm.get());
  ASSERT_TRUE(run.has_value()) << run.error().what;
  const Value evaluation = algorithm->Results()["evaluation"];
  EXPECT_GT(evaluation["auroc"].AsDouble(), 0.9) << CanonicalJson(algorithm->Results());
}

}  // namespace
}  // namespace consilium
