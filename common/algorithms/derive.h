// What each kind of query asks, derived from the plan: one place for the coordinator, which builds queries, and for the
// hospitals, which refuse any that the plan does not lead to.
//
//   kind      ring  blocks (then "contributors")
//   describe  u64   present rows patients; per column NAME/present NAME/count NAME/missing, then
//                   number: NAME/sum NAME/squares (3) [NAME/hist]   category: NAME/levels   label: NAME/positive
//                   label of classes: NAME/classes   tensor: NAME/sum NAME/squares (1), of each row's mean and mean
//                   square
//   train     u32   delta (d + 1, times the weight) weight [what the strategy adds: strategy.h]
//   evaluate  u64   present rows, then by the label
//                   yes or no: positives correct brier log_loss hist_positive hist_negative
//                   classes: log_loss confusion (class by predicted class)   event and time: events pairs concordant
//                   tied number: squared_error absolute_error label label_squares
//   evaluate, release = hospital   u64   present brier log_loss hist_positive hist_negative
//
// Numbers travel mapped to [-1, 1] by their declared range, on a grid of 2^-30, so that their sums are exact and the
// order of additions does not matter. A suppressed cell is present = 0 and zeros. A tensor has one mean and one
// standard deviation over all its elements: a row gives the mean and the mean square of its own, each on that grid.
#pragma once

#include <optional>

#include "common/plan/plan.h"
#include "common/query/query.h"

namespace consilium {

inline constexpr double kRowCap = 1 << 22;  // No data set is read beyond it, so that counts have a bound.
inline constexpr double kPairCap = kRowCap * kRowCap / 2;  // Of rows of one hospital.
inline constexpr double kLogLossCap = 28;                  // Above RowLogLoss's largest value.
inline constexpr std::uint64_t kScoreBins = 8192;          // Of the predicted probability.
// Of the predicted probability where one hospital's own figures are released. What a bin does not show is who of its
// patients scored higher, so the fewest are right that do not blur the figures: the AUROC's bracket is a share of the
// pairs of about 1/kOwnBins where scores are spread, 5 / kOwnBins where the outcome is rare and scores crowd in a fifth
// of the range, and below the sampling error of an AUROC over a hospital's hundreds of held-out patients in both. A
// multiple of 20, so that 0.5 (accuracy) and the tenths (calibration) are edges: rows, positives and correct ones are
// sums of bins and need no coordinates of their own, nor does the area under the precision-recall curve.
inline constexpr std::uint64_t kOwnBins = 200;

// A double as JSON gives it back: whole numbers are integers.
Value Number(double v);
Value Numbers(const std::vector<double>& values);

// A declared range as middle and half width.
struct Range {
  double middle = 0, half = 1;
};
Range RangeOf(const Column& column);

// u in [-1, 1] is coarse / 2^15 + fine / 2^30 with whole coarse and fine, |fine| <= 2^14. Sums of products of the two
// stay within a double's 53 bits for kRowCap rows, where a sum of u^2 on the grid would need 82: "squares" holds the
// sums of coarse^2 / 2^30, coarse * fine / 2^29 and fine^2 / 2^28, each at most 1 a row. Mean and sd of the rounded
// values differ from those of the values by less than 2^-30, which is less than 1e-9 of the declared range.
inline constexpr double kGrid = 1 << 30, kCoarse = 1 << 15, kFine = 1 << 14;
struct GridValue {
  double coarse = 0, fine = 0;
};
GridValue ToGrid(double u);  // Saturates at +-1.

// How a feature becomes design columns; each vector has one entry per design column, a tensor one for all its elements.
// Categories are one-hot and stay 0 or 1 (impute 0, mean 0, sd 1): a missing category has all of its columns 0, as the
// reference level has. "declared" brings numbers to [-1, 1] and the elements of tensors to [0, 1].
struct Preprocessing {
  std::vector<double> impute;    // For a missing number.
  std::vector<double> mean, sd;  // x = (value - mean) / sd. Empty with standardize = "site": each hospital's own.
  bool operator==(const Preprocessing&) const = default;
};
struct DesignSource {  // Where a design column comes from.
  const Column* column = nullptr;
  int level = -1;         // Categories: this level is 1.
  std::size_t width = 1;  // Inputs of the model: a tensor's elements.
};
std::vector<DesignSource> DesignSources(const Plan& plan);  // As DesignColumns(plan), which names them.
// Mean and sample standard deviation of one column, pooled.
struct Moments {
  double mean = 0, sd = 0;
};
// Whether the plan's preprocessing needs pooled moments, and of which columns.
std::vector<std::string> MomentColumns(const Plan& plan);
// `moments` by column name; a column without one takes its declared range. An sd of 0 counts as 1.
Preprocessing MakePreprocessing(const Plan& plan, const std::map<std::string, Moments>& moments);
Value ToValue(const Preprocessing& preprocessing);
// kProtocol unless it is what the plan allows: right lengths, finite, sd above 0, declared values as declared.
Result<Preprocessing> PreprocessingFromValue(const Plan& plan, const Value& value);

// The queries. `model` is the root of the parameter blob.
struct DescribeRequest {
  std::vector<std::string> columns;
  std::uint32_t bins = 0;   // 0: no histograms.
  bool train_only = false;  // The labelled rows of the training side.
};
Query DescribeQuery(const Plan& plan, const DescribeRequest& request, std::uint32_t hospitals);
DescribeRequest DescribeRequestOf(const Plan& plan);  // The one that the plan leads to.
// `further`: the roots of what the strategy sends beside the model (Strategy::Sends), by name.
Query TrainQuery(const Plan& plan, std::uint32_t round, const Digest& model, const Preprocessing& preprocessing,
                 std::uint32_t hospitals, const std::map<std::string, Digest>& further = {});
Query EvaluateQuery(const Plan& plan, std::uint32_t round, const Digest& model, const Preprocessing& preprocessing,
                    std::uint32_t hospitals);
// Of each hospital that lets them out, under its number: the final model's figures on its held-out patients, after
// `round` rounds of training. Nothing is
// added up, so the scales are those of one contribution, whatever the number of hospitals.
Query OwnFiguresQuery(const Plan& plan, std::uint32_t round, const Digest& model, const Preprocessing& preprocessing,
                      std::uint32_t hospitals);

// For hospitals: the query is one that this plan leads to, with these very blocks at scales that fit one number of
// hospitals. kProtocol otherwise.
struct ModelRequest {
  std::uint32_t round = 0;
  Digest model;
  Preprocessing preprocessing;
  std::map<std::string, Digest> further;  // Train: what the strategy sends beside the model.
};
Result<DescribeRequest> ReadDescribeQuery(const Plan& plan, const Query& query);
Result<ModelRequest> ReadTrainQuery(const Plan& plan, const Query& query);
Result<ModelRequest> ReadEvaluateQuery(const Plan& plan, const Query& query);
Result<ModelRequest> ReadOwnFiguresQuery(const Plan& plan, const Query& query);

// Strategies' own quantities.
// scaffold: |c_i| at most; see scaffold.cc for why.
double ControlBound(const Plan& plan);
// cyclic: which seat of a cohort of so many the round visits (from 0), drawn from the seed.
std::uint32_t TurnOf(std::uint64_t seed, std::uint32_t round, std::uint32_t seats);
// The number of hospitals that a query's params themselves depend on; 1 when they do not.
std::uint32_t SeatsOf(const Query& query);

// Whether a hospital computes the query from what it remembers of the study, and remembers something else from then on.
bool NeedsMemory(const Plan& plan, const Query& query);

// One column's summary in an answer to a describe query. Quantiles are interpolated in the histogram.
struct ColumnSummary {
  const Column* column = nullptr;
  std::int64_t from = 0;  // Hospitals that were not suppressed.
  bool shown = false;     // By at least the plan's minimum of hospitals; otherwise there are no figures.
  std::int64_t count = 0, missing = 0, positive = 0;
  std::optional<double> mean, sd, q25, median, q75;  // sd: of the sample (n - 1).
  std::vector<std::int64_t> levels;                  // Of a category, or the classes of a label.
};
std::vector<ColumnSummary> Summarise(const Plan& plan, const DescribeRequest& request, const Answer& answer);

}  // namespace consilium
