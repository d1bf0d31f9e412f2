// The four real hospitals of the UCI heart disease data through the example's schema and plans. Skipped, with a
// notice, where the data are absent: nothing of them is part of the product.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/learning/federation.h"

namespace consilium {
namespace {

using testing::Federation;

const std::vector<std::string> kHospitals = {"cleveland", "hungarian", "switzerland", "va"};

testing::fs::path DataFolder() {
  const char* set = std::getenv("CONSILIUM_DATA");
  const testing::fs::path base =
      set != nullptr ? testing::fs::path(set) : testing::fs::path(CONSILIUM_SOURCE_DIR) / ".." / "shared" / "data";
  return base / "fed-heart-disease";
}

class HeartDiseaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::fs::exists(DataFolder() / "processed.cleveland.data")) {
      GTEST_SKIP() << "the heart disease data are not at " << DataFolder()
                   << "; set CONSILIUM_DATA to the folder that holds fed-heart-disease";
    }
    schema_ = testing::FileText(example_ / "schema.toml");
    for (const std::string& name : kHospitals) {
      federation_.hospitals.push_back({name, (DataFolder() / ("processed." + name + ".data")).string(), schema_});
    }
  }
  void Use(const char* plan) { federation_.plan = testing::PlanFromText(testing::FileText(example_ / plan), schema_); }

  const testing::fs::path example_ = testing::fs::path(CONSILIUM_SOURCE_DIR) / "deploy" / "examples" / "heart-disease";
  std::string schema_;
  Federation federation_;
};

TEST_F(HeartDiseaseTest, TheSchemaAcceptsEveryRow) {
  const std::vector<std::int64_t> rows = {303, 294, 123, 200};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto report = federation_.workbench.Check(federation_.hospitals[i]);
    ASSERT_TRUE(report.has_value()) << report.error().what;
    EXPECT_EQ((*report)["rows"].AsInteger(), rows[i]);
    for (const Value& column : (*report)["columns"].AsArray()) {
      if (column["name"].AsString() == "chol" && kHospitals[i] == "switzerland") {
        EXPECT_EQ(column["missing"].AsInteger(), 123) << "0 means that it was never measured";
      }
    }
  }
}

TEST_F(HeartDiseaseTest, DescribesFromTheHospitalsThatMeasured) {
  Use("describe.toml");
  auto algorithm = *MakeAlgorithm(federation_.plan);
  const auto run = federation_.Run(algorithm.get());
  ASSERT_TRUE(run.has_value()) << run.error().what;
  const Value table = algorithm->Results()["describe"];
  EXPECT_EQ(table["rows"].AsInteger(), 920);
  for (const Value& column : table["columns"].AsArray()) {
    if (column["name"].AsString() == "chol") {
      EXPECT_EQ(column["from_k"].AsInteger(), 3);
    }
    if (column["name"].AsString() == "age") {
      EXPECT_NEAR(column["mean"].AsDouble(), 53.5109, 1e-4);
    }
    if (column["name"].AsString() == "num") {
      EXPECT_EQ(column["positive"].AsInteger(), 509);
    }
  }
}

TEST_F(HeartDiseaseTest, TrainsAModelThatRanksPatientsWell) {
  Use("train.toml");
  auto algorithm = *MakeAlgorithm(federation_.plan);
  Query last;
  const auto run = federation_.Run(algorithm.get(), &last);
  ASSERT_TRUE(run.has_value()) << run.error().what;
  const Value evaluation = algorithm->Results()["evaluation"];
  EXPECT_GT(evaluation["auroc"].AsDouble(), 0.82) << "a converged pooled fit reaches about 0.88";
  EXPECT_LE(evaluation["auroc_high"].AsDouble() - evaluation["auroc_low"].AsDouble(), 1e-3);
  const auto pooled = node::PooledResults(federation_.plan, federation_.hospitals, last, *algorithm->ModelFile());
  ASSERT_TRUE(pooled.has_value()) << pooled.error().what;
  EXPECT_NEAR((*pooled)["all"]["pooled"]["auroc"].AsDouble(), evaluation["auroc"].AsDouble(), 0.02);
}

TEST_F(HeartDiseaseTest, TheOtherPlansOfTheExamplesDoTheSame) {
  for (const char* plan : {"fedadam.toml", "scaffold.toml", "network.toml"}) {
    Use(plan);
    federation_.memories.clear();
    auto algorithm = *MakeAlgorithm(federation_.plan);
    const auto run = federation_.Run(algorithm.get());
    ASSERT_TRUE(run.has_value()) << run.error().what;
    EXPECT_GT(algorithm->Results()["evaluation"]["auroc"].AsDouble(), 0.82) << plan;
  }
}

}  // namespace
}  // namespace consilium
