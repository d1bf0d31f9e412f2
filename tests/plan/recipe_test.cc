// [model] and the optimiser's keys of [training]: defaults, canonical form, and what means nothing and is refused.
#include "common/plan/recipe.h"

#include <gtest/gtest.h>

namespace consilium {
namespace {

struct Parsed {
  ModelKeys model;
  LearningKeys learning;
  std::string error;
};

Parsed Parse(const std::string& toml, LabelKind label = LabelKind::kBinary, std::uint32_t classes = 2) {
  const auto root = ParseToml(toml, "plan.toml");
  EXPECT_TRUE(root.has_value()) << root.error().what;
  Parsed out;
  Reader model((*root)["model"], "plan.toml", "model"), training((*root)["training"], "plan.toml", "training");
  ReadModelKeys(model, label, &out.model);
  ReadLearningKeys(training, out.model, label, classes, 30, &out.learning);
  for (Reader* r : {&model, &training}) {
    if (const Status status = r->Finish(); !status && out.error.empty()) out.error = status.error().what;
  }
  return out;
}

void ExpectRefused(const std::string& toml, const std::string& why, LabelKind label = LabelKind::kBinary,
                   std::uint32_t classes = 2) {
  const Parsed parsed = Parse(toml, label, classes);
  EXPECT_NE(parsed.error.find(why), std::string::npos) << toml << "\n" << parsed.error;
}

Parsed Again(const Parsed& parsed, LabelKind label, std::uint32_t classes) {
  Value training;
  AppendTo(&training, parsed.learning);
  Parsed out;
  const Value model = ToValue(parsed.model);
  Reader first(model, "plan", "model"), second(training, "plan", "training");
  ReadModelKeys(first, label, &out.model);
  ReadLearningKeys(second, out.model, label, classes, 30, &out.learning);
  EXPECT_TRUE(first.Finish().has_value() && second.Finish().has_value());
  return out;
}

TEST(RecipeKeys, ALogisticRegressionBySgdIsWhatNothingSays) {
  const Parsed parsed = Parse("[model]\n[training]\n");
  EXPECT_EQ(parsed.error, "");
  EXPECT_EQ(parsed.model, ModelKeys{});
  EXPECT_EQ(parsed.learning.optimizer.kind, OptimizerSpec::Kind::kSgd);
  EXPECT_EQ(parsed.learning.optimizer.learning_rate, 0.1);
  EXPECT_EQ(parsed.learning.precision, Precision::kDouble);
  EXPECT_EQ(parsed.learning.loss.kind, LossSpec::Kind::kBce);
}

TEST(RecipeKeys, OptimizersBringPyTorchsDefaults) {
  const auto rate = [](const std::string& name) {
    return Parse("[model]\n[training]\noptimizer = \"" + name + "\"\n").learning.optimizer;
  };
  EXPECT_EQ(rate("adam").learning_rate, 0.001);
  EXPECT_EQ(rate("adamw").weight_decay, 0.01);
  EXPECT_EQ(rate("rmsprop").learning_rate, 0.01);
  EXPECT_EQ(rate("adagrad").epsilon, 1e-10);
  EXPECT_EQ(rate("nesterov").momentum, 0.9);
}

TEST(RecipeKeys, AnMlpWithEverything) {
  const Parsed parsed = Parse(R"(
    [model]
    kind = "mlp"
    hidden = [256, 128]
    activation = "gelu"
    dropout = 0.25
    layer_norm = true
    init = "kaiming_normal"
    [training]
    loss = "cross_entropy"
    label_smoothing = 0.1
    class_weights = [1, 2.5, 1]
    optimizer = "adamw"
    betas = [0.8, 0.99]
    epsilon = 1e-7
    learning_rate = 0.002
    l1 = 1e-5
    l2 = 1e-4
    weight_decay = 0.02
    clip_norm = 1
    schedule = "cosine"
    warm_up = 3
    precision = "double"
  )",
                              LabelKind::kClasses, 3);
  ASSERT_EQ(parsed.error, "");
  EXPECT_EQ(parsed.model.hidden, (std::vector<std::uint32_t>{256, 128}));
  EXPECT_EQ(parsed.model.activation, Activation::kGelu);
  EXPECT_EQ(parsed.learning.optimizer.beta1, 0.8);
  EXPECT_EQ(parsed.learning.optimizer.schedule.total, 27U) << "a cosine ends with the study";
  EXPECT_EQ(parsed.learning.loss.class_weights, (std::vector<double>{1, 2.5, 1}));
  EXPECT_EQ(InWords(parsed.model, 784, 10), "a neural network of 784-256-128-10 units");
}

TEST(RecipeKeys, ComeBackFromTheirCanonicalForm) {
  struct Case {
    LabelKind label;
    std::uint32_t classes;
    std::string toml;
  };
  for (const auto& [label, classes, toml] : std::vector<Case>{
           {LabelKind::kBinary, 2, "[model]\n[training]\n"},
           {LabelKind::kBinary, 2,
            "[model]\nkind = \"mlp\"\n[training]\noptimizer = \"adam\"\nclass_weights = [1, 3]\n"},
           {LabelKind::kClasses, 4, "[model]\nkind = \"softmax\"\n[training]\noptimizer = \"rmsprop\"\nalpha = 0.9\n"},
           {LabelKind::kClasses, 4, "[model]\nkind = \"mlp\"\nhidden = [5]\n[training]\noptimizer = \"adagrad\"\n"},
           {LabelKind::kNumber, 1, "[model]\nkind = \"linear\"\n[training]\nloss = \"huber\"\nhuber_delta = 2\n"},
           {LabelKind::kNumber, 1, "[model]\nkind = \"poisson\"\n[training]\noptimizer = \"nesterov\"\n"},
           {LabelKind::kNumber, 1,
            "[model]\nkind = \"mlp\"\n[training]\nloss = \"poisson\"\nschedule = \"step\"\ndecay_every = 4\nwarm_up = "
            "2\n"}}) {
    const Parsed parsed = Parse(toml, label, classes), again = Again(parsed, label, classes);
    EXPECT_EQ(parsed.error, "") << toml;
    EXPECT_EQ(parsed.model, again.model) << toml;
    EXPECT_EQ(parsed.learning, again.learning) << toml;
  }
}

TEST(RecipeKeys, AModelPredictsItsOwnKindOfLabel) {
  ExpectRefused("[model]\nkind = \"linear\"\n", "write \"logistic\" or \"mlp\"");
  ExpectRefused("[model]\nkind = \"logistic\"\n", "one of several classes; write \"softmax\"", LabelKind::kClasses, 3);
  ExpectRefused("[model]\nkind = \"softmax\"\n", "write \"linear\"", LabelKind::kNumber, 1);
  for (const LabelKind label : {LabelKind::kBinary, LabelKind::kClasses, LabelKind::kNumber})
    EXPECT_EQ(Parse("[model]\nkind = \"mlp\"\n[training]\n", label, 3).error, "");
}

TEST(RecipeKeys, WhatHasNoMeaningIsRefused) {
  ExpectRefused("[model]\nkind = \"logistic\"\nhidden = [4]\n", "hidden: belongs to kind = \"mlp\"");
  ExpectRefused("[model]\nkind = \"mlp\"\nhidden = []\n", "1 to 16 layers");
  ExpectRefused("[model]\nkind = \"mlp\"\nhidden = [0]\n", "whole numbers of units");
  ExpectRefused("[model]\nkind = \"mlp\"\nhidden = [2.5]\n", "whole numbers of units");
  ExpectRefused("[model]\nkind = \"mlp\"\nhidden = \"64\"\n", "list of numbers");
  ExpectRefused("[model]\nkind = \"mlp\"\ninit = \"zeros\"\n", "alike for ever");
  ExpectRefused("[model]\nkind = \"mpl\"\n", "mlp");
  ExpectRefused("[model]\nkind = \"mlp\"\ndropout = 1\n", "dropout");
  ExpectRefused("[model]\n[training]\nmomentum = 0.9\n", "no meaning with optimizer = \"sgd\"");
  ExpectRefused("[model]\n[training]\noptimizer = \"adam\"\nmomentum = 0.9\n", "no meaning with optimizer = \"adam\"");
  ExpectRefused("[model]\n[training]\noptimizer = \"adam\"\nbetas = [0.9]\n", "two numbers");
  ExpectRefused("[model]\n[training]\noptimizer = \"adam\"\nbetas = [0.9, 1]\n", "below 1");
  ExpectRefused("[model]\n[training]\ndecay_every = 3\n", "schedule = \"step\"");
  ExpectRefused("[model]\n[training]\nwarm_up = 30\n", "30 rounds");
  ExpectRefused("[model]\n[training]\nlabel_smoothing = 0.1\n", "cross_entropy");
  ExpectRefused("[model]\n[training]\nhuber_delta = 1\n", "huber");
  ExpectRefused("[model]\n[training]\nclass_weights = [1, 2, 3]\n", "2 numbers");
  ExpectRefused("[model]\n[training]\nclass_weights = [1, -2]\n", "2 numbers");
  ExpectRefused("[model]\nkind = \"linear\"\n[training]\nclass_weights = [1, 2]\n", "label is a number",
                LabelKind::kNumber, 1);
  ExpectRefused("[model]\n[training]\nloss = \"squared\"\n", "bce");
}

}  // namespace
}  // namespace consilium
