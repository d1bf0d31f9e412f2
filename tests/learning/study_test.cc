// Whole studies over the demo's hospitals: the federated figures are the pooled ones, the model beats hospitals alone,
// and a restart changes no bit.
#include <gtest/gtest.h>

#include <cmath>

#include "common/algorithms/derive.h"
#include "common/model/parameters.h"
#include "hospital_node/data/table.h"
#include "hospital_node/training/split.h"
#include "tests/data/tables.h"
#include "tests/learning/federation.h"

namespace consilium {
namespace {

using testing::Federation;
using testing::Scratch;

class DemoStudyTest : public ::testing::Test {
 protected:
  void SetUp() override { MakeDemo(scratch_, study_, demo::kDemoSeed, &federation_); }
  void TrainPlan() { federation_.plan = testing::PlanFromText(demo::TrainPlan(study_), demo::DemoSchema()); }
  void DescribePlan() { federation_.plan = testing::PlanFromText(demo::DescribePlan(study_), demo::DemoSchema()); }

  // All values of a number column over all hospitals, as one statistician with all files would have them.
  std::vector<double> Pooled(const std::string& column, bool train_only) {
    std::vector<double> out;
    for (const auto& spec : federation_.hospitals) {
      const node::Table table = *node::ReadTable(spec.folder, *ParseSchema(spec.schema, "schema"));
      const std::vector<double> numbers = testing::NumbersOf(table, column);
      std::vector<std::size_t> rows(table.rows());
      for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i;
      if (train_only) rows = node::SplitRows(federation_.plan, table)->train;
      for (const std::size_t row : rows) {
        if (!std::isnan(numbers[row])) out.push_back(numbers[row]);
      }
    }
    return out;
  }

  struct Figures {
    double mean = 0, sd = 0;
  };
  static Figures FiguresOf(const std::vector<double>& values) {
    long double sum = 0, squares = 0;
    for (const double v : values) sum += v;
    const long double mean = sum / static_cast<long double>(values.size());
    for (const double v : values) squares += (v - mean) * (v - mean);
    return {static_cast<double>(mean),
            static_cast<double>(std::sqrt(squares / static_cast<long double>(values.size() - 1)))};
  }

  Scratch scratch_;
  demo::DemoStudy study_;
  Federation federation_;
};

TEST_F(DemoStudyTest, FederatedMeanAndSdAreThePooledOnes) {
  DescribePlan();
  auto algorithm = *MakeAlgorithm(federation_.plan);
  const auto run = federation_.Run(algorithm.get());
  ASSERT_TRUE(run.has_value()) << run.error().what;
  const Value table = algorithm->Results()["describe"];
  int numbers = 0;
  for (const Value& column : table["columns"].AsArray()) {
    if (column["type"].AsString() != "number") continue;
    const std::vector<double> values = Pooled(column["name"].AsString(), false);
    const Figures pooled = FiguresOf(values);
    const Column& declared = *federation_.plan.schema.Find(column["name"].AsString());
    const double range = declared.maximum - declared.minimum;
    EXPECT_NEAR(column["mean"].AsDouble(), pooled.mean, 1e-9 * range);
    EXPECT_NEAR(column["sd"].AsDouble(), pooled.sd, 1e-9 * range);
    EXPECT_EQ(column["count"].AsInteger(), static_cast<std::int64_t>(values.size()));
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_NEAR(column["median"].AsDouble(), sorted[sorted.size() / 2], 2 * range / 256 + 0.01 * range);
    ++numbers;
  }
  EXPECT_EQ(numbers, 5);
}

TEST_F(DemoStudyTest, AColumnThatAHospitalNeverMeasuredIsFromTheOthers) {
  DescribePlan();
  auto algorithm = *MakeAlgorithm(federation_.plan);
  ASSERT_TRUE(federation_.Run(algorithm.get()).has_value());
  const Value table = algorithm->Results()["describe"];
  for (const Value& column : table["columns"].AsArray()) {
    EXPECT_EQ(column["from_k"].AsInteger(), column["name"].AsString() == "chol" ? 3 : 4) << column["name"].AsString();
    EXPECT_EQ(column["of_n"].AsInteger(), 4);
  }
}

TEST_F(DemoStudyTest, StandardisationUsesThePooledTrainingRows) {
  TrainPlan();
  auto algorithm = *MakeAlgorithm(federation_.plan);
  ASSERT_TRUE(federation_.Advance(algorithm.get()).has_value());
  const auto state = algorithm->Save();
  const std::vector<DesignSource> sources = DesignSources(federation_.plan);
  for (std::size_t j = 0; j < sources.size(); ++j) {
    if (sources[j].level >= 0) continue;
    const Figures pooled = FiguresOf(Pooled(sources[j].column->name, true));
    const double range = sources[j].column->maximum - sources[j].column->minimum;
    EXPECT_NEAR(state.vectors.at("mean")[j], pooled.mean, 1e-9 * range);
    EXPECT_NEAR(state.vectors.at("sd")[j], pooled.sd, 1e-9 * range);
  }
}

TEST_F(DemoStudyTest, BeatsMostHospitalsAloneAndComesCloseToPooledTraining) {
  TrainPlan();
  auto algorithm = *MakeAlgorithm(federation_.plan);
  Query last;
  ASSERT_TRUE(federation_.Run(algorithm.get(), &last).has_value());
  const Bytes model = *algorithm->ModelFile();
  std::size_t better = 0;
  for (const auto& spec : federation_.hospitals) {
    const auto own = federation_.workbench.OwnResults(federation_.plan, spec, last, model);
    ASSERT_TRUE(own.has_value()) << own.error().what;
    better += (*own)["federated"]["auroc"].AsDouble() > (*own)["local"]["auroc"].AsDouble() ? 1 : 0;
    EXPECT_EQ((*own)["test_rows"], (*own)["federated"]["rows"]);
  }
  EXPECT_GE(better, federation_.hospitals.size() - 1);
  const auto pooled = node::PooledResults(federation_.plan, federation_.hospitals, last, model);
  ASSERT_TRUE(pooled.has_value()) << pooled.error().what;
  const Value& all = (*pooled)["all"];
  EXPECT_NEAR(all["federated"]["auroc"].AsDouble(), all["pooled"]["auroc"].AsDouble(), 0.02);
  EXPECT_EQ((*pooled)["hospitals"].AsArray().size(), federation_.hospitals.size());
}

TEST_F(DemoStudyTest, ThePooledEvaluationBracketsTheExactFigures) {
  TrainPlan();
  auto algorithm = *MakeAlgorithm(federation_.plan);
  Query last;
  ASSERT_TRUE(federation_.Run(algorithm.get(), &last).has_value());
  const Value evaluation = algorithm->Results()["evaluation"];
  const Value pooled = *node::PooledResults(federation_.plan, federation_.hospitals, last, *algorithm->ModelFile());
  const Value exact = pooled["all"]["federated"];
  EXPECT_LE(evaluation["auroc_low"].AsDouble(), exact["auroc"].AsDouble() + 1e-12);
  EXPECT_GE(evaluation["auroc_high"].AsDouble(), exact["auroc"].AsDouble() - 1e-12);
  EXPECT_LE(evaluation["auroc_high"].AsDouble() - evaluation["auroc_low"].AsDouble(), 1e-3);
  EXPECT_NEAR(evaluation["brier"].AsDouble(), exact["brier"].AsDouble(), 1e-9);
  EXPECT_NEAR(evaluation["log_loss"].AsDouble(), exact["log_loss"].AsDouble(), 1e-9);
  EXPECT_EQ(evaluation["accuracy"].AsDouble(), exact["accuracy"].AsDouble());
  EXPECT_EQ(evaluation["rows"], exact["rows"]);
  EXPECT_EQ(evaluation["hospitals"].AsInteger(), 4);
  EXPECT_EQ(algorithm->Results()["evaluations"].AsArray().size(), 4U) << "every fifth of 20 rounds";
}

TEST_F(DemoStudyTest, ARestartInTheMiddleGivesTheSameModel) {
  TrainPlan();
  auto whole = *MakeAlgorithm(federation_.plan);
  auto first = *MakeAlgorithm(federation_.plan);
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(federation_.Advance(first.get()).has_value());
  auto second = *RestoreAlgorithm(federation_.plan, first->Save());
  ASSERT_TRUE(federation_.Run(whole.get()).has_value());
  ASSERT_TRUE(federation_.Run(second.get()).has_value());
  EXPECT_EQ(*whole->ModelFile(), *second->ModelFile());
  EXPECT_EQ(whole->Save(), second->Save());
}

TEST_F(DemoStudyTest, GoesOnWithoutAHospitalThatIsAway) {
  TrainPlan();
  auto algorithm = *MakeAlgorithm(federation_.plan);
  for (int i = 0; i < 3; ++i) {
    const Step step = federation_.NextOf(*algorithm);
    const auto answer =
        federation_.Ask(step, i == 1 ? std::vector<std::uint32_t>{1, 2, 4} : std::vector<std::uint32_t>{});
    ASSERT_TRUE(answer.has_value());
    ASSERT_TRUE(algorithm->Absorb(step.query, *answer).has_value());
  }
  const Value rounds = algorithm->Results()["rounds"];
  EXPECT_EQ(rounds.AsArray()[0]["hospitals"].AsInteger(), 3);
  EXPECT_EQ(rounds.AsArray()[1]["hospitals"].AsInteger(), 4);
}

TEST_F(DemoStudyTest, EveryPreprocessingTrains) {
  for (const char* standardize : {"federated", "site", "declared", "none"}) {
    for (const char* impute : {"mean", "constant"}) {
      std::string toml = demo::TrainPlan(study_);
      toml.replace(toml.find("\"federated\""), 11, std::string("\"") + standardize + "\"");
      toml.replace(toml.find("\"mean\""), 6, std::string("\"") + impute + "\"");
      federation_.plan = testing::PlanFromText(toml, demo::DemoSchema());
      auto algorithm = *MakeAlgorithm(federation_.plan);
      Query last;
      const auto run = federation_.Run(algorithm.get(), &last);
      ASSERT_TRUE(run.has_value()) << standardize << " " << impute << ": " << run.error().what;
      // Raw millimetres of mercury are no scale for SGD: "none" has only to run.
      const bool scaled = std::string(standardize) != "none";
      EXPECT_GT(algorithm->Results()["evaluation"]["auroc"].AsDouble(), scaled ? 0.7 : 0.4)
          << standardize << " " << impute;
      const Bytes blob = ParameterBlob(algorithm->Save().vectors.at("global"));
      const auto own = federation_.workbench.OwnResults(federation_.plan, federation_.hospitals[0], last, blob);
      ASSERT_TRUE(own.has_value()) << "the parameter blob is a model too: " << own.error().what;
      EXPECT_TRUE((*own)["federated"].IsObject());
    }
  }
}

}  // namespace
}  // namespace consilium
