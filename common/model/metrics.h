// Metrics of models' predictions: of a yes or no (from scores or from score histograms), a number, a class, a time.
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

// Of predicted numbers, which are first cut to the label's declared range [minimum, maximum], as the label is.
struct NumberMetrics {
  std::uint64_t rows = 0;
  double rmse = 0, mae = 0;
  double r2 = 0;            // 1 - squared errors / squares around the labels' mean.
  bool r2_defined = false;  // False when all labels are alike.
};
NumberMetrics EvaluateNumbers(const Vector& predictions, const Vector& labels, double minimum, double maximum);

// Of classes: probabilities [rows, classes], labels the class's number. The class of the highest probability is
// predicted, the first one of equals.
struct ClassCounts {
  std::vector<std::uint64_t> confusion;  // [class, predicted class]
  double log_loss = 0;                   // The sum over the rows.
};
ClassCounts CountClasses(const Matrix& probabilities, const Vector& labels);

// Of an event and its time: pairs of rows of whom the first is known to have the event earlier (Harrell et al. 1982).
// At the same time a row without the event outlives one with it; of two events neither is the earlier one.
struct PairCounts {
  std::uint64_t events = 0, pairs = 0;
  std::uint64_t concordant = 0, tied = 0;  // The first has the higher score; both have the same.
};
PairCounts CountPairs(const Vector& scores, const Vector& events, const Vector& times);

}  // namespace consilium
