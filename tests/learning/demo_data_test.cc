// The demo's cohort: the same bytes for the same seed, different hospitals, files that its own schema accepts.
#include "cli/demo_data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "common/crypto/hash.h"
#include "tests/learning/federation.h"

namespace consilium {
namespace {

TEST(DemoData, TheSameSeedGivesTheSameBytes) {
  const auto a = demo::MakeHospitals(4, 7), b = demo::MakeHospitals(4, 7), c = demo::MakeHospitals(4, 8);
  std::string all;
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].csv, b[i].csv);
    EXPECT_NE(a[i].csv, c[i].csv);
    all += a[i].csv;
  }
  EXPECT_EQ(Sha256(View(all)).Hex(), "7fef5d3cc40bee519f897fb0c8c3563fff893b7b0067255b509677138256ea4f")
      << "the generator changed: then the demo's figures in the documents change too";
}

TEST(DemoData, HospitalsDifferInSizePrevalenceAndGaps) {
  const testing::Scratch scratch;
  demo::DemoStudy study;
  testing::Federation federation;
  MakeDemo(scratch, study, demo::kDemoSeed, &federation);
  std::vector<double> patients, prevalence, missing_chol;
  for (const auto& spec : federation.hospitals) {
    const auto report = federation.workbench.Check(spec);
    ASSERT_TRUE(report.has_value()) << report.error().what;
    const double rows = (*report)["rows"].AsDouble();
    patients.push_back((*report)["patients"].AsDouble());
    for (const Value& column : (*report)["columns"].AsArray()) {
      if (column["name"].AsString() == "disease") prevalence.push_back(column["positive"].AsDouble() / rows);
      if (column["name"].AsString() == "chol") missing_chol.push_back(column["missing"].AsDouble() / rows);
    }
  }
  EXPECT_EQ(*std::min_element(patients.begin(), patients.end()), 90);
  EXPECT_EQ(*std::max_element(patients.begin(), patients.end()), 420);
  EXPECT_GT(
      *std::max_element(prevalence.begin(), prevalence.end()) - *std::min_element(prevalence.begin(), prevalence.end()),
      0.1);
  EXPECT_EQ(missing_chol[2], 1) << "one hospital never measured cholesterol";
  EXPECT_LT(missing_chol[0], 0.2);
}

TEST(DemoData, AnyNumberOfHospitalsHasItsNames) {
  EXPECT_EQ(demo::HospitalName(0), "hospital-a");
  EXPECT_EQ(demo::HospitalName(25), "hospital-z");
  EXPECT_EQ(demo::HospitalName(26), "hospital-aa");
  std::set<std::string> names;
  for (std::uint32_t i = 0; i < 1000; ++i) names.insert(demo::HospitalName(i));
  EXPECT_EQ(names.size(), 1000U);
}

TEST(DemoData, TheExamplesAreWhatTheDemoRuns) {
  const testing::fs::path example = testing::fs::path(CONSILIUM_SOURCE_DIR) / "deploy" / "examples" / "demo";
  const demo::DemoStudy study;
  EXPECT_EQ(testing::FileText(example / "schema.toml"), demo::DemoSchema());
  EXPECT_EQ(testing::FileText(example / "describe.toml"), demo::DescribePlan(study));
  EXPECT_EQ(testing::FileText(example / "train.toml"), demo::TrainPlan(study));
}

TEST(DemoData, ItsPlansAreValidForAnySize) {
  for (const std::uint32_t hospitals : {2U, 3U, 4U, 10U}) {
    for (const std::uint32_t rounds : {1U, 4U, 20U}) {
      demo::DemoStudy study;
      study.hospitals = hospitals;
      study.rounds = rounds;
      const Plan train = testing::PlanFromText(demo::TrainPlan(study), demo::DemoSchema());
      EXPECT_EQ(train.rounds, rounds);
      EXPECT_EQ(train.task, Plan::Task::kTrain);
      EXPECT_EQ(testing::PlanFromText(demo::DescribePlan(study), demo::DemoSchema()).task, Plan::Task::kDescribe);
      EXPECT_FALSE(Warning(train).empty());
    }
  }
}

}  // namespace
}  // namespace consilium
