// Every kind of model through a whole study: it learns, its pooled figures are those of the pooled patients, and what
// the hospital sees of its own is of the same kind.
#include <gtest/gtest.h>

#include "tests/learning/federation.h"

namespace consilium {
namespace {

using testing::Federation;
using testing::Scratch;

class ModelsTest : public ::testing::Test {
 protected:
  void SetUp() override { MakeDemo(scratch_, study_, 7, &federation_); }
  static std::string With(std::string text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
  }
  // The demo's plan with another model, and another label when it is not "".
  void Plan(const std::string& model, const std::string& training, const std::string& label = "") {
    std::string toml = With(demo::TrainPlan(study_), "kind = \"logistic\"\n", model);
    toml = With(toml, "learning_rate = 0.1\n", training);
    if (!label.empty()) {
      toml = With(toml, "label = \"disease\"", "label = \"" + label + "\"");
      toml = With(toml, "\"" + label + "\", ", "");
    }
    federation_.plan = testing::PlanFromText(toml, demo::DemoSchema());
  }
  void Run() {
    algorithm_ = *MakeAlgorithm(federation_.plan);
    const auto run = federation_.Run(algorithm_.get(), &last_);
    ASSERT_TRUE(run.has_value()) << run.error().what;
  }
  Value Pooled() {
    const auto pooled = node::PooledResults(federation_.plan, federation_.hospitals, last_, *algorithm_->ModelFile());
    EXPECT_TRUE(pooled.has_value()) << pooled.error().what;
    return (*pooled)["all"];
  }

  Scratch scratch_;
  demo::DemoStudy study_;
  Federation federation_;
  std::unique_ptr<Algorithm> algorithm_;
  Query last_;
};

TEST_F(ModelsTest, ANetworkLearnsWithEveryOptimiser) {
  for (const char* optimizer : {"sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad"}) {
    Plan("kind = \"mlp\"\nhidden = [12]\n",
         std::string("optimizer = \"") + optimizer + "\"\nlearning_rate = 0.01\nclip_norm = 2\n");
    Run();
    EXPECT_GT(algorithm_->Results()["evaluation"]["auroc"].AsDouble(), 0.7) << optimizer;
  }
}

TEST_F(ModelsTest, ANetworksPooledFiguresAreThoseOfThePooledPatients) {
  Plan("kind = \"mlp\"\nhidden = [12, 6]\nlayer_norm = true\nactivation = \"tanh\"\n",
       "optimizer = \"adam\"\nlearning_rate = 0.01\n");
  Run();
  const Value evaluation = algorithm_->Results()["evaluation"], exact = Pooled()["federated"];
  EXPECT_LE(evaluation["auroc_low"].AsDouble(), exact["auroc"].AsDouble() + 1e-9);
  EXPECT_GE(evaluation["auroc_high"].AsDouble(), exact["auroc"].AsDouble() - 1e-9);
  EXPECT_NEAR(evaluation["log_loss"].AsDouble(), exact["log_loss"].AsDouble(), 1e-6);
  const auto own =
      federation_.workbench.OwnResults(federation_.plan, federation_.hospitals[0], last_, *algorithm_->ModelFile());
  ASSERT_TRUE(own.has_value()) << own.error().what;
  EXPECT_TRUE((*own)["local"]["auroc"].IsNumber());
}

TEST_F(ModelsTest, RegressionsPredictANumber) {
  struct Case {
    const char *model, *training, *label;
  };
  for (const auto& [model, training, label] :
       {Case{"kind = \"linear\"\n", "learning_rate = 0.1\n", "thalach"},
        Case{"kind = \"linear\"\n", "loss = \"huber\"\nhuber_delta = 20\nlearning_rate = 0.3\n", "thalach"},
        Case{"kind = \"poisson\"\n", "learning_rate = 0.01\n", "oldpeak"},
        Case{"kind = \"mlp\"\nhidden = [8]\n", "loss = \"squared\"\noptimizer = \"adam\"\nlearning_rate = 0.01\n",
             "oldpeak"}}) {
    Plan(model, training, label);
    federation_.plan.update_bound = 200;  // The intercept alone has a long way to go.
    Run();
    const Value evaluation = algorithm_->Results()["evaluation"], exact = Pooled()["federated"];
    EXPECT_EQ(evaluation["rows"], exact["rows"]);
    for (const char* metric : {"rmse", "mae", "r2"})
      EXPECT_NEAR(evaluation[metric].AsDouble(), exact[metric].AsDouble(), 1e-6) << model << metric;
    EXPECT_GT(evaluation["r2"].AsDouble(), -0.2) << model << " " << evaluation["rmse"].AsDouble();
    EXPECT_FALSE(evaluation.Has("auroc"));
    EXPECT_FALSE(algorithm_->Results().Has("labels")) << "a number has no classes to count";
  }
}

TEST_F(ModelsTest, ClassesAreTold) {
  for (const char* model : {"kind = \"softmax\"\n", "kind = \"mlp\"\nhidden = [12]\n"}) {
    Plan(model, "optimizer = \"adam\"\nlearning_rate = 0.02\nlabel_smoothing = 0.05\n", "cp");
    Run();
    const Value results = algorithm_->Results(), evaluation = results["evaluation"], exact = Pooled()["federated"];
    for (const char* metric : {"accuracy", "balanced_accuracy", "log_loss"})
      EXPECT_NEAR(evaluation[metric].AsDouble(), exact[metric].AsDouble(), 1e-6) << model << metric;
    EXPECT_GT(evaluation["balanced_accuracy"].AsDouble(), 0.3) << "of four classes";
    EXPECT_EQ(evaluation["classes"].AsArray().size(), 4U);
    EXPECT_EQ(results["labels"]["classes"].AsArray().size(), 4U);
    EXPECT_FALSE(evaluation.Has("auroc"));
  }
}

TEST_F(ModelsTest, ACoxRegressionRanksEvents) {
  for (const char* model : {"kind = \"cox\"\n", "kind = \"mlp\"\nhidden = [8]\n"}) {
    std::string toml = With(demo::TrainPlan(study_), "kind = \"logistic\"\n", model);
    toml = With(toml, "label = \"disease\"", "label = \"disease\"\ntime = \"thalach\"");
    toml = With(toml, "\"thalach\", ", "");
    toml = With(toml, "learning_rate = 0.1\n", "learning_rate = 0.05\n");
    federation_.plan = testing::PlanFromText(toml, demo::DemoSchema());
    Run();
    const Value evaluation = algorithm_->Results()["evaluation"];
    EXPECT_GT(evaluation["c_index"].AsDouble(), 0.6) << model;
    EXPECT_GT(evaluation["events"].AsInteger(), 10);
    EXPECT_GT(Pooled()["federated"]["c_index"].AsDouble(), 0.6) << "pairs of different hospitals among them";
  }
}

TEST_F(ModelsTest, AScheduleChangesTheRoundsAndPrecisionTheBits) {
  Plan("kind = \"logistic\"\n", "learning_rate = 0.1\n");
  Run();
  const Bytes constant = *algorithm_->ModelFile();
  Plan("kind = \"logistic\"\n", "learning_rate = 0.1\nschedule = \"cosine\"\n");
  Run();
  EXPECT_NE(algorithm_->Save().vectors.at("global"), ReadSafetensors(constant)->parameters);
  Plan("kind = \"logistic\"\n", "learning_rate = 0.1\nprecision = \"float\"\n");
  Run();
  EXPECT_NE(algorithm_->Save().vectors.at("global"), ReadSafetensors(constant)->parameters);
  const auto one_round = [&](const std::string& precision) {  // The next one's order of rows is drawn from its bits.
    Plan("kind = \"logistic\"\n", "learning_rate = 0.1\nprecision = \"" + precision + "\"\n");
    federation_.plan.rounds = 1;
    Run();
    return algorithm_->Save().vectors.at("global");
  };
  const std::vector<double> single = one_round("float"), twice = one_round("double");
  for (std::size_t i = 0; i < single.size(); ++i) EXPECT_NEAR(single[i], twice[i], 1e-4);
}

}  // namespace
}  // namespace consilium
