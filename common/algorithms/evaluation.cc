#include "common/algorithms/evaluation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/algorithms/derive.h"
#include "common/algorithms/own_figures.h"
#include "common/model/metrics.h"

namespace consilium {
namespace {

Value ShareOf(double part, double whole) { return whole > 0 ? Number(part / whole) : Value(); }

std::vector<std::int64_t> Whole(const Answer& answer, const char* block) {
  std::vector<std::int64_t> out;
  for (const double v : answer.Values(block)) out.push_back(static_cast<std::int64_t>(v));
  return out;
}

// (false positive rate, true positive rate) at 101 thresholds, from "all" to "none"; empty with a single class.
Value RocCurve(const std::vector<std::int64_t>& positive, const std::vector<std::int64_t>& negative) {
  constexpr std::size_t kSteps = 100;
  const auto total = [](const auto& counts) { return std::accumulate(counts.begin(), counts.end(), std::int64_t{0}); };
  const auto positives = total(positive), negatives = total(negative);
  Value out{Value::Array{}};
  if (positives == 0 || negatives == 0) return out;
  std::int64_t below_positive = 0, below_negative = 0;
  std::size_t bin = 0;
  for (std::size_t step = 0; step <= kSteps; ++step) {
    for (; bin < positive.size() * step / kSteps; ++bin) {
      below_positive += positive[bin];
      below_negative += negative[bin];
    }
    Value point{Value::Array{}};
    point.Push(ShareOf(static_cast<double>(negatives - below_negative), static_cast<double>(negatives)));
    point.Push(ShareOf(static_cast<double>(positives - below_positive), static_cast<double>(positives)));
    out.Push(std::move(point));
  }
  return out;
}

// From sums of errors in units of the declared range's width, and of labels mapped to [-1, 1] by it.
Value NumberEvaluation(const Plan& plan, const Answer& answer, Value entry) {
  const Column* label = plan.schema.Find(plan.label);
  const double rows = answer.Value1("rows"), half = RangeOf(*label).half, width = 2 * half;
  entry.Set("rows", Number(rows)).Set("rmse", Value()).Set("mae", Value()).Set("r2", Value());
  if (rows <= 0) return entry;
  const double squares = std::max(answer.Value1("squared_error"), 0.0), mean = answer.Value1("label") / rows;
  const double around = answer.Value1("label_squares") - rows * mean * mean;
  entry.Set("rmse", Number(width * std::sqrt(squares / rows)));
  entry.Set("mae", Number(width * std::max(answer.Value1("absolute_error"), 0.0) / rows));
  constexpr double kAlike = 1e-9;  // Labels whose spread is rounding.
  if (around > kAlike * rows) entry.Set("r2", Number(1 - 4 * squares / around));
  return entry;
}

// Row by row of the confusion: how many rows are of the class, and how many of them are called so.
Value ClassEvaluation(const Plan& plan, const Answer& answer, Value entry) {
  const std::size_t classes = ClassesOf(plan).size();
  const double rows = answer.Value1("rows");
  const std::vector<double> confusion = answer.Values("confusion");
  double correct = 0, recalls = 0, met = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    const auto row = confusion.begin() + static_cast<std::ptrdiff_t>(c * classes);
    const double all = std::accumulate(row, row + static_cast<std::ptrdiff_t>(classes), 0.0);
    const double right = confusion[c * classes + c];
    correct += right;
    if (all <= 0) continue;
    recalls += right / all;
    met += 1;
  }
  entry.Set("rows", Number(rows)).Set("accuracy", ShareOf(correct, rows));
  return entry.Set("balanced_accuracy", ShareOf(recalls, met))
      .Set("log_loss", ShareOf(answer.Value1("log_loss"), rows));
}

// Per class: its rows, the share of them that is called so (recall), and of those called so the share that is right
// (precision).
Value PerClass(const Plan& plan, const Answer& answer) {
  const std::vector<std::string> names = ClassesOf(plan);
  const std::vector<double> confusion = answer.Values("confusion");
  Value out{Value::Array{}};
  for (std::size_t c = 0; c < names.size(); ++c) {
    double rows = 0, called = 0;
    for (std::size_t other = 0; other < names.size(); ++other) {
      rows += confusion[c * names.size() + other];
      called += confusion[other * names.size() + c];
    }
    const double right = confusion[c * names.size() + c];
    out.Push(Value()
                 .Set("class", names[c])
                 .Set("rows", Number(rows))
                 .Set("recall", ShareOf(right, rows))
                 .Set("precision", ShareOf(right, called)));
  }
  return out;
}

// Harrell's C: of the pairs of one hospital's patients of whom the first is known to have the event earlier, the share
// with the higher score; equal scores count one half.
Value SurvivalEvaluation(const Answer& answer, Value entry) {
  const double pairs = answer.Value1("pairs");
  entry.Set("rows", Number(answer.Value1("rows"))).Set("events", Number(answer.Value1("events")));
  entry.Set("pairs", Number(pairs));
  return entry.Set("c_index", ShareOf(answer.Value1("concordant") + answer.Value1("tied") / 2, pairs));
}

}  // namespace

Value EvaluationOf(const Plan& plan, std::uint32_t round, const Answer& answer) {
  const double rows = answer.Value1("rows"), present = answer.Value1("present");
  Value entry;
  entry.Set("round", round).Set("hospitals", Number(present)).Set("of", answer.survivors().size());
  if (present < plan.minimum_hospitals)  // As for columns of a description: nearly one hospital's own figures.
    return entry.Set("rows", Value()).Set("auroc", Value()).Set("withheld", true);
  if (LabelOf(plan) == LabelKind::kNumber) return NumberEvaluation(plan, answer, std::move(entry));
  if (LabelOf(plan) == LabelKind::kClasses) return ClassEvaluation(plan, answer, std::move(entry));
  if (LabelOf(plan) == LabelKind::kSurvival) return SurvivalEvaluation(answer, std::move(entry));
  BinaryMetrics metrics;
  AurocFromHistogram(Whole(answer, "hist_positive"), Whole(answer, "hist_negative"), &metrics);
  const auto auroc = [&](double v) { return metrics.auroc_defined ? Number(v) : Value(); };
  entry.Set("rows", Number(rows)).Set("positives", Number(answer.Value1("positives")));
  entry.Set("auroc", auroc(metrics.auroc))
      .Set("auroc_low", auroc(metrics.auroc_low))
      .Set("auroc_high", auroc(metrics.auroc_high));
  entry.Set("accuracy", ShareOf(answer.Value1("correct"), rows)).Set("brier", ShareOf(answer.Value1("brier"), rows));
  return entry.Set("log_loss", ShareOf(answer.Value1("log_loss"), rows));
}

Value WithCurves(const Plan& plan, Value evaluation, const Answer& answer) {
  if (evaluation["withheld"].AsBool()) return evaluation;
  if (LabelOf(plan) == LabelKind::kClasses) return evaluation.Set("classes", PerClass(plan, answer));
  if (LabelOf(plan) != LabelKind::kBinary) return evaluation;
  const auto positive = Whole(answer, "hist_positive"), negative = Whole(answer, "hist_negative");
  return evaluation.Set("roc", RocCurve(positive, negative)).Set("calibration", Calibration(plan, positive, negative));
}

}  // namespace consilium
