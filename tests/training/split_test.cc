// The split: all rows of a patient on one side, the same everywhere, about the share that the plan asks.
#include "hospital_node/training/split.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/data/tables.h"

namespace consilium::node {
namespace {

using testing::kNone;
using testing::SmallTable;
using testing::SmallTrainPlan;

TEST(Split, KeepsAPatientOnOneSide) {
  std::vector<testing::SmallRow> rows;
  for (int i = 0; i < 300; ++i) rows.push_back({"p" + std::to_string(i % 60), 50, 0, 1, 1});
  const Table table = SmallTable(rows);
  const Rows split = *SplitRows(SmallTrainPlan(), table);
  std::set<std::uint32_t> train, test;
  for (const std::size_t row : split.train) train.insert(table.patient[row]);
  for (const std::size_t row : split.test) test.insert(table.patient[row]);
  EXPECT_EQ(train.size() + test.size(), 60U);
  EXPECT_EQ(split.train.size() + split.test.size(), 300U);
  EXPECT_GT(test.size(), 15U);
  EXPECT_LT(test.size(), 45U);
  EXPECT_EQ(PatientsIn(table, split.test), test.size());
}

TEST(Split, DependsOnSeedAndPatientAlone) {
  const Table table = testing::ManyPatients(200, 1), longer = testing::ManyPatients(250, 2);
  const Rows once = *SplitRows(SmallTrainPlan(), table), other = *SplitRows(SmallTrainPlan("", "seed = 2\n"), table);
  EXPECT_NE(once.test, other.test);
  Rows again = *SplitRows(SmallTrainPlan(), longer);
  std::erase_if(again.test, [](std::size_t row) { return row >= 200; });
  EXPECT_EQ(once.test, again.test) << "more patients move nobody";
}

TEST(Split, RowsWithoutALabelAreOnNoSide) {
  const Rows split =
      *SplitRows(SmallTrainPlan(), SmallTable({{"a", 1, 0, 1, 1}, {"b", 2, 0, 1, kNone}, {"c", 3, 0, 1, 0}}));
  EXPECT_EQ(split.unlabelled, 1U);
  EXPECT_EQ(split.train.size() + split.test.size(), 2U);
}

TEST(Split, ADeclaredSplitDecides) {
  Plan plan = SmallTrainPlan();
  plan.use_split_column = true;
  Table table = SmallTable({{"a", 1, 0, 1, 1}, {"b", 2, 0, 1, 0}, {"a", 3, 0, 1, 0}});
  EXPECT_FALSE(SplitRows(plan, table).has_value()) << "the data set declares none";
  table.declared_side = {Side::kTest, Side::kTrain};
  const Rows split = *SplitRows(plan, table);
  EXPECT_EQ(split.test, (std::vector<std::size_t>{0, 2}));
  EXPECT_EQ(split.train, (std::vector<std::size_t>{1}));
}

}  // namespace
}  // namespace consilium::node
