// Early stopping on a metric of the pooled evaluation: remembers the best model that was evaluated, and says when
// `patience` evaluations in a row were no improvement. An evaluation that is withheld, or whose metric is not defined,
// does not count. State lives in the training's: results["early_stopping"] and vectors["best"].
#pragma once

#include "common/algorithms/strategy.h"

namespace consilium {

class EarlyStopping {
 public:
  explicit EarlyStopping(const Plan& plan) : plan_(plan) {}
  [[nodiscard]] bool on() const { return plan_.early_stopping != "none"; }
  // Whether the evaluations so far end the training.
  [[nodiscard]] static bool Stopped(const Value& results) { return results["early_stopping"]["stopped"].AsBool(); }
  // The round of the best model so far; 0 before there is one.
  [[nodiscard]] static std::uint32_t BestRound(const Value& results);
  // Takes one evaluation of the model of `vectors`, whole as it is shown.
  void Absorb(const Value& evaluation, Value* results, Vectors* vectors) const;
  // After the last answer: the best model and its evaluation are the study's, when the plan says so.
  void Finish(Value* results, Vectors* vectors) const;

 private:
  [[nodiscard]] bool Improves(double metric, const Value& state) const;
  const Plan& plan_;
};

}  // namespace consilium
