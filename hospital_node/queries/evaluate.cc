// evaluate: sums and score histograms of the model on the hospital's test rows.
#include <algorithm>

#include "common/model/metrics.h"
#include "hospital_node/data/sum.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/design.h"

namespace consilium::node {
namespace {

std::size_t BinOf(double probability) {
  constexpr auto kBins = static_cast<double>(kScoreBins);
  return static_cast<std::size_t>(std::clamp(probability * kBins, 0.0, kBins - 1));
}

}  // namespace

Result<RawContribution> ComputeEvaluate(const Plan& plan, const Table& table, const Query& query,
                                        const Inputs& inputs) {
  const ModelRequest request = TRY(ReadEvaluateQuery(plan, query));
  const Vector model = TRY(ModelFrom(plan, request, inputs));
  const Rows rows = TRY(SplitRows(plan, table));
  std::vector<double> positive(kScoreBins, 0.0), negative(kScoreBins, 0.0);
  double positives = 0, correct = 0;
  CompensatedSum brier, log_loss;
  const bool shown = PatientsIn(table, rows.test) >= plan.minimum_patients;
  if (shown) {
    const Design design = BuildDesign(plan, table, rows.test, LocalPreprocessing(plan, table, rows, request));
    const Vector scores = PredictLogistic(design.x, model);
    for (Eigen::Index i = 0; i < scores.size(); ++i) {
      const bool is_positive = design.y[i] > 0.5;
      const double miss = scores[i] - design.y[i];
      (is_positive ? positive : negative)[BinOf(scores[i])] += 1;
      positives += is_positive ? 1 : 0;
      correct += (scores[i] >= 0.5) == is_positive ? 1 : 0;
      brier.Add(miss * miss);
      log_loss.Add(RowLogLoss(scores[i], is_positive));
    }
  }
  const double count = shown ? static_cast<double>(rows.test.size()) : 0;
  RawContribution out;
  out.blocks = {
      {shown ? 1.0 : 0.0}, {count}, {positives}, {correct}, {brier.value()}, {log_loss.value()}, std::move(positive),
      std::move(negative)};
  return out;
}

}  // namespace consilium::node
