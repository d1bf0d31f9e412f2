// Specifications: layouts, first parameters that every machine derives, schedules, and what is refused.
#include "common/model/spec.h"

#include <gtest/gtest.h>

#include <cmath>

namespace consilium {
namespace {

ModelSpec Mlp() {
  return {.kind = ModelSpec::Kind::kMlp,
          .inputs = 4,
          .outputs = 3,
          .hidden = {8, 6},
          .initialisation = Initialisation::kDefault};
}

std::string Refusal(const Status& status) { return status ? "" : status.error().what; }

TEST(Layout, TheLinearFamilyHasAWeightAndABias) {
  EXPECT_EQ(LayoutOf({.inputs = 5}), (Layout{{"weight", {5}}, {"bias", {1}}}));
  EXPECT_EQ(LayoutOf({.kind = ModelSpec::Kind::kSoftmax, .inputs = 5, .outputs = 3}),
            (Layout{{"weight", {3, 5}}, {"bias", {3}}}));
}

TEST(Layout, AnMlpNamesItsLayersAndNorms) {
  ModelSpec model = Mlp();
  EXPECT_EQ(LayoutOf(model), (Layout{{"layer0.weight", {8, 4}},
                                     {"layer0.bias", {8}},
                                     {"layer1.weight", {6, 8}},
                                     {"layer1.bias", {6}},
                                     {"layer2.weight", {3, 6}},
                                     {"layer2.bias", {3}}}));
  model.layer_norm = true;
  model.hidden = {8};
  EXPECT_EQ(LayoutOf(model), (Layout{{"layer0.weight", {8, 4}},
                                     {"layer0.bias", {8}},
                                     {"norm0.scale", {8}},
                                     {"norm0.shift", {8}},
                                     {"layer1.weight", {3, 8}},
                                     {"layer1.bias", {3}}}));
}

TEST(Layout, ShapesAndSegmentsTileTheVector) {
  for (const bool layer_norm : {false, true}) {
    ModelSpec model = Mlp();
    model.layer_norm = layer_norm;
    std::uint64_t next = 0, decaying = 0;
    for (const Segment& segment : Segments(model)) {
      EXPECT_EQ(segment.first, next);
      next += segment.length;
      decaying += segment.decays ? segment.length : 0;
    }
    EXPECT_EQ(next, SizeOf(LayoutOf(model)));
    EXPECT_EQ(decaying, 4 * 8 + 8 * 6 + 6 * 3U) << "weights only";
  }
}

// Golden: these come out on every machine, or coordinator and hospitals would start from different models.
TEST(InitialParameters, AreTheSameEverywhere) {
  ModelSpec model = Mlp();
  const auto hash = [&](Initialisation initialisation) {
    model.initialisation = initialisation;
    return Blake2b(ParameterBlob(InitialParameters(model, 42))).Hex().substr(0, 16);
  };
  EXPECT_EQ(hash(Initialisation::kDefault), "a950c2431d87e896");
  EXPECT_EQ(hash(Initialisation::kKaimingNormal), "02b8e281db2f45cf");
  EXPECT_EQ(hash(Initialisation::kXavierUniform), "59cc6ba4536011a2");
}

TEST(InitialParameters, HaveTheirDistributions) {
  ModelSpec model{.kind = ModelSpec::Kind::kMlp, .inputs = 100, .outputs = 2, .hidden = {200}};
  struct Expected {
    Initialisation initialisation;
    double sd, most;
  };
  for (const auto& [initialisation, sd, most] :
       {Expected{Initialisation::kDefault, 0.1 / std::sqrt(3), 0.1},
        Expected{Initialisation::kKaimingUniform, std::sqrt(2.0 / 100), std::sqrt(6.0 / 100)},
        Expected{Initialisation::kKaimingNormal, std::sqrt(2.0 / 100), 1},
        Expected{Initialisation::kXavierUniform, std::sqrt(2.0 / 300), std::sqrt(6.0 / 300)},
        Expected{Initialisation::kXavierNormal, std::sqrt(2.0 / 300), 1}}) {
    model.initialisation = initialisation;
    const std::vector<double> p = InitialParameters(model, 1);
    double squares = 0, largest = 0;
    for (std::size_t i = 0; i < 20'000; ++i) {
      squares += p[i] * p[i] / 20'000;
      largest = std::max(largest, std::fabs(p[i]));
    }
    EXPECT_NEAR(std::sqrt(squares) / sd, 1, 0.02);
    EXPECT_LE(largest, most);
    EXPECT_EQ(p[20'000] == 0, initialisation != Initialisation::kDefault) << "the bias";
  }
}

TEST(InitialParameters, NormsStartAsNothing) {
  ModelSpec model = Mlp();
  model.layer_norm = true;
  const std::vector<double> p = InitialParameters(model, 1);
  const DenseShape first = DenseShapes(model)[0];
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(p[first.scale + i], 1);
    EXPECT_EQ(p[first.shift + i], 0);
  }
}

TEST(InitialParameters, ALayerMoreLeavesTheOthersAsTheyWere) {
  ModelSpec longer = Mlp(), shorter = Mlp();
  shorter.hidden = {8};
  const std::vector<double> a = InitialParameters(longer, 3), b = InitialParameters(shorter, 3),
                            other = InitialParameters(longer, 4);
  EXPECT_TRUE(std::equal(a.begin(), a.begin() + 40, b.begin()));
  EXPECT_NE(a, other);
  for (const double v : a) EXPECT_EQ(v, static_cast<float>(v)) << "as it travels";
}

TEST(Schedules, FollowTheirFormulas) {
  EXPECT_EQ(RateAt({}, 0.5, 1000), 0.5);
  const Schedule step{.kind = Schedule::Kind::kStep, .every = 10, .factor = 0.5};
  EXPECT_EQ(RateAt(step, 1, 9), 1);
  EXPECT_EQ(RateAt(step, 1, 10), 0.5);
  EXPECT_EQ(RateAt(step, 1, 35), 0.125);
  const Schedule cosine{.kind = Schedule::Kind::kCosine, .warm_up = 4, .total = 100};
  EXPECT_EQ(RateAt(cosine, 1, 0), 0.25);
  EXPECT_EQ(RateAt(cosine, 1, 3), 1);
  EXPECT_EQ(RateAt(cosine, 1, 4), 1);
  EXPECT_NEAR(RateAt(cosine, 1, 54), 0.5, 1e-15);
  EXPECT_NEAR(RateAt(cosine, 1, 29), (1 + std::sqrt(0.5)) / 2, 1e-15);
  EXPECT_NEAR(RateAt(cosine, 1, 104), 0, 1e-15);
  EXPECT_NEAR(RateAt(cosine, 1, 1000), 0, 1e-15);
}

TEST(CheckModel, NamesTheLayerThatDoesNotFit) {
  EXPECT_EQ(Refusal(CheckModel(Mlp())), "");
  ModelSpec model = Mlp();
  model.hidden = {8, 0};
  EXPECT_NE(Refusal(CheckModel(model)).find("layer 1"), std::string::npos) << Refusal(CheckModel(model));
  model.hidden = {8, 1 << 20, 1 << 20};
  EXPECT_NE(Refusal(CheckModel(model)).find("layer 2 of 1048576 x 1048576"), std::string::npos);
  model.hidden = {};
  EXPECT_NE(Refusal(CheckModel(model)).find("at least one hidden layer"), std::string::npos);
}

TEST(CheckModel, RefusesWhatMeansNothing) {
  EXPECT_NE(Refusal(CheckModel({.inputs = 0})), "");
  EXPECT_NE(Refusal(CheckModel({.inputs = 3, .outputs = 2})), "") << "logistic regression has one output";
  EXPECT_NE(Refusal(CheckModel({.kind = ModelSpec::Kind::kSoftmax, .inputs = 3, .outputs = 1})), "");
  EXPECT_NE(Refusal(CheckModel({.inputs = 3, .hidden = {4}})), "");
  EXPECT_NE(Refusal(CheckModel({.inputs = 3, .dropout = 0.5})), "");
  ModelSpec model = Mlp();
  for (const double dropout : {-0.1, 1.0, std::nan("")}) {
    model.dropout = dropout;
    EXPECT_NE(Refusal(CheckModel(model)), "") << dropout;
  }
}

TEST(CheckLoss, FitsTheModelsOutputs) {
  const ModelSpec classes = Mlp(), one{.inputs = 3};
  EXPECT_EQ(Refusal(CheckLoss(UsualLoss(classes), classes)), "");
  EXPECT_EQ(Refusal(CheckLoss(UsualLoss(one), one)), "");
  EXPECT_NE(Refusal(CheckLoss(UsualLoss(one), classes)), "");
  EXPECT_NE(Refusal(CheckLoss(UsualLoss(classes), one)), "");
  LossSpec loss = UsualLoss(classes);
  loss.class_weights = {1, 2};
  EXPECT_NE(Refusal(CheckLoss(loss, classes)), "") << "three classes";
  loss.class_weights = {1, 2, -1};
  EXPECT_NE(Refusal(CheckLoss(loss, classes)), "");
  loss.class_weights = {1, 2, 0};
  EXPECT_EQ(Refusal(CheckLoss(loss, classes)), "");
  loss.label_smoothing = 1;
  EXPECT_NE(Refusal(CheckLoss(loss, classes)), "");
  EXPECT_NE(Refusal(CheckLoss({.kind = LossSpec::Kind::kHuber, .huber_delta = 0}, one)), "");
}

TEST(CheckRecipe, RefusesSettingsOutOfRange) {
  const Recipe good{.model = Mlp(), .loss = UsualLoss(Mlp())};
  EXPECT_EQ(Refusal(CheckRecipe(good)), "");
  Recipe recipe = good;
  recipe.optimizer.momentum = 1;
  EXPECT_NE(Refusal(CheckRecipe(recipe)), "");
  recipe = good;
  recipe.optimizer.learning_rate = std::nan("");
  EXPECT_NE(Refusal(CheckRecipe(recipe)), "");
  recipe = good;
  recipe.training.steps = 3;
  EXPECT_NE(Refusal(CheckRecipe(recipe)), "") << "epochs and steps";
  recipe = good;
  recipe.training.batch_size = 0;
  EXPECT_NE(Refusal(CheckRecipe(recipe)), "");
  recipe = good;
  recipe.optimizer.schedule.total = 0;
  EXPECT_NE(Refusal(CheckRecipe(recipe)), "");
}

}  // namespace
}  // namespace consilium
