// Networks: gradients of every layer and every composed model against central differences, per-example norms from what
// backward keeps, and dropout that follows from its seed.
#include "common/model/network.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/model/loss.h"
#include "tests/model/numbers.h"

namespace consilium {
namespace {

using testing::SomeNumbers;
using Kind = ModelSpec::Kind;

constexpr double kStep = 1e-5, kTolerance = 1e-6;

// Targets that fit the loss: classes, counts, events and times with ties.
std::vector<double> SomeTargets(const LossSpec& loss, std::size_t rows, std::size_t outputs) {
  PublicRandom random(std::uint64_t{5});
  std::vector<double> out;
  for (std::size_t i = 0; i < rows; ++i) {
    const double u = random.Uniform();
    switch (loss.kind) {
      case LossSpec::Kind::kBce:
        out.push_back(u < 0.4 ? 1 : 0);
        break;
      case LossSpec::Kind::kCrossEntropy:
        out.push_back(std::floor(u * static_cast<double>(outputs)));
        break;
      case LossSpec::Kind::kPoisson:
        out.push_back(std::floor(u * 4));
        break;
      case LossSpec::Kind::kCox:
        out.push_back(random.Uniform() < 0.6 ? 1 : 0);
        out.push_back(std::floor(u * 5));
        break;
      default:
        out.push_back(3 * u - 1);
    }
  }
  return out;
}

struct Model {
  ModelSpec spec;
  LossSpec loss;
  std::size_t rows = 9;
  std::vector<double> x, y, parameters;
  Network<double> network;
  Loss<double> value;

  Model(const ModelSpec& model, const LossSpec& model_loss)
      : spec(model),
        loss(model_loss),
        x(SomeNumbers<double>(rows * model.inputs, 1)),
        y(SomeTargets(model_loss, rows, model.outputs)),
        parameters(SomeNumbers<double>(SizeOf(LayoutOf(model)), 2)),
        network(model, rows, Kernels::kFastest),
        value(model_loss, model.outputs, rows) {}

  double At(const std::vector<double>& p, double* gradient) {
    const auto z = network.Forward(p, rows, x.data(), 11);
    return value.Evaluate(rows, z.data(), y.data(), gradient);
  }
  std::vector<double> Gradient() {
    At(parameters, network.output_gradient().data());  // The batch's size is known only after Forward.
    At(parameters, network.output_gradient().data());
    network.Backward(parameters);
    std::vector<double> out(parameters.size());
    network.Gradient(out);
    return out;
  }
  void ExpectCentralDifferences(const std::string& what) {
    ASSERT_TRUE(CheckModel(spec).has_value() && CheckLoss(loss, spec).has_value()) << what;
    const std::vector<double> gradient = Gradient();
    double worst = 0;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      std::vector<double> up = parameters, down = parameters;
      up[i] += kStep;
      down[i] -= kStep;
      worst = std::max(worst, std::fabs(gradient[i] - (At(up, nullptr) - At(down, nullptr)) / (2 * kStep)));
    }
    EXPECT_LT(worst, kTolerance) << what;
  }
};

ModelSpec Mlp(Activation activation, std::uint32_t outputs = 3) {
  return {.kind = Kind::kMlp, .inputs = 5, .outputs = outputs, .hidden = {7, 6}, .activation = activation};
}

TEST(NetworkGradient, OfTheLinearFamily) {
  for (const Kind kind : {Kind::kLinear, Kind::kLogistic, Kind::kSoftmax, Kind::kPoisson, Kind::kCox}) {
    const ModelSpec spec{.kind = kind, .inputs = 5, .outputs = kind == Kind::kSoftmax ? 4U : 1U};
    Model(spec, UsualLoss(spec)).ExpectCentralDifferences("kind " + std::to_string(static_cast<int>(kind)));
  }
}

TEST(NetworkGradient, OfEveryActivationWithAndWithoutNormAndDropout) {
  for (const Activation activation : {Activation::kRelu, Activation::kTanh, Activation::kSigmoid, Activation::kGelu}) {
    for (const bool layer_norm : {false, true}) {
      for (const double dropout : {0.0, 0.3}) {
        ModelSpec spec = Mlp(activation);
        spec.layer_norm = layer_norm;
        spec.dropout = dropout;
        Model(spec, UsualLoss(spec))
            .ExpectCentralDifferences("activation " + std::to_string(static_cast<int>(activation)) + ", norm " +
                                      std::to_string(layer_norm) + ", dropout " + std::to_string(dropout));
      }
    }
  }
}

TEST(NetworkGradient, OfEveryLossUnderAnMlp) {
  using enum LossSpec::Kind;
  for (const LossSpec::Kind kind : {kBce, kSquared, kHuber, kPoisson, kCox})
    Model(Mlp(Activation::kTanh, 1), {.kind = kind, .huber_delta = 0.7})
        .ExpectCentralDifferences("loss " + std::to_string(static_cast<int>(kind)));
  Model(Mlp(Activation::kTanh), {.kind = kCrossEntropy, .class_weights = {0.5, 2, 3}, .label_smoothing = 0.2})
      .ExpectCentralDifferences("weighted and smoothed cross-entropy");
  Model(Mlp(Activation::kTanh, 1), {.kind = kBce, .class_weights = {0.5, 2}}).ExpectCentralDifferences("weighted BCE");
}

// What a later clipping per patient needs.
TEST(Network, BackwardKeepsWhatPerExampleNormsNeed) {
  ModelSpec spec = Mlp(Activation::kGelu);
  spec.layer_norm = true;
  Model model(spec, UsualLoss(spec));
  model.Gradient();
  std::vector<double> from_layers(model.rows, 0.0);
  for (std::size_t i = 0; i < model.network.layers(); ++i) {
    const auto layer = model.network.layer(i);
    for (std::size_t row = 0; row < model.rows; ++row) {
      double input = 1, delta = 0;  // The bias's input is 1.
      for (std::size_t j = 0; j < layer.shape.inputs; ++j)
        input += std::pow(layer.input[row * layer.shape.inputs + j], 2);
      for (std::size_t j = 0; j < layer.shape.outputs; ++j) {
        const std::size_t at = row * layer.shape.outputs + j;
        delta += layer.delta[at] * layer.delta[at];
        if (layer.shape.normed)
          from_layers[row] += std::pow(layer.norm_delta[at], 2) * (1 + std::pow(layer.normed[at], 2));
      }
      from_layers[row] += input * delta;
    }
  }
  for (std::size_t row = 0; row < model.rows; ++row) {
    Network<double> alone(spec, 1, Kernels::kFastest);
    Loss<double> loss(UsualLoss(spec), spec.outputs, 1);
    const auto z = alone.Forward(model.parameters, 1, model.x.data() + row * spec.inputs);
    loss.Evaluate(1, z.data(), model.y.data() + row, alone.output_gradient().data());
    alone.Backward(model.parameters);
    std::vector<double> gradient(alone.size());
    alone.Gradient(gradient);
    double squares = 0;
    for (const double v : gradient) squares += v * v;
    const auto rows = static_cast<double>(model.rows);
    EXPECT_NEAR(from_layers[row] * rows * rows, squares, 1e-12 * squares) << "the batch's loss is a mean over its rows";
  }
}

TEST(Network, FloatAgreesWithDoubleInBothKernels) {
  ModelSpec spec = Mlp(Activation::kRelu);
  spec.layer_norm = true;
  Model exact(spec, UsualLoss(spec));
  const std::vector<double> expected = exact.Gradient();
  const std::vector<float> p(exact.parameters.begin(), exact.parameters.end()), x(exact.x.begin(), exact.x.end()),
      y(exact.y.begin(), exact.y.end());
  for (const Kernels kernels : {Kernels::kFastest, Kernels::kReproducible}) {
    Network<float> network(spec, exact.rows, kernels);
    Loss<float> loss(exact.loss, spec.outputs, exact.rows);
    const auto z = network.Forward(p, exact.rows, x.data());
    loss.Evaluate(exact.rows, z.data(), y.data(), network.output_gradient().data());
    network.Backward(p);
    std::vector<float> gradient(p.size());
    network.Gradient(gradient);
    for (std::size_t i = 0; i < gradient.size(); ++i) EXPECT_NEAR(gradient[i], expected[i], 2e-6);
  }
}

TEST(Network, DropoutFollowsFromItsSeedAndIsAbsentFromPredictions) {
  ModelSpec spec = Mlp(Activation::kRelu);
  spec.dropout = 0.5;
  Network<double> network(spec, 200, Kernels::kFastest);
  const std::vector<double> p = SomeNumbers<double>(network.size(), 1), x = SomeNumbers<double>(200 * 5, 2);
  const auto outputs = [&](std::optional<std::uint64_t> seed) {
    const auto z = network.Forward(p, 200, x.data(), seed);
    return std::vector<double>(z.begin(), z.end());
  };
  EXPECT_EQ(outputs(1), outputs(1));
  EXPECT_NE(outputs(1), outputs(2));
  EXPECT_EQ(outputs(std::nullopt), outputs(std::nullopt));
  EXPECT_NE(outputs(1), outputs(std::nullopt));
}

TEST(Layers, DropoutKeepsItsShareAndTheMean) {
  PublicRandom random(std::uint64_t{1});
  std::vector<double> mask(100'001);
  DropoutMask(0.3, mask.size(), &random, mask.data());
  double kept = 0, sum = 0;
  for (const double v : mask) {
    EXPECT_TRUE(v == 0 || v == 1 / 0.7);
    kept += v > 0 ? 1 : 0;
    sum += v;
  }
  EXPECT_NEAR(kept / 100'001, 0.7, 0.006);
  EXPECT_NEAR(sum / 100'001, 1, 0.01);
}

TEST(Layers, LayerNormGivesMeanZeroAndVarianceOne) {
  std::vector<double> x = SomeNumbers<double>(3 * 50, 1), out(150);
  const std::vector<double> scale(50, 2.0), shift(50, 0.5);
  std::vector<double> inverse_sd(3);
  LayerNorm<double>(3, 50, scale.data(), shift.data(), x.data(), inverse_sd.data(), out.data());
  for (std::size_t row = 0; row < 3; ++row) {
    double sum = 0, squares = 0;
    for (std::size_t j = 0; j < 50; ++j) {
      sum += x[row * 50 + j];
      squares += x[row * 50 + j] * x[row * 50 + j];
      EXPECT_EQ(out[row * 50 + j], x[row * 50 + j] * 2 + 0.5);
    }
    EXPECT_NEAR(sum, 0, 1e-12);
    EXPECT_NEAR(squares / 50, 1, 1e-4) << "less epsilon";
  }
}

TEST(Layers, ActivationsStayNumbersFarOutAndNanStaysNan) {
  for (const Activation activation : {Activation::kRelu, Activation::kTanh, Activation::kSigmoid, Activation::kGelu}) {
    const std::vector<float> z = {-1e30F, -100, 0, 100, 1e30F, std::nanf("")};
    std::vector<float> a(6), d(6, 1.0F);
    Activate(activation, 6, z.data(), a.data());
    ActivateBackward(activation, 6, z.data(), a.data(), d.data());
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(std::isfinite(a[i]) && std::isfinite(d[i])) << z[i];
    EXPECT_TRUE(std::isnan(a[5]));
  }
}

}  // namespace
}  // namespace consilium
