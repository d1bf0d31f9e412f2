// Batches are what the plan's preprocessing makes of rows, wherever these lie and in whatever order they are asked for.
#include "hospital_node/training/table_source.h"

#include <gtest/gtest.h>

#include "hospital_node/training/design.h"
#include "tests/data/archives.h"
#include "tests/data/scratch.h"
#include "tests/data/tables.h"

namespace consilium::node {
namespace {

using testing::kNone;
using testing::SmallTrainPlan;

constexpr const char* kSchema = R"([columns.image]
type = "tensor"
shape = [2, 2]
minimum = 50
maximum = 250
[columns.age]
type = "number"
minimum = 0
maximum = 100
[columns.digit]
type = "label"
positive = ["1"]
negative = ["0"]
)";

Plan ImagePlan(const std::string& preprocessing) {
  return testing::PlanFrom(
      "[study]\nname = 't'\npurpose = 'p'\nresearcher = 'r'\n[data]\ndataset = 'd'\nschema = 's'\nlabel = 'digit'\n"
      "features = ['age', 'image']\n[training]\n[preprocessing]\n" +
          preprocessing + testing::kUnprotected,
      kSchema);
}

class TableSourceTest : public ::testing::Test {
 protected:
  // Four images, the i-th of 50 * (1 + i) and a little more; elements of `type`.
  template <class T>
  Table Images(const std::string& type, std::size_t memory) {
    std::vector<T> elements;
    for (int i = 0; i < 16; ++i) elements.push_back(static_cast<T>(50 * (1 + i / 4) + i % 4));
    scratch_.Write("set.npz",
                   testing::Zip({{"image.npy", testing::Npy(type, "(4, 2, 2)", testing::Raw(elements))},
                                 {"age.npy", testing::Npy("<f8", "(4,)", testing::Raw<double>({10, NAN, 30, 40}))},
                                 {"digit.npy", testing::Npy("|u1", "(4,)", std::string("\0\1\1\0", 4))}}));
    auto table =
        ReadNpz((scratch_.path() / "set.npz").string(), *ParseSchema(kSchema, "schema"), {.memory_bytes = memory});
    EXPECT_TRUE(table.has_value()) << table.error().what;
    return std::move(*table);
  }
  testing::Scratch scratch_;
};

TEST_F(TableSourceTest, NumbersAndCategoriesAreImputedScaledAndOneHot) {
  const Table table = testing::SmallTable({{"a", 10, 0.5, 1, 0}, {"b", kNone, -0.5, 3, 1}, {"c", 30, 0, 0, 1}});
  const Preprocessing scale{{7, 0, 0, 1}, {5, 0, 0, 0.5}, {2, 1, 1, 4}};  // age, grade=2, grade=3, dose
  TableSource<double> source(SmallTrainPlan(), table, {2, 1}, scale);
  ASSERT_EQ(source.rows(), 2U);
  ASSERT_EQ(source.features(), 4U);
  std::vector<double> x(8), y(2);
  source.Gather(std::vector<std::uint32_t>{1, 0}, x.data(), y.data());
  EXPECT_EQ(x, (std::vector<double>{1, 0, 1, -0.25, 12.5, 0, 0, -0.125}));
  EXPECT_EQ(y, (std::vector<double>{1, 1}));
}

TEST_F(TableSourceTest, TensorsAreScaledAsAWholeFromEveryTypeAndPlace) {
  const Plan plan = ImagePlan("standardize = 'declared'\nimpute = 'constant'\n");
  EXPECT_EQ(DesignWidth(plan), 5U);
  const Preprocessing scale = MakePreprocessing(plan, {});
  EXPECT_EQ(scale.mean, (std::vector<double>{50, 50})) << "numbers to [-1, 1], tensors to [0, 1]";
  EXPECT_EQ(scale.sd, (std::vector<double>{50, 200}));
  const auto expect = [&](const Table& table) {
    TableSource<float> source(plan, table, {0, 1, 2, 3}, scale);
    std::vector<float> x(10), y(2);
    source.Gather(std::vector<std::uint32_t>{3, 1}, x.data(), y.data());
    const std::vector<float> expected = {-0.2F, 0.75F, 0.755F, 0.76F, 0.765F, 0, 0.25F, 0.255F, 0.26F, 0.265F};
    EXPECT_EQ(x, expected);
    EXPECT_EQ(y, (std::vector<float>{0, 1}));
  };
  expect(Images<std::uint8_t>("|u1", 1 << 20));
  expect(Images<std::uint8_t>("|u1", 8));
  expect(Images<std::int64_t>("<i8", 8));
  expect(Images<float>("<f4", 1 << 20));
  expect(Images<double>("<f8", 8));
}

TEST_F(TableSourceTest, TheDesignIsAllRowsInOrder) {
  const Table table = Images<std::uint8_t>("|u1", 8);
  const Plan plan = ImagePlan("standardize = 'none'\nimpute = 'constant'\n");
  const Design design = BuildDesign(plan, table, {0, 2}, MakePreprocessing(plan, {}));
  ASSERT_EQ(design.x.cols(), 5);
  EXPECT_EQ(design.x(0, 0), 10);
  EXPECT_EQ(design.x(1, 4), 153);
  EXPECT_EQ(design.y[1], 1);
}

TEST_F(TableSourceTest, ASitesOwnScaleOfATensorIsOverAllItsElements) {
  const Table table = Images<std::uint8_t>("|u1", 8);
  const Plan plan = ImagePlan("standardize = 'site'\n");
  const Preprocessing own = SiteScaled(plan, table, {0, 1}, MakePreprocessing(plan, {}));
  EXPECT_DOUBLE_EQ(own.mean[1], 76.5);  // 50 to 53 and 100 to 103
  EXPECT_DOUBLE_EQ(own.sd[1], std::sqrt(626.25));
}

}  // namespace
}  // namespace consilium::node
