// From the answer to a describe query to means, standard deviations and quantiles.
#include <algorithm>
#include <cmath>

#include "common/algorithms/derive.h"

namespace consilium {
namespace {

// Sums were rounded to the ring's grid once per hospital, which leaves this much doubt in the variance; a spread below
// it (about a millionth of the range) cannot be told from none.
double VarianceFloor(const Block& sum, double hospitals, double count) {
  const double grid = 1 / static_cast<double>(std::uint64_t{1} << std::clamp(sum.scale_log2, 0, 62));
  return 4 * (grid * hospitals / count + 1e-15);
}

void SummariseNumber(const Query& query, const Answer& answer, ColumnSummary* out) {
  const std::string& name = out->column->name;
  const auto [middle, half] = RangeOf(*out->column);
  const auto n = static_cast<double>(out->count);
  const double sum = answer.Value1(name + "/sum"), squares = answer.Value1(name + "/sumsq");
  const double mean = sum / n;
  out->mean = middle + half * mean;
  if (out->count < 2) return;
  const double around_mean = squares - sum * mean;
  const bool flat = around_mean / n < VarianceFloor(*query.Find(name + "/sum"), static_cast<double>(out->from), n);
  out->sd = flat ? 0 : half * std::sqrt(around_mean / (n - 1));
}

// Linear within the bin where the cumulated count passes share * count.
double Quantile(const Column& column, const std::vector<std::int64_t>& histogram, std::int64_t count, double share) {
  const double wanted = share * static_cast<double>(count);
  const double width = (column.maximum - column.minimum) / static_cast<double>(histogram.size());
  double below = 0;
  for (std::size_t bin = 0; bin < histogram.size(); ++bin) {
    const auto here = static_cast<double>(histogram[bin]);
    if (here > 0 && below + here >= wanted) return column.minimum + width * (static_cast<double>(bin) + (wanted - below) / here);
    below += here;
  }
  return column.maximum;
}

ColumnSummary SummariseColumn(const Column& column, const DescribeRequest& request, const Query& query, const Answer& answer) {
  const auto integer = [&](const char* what) { return static_cast<std::int64_t>(answer.Value1(column.name + "/" + what)); };
  const auto counts = [&](const char* what) {
    std::vector<std::int64_t> out;
    for (const double v : answer.Values(column.name + "/" + what)) out.push_back(static_cast<std::int64_t>(v));
    return out;
  };
  ColumnSummary out;
  out.column = &column;
  out.from = integer("present");
  out.count = integer("count");
  out.missing = integer("missing");
  if (column.type == Column::Type::kCategory) out.levels = counts("levels");
  if (column.type == Column::Type::kLabel) out.positive = integer("positive");
  if (column.type != Column::Type::kNumber || out.count < 1) return out;
  SummariseNumber(query, answer, &out);
  if (request.bins > 0) {
    const std::vector<std::int64_t> histogram = counts("hist");
    out.q25 = Quantile(column, histogram, out.count, 0.25);
    out.median = Quantile(column, histogram, out.count, 0.5);
    out.q75 = Quantile(column, histogram, out.count, 0.75);
  }
  return out;
}

}  // namespace

std::vector<ColumnSummary> Summarise(const Plan& plan, const DescribeRequest& request, const Query& query, const Answer& answer) {
  std::vector<ColumnSummary> out;
  for (const std::string& name : request.columns) out.push_back(SummariseColumn(*plan.schema.Find(name), request, query, answer));
  return out;
}

}  // namespace consilium
