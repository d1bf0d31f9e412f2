// Queries follow from the plan alone, and a hospital refuses every other.
#include "common/algorithms/derive.h"

#include <gtest/gtest.h>

#include "tests/data/plans.h"

namespace consilium {
namespace {

using testing::SmallDescribePlan;
using testing::SmallTrainPlan;

Digest SomeRoot() {
  Digest root;
  root.bytes.fill(7);
  return root;
}

TEST(Derive, DesignHasAColumnPerNumberAndPerLevelButTheFirst) {
  const Plan plan = SmallTrainPlan();
  EXPECT_EQ(DesignSources(plan).size(), DesignColumns(plan).size());
  EXPECT_EQ(DesignColumns(plan), (std::vector<std::string>{"age", "grade=2", "grade=3", "dose"}));
}

TEST(Derive, PreprocessingPerPlan) {
  const std::map<std::string, Moments> moments = {{"age", {40, 8}}, {"dose", {0.25, 0}}};
  const Preprocessing federated = MakePreprocessing(SmallTrainPlan(), moments);
  EXPECT_EQ(federated.impute, (std::vector<double>{40, 0, 0, 0.25}));
  EXPECT_EQ(federated.mean, (std::vector<double>{40, 0, 0, 0.25}));
  EXPECT_EQ(federated.sd, (std::vector<double>{8, 1, 1, 1})) << "an sd of 0 counts as 1";
  const Preprocessing declared =
      MakePreprocessing(SmallTrainPlan("standardize = \"declared\"\nimpute = \"constant\"\n"), {});
  EXPECT_EQ(declared.impute, (std::vector<double>{50, 0, 0, 0}));
  EXPECT_EQ(declared.mean, (std::vector<double>{50, 0, 0, 0}));
  EXPECT_EQ(declared.sd, (std::vector<double>{50, 1, 1, 1}));
  const Preprocessing site = MakePreprocessing(SmallTrainPlan("standardize = \"site\"\n"), moments);
  EXPECT_EQ(site.impute, federated.impute);
  EXPECT_TRUE(site.mean.empty() && site.sd.empty());
  EXPECT_EQ(MakePreprocessing(SmallTrainPlan(), {}).mean.front(), 50)
      << "a column that nobody has takes its declared range";
}

TEST(Derive, PreprocessingThatThePlanDoesNotAllowIsRefused) {
  const Plan plan = SmallTrainPlan(), declared = SmallTrainPlan("standardize = \"declared\"\nimpute = \"constant\"\n");
  const Preprocessing good = MakePreprocessing(plan, {{"age", {40, 8}}});
  EXPECT_EQ(*PreprocessingFromValue(plan, ToValue(good)), good);
  const auto refused = [](const Plan& p, const Preprocessing& x) {
    return !PreprocessingFromValue(p, ToValue(x)).has_value();
  };
  Preprocessing bad = good;
  bad.sd[0] = 0;
  EXPECT_TRUE(refused(plan, bad));
  bad = good;
  bad.mean[1] = 0.5;  // A category's column stays 0 or 1.
  EXPECT_TRUE(refused(plan, bad));
  bad = good;
  bad.impute.pop_back();
  EXPECT_TRUE(refused(plan, bad));
  EXPECT_TRUE(refused(declared, good)) << "declared values are as declared";
  EXPECT_FALSE(PreprocessingFromValue(plan, Value()).has_value());
}

TEST(Derive, EveryQueryIsReadBackByItsReader) {
  const Plan train = SmallTrainPlan(), describe = SmallDescribePlan();
  const Preprocessing preprocessing = MakePreprocessing(train, {{"age", {40, 8}}});
  for (const std::uint32_t hospitals : {2U, 3U, 4U, 17U, 100U}) {
    EXPECT_TRUE(
        ReadDescribeQuery(describe, DescribeQuery(describe, DescribeRequestOf(describe), hospitals)).has_value());
    EXPECT_TRUE(ReadDescribeQuery(train, DescribeQuery(train, DescribeRequestOf(train), hospitals)).has_value());
    const auto read = ReadTrainQuery(train, TrainQuery(train, 2, SomeRoot(), preprocessing, hospitals));
    ASSERT_TRUE(read.has_value()) << read.error().what;
    EXPECT_EQ(read->round, 2U);
    EXPECT_EQ(read->model, SomeRoot());
    EXPECT_EQ(read->preprocessing, preprocessing);
    EXPECT_TRUE(ReadEvaluateQuery(train, EvaluateQuery(train, 3, SomeRoot(), preprocessing, hospitals)).has_value());
  }
}

TEST(Derive, AChangedQueryIsRefused) {
  const Plan plan = SmallTrainPlan();
  const Query good = TrainQuery(plan, 1, SomeRoot(), MakePreprocessing(plan, {}), 4);
  ASSERT_TRUE(ReadTrainQuery(plan, good).has_value());
  const auto refused = [&](const auto& change) {
    Query query = good;
    change(query);
    const auto read = ReadTrainQuery(plan, query);
    return !read.has_value() && read.error().code == Code::kProtocol;
  };
  EXPECT_TRUE(refused([](Query& q) { q.blocks[0].length += 1; }));
  EXPECT_TRUE(refused([](Query& q) { q.blocks[0].bound = 1000; }));
  EXPECT_TRUE(refused([](Query& q) { q.blocks[0].scale_log2 += 1; })) << "scales fit one number of hospitals";
  EXPECT_TRUE(refused([](Query& q) { q.blocks[1].scale_log2 -= 1; }));
  EXPECT_TRUE(refused([](Query& q) { q.blocks[0].role = Role::kCount; }));
  EXPECT_TRUE(refused([](Query& q) { q.blocks[0].sigma = 5; }));
  EXPECT_TRUE(refused([](Query& q) { q.blocks.erase(q.blocks.begin() + 1); }));
  EXPECT_TRUE(refused([](Query& q) { q.blocks.insert(q.blocks.begin(), q.blocks[0]); }));
  EXPECT_TRUE(refused([](Query& q) { q.ring = Ring::kU64; }));
  EXPECT_TRUE(refused([](Query& q) { q.release = ReleaseTo::kHospital; }));
  EXPECT_TRUE(refused([](Query& q) { q.params.Set("round", 4); })) << "beyond the plan's rounds";
  EXPECT_TRUE(refused([](Query& q) { q.params.Set("learning_rate", 5); }));
  EXPECT_TRUE(refused([](Query& q) { q.params.Set("more", 1); }));
  EXPECT_TRUE(refused([](Query& q) { q.params.Set("inputs", Value::Object{}); }));
  EXPECT_FALSE(ReadTrainQuery(plan, TrainQuery(plan, 1, SomeRoot(), MakePreprocessing(plan, {}), 1)).has_value())
      << "scales for fewer hospitals than the plan's minimum";
  EXPECT_FALSE(ReadTrainQuery(testing::SmallDescribePlan(), good).has_value()) << "a describe plan trains nothing";
  EXPECT_FALSE(ReadEvaluateQuery(plan, good).has_value());
}

// The one query whose answer is not a sum: only where the plan asks for it, of the final round, in few coordinates.
TEST(Derive, OwnFiguresAreReadBackOnlyWhereThePlanReleasesThem) {
  const Plan local = SmallTrainPlan(), plan = SmallTrainPlan("", "", "per_hospital = \"released\"\n");
  const Preprocessing preprocessing = MakePreprocessing(plan, {{"age", {40, 8}}});
  const Query good = OwnFiguresQuery(plan, 3, SomeRoot(), preprocessing, 2);
  EXPECT_EQ(good.release, ReleaseTo::kHospital);
  EXPECT_EQ(good.Coordinates(), 404U);
  EXPECT_EQ(good, OwnFiguresQuery(plan, 3, SomeRoot(), preprocessing, 100)) << "nothing is added up";
  const auto read = ReadOwnFiguresQuery(plan, good);
  ASSERT_TRUE(read.has_value()) << read.error().what;
  EXPECT_EQ(read->model, SomeRoot());
  EXPECT_FALSE(ReadOwnFiguresQuery(local, good).has_value());
  EXPECT_FALSE(ReadEvaluateQuery(plan, good).has_value());
  EXPECT_FALSE(ReadOwnFiguresQuery(plan, OwnFiguresQuery(plan, 2, SomeRoot(), preprocessing, 1)).has_value())
      << "a model on the way";
  const auto refused = [&](const auto& change) {
    Query query = good;
    change(query);
    const auto changed = ReadOwnFiguresQuery(plan, query);
    return !changed.has_value() && changed.error().code == Code::kProtocol;
  };
  EXPECT_TRUE(refused([](Query& q) { q.release = ReleaseTo::kSum; }));
  EXPECT_TRUE(refused([](Query& q) { q.kind = "train"; }));
  EXPECT_TRUE(refused([](Query& q) { q.params.Set("bins", 8192); }));
  EXPECT_TRUE(refused([](Query& q) { q.params.Set("rows", "train"); }));
  EXPECT_TRUE(refused([](Query& q) { q.blocks[3].length += 1; }));
  EXPECT_TRUE(refused([](Query& q) { q.blocks[1].scale_log2 -= 1; })) << "the scales are those of one contribution";
  EXPECT_TRUE(refused([](Query& q) { q.blocks.erase(q.blocks.begin()); }));
}

TEST(Derive, ATrainingPlanMayNotBeAskedForMoreThanItsMoments) {
  const Plan plan = SmallTrainPlan();
  EXPECT_TRUE(ReadDescribeQuery(plan, DescribeQuery(plan, {{"age", "dose", "sick"}, 0, true}, 3)).has_value())
      << "its numbers' and the label's";
  EXPECT_FALSE(
      ReadDescribeQuery(plan, DescribeQuery(plan, {{"age", "dose", "sick", "grade"}, 0, true}, 3)).has_value());
  EXPECT_FALSE(ReadDescribeQuery(plan, DescribeQuery(plan, {{"age", "dose", "sick"}, 16, true}, 3)).has_value());
  EXPECT_FALSE(ReadDescribeQuery(plan, DescribeQuery(plan, {{"age", "dose", "sick"}, 0, false}, 3)).has_value());
  const Plan constant = SmallTrainPlan("standardize = \"declared\"\nimpute = \"constant\"\n");
  EXPECT_FALSE(ReadDescribeQuery(constant, DescribeQuery(constant, {{"sick"}, 0, true}, 3)).has_value());
}

}  // namespace
}  // namespace consilium
