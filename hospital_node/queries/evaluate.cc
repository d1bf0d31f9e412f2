// evaluate: sums and score histograms of the model on the hospital's test rows, for the sum over the hospitals; and, in
// fewer bins, the hospital's own figures for release under its name.
#include <algorithm>

#include "common/model/metrics.h"
#include "hospital_node/data/sum.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/table_rows.h"

namespace consilium::node {
namespace {

// What the model's scores on the test rows come to; zeros when their patients are fewer than the plan's minimum.
struct Scored {
  bool shown = false;
  double rows = 0, positives = 0, correct = 0;
  CompensatedSum brier, log_loss;
  std::vector<double> positive, negative;  // By bins of the score.
};

std::size_t BinOf(double probability, std::uint64_t bins) {
  const auto all = static_cast<double>(bins);
  return static_cast<std::size_t>(std::clamp(probability * all, 0.0, all - 1));
}

Result<Scored> Score(const Plan& plan, const Table& table, const ModelRequest& request, const Inputs& inputs,
                     std::uint64_t bins) {
  const std::vector<double> model = TRY(ModelFrom(plan, request, inputs));
  const Rows rows = TRY(SplitRows(plan, table));
  Scored out;
  out.positive.assign(bins, 0.0);
  out.negative.assign(bins, 0.0);
  out.shown = PatientsIn(table, rows.test) >= plan.minimum_patients;
  if (!out.shown) return out;
  const Preprocessing preprocessing = LocalPreprocessing(plan, table, rows, request);
  const Recipe recipe = RoundRecipe(plan, request.round, request.model);
  const auto [predicted, labels] = PredictRows(recipe, {{plan, table, rows.test, preprocessing}}, model);
  const Vector scores = predicted.col(0);
  for (Eigen::Index i = 0; i < scores.size(); ++i) {
    const bool is_positive = labels[i] > 0.5;
    const double miss = scores[i] - labels[i];
    (is_positive ? out.positive : out.negative)[BinOf(scores[i], bins)] += 1;
    out.positives += is_positive ? 1 : 0;
    out.correct += (scores[i] >= 0.5) == is_positive ? 1 : 0;
    out.brier.Add(miss * miss);
    out.log_loss.Add(RowLogLoss(scores[i], is_positive));
  }
  out.rows = static_cast<double>(rows.test.size());
  return out;
}

}  // namespace

Result<RawContribution> ComputeEvaluate(const Plan& plan, const Table& table, const Query& query,
                                        const Inputs& inputs) {
  const ModelRequest request = TRY(ReadEvaluateQuery(plan, query));
  Scored scored = TRY(Score(plan, table, request, inputs, kScoreBins));
  RawContribution out;
  out.blocks = {{scored.shown ? 1.0 : 0.0}, {scored.rows},
                {scored.positives},         {scored.correct},
                {scored.brier.value()},     {scored.log_loss.value()},
                std::move(scored.positive), std::move(scored.negative)};
  return out;
}

Result<RawContribution> ComputeOwnFigures(const Plan& plan, const Table& table, const Query& query,
                                          const Inputs& inputs) {
  const ModelRequest request = TRY(ReadOwnFiguresQuery(plan, query));
  Scored scored = TRY(Score(plan, table, request, inputs, kOwnBins));
  RawContribution out;
  out.blocks = {{scored.shown ? 1.0 : 0.0},
                {scored.brier.value()},
                {scored.log_loss.value()},
                std::move(scored.positive),
                std::move(scored.negative)};
  return out;
}

}  // namespace consilium::node
