// [model], and loss and optimiser of [training].
#include "common/plan/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace consilium {
namespace {

template <class Kind>
using Names = std::vector<std::pair<Kind, std::string>>;

const Names<ModelSpec::Kind> kModels = {
    {ModelSpec::Kind::kLinear, "linear"},   {ModelSpec::Kind::kLogistic, "logistic"},
    {ModelSpec::Kind::kSoftmax, "softmax"}, {ModelSpec::Kind::kPoisson, "poisson"},
    {ModelSpec::Kind::kCox, "cox"},         {ModelSpec::Kind::kMlp, "mlp"}};
const Names<Activation> kActivations = {{Activation::kRelu, "relu"},
                                        {Activation::kTanh, "tanh"},
                                        {Activation::kSigmoid, "sigmoid"},
                                        {Activation::kGelu, "gelu"}};
const Names<Initialisation> kInitialisations = {{Initialisation::kZeros, "zeros"},
                                                {Initialisation::kDefault, "default"},
                                                {Initialisation::kKaimingUniform, "kaiming_uniform"},
                                                {Initialisation::kKaimingNormal, "kaiming_normal"},
                                                {Initialisation::kXavierUniform, "xavier_uniform"},
                                                {Initialisation::kXavierNormal, "xavier_normal"}};
const Names<OptimizerSpec::Kind> kOptimizers = {
    {OptimizerSpec::Kind::kSgd, "sgd"},           {OptimizerSpec::Kind::kMomentum, "momentum"},
    {OptimizerSpec::Kind::kNesterov, "nesterov"}, {OptimizerSpec::Kind::kAdam, "adam"},
    {OptimizerSpec::Kind::kAdamW, "adamw"},       {OptimizerSpec::Kind::kRmsProp, "rmsprop"},
    {OptimizerSpec::Kind::kAdagrad, "adagrad"}};
const Names<LossSpec::Kind> kLosses = {
    {LossSpec::Kind::kBce, "bce"},         {LossSpec::Kind::kCrossEntropy, "cross_entropy"},
    {LossSpec::Kind::kSquared, "squared"}, {LossSpec::Kind::kHuber, "huber"},
    {LossSpec::Kind::kPoisson, "poisson"}, {LossSpec::Kind::kCox, "cox"}};
const Names<Schedule::Kind> kSchedules = {
    {Schedule::Kind::kConstant, "constant"}, {Schedule::Kind::kStep, "step"}, {Schedule::Kind::kCosine, "cosine"}};
const Names<Precision> kPrecisions = {{Precision::kFloat, "float"}, {Precision::kDouble, "double"}};

template <class Kind>
const std::string& NameIn(const Names<Kind>& names, Kind kind) {
  return std::ranges::find(names, kind, &std::pair<Kind, std::string>::first)->second;
}

template <class Kind>
Kind Choose(Reader& r, const std::string& key, const Names<Kind>& names, Kind fallback) {
  std::vector<std::string> choices;
  for (const auto& [kind, name] : names) choices.push_back(name);
  const std::string chosen = r.Choice(key, choices, NameIn(names, fallback));
  const auto found = std::ranges::find(names, chosen, &std::pair<Kind, std::string>::second);
  return found == names.end() ? fallback : found->first;
}

std::uint32_t Whole(Reader& r, const std::string& key, std::uint32_t least, std::uint32_t most,
                    std::uint32_t fallback) {
  return static_cast<std::uint32_t>(r.Integer(key, least, most, fallback));
}

// As JSON gives it back: a whole number is an integer, and a query's params are compared after they were parsed.
Value Real(double v) {
  constexpr double kWhole = 9007199254740992.0;  // 2^53
  if (v == std::floor(v) && std::fabs(v) < kWhole) return static_cast<std::int64_t>(v);
  return v;
}

Value Reals(const std::vector<double>& values) {
  Value out{Value::Array{}};
  for (const double v : values) out.Push(Real(v));
  return out;
}

// An array of numbers; empty when absent.
std::vector<double> NumberList(Reader& r, const std::string& key) {
  std::vector<double> out;
  const Value* list = r.Take(key);
  if (list == nullptr) return out;
  for (const Value& one : list->AsArray()) {
    if (one.IsNumber()) out.push_back(one.AsDouble());
  }
  if (!list->IsArray() || out.size() != list->AsArray().size())
    r.Refuse(key, fmt::format("must be a list of numbers, like {} = [0.9, 0.999]", key));
  return out;
}

// A key that is there though it has no meaning here.
void RefuseKeys(Reader& r, const std::vector<std::string>& keys, const std::string& why) {
  for (const std::string& key : keys) {
    r.Take(key);
    if (r.Has(key)) r.Refuse(key, why);
  }
}

const char* LabelWords(LabelKind label) {
  switch (label) {
    case LabelKind::kBinary:
      return "yes or no";
    case LabelKind::kClasses:
      return "one of several classes";
    case LabelKind::kSurvival:
      return "an event and its time";
    case LabelKind::kNumber:
      break;
  }
  return "a number";
}

bool Predicts(ModelSpec::Kind kind, LabelKind label) {
  switch (kind) {
    case ModelSpec::Kind::kLogistic:
      return label == LabelKind::kBinary;
    case ModelSpec::Kind::kSoftmax:
      return label == LabelKind::kClasses;
    case ModelSpec::Kind::kLinear:
    case ModelSpec::Kind::kPoisson:
      return label == LabelKind::kNumber;
    case ModelSpec::Kind::kCox:
      return label == LabelKind::kSurvival;
    default:
      return true;
  }
}

// The model of one dense layer for such a label; the one that a plan need not name.
ModelSpec::Kind UsualModel(LabelKind label) {
  switch (label) {
    case LabelKind::kClasses:
      return ModelSpec::Kind::kSoftmax;
    case LabelKind::kNumber:
      return ModelSpec::Kind::kLinear;
    case LabelKind::kSurvival:
      return ModelSpec::Kind::kCox;
    default:
      return ModelSpec::Kind::kLogistic;
  }
}

std::vector<LossSpec::Kind> LossesFor(ModelSpec::Kind kind, LabelKind label) {
  if (kind == ModelSpec::Kind::kPoisson) return {LossSpec::Kind::kPoisson};
  if (label == LabelKind::kBinary) return {LossSpec::Kind::kBce};
  if (label == LabelKind::kClasses) return {LossSpec::Kind::kCrossEntropy};
  if (label == LabelKind::kSurvival) return {LossSpec::Kind::kCox};
  if (kind == ModelSpec::Kind::kLinear) return {LossSpec::Kind::kSquared, LossSpec::Kind::kHuber};
  return {LossSpec::Kind::kSquared, LossSpec::Kind::kHuber, LossSpec::Kind::kPoisson};
}

void ReadLoss(Reader& r, ModelSpec::Kind kind, LabelKind label, std::uint32_t classes, LossSpec* out) {
  Names<LossSpec::Kind> names;
  for (const LossSpec::Kind loss : LossesFor(kind, label)) names.emplace_back(loss, NameOf(loss));
  out->kind = Choose(r, "loss", names, names.front().first);
  const bool weighted = label == LabelKind::kBinary || label == LabelKind::kClasses;
  if (weighted) {
    out->class_weights = NumberList(r, "class_weights");
    const bool fits = std::ranges::all_of(out->class_weights, [](double w) { return w >= 0 && w <= 1e6; });
    if (!out->class_weights.empty() && (out->class_weights.size() != classes || !fits))
      r.Refuse("class_weights",
               fmt::format("must be {} numbers from 0 to 1000000, {}", classes,
                           classes == 2 && label == LabelKind::kBinary ? "negative first" : "in the classes' order"));
  } else {
    RefuseKeys(r, {"class_weights"},
               fmt::format("has no meaning where the label is {}; take it out", LabelWords(label)));
  }
  if (out->kind == LossSpec::Kind::kCrossEntropy) {
    out->label_smoothing = r.Number("label_smoothing", 0, 0.99, 0);
  } else {
    RefuseKeys(r, {"label_smoothing"}, "has a meaning with loss = \"cross_entropy\" alone; take it out");
  }
  if (out->kind == LossSpec::Kind::kHuber) {
    out->huber_delta = r.Number("huber_delta", 1e-6, 1e6, 1);
  } else {
    RefuseKeys(r, {"huber_delta"}, "has a meaning with loss = \"huber\" alone; take it out");
  }
}

bool UsesMomentum(OptimizerSpec::Kind kind) {
  return kind == OptimizerSpec::Kind::kMomentum || kind == OptimizerSpec::Kind::kNesterov;
}
bool UsesBetas(OptimizerSpec::Kind kind) {
  return kind == OptimizerSpec::Kind::kAdam || kind == OptimizerSpec::Kind::kAdamW;
}
bool UsesEpsilon(OptimizerSpec::Kind kind) {
  return UsesBetas(kind) || kind == OptimizerSpec::Kind::kRmsProp || kind == OptimizerSpec::Kind::kAdagrad;
}

void ReadOptimizerNumbers(Reader& r, OptimizerSpec* out) {
  const std::string other = fmt::format("has no meaning with optimizer = \"{}\"; take it out", NameOf(out->kind));
  constexpr double kBelowOne = 0.999999;
  if (UsesMomentum(out->kind)) {
    out->momentum = r.Number("momentum", 0, kBelowOne, out->momentum);
  } else {
    RefuseKeys(r, {"momentum"}, other);
  }
  if (UsesBetas(out->kind)) {
    const std::vector<double> betas = NumberList(r, "betas");
    const bool fit = betas.size() == 2 && std::ranges::all_of(betas, [](double b) { return b >= 0 && b < 1; });
    if (fit) out->beta1 = betas[0];
    if (fit) out->beta2 = betas[1];
    if (!fit && r.Has("betas"))
      r.Refuse("betas", "must be two numbers, each at least 0 and below 1, like [0.9, 0.999]");
  } else {
    RefuseKeys(r, {"betas"}, other);
  }
  if (out->kind == OptimizerSpec::Kind::kRmsProp) {
    out->alpha = r.Number("alpha", 0, kBelowOne, out->alpha);
  } else {
    RefuseKeys(r, {"alpha"}, other);
  }
  if (UsesEpsilon(out->kind)) {
    out->epsilon = r.Number("epsilon", 1e-16, 1, out->epsilon);
  } else {
    RefuseKeys(r, {"epsilon"}, other);
  }
}

// Rounds are the ticks; a cosine falls to 0 at the study's end.
void ReadSchedule(Reader& r, std::uint32_t rounds, Schedule* out) {
  out->kind = Choose(r, "schedule", kSchedules, Schedule::Kind::kConstant);
  out->warm_up = Whole(r, "warm_up", 0, 100'000, 0);
  if (out->warm_up >= rounds && out->warm_up > 0)
    r.Refuse("warm_up", fmt::format("is not below the {} rounds; the rate would never be reached", rounds));
  out->total = std::max(rounds - std::min(out->warm_up, rounds), 1U);
  if (out->kind == Schedule::Kind::kStep) {
    out->every = Whole(r, "decay_every", 1, 100'000, std::max(rounds / 3, 1U));
    out->factor = r.Number("decay_factor", 1e-6, 1, out->factor);
  } else {
    RefuseKeys(r, {"decay_every", "decay_factor"}, "has a meaning with schedule = \"step\" alone; take it out");
  }
}

}  // namespace

std::string NameOf(ModelSpec::Kind kind) { return NameIn(kModels, kind); }
std::string NameOf(OptimizerSpec::Kind kind) { return NameIn(kOptimizers, kind); }
std::string NameOf(LossSpec::Kind kind) { return NameIn(kLosses, kind); }

void ReadModelKeys(Reader& r, LabelKind label, ModelKeys* out) {
  out->kind = Choose(r, "kind", kModels, UsualModel(label));
  const bool mlp = out->kind == ModelSpec::Kind::kMlp;
  if (!Predicts(out->kind, label)) {
    r.Refuse("kind", fmt::format("\"{}\" does not predict a label that is {}; write \"{}\" or \"mlp\"",
                                 NameOf(out->kind), LabelWords(label), NameOf(UsualModel(label))));
  }
  out->initialisation = Choose(r, "init", kInitialisations, mlp ? Initialisation::kDefault : Initialisation::kZeros);
  if (!mlp) {
    RefuseKeys(r, {"hidden", "activation", "dropout", "layer_norm"}, "belongs to kind = \"mlp\"; take it out");
    return;
  }
  if (out->initialisation == Initialisation::kZeros)
    r.Refuse("init", "\"zeros\" keeps all units of a hidden layer alike for ever; write \"default\"");
  constexpr std::size_t kMostLayers = 16;
  constexpr double kMostUnits = 65'536;
  for (const double units : NumberList(r, "hidden")) {
    const bool whole = units >= 1 && units <= kMostUnits && units == std::floor(units);
    if (!whole) r.Refuse("hidden", "must be whole numbers of units from 1 to 65536, like [256, 128]");
    out->hidden.push_back(whole ? static_cast<std::uint32_t>(units) : 1);
  }
  if (!r.Has("hidden")) out->hidden = {64};
  if (out->hidden.empty() || out->hidden.size() > kMostLayers)
    r.Refuse("hidden", fmt::format("must name 1 to {} layers; without a hidden layer write another kind", kMostLayers));
  out->activation = Choose(r, "activation", kActivations, Activation::kRelu);
  out->dropout = r.Number("dropout", 0, 0.95, 0);
  out->layer_norm = r.Bool("layer_norm", false);
}

void ReadLearningKeys(Reader& r, const ModelKeys& model, LabelKind label, std::uint32_t classes, std::uint32_t rounds,
                      LearningKeys* out) {
  ReadLoss(r, model.kind, label, classes, &out->loss);
  OptimizerSpec& o = out->optimizer;
  o = UsualOptimizer(Choose(r, "optimizer", kOptimizers, OptimizerSpec::Kind::kSgd));
  o.learning_rate = r.Number("learning_rate", 1e-6, 100, o.learning_rate);
  ReadOptimizerNumbers(r, &o);
  o.l1 = r.Number("l1", 0, 1000, 0);
  o.l2 = r.Number("l2", 0, 1000, 0);
  o.weight_decay = r.Number("weight_decay", 0, 1000, o.weight_decay);
  o.clip_norm = r.Number("clip_norm", 0, 1e6, 0);
  ReadSchedule(r, rounds, &o.schedule);
  const bool mlp = model.kind == ModelSpec::Kind::kMlp;
  out->precision = Choose(r, "precision", kPrecisions, mlp ? Precision::kFloat : Precision::kDouble);
}

Value ToValue(const ModelKeys& keys) {
  Value out = Value().Set("kind", NameOf(keys.kind)).Set("init", NameIn(kInitialisations, keys.initialisation));
  if (keys.kind != ModelSpec::Kind::kMlp) return out;
  return out.Set("hidden", Value(Value::Array(keys.hidden.begin(), keys.hidden.end())))
      .Set("activation", NameIn(kActivations, keys.activation))
      .Set("dropout", Real(keys.dropout))
      .Set("layer_norm", keys.layer_norm);
}

void AppendTo(Value* training, const LearningKeys& keys) {
  const OptimizerSpec& o = keys.optimizer;
  training->Set("loss", NameOf(keys.loss.kind));
  if (!keys.loss.class_weights.empty()) training->Set("class_weights", Reals(keys.loss.class_weights));
  if (keys.loss.kind == LossSpec::Kind::kCrossEntropy)
    training->Set("label_smoothing", Real(keys.loss.label_smoothing));
  if (keys.loss.kind == LossSpec::Kind::kHuber) training->Set("huber_delta", Real(keys.loss.huber_delta));
  training->Set("optimizer", NameOf(o.kind)).Set("learning_rate", Real(o.learning_rate));
  if (UsesMomentum(o.kind)) training->Set("momentum", Real(o.momentum));
  if (UsesBetas(o.kind)) training->Set("betas", Reals({o.beta1, o.beta2}));
  if (o.kind == OptimizerSpec::Kind::kRmsProp) training->Set("alpha", Real(o.alpha));
  if (UsesEpsilon(o.kind)) training->Set("epsilon", Real(o.epsilon));
  training->Set("l1", Real(o.l1)).Set("l2", Real(o.l2));
  training->Set("weight_decay", Real(o.weight_decay)).Set("clip_norm", Real(o.clip_norm));
  training->Set("schedule", NameIn(kSchedules, o.schedule.kind)).Set("warm_up", o.schedule.warm_up);
  if (o.schedule.kind == Schedule::Kind::kStep)
    training->Set("decay_every", o.schedule.every).Set("decay_factor", Real(o.schedule.factor));
  training->Set("precision", NameIn(kPrecisions, keys.precision));
}

std::string InWords(const ModelKeys& keys, std::uint64_t inputs, std::uint32_t outputs) {
  switch (keys.kind) {
    case ModelSpec::Kind::kLinear:
      return "linear regression";
    case ModelSpec::Kind::kLogistic:
      return "logistic regression";
    case ModelSpec::Kind::kSoftmax:
      return fmt::format("softmax regression with {} classes", outputs);
    case ModelSpec::Kind::kPoisson:
      return "Poisson regression";
    case ModelSpec::Kind::kCox:
      return "Cox regression";
    default:
      return fmt::format("a neural network of {}-{}-{} units", inputs, fmt::join(keys.hidden, "-"), outputs);
  }
}

}  // namespace consilium
