// From the answer with release = hospital to each hospital's own figures; and how scores compare with what happened.
#pragma once

#include "common/plan/plan.h"
#include "common/query/query.h"

namespace consilium {

// For Results()["released"]: a list by ascending number, {"hospital": number, "released": true, "rows", "positives",
// "auroc", "auroc_low", "auroc_high", "accuracy", "brier", "log_loss", "calibration"}, of a hospital that released
// none only {"hospital", "released": false}. Whether its policy withholds them or its held-out patients are too few
// looks the same here as on the wire. "positives" is null where either class has fewer rows than the plan's minimum of
// patients, the AUROC where there is only one. A vector that no rows could give counts as withheld.
Value OwnFigures(const Plan& plan, const Answer& answer);

// Ten equal ranges of the score: {"rows", "score": the mean one, "positive": the share of positives}. A range of fewer
// rows than the plan's minimum of patients says nothing. Counts by bins of ascending score.
Value Calibration(const Plan& plan, const std::vector<std::int64_t>& positive,
                  const std::vector<std::int64_t>& negative);

}  // namespace consilium
