// What a plan says of the model and of each hospital's own training: [model] and the keys of [training] that choose
// loss and optimiser. Which keys have a meaning depends on the model's kind and on the optimiser; any other is an
// error.
#pragma once

#include <string>
#include <vector>

#include "common/model/spec.h"
#include "common/settings/value.h"

namespace consilium {

// The values that the label can have decide which models can predict it.
enum class LabelKind : std::uint8_t { kBinary, kClasses, kNumber, kSurvival };  // The last: an event and its time.

// [model]. Inputs and outputs follow from the features and the label.
struct ModelKeys {
  ModelSpec::Kind kind = ModelSpec::Kind::kLogistic;
  std::vector<std::uint32_t> hidden = {};
  Activation activation = Activation::kRelu;
  double dropout = 0;
  bool layer_norm = false;
  Initialisation initialisation = Initialisation::kZeros;
  bool operator==(const ModelKeys&) const = default;
};

// [training]'s part. A schedule's ticks are rounds.
struct LearningKeys {
  LossSpec loss = {};
  OptimizerSpec optimizer = {};
  Precision precision = Precision::kDouble;
  bool operator==(const LearningKeys&) const = default;
};

std::string NameOf(ModelSpec::Kind kind);      // "mlp", as [model] kind has it.
std::string NameOf(OptimizerSpec::Kind kind);  // "adam", as [training] optimizer has it.
std::string NameOf(LossSpec::Kind kind);       // "cross_entropy", as [training] loss has it.

// Each reads its keys and leaves the others; errors are the reader's. `rounds`: of the study, which a cosine spans.
void ReadModelKeys(Reader& r, LabelKind label, ModelKeys* out);
void ReadLearningKeys(Reader& r, const ModelKeys& model, LabelKind label, std::uint32_t classes, std::uint32_t rounds,
                      LearningKeys* out);
// The keys that have a meaning, with every default written out: the canonical form, which the two above read again.
Value ToValue(const ModelKeys& keys);
void AppendTo(Value* training, const LearningKeys& keys);

// For a hospital's board: "logistic regression", "a network of 784-256-128-10 units".
std::string InWords(const ModelKeys& keys, std::uint64_t inputs, std::uint32_t outputs);

}  // namespace consilium
