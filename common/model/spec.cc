// Checks, layouts and defaults of specifications.
#include "common/model/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/base/check.h"

namespace consilium {
namespace {

constexpr std::uint32_t kMostUnits = 1 << 20;
constexpr std::size_t kMostLayers = 64;
constexpr std::uint64_t kMostParameters = 1ULL << 28;

Status Refuse(std::string what) { return Fail(Code::kInvalid, std::move(what)); }

bool OneOutput(ModelSpec::Kind kind) {
  using enum ModelSpec::Kind;
  return kind == kLinear || kind == kLogistic || kind == kPoisson || kind == kCox;
}

Status CheckUnits(std::uint32_t units, const std::string& what) {
  if (units >= 1 && units <= kMostUnits) return {};
  return Refuse(fmt::format("{} must have 1 to {} units, not {}", what, kMostUnits, units));
}

}  // namespace

Status CheckModel(const ModelSpec& model) {
  const bool mlp = model.kind == ModelSpec::Kind::kMlp;
  TRY(CheckUnits(model.inputs, "the model's input"));
  TRY(CheckUnits(model.outputs, "the model's output"));
  if (OneOutput(model.kind) && model.outputs != 1)
    return Refuse(fmt::format("this kind of model has 1 output, not {}", model.outputs));
  if (model.kind == ModelSpec::Kind::kSoftmax && model.outputs < 2)
    return Refuse("softmax needs at least 2 classes; with two values write logistic");
  if (mlp == model.hidden.empty())
    return Refuse(mlp ? "an MLP needs at least one hidden layer; without one it is a softmax or logistic regression"
                      : "only an MLP has hidden layers");
  if (model.hidden.size() > kMostLayers) return Refuse(fmt::format("more than {} hidden layers", kMostLayers));
  std::uint64_t parameters = 0, inputs = model.inputs;
  for (std::size_t i = 0; i <= model.hidden.size(); ++i) {
    const std::uint64_t outputs = i < model.hidden.size() ? model.hidden[i] : model.outputs;
    TRY(CheckUnits(static_cast<std::uint32_t>(outputs), fmt::format("layer {}", i)));
    parameters += (inputs + 3) * outputs;
    if (parameters > kMostParameters)
      return Refuse(fmt::format("layer {} of {} x {} makes the model larger than {} parameters", i, inputs, outputs,
                                kMostParameters));
    inputs = outputs;
  }
  if (!(model.dropout >= 0 && model.dropout < 1)) return Refuse("dropout must be at least 0 and below 1");
  if (!mlp && (model.dropout != 0 || model.layer_norm)) return Refuse("only an MLP has dropout and layer norms");
  return {};
}

std::vector<DenseShape> DenseShapes(const ModelSpec& model) {
  std::vector<DenseShape> out;
  std::uint64_t next = 0, inputs = model.inputs;
  for (std::size_t i = 0; i <= model.hidden.size(); ++i) {
    DenseShape dense;
    dense.inputs = inputs;
    dense.outputs = i < model.hidden.size() ? model.hidden[i] : model.outputs;
    dense.normed = model.layer_norm && i < model.hidden.size();
    dense.weight = next;
    dense.bias = dense.weight + dense.inputs * dense.outputs;
    next = dense.bias + dense.outputs;
    if (dense.normed) {
      dense.scale = next;
      dense.shift = dense.scale + dense.outputs;
      next = dense.shift + dense.outputs;
    }
    inputs = dense.outputs;
    out.push_back(dense);
  }
  return out;
}

Layout LayoutOf(const ModelSpec& model) {
  const std::uint64_t inputs = model.inputs;
  if (OneOutput(model.kind)) return {{"weight", {inputs}}, {"bias", {1}}};
  if (model.kind == ModelSpec::Kind::kSoftmax) return {{"weight", {model.outputs, inputs}}, {"bias", {model.outputs}}};
  Layout out;
  std::size_t i = 0;
  for (const DenseShape& dense : DenseShapes(model)) {
    out.push_back({fmt::format("layer{}.weight", i), {dense.outputs, dense.inputs}});
    out.push_back({fmt::format("layer{}.bias", i), {dense.outputs}});
    if (dense.normed) {
      out.push_back({fmt::format("norm{}.scale", i), {dense.outputs}});
      out.push_back({fmt::format("norm{}.shift", i), {dense.outputs}});
    }
    ++i;
  }
  return out;
}

std::vector<Segment> Segments(const ModelSpec& model) {
  std::vector<Segment> out;
  for (const DenseShape& dense : DenseShapes(model)) {
    out.push_back({dense.weight, dense.inputs * dense.outputs, true});
    out.push_back({dense.bias, dense.outputs * (dense.normed ? 3 : 1), false});
  }
  return out;
}

LossSpec UsualLoss(const ModelSpec& model) {
  LossSpec out;
  switch (model.kind) {
    case ModelSpec::Kind::kLinear:
      out.kind = LossSpec::Kind::kSquared;
      break;
    case ModelSpec::Kind::kLogistic:
      break;
    case ModelSpec::Kind::kSoftmax:
      out.kind = LossSpec::Kind::kCrossEntropy;
      break;
    case ModelSpec::Kind::kPoisson:
      out.kind = LossSpec::Kind::kPoisson;
      break;
    case ModelSpec::Kind::kCox:
      out.kind = LossSpec::Kind::kCox;
      break;
    case ModelSpec::Kind::kMlp:
      out.kind = model.outputs == 1 ? LossSpec::Kind::kBce : LossSpec::Kind::kCrossEntropy;
      break;
  }
  return out;
}

Status CheckLoss(const LossSpec& loss, const ModelSpec& model) {
  const bool classes = loss.kind == LossSpec::Kind::kCrossEntropy, binary = loss.kind == LossSpec::Kind::kBce;
  if (classes ? model.outputs < 2 : model.outputs != 1)
    return Refuse(classes ? "cross-entropy needs a model of at least 2 outputs"
                          : "this loss needs a model of 1 output");
  const std::size_t weights = classes ? model.outputs : binary ? 2 : 0;
  if (!loss.class_weights.empty() && loss.class_weights.size() != weights)
    return Refuse(fmt::format("{} class weights where the loss has {} classes", loss.class_weights.size(), weights));
  for (const double weight : loss.class_weights) {
    if (!(weight >= 0 && std::isfinite(weight))) return Refuse("class weights must be finite and not negative");
  }
  if (!(loss.label_smoothing >= 0 && loss.label_smoothing < 1) || (!classes && loss.label_smoothing != 0))
    return Refuse("label smoothing belongs to cross-entropy and must be at least 0 and below 1");
  if (!(loss.huber_delta > 0 && std::isfinite(loss.huber_delta))) return Refuse("Huber's delta must be above 0");
  return {};
}

std::uint32_t TargetsPerRow(const LossSpec& loss) { return loss.kind == LossSpec::Kind::kCox ? 2 : 1; }

double RateAt(const Schedule& schedule, double rate, std::uint64_t tick) {
  if (tick < schedule.warm_up) return rate * static_cast<double>(tick + 1) / schedule.warm_up;
  const std::uint64_t since = tick - schedule.warm_up;
  switch (schedule.kind) {
    case Schedule::Kind::kConstant:
      break;
    case Schedule::Kind::kStep:
      return rate * std::pow(schedule.factor, static_cast<double>(since / schedule.every));
    case Schedule::Kind::kCosine: {
      const double share = static_cast<double>(std::min<std::uint64_t>(since, schedule.total)) / schedule.total;
      return rate * (1 + std::cos(std::numbers::pi * share)) / 2;
    }
  }
  return rate;
}

OptimizerSpec UsualOptimizer(OptimizerSpec::Kind kind) {
  OptimizerSpec out;
  out.kind = kind;
  switch (kind) {
    case OptimizerSpec::Kind::kSgd:
    case OptimizerSpec::Kind::kMomentum:
    case OptimizerSpec::Kind::kNesterov:
      break;
    case OptimizerSpec::Kind::kAdam:
      out.learning_rate = 0.001;
      break;
    case OptimizerSpec::Kind::kAdamW:
      out.learning_rate = 0.001;
      out.weight_decay = 0.01;
      break;
    case OptimizerSpec::Kind::kRmsProp:
      out.learning_rate = 0.01;
      break;
    case OptimizerSpec::Kind::kAdagrad:
      out.learning_rate = 0.01;
      out.epsilon = 1e-10;
      break;
  }
  return out;
}

Status CheckRecipe(const Recipe& recipe) {
  TRY(CheckModel(recipe.model));
  TRY(CheckLoss(recipe.loss, recipe.model));
  const OptimizerSpec& o = recipe.optimizer;
  for (const double share : {o.momentum, o.beta1, o.beta2, o.alpha}) {
    if (!(share >= 0 && share < 1)) return Refuse("momentum, betas and alpha must be at least 0 and below 1");
  }
  for (const double size : {o.learning_rate, o.epsilon, o.l1, o.l2, o.weight_decay, o.clip_norm}) {
    if (!(size >= 0 && std::isfinite(size)))
      return Refuse("rate, epsilon, penalties and clip_norm must be finite and not negative");
  }
  if (o.schedule.every < 1 || o.schedule.total < 1 || !(o.schedule.factor > 0 && o.schedule.factor <= 1))
    return Refuse("a schedule counts at least one tick, and its factor lies above 0 and is at most 1");
  if (recipe.training.batch_size < 1) return Refuse("a batch has at least one row");
  if ((recipe.training.epochs == 0) == (recipe.training.steps == 0)) return Refuse("write either epochs or steps");
  return {};
}

}  // namespace consilium
