// evaluate: sums and score histograms of the model on the hospital's test rows, for the sum over the hospitals; and, in
// fewer bins, the hospital's own figures for release under its name.
#include <algorithm>

#include "common/model/metrics.h"
#include "hospital_node/data/sum.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/table_rows.h"

namespace consilium::node {
namespace {

// The model's predictions of the test rows; none when their patients are fewer than the plan's minimum.
struct Scored : RowScores {
  bool shown = false;
};

Result<Scored> Score(const Plan& plan, const Table& table, const ModelRequest& request, const Given& given) {
  const std::vector<double> model = TRY(ParametersFrom(plan, request.model, given));
  const Rows rows = TRY(SplitRows(plan, table));
  Scored out;
  out.shown = PatientsIn(table, rows.test) >= plan.minimum_patients;
  if (!out.shown) return out;
  const Preprocessing preprocessing = LocalPreprocessing(plan, table, rows, request);
  const Recipe recipe = RoundRecipe(plan, request.round, request.model);
  static_cast<RowScores&>(out) = PredictRows(recipe, {{plan, table, rows.test, preprocessing}}, model);
  return out;
}

std::size_t BinOf(double probability, std::uint64_t bins) {
  const auto all = static_cast<double>(bins);
  return static_cast<std::size_t>(std::clamp(probability * all, 0.0, all - 1));
}

// Of a label that is yes or no.
struct Binary {
  double positives = 0, correct = 0;
  CompensatedSum brier, log_loss;
  std::vector<double> positive, negative;  // By bins of the score.
};

Binary BinaryOf(const Scored& scored, std::uint64_t bins) {
  Binary out;
  out.positive.assign(bins, 0.0);
  out.negative.assign(bins, 0.0);
  for (Eigen::Index i = 0; i < scored.labels.size(); ++i) {
    const double score = scored.predicted(i, 0);
    const bool is_positive = scored.labels[i] > 0.5;
    const double miss = score - scored.labels[i];
    (is_positive ? out.positive : out.negative)[BinOf(score, bins)] += 1;
    out.positives += is_positive ? 1 : 0;
    out.correct += (score >= 0.5) == is_positive ? 1 : 0;
    out.brier.Add(miss * miss);
    out.log_loss.Add(RowLogLoss(score, is_positive));
  }
  return out;
}

// squared_error, absolute_error in units of the declared range's width, to which predictions are cut; label,
// label_squares of labels mapped to [-1, 1].
void AppendNumber(const Column& label, const Scored& scored, std::vector<std::vector<double>>* out) {
  const Range range = RangeOf(label);
  CompensatedSum squares, sizes, sum, sum_of_squares;
  for (Eigen::Index i = 0; i < scored.labels.size(); ++i) {
    const double miss =
        (std::clamp(scored.predicted(i, 0), label.minimum, label.maximum) - scored.labels[i]) / (2 * range.half);
    const double u = (scored.labels[i] - range.middle) / range.half;
    squares.Add(miss * miss);
    sizes.Add(std::abs(miss));
    sum.Add(u);
    sum_of_squares.Add(u * u);
  }
  out->insert(out->end(), {{squares.value()}, {sizes.value()}, {sum.value()}, {sum_of_squares.value()}});
}

// log_loss, confusion
void AppendClasses(std::size_t classes, const Scored& scored, std::vector<std::vector<double>>* out) {
  ClassCounts counts;
  counts.confusion.assign(classes * classes, 0);
  if (scored.shown) counts = CountClasses(scored.predicted, scored.labels);
  out->push_back({counts.log_loss});
  out->emplace_back(counts.confusion.begin(), counts.confusion.end());
}

// events, pairs, concordant, tied; a higher output is an earlier event.
void AppendPairs(const Scored& scored, std::vector<std::vector<double>>* out) {
  const PairCounts counts =
      scored.shown ? CountPairs(scored.predicted.col(0), scored.labels, scored.times) : PairCounts();
  for (const std::uint64_t count : {counts.events, counts.pairs, counts.concordant, counts.tied})
    out->push_back({static_cast<double>(count)});
}

void AppendBinary(const Scored& scored, std::vector<std::vector<double>>* out) {
  Binary figures = BinaryOf(scored, kScoreBins);
  out->insert(out->end(), {{figures.positives},
                           {figures.correct},
                           {figures.brier.value()},
                           {figures.log_loss.value()},
                           std::move(figures.positive),
                           std::move(figures.negative)});
}

}  // namespace

Result<RawContribution> ComputeEvaluate(const Plan& plan, const Table& table, const Query& query, const Given& given) {
  const ModelRequest request = TRY(ReadEvaluateQuery(plan, query));
  const Scored scored = TRY(Score(plan, table, request, given));
  RawContribution out;
  out.blocks = {{scored.shown ? 1.0 : 0.0}, {static_cast<double>(scored.labels.size())}};
  switch (LabelOf(plan)) {
    case LabelKind::kNumber:
      AppendNumber(*plan.schema.Find(plan.label), scored, &out.blocks);
      break;
    case LabelKind::kClasses:
      AppendClasses(ClassesOf(plan).size(), scored, &out.blocks);
      break;
    case LabelKind::kSurvival:
      AppendPairs(scored, &out.blocks);
      break;
    case LabelKind::kBinary:
      AppendBinary(scored, &out.blocks);
      break;
  }
  return out;
}

Result<RawContribution> ComputeOwnFigures(const Plan& plan, const Table& table, const Query& query,
                                          const Given& given) {
  const ModelRequest request = TRY(ReadOwnFiguresQuery(plan, query));
  const Scored scored = TRY(Score(plan, table, request, given));
  Binary figures = BinaryOf(scored, kOwnBins);
  RawContribution out;
  out.blocks = {{scored.shown ? 1.0 : 0.0},
                {figures.brier.value()},
                {figures.log_loss.value()},
                std::move(figures.positive),
                std::move(figures.negative)};
  return out;
}

}  // namespace consilium::node
