#include "common/algorithms/own_figures.h"

#include <algorithm>
#include <numeric>

#include "common/algorithms/derive.h"
#include "common/model/metrics.h"

namespace consilium {
namespace {

using Counts = std::vector<std::int64_t>;

Counts CountsOf(const Answer& answer, std::string_view block, std::size_t vector) {
  Counts out;
  for (const double v : answer.Values(block, vector)) out.push_back(static_cast<std::int64_t>(v));
  return out;
}

std::int64_t Total(Counts::const_iterator from, Counts::const_iterator to) {
  return std::accumulate(from, to, std::int64_t{0});
}

Value FiguresOf(const Plan& plan, const Answer& answer, std::size_t vector) {
  const Counts positive = CountsOf(answer, "hist_positive", vector),
               negative = CountsOf(answer, "hist_negative", vector);
  const auto counts = [](const Counts& bins) { return std::ranges::all_of(bins, [](auto n) { return n >= 0; }); };
  if (answer.Value1("present", vector) != 1 || !counts(positive) || !counts(negative)) return {};
  const std::int64_t positives = Total(positive.begin(), positive.end());
  const std::int64_t negatives = Total(negative.begin(), negative.end()), rows = positives + negatives;
  if (rows < plan.minimum_patients) return {};
  const auto middle = static_cast<std::ptrdiff_t>(kOwnBins / 2);  // The bin that begins at 0.5.
  const std::int64_t correct =
      Total(positive.begin() + middle, positive.end()) + Total(negative.begin(), negative.begin() + middle);
  BinaryMetrics metrics;
  AurocFromHistogram(positive, negative, &metrics);
  const auto auroc = [&](double v) { return metrics.auroc_defined ? Number(v) : Value(); };
  const auto share = [&](double sum) { return Number(sum / static_cast<double>(rows)); };
  const bool shown = std::min(positives, negatives) >= plan.minimum_patients;
  return Value()
      .Set("rows", rows)
      .Set("positives", shown ? Value(positives) : Value())
      .Set("auroc", auroc(metrics.auroc))
      .Set("auroc_low", auroc(metrics.auroc_low))
      .Set("auroc_high", auroc(metrics.auroc_high))
      .Set("accuracy", share(static_cast<double>(correct)))
      .Set("brier", share(answer.Value1("brier", vector)))
      .Set("log_loss", share(answer.Value1("log_loss", vector)))
      .Set("calibration", Calibration(plan, positive, negative));
}

}  // namespace

Value OwnFigures(const Plan& plan, const Answer& answer) {
  Value out{Value::Array{}};
  for (std::size_t i = 0; i < answer.survivors().size(); ++i) {
    Value figures = FiguresOf(plan, answer, i);
    const bool released = figures.IsObject();
    out.Push(figures.Set("hospital", answer.survivors()[i]).Set("released", released));
  }
  return out;
}

Value Calibration(const Plan& plan, const Counts& positive, const Counts& negative) {
  constexpr std::size_t kRanges = 10;
  Value out{Value::Array{}};
  for (std::size_t range = 0; range < kRanges; ++range) {
    double rows = 0, positives = 0, scores = 0;
    const std::size_t end = positive.size() * (range + 1) / kRanges;
    for (std::size_t bin = positive.size() * range / kRanges; bin < end; ++bin) {
      const auto here = static_cast<double>(positive[bin] + negative[bin]);
      rows += here;
      positives += static_cast<double>(positive[bin]);
      scores += here * (static_cast<double>(bin) + 0.5) / static_cast<double>(positive.size());
    }
    const bool shown = rows >= plan.minimum_patients && rows > 0;
    Value entry;
    entry.Set("rows", shown ? Number(rows) : Value());
    entry.Set("score", shown ? Number(scores / rows) : Value());
    out.Push(entry.Set("positive", shown ? Number(positives / rows) : Value()));
  }
  return out;
}

}  // namespace consilium
