// From the answer to a describe query to means, standard deviations and quantiles.
#include <algorithm>
#include <cmath>

#include "common/algorithms/derive.h"

namespace consilium {
namespace {

using Wide = __int128;

// Exact: the sums are whole multiples of the grid. Sums that no values in [-1, 1] have give no figures.
void SummariseNumber(const Answer& answer, ColumnSummary* out) {
  constexpr double kMostRows = 1LL << 32;
  const std::string& name = out->column->name;
  const auto [middle, half] = RangeOf(*out->column);
  const auto n = static_cast<double>(out->count);
  const double sum = answer.Value1(name + "/sum");
  const std::vector<double> squares = answer.Values(name + "/squares");
  bool possible = n <= kMostRows && std::fabs(sum) <= n;
  for (const double v : squares) possible = possible && std::fabs(v) <= n;
  if (!possible) return;
  out->mean = middle + half * (sum / n);
  if (out->count < 2) return;
  const Wide total = static_cast<Wide>(sum * kGrid), count = out->count;
  const Wide coarse = static_cast<Wide>(squares[0] * kGrid), cross = static_cast<Wide>(squares[1] * (kGrid / 2)),
             fine = static_cast<Wide>(squares[2] * (kGrid / 4));
  const Wide of_squares = (coarse << 30) + (cross << 16) + fine;  // (coarse 2^15 + fine)^2 summed
  const Wide spread = std::max<Wide>(count * of_squares - total * total, 0);
  out->sd = half * std::sqrt(static_cast<double>(spread) / (n * (n - 1))) / kGrid;
}

// Over all elements of all rows; rounding of the rows' means leaves the sd exact to 1e-9 of the squared range. The
// divisor is the number of elements, and not one less: they are of fewer patients.
void SummariseTensor(const Answer& answer, ColumnSummary* out) {
  const std::string& name = out->column->name;
  const auto [middle, half] = RangeOf(*out->column);
  const double mean = answer.Value1(name + "/sum") / static_cast<double>(out->count);
  const double square = answer.Value1(name + "/squares") / static_cast<double>(out->count);
  if (std::fabs(mean) > 1 || square < 0 || square > 1) return;  // No values in [-1, 1] have these.
  out->mean = middle + half * mean;
  out->sd = half * std::sqrt(std::max(square - mean * mean, 0.0));
}

// Linear within the bin where the cumulated count passes share * count.
double Quantile(const Column& column, const std::vector<double>& histogram, std::int64_t count, double share) {
  const double wanted = share * static_cast<double>(count);
  const double width = (column.maximum - column.minimum) / static_cast<double>(histogram.size());
  double below = 0;
  for (std::size_t bin = 0; bin < histogram.size(); ++bin) {
    const double here = histogram[bin];
    if (here > 0 && below + here >= wanted)
      return column.minimum + width * (static_cast<double>(bin) + (wanted - below) / here);
    below += here;
  }
  return column.maximum;
}

ColumnSummary SummariseColumn(const Column& column, const DescribeRequest& request, std::uint32_t least,
                              const Answer& answer) {
  const auto integer = [&](const char* what) {
    return static_cast<std::int64_t>(answer.Value1(column.name + "/" + what));
  };
  const auto counts = [&](const char* what) {
    std::vector<std::int64_t> out;
    for (const double v : answer.Values(column.name + "/" + what)) out.push_back(static_cast<std::int64_t>(v));
    return out;
  };
  ColumnSummary out;
  out.column = &column;
  out.from = integer("present");
  // A figure of fewer hospitals is nearly one hospital's own. The plan's promise is for every figure, not every sum.
  out.shown = out.from >= static_cast<std::int64_t>(least);
  if (!out.shown) {
    out.levels.assign(column.levels.size() + column.classes.size(), 0);  // Of these one is empty.
    return out;
  }
  out.count = integer("count");
  out.missing = integer("missing");
  if (column.type == Column::Type::kCategory) out.levels = counts("levels");
  if (!column.classes.empty()) {
    out.levels = counts("classes");
  } else if (column.type == Column::Type::kLabel) {
    out.positive = integer("positive");
  }
  if (column.type == Column::Type::kTensor && out.count > 0) SummariseTensor(answer, &out);
  if (column.type != Column::Type::kNumber || out.count < 1) return out;
  SummariseNumber(answer, &out);
  if (request.bins > 0) {
    const std::vector<double> histogram = answer.Values(column.name + "/hist");  // May be millions: one copy.
    out.q25 = Quantile(column, histogram, out.count, 0.25);
    out.median = Quantile(column, histogram, out.count, 0.5);
    out.q75 = Quantile(column, histogram, out.count, 0.75);
  }
  return out;
}

}  // namespace

std::vector<ColumnSummary> Summarise(const Plan& plan, const DescribeRequest& request, const Answer& answer) {
  std::vector<ColumnSummary> out;
  out.reserve(request.columns.size());
  for (const std::string& name : request.columns)
    out.push_back(SummariseColumn(*plan.schema.Find(name), request, plan.minimum_hospitals, answer));
  return out;
}

}  // namespace consilium
