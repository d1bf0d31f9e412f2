// Keys of strategies, early stopping and models: what each plan can say, and what is refused.
#include "common/plan/strategy.h"
#include "tests/plan/texts.h"

namespace consilium {
namespace {

using testing::ExpectError;
using testing::Good;
using testing::kTrain;
using testing::TextOf;
using testing::With;

std::string Training(const std::string& keys) { return With(kTrain, "learning_rate = 0.1", keys); }

TEST(Plan, AStrategyHasItsOwnKeysAndNoOthers) {
  const auto written = [](const std::string& keys) {
    const Value value = ParseJson(TextOf(Good(Training(keys)))).value();
    std::string out;
    for (const char* key : {"mu", "server_learning_rate", "beta1", "beta2", "tau"}) {
      if (value["training"].Has(key)) out += std::string(key) + "=" + CanonicalJson(value["training"][key]) + " ";
    }
    return out;
  };
  EXPECT_EQ(written("algorithm = 'fedavg'"), "");
  EXPECT_EQ(written("algorithm = 'cyclic'"), "");
  EXPECT_EQ(written("algorithm = 'fedprox'"), "mu=0.01 ");
  EXPECT_EQ(written("algorithm = 'fedprox'\nmu = 1"), "mu=1 ");
  EXPECT_EQ(written("algorithm = 'fedadam'"), "server_learning_rate=0.01 beta1=0.9 beta2=0.999 tau=0.001 ");
  EXPECT_EQ(written("algorithm = 'fedyogi'\ntau = 1e-8"), "server_learning_rate=0.01 beta1=0.9 beta2=0.999 tau=1e-8 ");
  EXPECT_EQ(written("algorithm = 'fedadagrad'"), "server_learning_rate=0.01 beta1=0.9 tau=0.001 ");
  EXPECT_EQ(written("algorithm = 'scaffold'"), "server_learning_rate=1 ");
  ExpectError(Training("mu = 0.1"),
              "[training] mu: is no key of algorithm = \"fedavg\"; it belongs to fedprox; take it out, or write one");
  ExpectError(Training("algorithm = 'fedadagrad'\nbeta2 = 0.9"), "it belongs to fedadam, fedyogi");
  ExpectError(Training("algorithm = 'fedprox'\nserver_learning_rate = 1"),
              "it belongs to fedadam, fedyogi, fedadagrad, scaffold");
  ExpectError(Training("algorithm = 'fedprox'\nmuu = 1"), "did you mean 'mu'?");
  for (const auto& [strategy, line] :
       std::vector<std::pair<std::string, std::string>>{{"fedprox", "mu = -1"},
                                                        {"fedadam", "beta1 = 1"},
                                                        {"fedadam", "beta2 = 1"},
                                                        {"fedadam", "tau = 0"},
                                                        {"scaffold", "server_learning_rate = 0"}}) {
    ExpectError(Training("algorithm = '" + strategy + "'\n" + line), "must be between");
  }
}

TEST(Plan, EveryStrategyReadsBackFromItsCanonicalBytes) {
  for (const std::string& strategy : StrategyNames()) {
    const Plan plan = Good("[evaluation]\nevery = 2\n" +
                           Training("algorithm = '" + strategy + "'\nearly_stopping = 'brier'\nmin_delta = 0.125"));
    const auto again = ParsePlan(Canonical(plan));
    ASSERT_TRUE(again.has_value()) << strategy << ": " << again.error().what;
    EXPECT_EQ(Canonical(*again), Canonical(plan));
    EXPECT_EQ(again->early_stopping, "brier");
    EXPECT_EQ(again->min_delta, 0.125);
    EXPECT_NE(Summary(plan).find("by " + TitleOf(plan)), std::string::npos);
    EXPECT_NE(Summary(plan).find(ExplanationOf(plan)), std::string::npos);
  }
}

TEST(Plan, ACycleOfSingleModelsIsOnlyForWhoProtectsNothing) {
  const std::string cyclic = Training("algorithm = 'cyclic'");
  EXPECT_NE(Summary(Good(cyclic)).find("EACH STEP SHOWS ONE HOSPITAL'S MODEL"), std::string::npos);
  EXPECT_EQ(Summary(Good(kTrain)).find("EACH STEP SHOWS"), std::string::npos);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"mode = \"none\"", "mode = \"distributed\""}, {"profile = \"visible\"", "profile = \"secure\""}}) {
    ExpectError(With(cyclic, from, to), "\"cyclic\" shows one hospital's model at each step, which no sum hides");
  }
}

TEST(Plan, EarlyStoppingWatchesAnEvaluationThatThereIs) {
  const std::string on = Training("early_stopping = 'log_loss'");
  ExpectError(on, "[evaluation] every: is 0, but early_stopping watches evaluations during training");
  ExpectError("[evaluation]\nevery = 1\nmetrics = ['auroc']\n" + on, "must name 'log_loss'");
  ExpectError("[evaluation]\nevery = 1\n" + Training("early_stopping = 'f1'"), "must be one of \"none\", \"auroc\"");
  ExpectError(Training("patience = 2"), "has no meaning without early_stopping");
  ExpectError(Training("early_stopping = 'none'\nrestore_best = true"), "has no meaning without early_stopping");
  const Plan plan = Good("[evaluation]\nevery = 1\n" + on);
  EXPECT_EQ(plan.patience, 3U);
  EXPECT_TRUE(plan.restore_best);
  EXPECT_EQ(TotalSums(plan), 1U + 20 + 20) << "at most";
  const std::string text = Summary(plan);
  EXPECT_NE(text.find("at most 41 sums"), std::string::npos) << text;
  EXPECT_NE(
      text.find("when log_loss did not improve in 3 evaluations in a row; the study's model is then the best one"),
      std::string::npos)
      << text;
  EXPECT_EQ(TextOf(Good(Training("early_stopping = 'none'"))), TextOf(Good(Training("")))) << "one study, one form";
}

std::string WithModel(const std::string& model, const std::string& training = "") {
  return "[model]\n" + model + With(kTrain, "[training]\n", "[training]\n" + training);
}

TEST(Plan, ANetworkReadsBackWithItsLayout) {
  const Plan plan = Good(WithModel("kind = 'mlp'\nhidden = [8, 4]\ndropout = 0.5\n", "optimizer = 'adam'\n"));
  const Plan again = *ParsePlan(Canonical(plan));
  EXPECT_EQ(again.model, plan.model);
  EXPECT_EQ(again.learning, plan.learning);
  EXPECT_EQ(LayoutOf(ModelOf(plan)).front(), (Tensor{"layer0.weight", {8, 5}}));
  EXPECT_NE(TextOf(plan).find(R"("model":{"activation":"relu","dropout":0.5,"hidden":[8,4])"), std::string::npos);
  EXPECT_NE(Summary(plan).find("a neural network of 5-8-4-1 units"), std::string::npos);
  EXPECT_NE(Summary(plan).find("model's 89 parameters"), std::string::npos);
  EXPECT_NE(plan.id(), Good(kTrain).id());
}

TEST(Plan, AModelTooLargeNamesItsLayer) {
  ExpectError(WithModel("kind = 'mlp'\nhidden = [65536, 65536]\n"), "layer 1 of 65536 x 65536");
}

TEST(Plan, ANumberIsPredictedByARegression) {
  const std::string number = With(With(kTrain, "label = \"disease\"", "label = \"chol\""), "\"chol\", ", "");
  ExpectError("[model]\nkind = 'logistic'\n" + number, "write \"linear\" or \"mlp\"");
  EXPECT_EQ(Good(number).model.kind, ModelSpec::Kind::kLinear) << "what such a label wants";
  ExpectError("[evaluation]\nper_hospital = 'released'\n" + number, "is for labels that are yes or no");
  const Plan plan = Good("[model]\nkind = 'linear'\n" + number);
  EXPECT_EQ(plan.metrics, (std::vector<std::string>{"rmse", "mae", "r2"}));
  EXPECT_EQ(ModelOf(plan).kind, ModelSpec::Kind::kLinear);
  EXPECT_EQ(plan.learning.loss.kind, LossSpec::Kind::kSquared);
  ExpectError("[model]\nkind = 'linear'\n[evaluation]\nmetrics = ['auroc']\n" + number, "there are rmse, mae, r2");
  ExpectError(WithModel("kind = 'poisson'\n"), "does not predict a label that is yes or no");
}

TEST(Plan, ACategoryIsPredictedByAModelOfItsClasses) {
  const std::string grade = With(With(kTrain, "label = \"disease\"", "label = \"cp\""), ", \"cp\"]", "]");
  const Plan plan = Good(grade);
  EXPECT_EQ(LabelOf(plan), LabelKind::kClasses);
  EXPECT_EQ(plan.model.kind, ModelSpec::Kind::kSoftmax);
  EXPECT_EQ(plan.metrics, (std::vector<std::string>{"accuracy", "balanced_accuracy", "log_loss"}));
  EXPECT_EQ(LayoutOf(ModelOf(plan)), (Layout{{"weight", {4, 2}}, {"bias", {4}}}));
  EXPECT_EQ(ModelOf(Good("[model]\nkind = 'mlp'\nhidden = [3]\n" + grade)).outputs, 4U);
  EXPECT_TRUE(Summary(plan).contains("softmax regression with 4 classes"));
  EXPECT_TRUE(Summary(plan).contains("counts of patients by class and predicted class"));
  const auto training = [&](const std::string& line) { return With(grade, "learning_rate = 0.1", line); };
  EXPECT_EQ(Good(training("class_weights = [1, 2, 3, 4]\nlabel_smoothing = 0.1")).learning.loss.class_weights.size(),
            4U);
  ExpectError(training("class_weights = [1, 2]"), "must be 4 numbers");
  ExpectError("[model]\nkind = 'logistic'\n" + grade, "one of several classes; write \"softmax\" or \"mlp\"");
  const Result<Plan> again = ParsePlan(Canonical(plan));
  ASSERT_TRUE(again.has_value()) << again.error().what;
  EXPECT_EQ(again->id(), plan.id());
}

TEST(Plan, AnEventAndItsTimeArePredictedByACoxRegression) {
  const auto timed = [](const std::string& time, std::string features = "[\"age\", \"cp\"]") {
    const std::string text = With(kTrain, "label = \"disease\"", "label = \"disease\"\ntime = \"" + time + "\"");
    return With(text, "[\"age\", \"chol\", \"cp\"]", features);
  };
  const Plan plan = Good(timed("chol"));
  EXPECT_EQ(LabelOf(plan), LabelKind::kSurvival);
  EXPECT_EQ(plan.model.kind, ModelSpec::Kind::kCox);
  EXPECT_EQ(plan.learning.loss.kind, LossSpec::Kind::kCox);
  EXPECT_EQ(plan.metrics, std::vector<std::string>{"c_index"});
  EXPECT_TRUE(Summary(plan).contains("Cox regression"));
  EXPECT_TRUE(Summary(plan).contains("chol: a number from 0 to 700")) << "the time is read, too";
  EXPECT_EQ(ParsePlan(Canonical(plan))->id(), plan.id());
  EXPECT_EQ(Good("[model]\nkind = 'mlp'\n" + timed("chol")).learning.loss.kind, LossSpec::Kind::kCox);
  ExpectError(timed("chol", "[\"age\", \"chol\"]"), "'chol' is the time of the event");
  ExpectError(timed("cp", "[\"age\"]"), "'cp' is no number");
  ExpectError(timed("choll"), "did you mean 'chol'?");
  ExpectError(With(timed("chol", "[\"cp\"]"), "label = \"disease\"", "label = \"age\""), "a label that is no event");
  ExpectError("[model]\nkind = 'logistic'\n" + timed("chol"), "an event and its time; write \"cox\" or \"mlp\"");
  ExpectError("[model]\nkind = 'cox'\n" + std::string(kTrain), "yes or no; write \"logistic\"");
  ExpectError("[evaluation]\nper_hospital = 'released'\n" + timed("chol"), "is for labels that are yes or no");
}

TEST(Plan, AMistypedModelKeyNamesTheNearest) {
  ExpectError(WithModel("kind = 'mlp'\nhiden = [4]\n"), "did you mean 'hidden'?");
  ExpectError(WithModel("kind = 'mlp'\n", "optimiser = 'adam'\n"), "did you mean 'optimizer'?");
  ExpectError(WithModel("kind = 'mlp'\n", "weight_decy = 0.1\n"), "did you mean 'weight_decay'?");
}

// Where a training can end, and how many sums there are then.
TEST(Plan, EarlyStoppingEndsAfterEnoughEvaluations) {
  Plan plan = Good("[evaluation]\nevery = 2\nper_hospital = 'released'\n" +
                   Training("early_stopping = 'log_loss'\npatience = 3"));
  for (std::uint32_t rounds = 0; rounds <= 22; ++rounds)
    EXPECT_EQ(CanEndAfter(plan, rounds), rounds >= 8 && rounds <= 20 && rounds % 2 == 0) << rounds;
  EXPECT_EQ(TotalSums(plan), 1U + 20 + 10 + 1);
  EXPECT_EQ(TotalSums(plan, 8), 1U + 8 + 4 + 1);
  plan.early_stopping = "none";
  EXPECT_FALSE(CanEndAfter(plan, 8));
  EXPECT_TRUE(CanEndAfter(plan, 20));
}

TEST(Plan, ControlVariatesAreOfPlainGradientSteps) {
  ExpectError(WithModel("kind = 'logistic'\n", "algorithm = 'scaffold'\noptimizer = 'adam'\n"), "write \"sgd\"");
}

}  // namespace
}  // namespace consilium
