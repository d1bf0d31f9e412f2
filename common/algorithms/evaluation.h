// What an answer to an evaluate query says of the model, for people.
#pragma once

#include "common/plan/plan.h"
#include "common/query/query.h"

namespace consilium {

// {"round", "hospitals", "of", "rows", "positives", "auroc", "auroc_low", "auroc_high", "accuracy", "brier",
// "log_loss"}; of a label that is a number {.., "rows", "rmse", "mae", "r2"} in its unit; of classes {.., "rows",
// "accuracy", "balanced_accuracy" (the mean recall of the classes that occur), "log_loss"}; of an event and its time
// {.., "rows", "events", "pairs", "c_index"}; null where undefined. From
// fewer hospitals than the plan's minimum: {.., "rows": null, "auroc": null, "withheld": true}.
Value EvaluationOf(const Plan& plan, std::uint32_t round, const Answer& answer);
// The same with "roc" and "calibration", or with "classes": [{"class", "rows", "recall", "precision"}], when it is not
// withheld.
Value WithCurves(const Plan& plan, Value evaluation, const Answer& answer);

}  // namespace consilium
