// evaluate: sums and score histograms of the model on the hospital's test rows.
#include <algorithm>

#include "common/model/fit.h"
#include "common/model/metrics.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/design.h"

namespace consilium::node {
namespace {

std::size_t BinOf(double probability) {
  constexpr auto kBins = static_cast<double>(kScoreBins);
  return static_cast<std::size_t>(std::clamp(probability * kBins, 0.0, kBins - 1));
}

using Blocks = std::vector<std::vector<double>>;

// positives, correct, brier, log_loss, hist_positive, hist_negative
void AppendBinary(const Vector& scores, const Vector& labels, Blocks* out) {
  std::vector<double> positive(kScoreBins, 0.0), negative(kScoreBins, 0.0);
  double positives = 0, correct = 0;
  CompensatedSum brier, log_loss;
  for (Eigen::Index i = 0; i < scores.size(); ++i) {
    const bool is_positive = labels[i] > 0.5;
    const double miss = scores[i] - labels[i];
    (is_positive ? positive : negative)[BinOf(scores[i])] += 1;
    positives += is_positive ? 1 : 0;
    correct += (scores[i] >= 0.5) == is_positive ? 1 : 0;
    brier.Add(miss * miss);
    log_loss.Add(RowLogLoss(scores[i], is_positive));
  }
  out->insert(out->end(), {{positives}, {correct}, {brier.value()}, {log_loss.value()}});
  out->push_back(std::move(positive));
  out->push_back(std::move(negative));
}

// squared_error, absolute_error in units of the declared range's width, to which predictions are cut; label,
// label_squares of labels mapped to [-1, 1].
void AppendNumber(const Column& label, const Vector& predictions, const Vector& labels, Blocks* out) {
  const Range range = RangeOf(label);
  CompensatedSum squares, sizes, sum, sum_of_squares;
  for (Eigen::Index i = 0; i < labels.size(); ++i) {
    const double miss = (std::clamp(predictions[i], label.minimum, label.maximum) - labels[i]) / (2 * range.half);
    const double u = (labels[i] - range.middle) / range.half;
    squares.Add(miss * miss);
    sizes.Add(std::abs(miss));
    sum.Add(u);
    sum_of_squares.Add(u * u);
  }
  out->insert(out->end(), {{squares.value()}, {sizes.value()}, {sum.value()}, {sum_of_squares.value()}});
}

}  // namespace

Result<RawContribution> ComputeEvaluate(const Plan& plan, const Table& table, const Query& query, const Given& given) {
  const ModelRequest request = TRY(ReadEvaluateQuery(plan, query));
  const std::vector<double> model = TRY(ParametersFrom(plan, request.model, given));
  const Rows rows = TRY(SplitRows(plan, table));
  const bool shown = PatientsIn(table, rows.test) >= plan.minimum_patients;
  const std::vector<std::size_t> used = shown ? rows.test : std::vector<std::size_t>();
  const Design design = BuildDesign(plan, table, used, LocalPreprocessing(plan, table, rows, request));
  const Vector predicted = Predict(RoundRecipe(plan, request.round, request.model), design.x, model).col(0);
  RawContribution out;
  out.blocks = {{shown ? 1.0 : 0.0}, {static_cast<double>(used.size())}};
  if (LabelOf(plan) == LabelKind::kNumber) {
    AppendNumber(*plan.schema.Find(plan.label), predicted, design.y, &out.blocks);
  } else {
    AppendBinary(predicted, design.y, &out.blocks);
  }
  return out;
}

}  // namespace consilium::node
