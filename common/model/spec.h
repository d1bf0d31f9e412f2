// What a model is, how it is trained and where it starts: plain values, and the layout and first parameters that follow
// from them. Coordinator and hospitals derive both, so nothing here depends on the machine.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/model/parameters.h"

namespace consilium {

enum class Activation : std::uint8_t { kRelu, kTanh, kSigmoid, kGelu };  // GELU in its exact form, x Phi(x).

// fan_in and fan_out are a dense layer's inputs and outputs.
enum class Initialisation : std::uint8_t {
  kZeros,
  kDefault,         // As torch.nn.Linear: weight and bias uniform in +-1 / sqrt(fan_in).
  kKaimingUniform,  // He et al. 2015, for ReLU: +-sqrt(6 / fan_in); bias 0, as in all that follow.
  kKaimingNormal,   // sd sqrt(2 / fan_in)
  kXavierUniform,   // Glorot and Bengio 2010: +-sqrt(6 / (fan_in + fan_out))
  kXavierNormal,    // sd sqrt(2 / (fan_in + fan_out))
};

// Linear, logistic, softmax, Poisson and Cox models are one dense layer. An MLP's hidden layers are
// dense -> [layer norm] -> activation -> [dropout], its last one is dense.
struct ModelSpec {
  enum class Kind : std::uint8_t { kLinear, kLogistic, kSoftmax, kPoisson, kCox, kMlp };
  Kind kind = Kind::kLogistic;
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 1;               // Softmax and MLP: classes, or 1.
  std::vector<std::uint32_t> hidden = {};  // MLP only, at least one.
  Activation activation = Activation::kRelu;
  double dropout = 0;  // The share of a hidden layer's outputs that a training step leaves out, in [0, 1).
  bool layer_norm = false;
  Initialisation initialisation = Initialisation::kZeros;
  bool operator==(const ModelSpec&) const = default;
};
Status CheckModel(const ModelSpec& model);  // kInvalid names the layer.

// One dense layer of a checked model, and where its tensors lie in the flat vector.
struct DenseShape {
  std::uint64_t inputs = 0, outputs = 0;
  std::uint64_t weight = 0, bias = 0;  // First coordinates. Weight: [outputs, inputs], row-major.
  std::uint64_t scale = 0, shift = 0;  // Of the layer norm after it; only where normed.
  bool normed = false;
};
std::vector<DenseShape> DenseShapes(const ModelSpec& model);

// One dense layer: "weight" [inputs] (softmax: [classes, inputs]) and "bias" [outputs]. MLP: for each layer i
// "layerI.weight" [outputs, inputs], "layerI.bias" [outputs] and, with layer norm, "normI.scale" and "normI.shift".
Layout LayoutOf(const ModelSpec& model);

// Where training starts: a pure function, the same bits on every machine (no libm but sqrt, no contraction). Each
// tensor has a stream of its own, H("consilium/initial" | seed | name). Values are float32's, as they travel.
std::vector<double> InitialParameters(const ModelSpec& model, std::uint64_t seed);

// Which coordinates penalties and weight decay act on: weights, not biases and not layer norms.
struct Segment {
  std::uint64_t first = 0, length = 0;
  bool decays = false;
};
std::vector<Segment> Segments(const ModelSpec& model);  // Ascending, without gap.

// All losses are means over the rows of a batch.
struct LossSpec {
  enum class Kind : std::uint8_t { kBce, kCrossEntropy, kSquared, kHuber, kPoisson, kCox };
  Kind kind = Kind::kBce;
  // One per class; empty: all 1. Cross-entropy divides by the sum of the rows' weights, BCE (negative, positive) by the
  // number of rows, as PyTorch's CrossEntropyLoss(weight) and BCEWithLogitsLoss(pos_weight) do.
  std::vector<double> class_weights = {};
  double label_smoothing = 0;  // Cross-entropy only, in [0, 1): the target is (1 - s) one-hot + s / classes.
  double huber_delta = 1;
  bool operator==(const LossSpec&) const = default;
};
LossSpec UsualLoss(const ModelSpec& model);                      // MLP: BCE or cross-entropy, by its outputs.
Status CheckLoss(const LossSpec& loss, const ModelSpec& model);  // kInvalid: that loss does not fit that model.
std::uint32_t TargetsPerRow(const LossSpec& loss);               // Cox: 2 (event 0 or 1, time); else 1.

struct Schedule {
  enum class Kind : std::uint8_t { kConstant, kStep, kCosine };
  Kind kind = Kind::kConstant;
  std::uint32_t warm_up = 0;  // Over so many ticks the rate rises in a line from rate / warm_up; then the kind begins.
  std::uint32_t every = 1;    // Step: the rate is multiplied by `factor` every so many ticks.
  double factor = 0.1;
  std::uint32_t total = 1;  // Cosine: ticks from the full rate down to 0 (Loshchilov and Hutter 2017, no restarts).
  bool operator==(const Schedule&) const = default;
};
// The rate at tick 0, 1, ... What a tick is, a round or a step, is the caller's to say. Uses libm.
double RateAt(const Schedule& schedule, double rate, std::uint64_t tick);

// Formulas and names as in PyTorch's torch.optim.
struct OptimizerSpec {
  enum class Kind : std::uint8_t { kSgd, kMomentum, kNesterov, kAdam, kAdamW, kRmsProp, kAdagrad };
  Kind kind = Kind::kSgd;
  double learning_rate = 0.1;
  Schedule schedule = {};
  double momentum = 0.9;  // Momentum, Nesterov.
  double beta1 = 0.9, beta2 = 0.999;
  double alpha = 0.99;      // RMSProp.
  double epsilon = 1e-8;    // Adagrad's usual one is 1e-10.
  double l1 = 0, l2 = 0;    // Penalties of the objective: l1 ||w||_1 + l2 / 2 ||w||^2.
  double weight_decay = 0;  // In the optimiser: added to the gradient after clipping; AdamW: decoupled.
  double clip_norm = 0;     // The gradient of the objective is scaled down to this L2 norm; 0: never.
  bool operator==(const OptimizerSpec&) const = default;
};
OptimizerSpec UsualOptimizer(OptimizerSpec::Kind kind);  // PyTorch's defaults; SGD's rate is 0.1.

struct TrainingSpec {
  std::uint32_t epochs = 1;  // One of epochs and steps is not 0.
  std::uint32_t steps = 0;
  std::uint32_t batch_size = 32;  // More than there are rows: one batch of all.
  Digest shuffle_key = {};        // The order of rows in epoch e is drawn from H(shuffle_key | e); dropout from it too.
  std::uint64_t first_tick = 0;   // Of the schedule, which advances with each step of this run.
  bool operator==(const TrainingSpec&) const = default;
};

enum class Precision : std::uint8_t { kFloat, kDouble };
// kFastest takes oneDNN's kernels in float; kReproducible AVX2 kernels of one fixed order, the same bits on every
// x86-64-v3 machine. Double always has the latter.
enum class Kernels : std::uint8_t { kFastest, kReproducible };

// Everything about a local training run but data and first parameters.
struct Recipe {
  ModelSpec model = {};
  LossSpec loss = {};
  OptimizerSpec optimizer = {};
  TrainingSpec training = {};
  Precision precision = Precision::kDouble;
  Kernels kernels = Kernels::kFastest;
};
Status CheckRecipe(const Recipe& recipe);

}  // namespace consilium
