// A training study, whatever its strategy (strategy.h). The walk through the answers:
//
//   [moments] -> round 1 -> ... -> round r -> [evaluation] -> ... -> round R -> evaluation -> [own figures]
//                                                  \______________ early stopping _______________/
//
// moments when the preprocessing needs them; an evaluation every `evaluate_every` rounds and at the end; each
// hospital's own figures, once and of the final model, where the plan releases them. Early stopping
// (early_stopping.h) ends the training after an evaluation.
//
// A cohort of a single class: the moments' sum counts the labels of the training rows, too, so the walk ends before the
// first round. Without moments the first evaluation ends it, by the labels of the test rows. Either way the figure is
// one sum over at least the plan's minimum of hospitals, each with at least its minimum of patients; where fewer
// answer, nothing is concluded. That one hospital has a single class only that hospital learns.
//
// A training that diverges ends with the round in Results()["diverged"] = {"round", "why": "model" | "loss" | "local"}:
// the step gave something that is no finite float32, the pooled log loss is above kExplodedLoss, or no hospital's own
// training gave finite numbers (each then takes part with weight 0). The model stays as it was before.
#pragma once

#include "common/algorithms/algorithm.h"

namespace consilium {

// Mean log loss of a patient, in nats: a coin has 0.69; this is a model that gives what happened 5 % on average.
inline constexpr double kExplodedLoss = 3;

// `state` null: from nothing. kCorrupt when it does not belong to the plan.
Result<std::unique_ptr<Algorithm>> MakeTraining(const Plan& plan, const AlgorithmState* state);

}  // namespace consilium
