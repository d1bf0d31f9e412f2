// Metrics of a binary classifier, from scores or from score histograms.
#pragma once

#include <vector>

#include "common/model/matrix.h"

namespace consilium {

struct BinaryMetrics {
  std::uint64_t rows = 0, positives = 0;
  double auroc = 0, accuracy = 0, brier = 0, log_loss = 0;
  double auroc_low = 0, auroc_high = 0;  // The bracket: all ties wrong, all ties right. Equal from scores without ties.
  bool auroc_defined = false;            // False with a single class.
};
BinaryMetrics Evaluate(const Vector& scores,
                       const Vector& labels);  // Threshold 0.5 for accuracy; AUROC counts ties 1/2.
// -log of the probability given to what happened, which is first clamped to [kProbabilityFloor, 1 - kProbabilityFloor]:
// at most 27.7, so that a sum of losses has a bound.
inline constexpr double kProbabilityFloor = 1e-12;
double RowLogLoss(double probability, bool positive);
// From counts per score bin (ascending score).
void AurocFromHistogram(const std::vector<std::int64_t>& positives, const std::vector<std::int64_t>& negatives,
                        BinaryMetrics* out);

}  // namespace consilium
