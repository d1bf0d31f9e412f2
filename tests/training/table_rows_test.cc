// Training from rows wherever they lie gives the bits that training on the whole matrix gives; a batch has its bound.
#include "hospital_node/training/table_rows.h"

#include <gtest/gtest.h>

#include <numeric>

#include "hospital_node/training/design.h"
#include "tests/data/archives.h"
#include "tests/data/plans.h"
#include "tests/data/scratch.h"

namespace consilium::node {
namespace {

constexpr const char* kSchema = R"([columns.image]
type = "tensor"
shape = [3, 2]
minimum = 0
maximum = 255
[columns.sick]
type = "label"
positive = ["1"]
negative = ["0"]
)";

class TableRowsTest : public ::testing::Test {
 protected:
  // `count` images of their own, read from `memory` bytes on from a file.
  Table Images(std::uint32_t count, std::uint32_t seed, std::size_t memory) {
    std::vector<std::uint8_t> pixels(std::size_t{count} * 6), labels;
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>((i * 97 + seed) % 251);
    for (std::uint32_t i = 0; i < count; ++i) labels.push_back((i * 7 + seed) % 3 == 0 ? 1 : 0);
    scratch_.Write("images", testing::Idx<std::uint8_t>(0x08, {count, 3, 2}, pixels));
    scratch_.Write("labels", testing::Idx<std::uint8_t>(0x08, {count}, labels));
    auto table = ReadIdx({(scratch_.path() / "images").string(), (scratch_.path() / "labels").string()},
                         *ParseSchema(kSchema, "schema"), {.memory_bytes = memory, .spool = {scratch_.path(), ""}});
    EXPECT_TRUE(table.has_value()) << table.error().what;
    return std::move(*table);
  }
  static std::vector<std::size_t> All(const Table& table) {
    std::vector<std::size_t> out(table.rows());
    std::iota(out.begin(), out.end(), std::size_t{0});
    return out;
  }
  [[nodiscard]] Recipe MakeRecipe(Precision precision, std::uint32_t batch) const {
    Recipe recipe;
    recipe.model = ModelOf(plan_);
    recipe.loss = UsualLoss(recipe.model);
    recipe.training = {.epochs = 3, .batch_size = batch};
    recipe.precision = precision;
    recipe.kernels = Kernels::kReproducible;
    return recipe;
  }
  testing::Scratch scratch_;
  const Plan plan_ = testing::PlanFrom(
      std::string("[study]\nname = 't'\npurpose = 'p'\nresearcher = 'r'\n[data]\ndataset = 'd'\nschema = 's'\n"
                  "label = 'sick'\nfeatures = ['image']\n[training]\n[preprocessing]\nstandardize = 'declared'\n"
                  "impute = 'constant'\n") +
          testing::kUnprotected,
      kSchema);
  const Preprocessing scale_ = MakePreprocessing(plan_, {});
  const std::vector<double> start_ = {0.5, -0.25, 0, 0.125, 1, -1, 0.0625};
};

TEST_F(TableRowsTest, FromFilesAndOfSeveralTablesTheBitsAreTheMatrixs) {
  const Table first = Images(50, 1, 0), second = Images(23, 5, std::size_t{1} << 20);
  ASSERT_FALSE(first.store.InMemory()) << "from a file";
  ASSERT_TRUE(second.store.InMemory());
  const std::vector<std::size_t> some = {1, 4, 5, 9, 30, 31, 49}, all = All(second);
  const Design a = BuildDesign(plan_, first, some, scale_), b = BuildDesign(plan_, second, all, scale_);
  Matrix x(a.x.rows() + b.x.rows(), a.x.cols());
  x << a.x, b.x;
  Vector y(a.y.size() + b.y.size());
  y << a.y, b.y;
  const std::vector<TableRows> both = {{plan_, first, some, scale_}, {plan_, second, all, scale_}};
  for (const Precision precision : {Precision::kDouble, Precision::kFloat}) {
    const Recipe recipe = MakeRecipe(precision, 4);
    TrainingRun run;
    const auto trained = FitRows(recipe, both, start_, {}, &run);
    ASSERT_TRUE(trained.has_value()) << trained.error().what;
    EXPECT_EQ(run.steps, 3 * 8U) << "30 rows in batches of four, three times";
    EXPECT_EQ(*trained, *Fit(recipe, x, {y.data(), static_cast<std::size_t>(y.size())}, start_));
    EXPECT_EQ(*FitRows(recipe, {both[0]}, start_), *Fit(recipe, a.x, a.Targets(), start_));
    const RowScores scores = PredictRows(recipe, both, *trained);
    EXPECT_EQ(scores.labels, y);
    EXPECT_EQ(scores.predicted, Predict(recipe, x, *trained));
  }
}

TEST_F(TableRowsTest, ABatchLargerThanTheDataIsOneOfAllAndNoRowsChangeNothing) {
  const Table table = Images(20, 3, 0);
  const std::vector<std::size_t> rows = All(table), none;
  const std::vector<TableRows> data = {{plan_, table, rows, scale_}}, nobody = {{plan_, table, none, scale_}};
  TrainingRun run;
  const auto trained = FitRows(MakeRecipe(Precision::kDouble, 1'000'000), data, start_, {}, &run);
  ASSERT_TRUE(trained.has_value()) << trained.error().what;
  EXPECT_EQ(run.steps, 3U);
  EXPECT_EQ(*trained, *FitRows(MakeRecipe(Precision::kDouble, 20), data, start_));
  EXPECT_EQ(*FitRows(MakeRecipe(Precision::kDouble, 20), nobody, start_), start_);
  EXPECT_EQ(PredictRows(MakeRecipe(Precision::kDouble, 20), nobody, start_).predicted.rows(), 0);
}

TEST_F(TableRowsTest, ABatchThatMemoryShouldNotHoldIsRefusedWithTheSizeThatIsRight) {
  Plan plan = plan_;
  Recipe recipe = MakeRecipe(Precision::kDouble, 1);
  recipe.model.inputs = 1 << 20;  // 8 MiB a row.
  plan.batch_size = 64;
  EXPECT_TRUE(CheckBatch(plan, recipe, 1'000'000).has_value());
  plan.batch_size = 65;
  EXPECT_TRUE(CheckBatch(plan, recipe, 64).has_value()) << "the data are fewer";
  const Status refused = CheckBatch(plan, recipe, 65);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kRefused);
  EXPECT_NE(refused.error().what.find("takes 520 MB of memory, and 512 are the most"), std::string::npos)
      << refused.error().what;
  EXPECT_NE(refused.error().what.find("batch_size of at most 64"), std::string::npos) << refused.error().what;
  recipe.precision = Precision::kFloat;
  EXPECT_TRUE(CheckBatch(plan, recipe, 65).has_value());
}

}  // namespace
}  // namespace consilium::node
