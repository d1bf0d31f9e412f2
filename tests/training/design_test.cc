// The design matrix: order, one-hot, imputation and scale as the plan says.
#include "hospital_node/training/design.h"

#include <gtest/gtest.h>

#include "hospital_node/data/sum.h"
#include "tests/data/tables.h"

namespace consilium::node {
namespace {

using testing::kNone;
using testing::SmallTrainPlan;

const std::vector<std::size_t> kAll = {0, 1, 2, 3};

Table FourRows() {
  return testing::SmallTable(
      {{"a", 40, -1, 1, 1}, {"b", kNone, 0.5, 2, 0}, {"c", 60, kNone, 3, 1}, {"d", 80, 1, 0, 0}});
}

TEST(Design, OneHotImputedAndScaled) {
  const Plan plan = SmallTrainPlan();  // age, grade, dose
  const Preprocessing p = MakePreprocessing(plan, {{"age", {50, 10}}, {"dose", {0.25, 0.5}}});
  const Design design = BuildDesign(plan, FourRows(), kAll, p);
  Matrix expected(4, 4);
  expected << -1, 0, 0, -2.5,  //
      0, 1, 0, 0.5,            //
      1, 0, 1, 0,              //
      3, 0, 0, 1.5;            // A missing grade is all zeros, as the reference level.
  EXPECT_EQ(design.x, expected);
  EXPECT_EQ(design.y, Vector((Vector(4) << 1, 0, 1, 0).finished()));
}

TEST(Design, DeclaredScaleMapsTheRangeToOne) {
  const Plan plan = SmallTrainPlan("standardize = \"declared\"\nimpute = \"constant\"\n");
  const Design design =
      BuildDesign(plan, testing::SmallTable({{"a", 0, -1, 1, 1}, {"b", 100, 1, 1, 1}, {"c", kNone, kNone, 1, 1}}),
                  {0, 1, 2}, MakePreprocessing(plan, {}));
  EXPECT_EQ(design.x(0, 0), -1);
  EXPECT_EQ(design.x(1, 0), 1);
  EXPECT_EQ(design.x(2, 0), 0);
  EXPECT_EQ(design.x(1, 3), 1);
}

TEST(Design, SiteScaleIsOfItsOwnTrainingRows) {
  const Plan plan = SmallTrainPlan("standardize = \"site\"\n");
  const Table table = FourRows();
  const Preprocessing site = SiteScaled(plan, table, {0, 2}, MakePreprocessing(plan, {{"age", {55, 1}}}));
  EXPECT_EQ(site.mean[0], 50);
  EXPECT_NEAR(site.sd[0], std::sqrt(200.0), 1e-12) << "of the sample";
  EXPECT_EQ(site.impute[0], 55) << "imputation stays the plan's";
  EXPECT_EQ(site.mean[3], -1);
  EXPECT_EQ(site.sd[3], 1) << "one value has no spread";
  EXPECT_EQ(site.mean[1], 0);
  EXPECT_EQ(OwnPreprocessing(plan, table, {0, 2}).impute[0], 50);
}

TEST(Design, ARowsSubsetKeepsItsOrder) {
  const Plan plan = SmallTrainPlan("standardize = \"none\"\n");
  const Design design = BuildDesign(plan, FourRows(), {3, 0}, MakePreprocessing(plan, {}));
  EXPECT_EQ(design.x(0, 0), 80);
  EXPECT_EQ(design.x(1, 0), 40);
}

TEST(CompensatedSum, LosesNothingThatADoubleCanHold) {
  CompensatedSum sum;
  sum.Add(1);
  for (int i = 0; i < 1000; ++i) sum.Add(1e-17);
  sum.Add(1e30);
  sum.Add(-1e30);
  EXPECT_NEAR(sum.value(), 1 + 1e-14, 1e-16);
}

}  // namespace
}  // namespace consilium::node
