// describe: counts, sums and histograms of columns.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/check.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/design.h"

namespace consilium::node {
namespace {

using RowList = std::vector<std::size_t>;
using Parts = std::vector<std::vector<double>>;

RowList AllRows(const Table& table) {
  RowList out(table.rows());
  std::iota(out.begin(), out.end(), std::size_t{0});
  return out;
}

double Count(std::size_t n) { return static_cast<double>(n); }

// sum, squares and, with bins, the histogram over the declared range; its top belongs to the last bin.
void AppendNumber(const Series& series, const RowList& rows, std::uint32_t bins, Parts* out) {
  const auto [middle, half] = RangeOf(series.column);
  double sum = 0, coarse = 0, cross = 0, fine = 0;  // All exact: see ToGrid.
  std::vector<double> histogram(bins, 0.0);
  for (const std::size_t row : rows) {
    const double u = (series.numbers[row] - middle) / half;
    const GridValue at = ToGrid(u);
    const double c = at.coarse / kCoarse, f = at.fine / kFine;
    sum += c + at.fine / kGrid;
    coarse += c * c;
    cross += c * f;
    fine += f * f;
    if (bins > 0) histogram[static_cast<std::size_t>(std::clamp((u + 1) / 2 * bins, 0.0, bins - 1.0))] += 1;
  }
  out->push_back({sum});
  out->push_back({coarse, cross, fine});
  if (bins > 0) out->push_back(std::move(histogram));
}

void AppendColumn(const Plan& plan, const Table& table, const Series& series, const RowList& rows, std::uint32_t bins,
                  Parts* out) {
  RowList present;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(present),
               [&](std::size_t row) { return !series.MissingAt(row); });
  const bool shown = PatientsIn(table, present) >= plan.minimum_patients;
  const std::size_t missing = shown ? rows.size() - present.size() : 0;
  if (!shown) present.clear();
  out->push_back({shown ? 1.0 : 0.0});
  out->push_back({Count(present.size())});
  out->push_back({Count(missing)});
  if (series.column.type == Column::Type::kNumber) {
    AppendNumber(series, present, bins, out);
  } else if (series.column.type == Column::Type::kCategory) {
    std::vector<double> levels(series.column.levels.size(), 0.0);
    for (const std::size_t row : present) levels[static_cast<std::size_t>(series.levels[row])] += 1;
    out->push_back(std::move(levels));
  } else {
    out->push_back({Count(static_cast<std::size_t>(
        std::count_if(present.begin(), present.end(), [&](std::size_t row) { return series.numbers[row] > 0.5; })))});
  }
}

}  // namespace

Result<RawContribution> ComputeDescribe(const Plan& plan, const Table& table, const Query& query) {
  const DescribeRequest request = TRY(ReadDescribeQuery(plan, query));
  const RowList rows = request.train_only ? TRY(SplitRows(plan, table)).train : AllRows(table);
  const std::size_t patients = PatientsIn(table, rows);
  const bool shown = patients >= plan.minimum_patients;
  RawContribution out;
  out.blocks.push_back({shown ? 1.0 : 0.0});
  out.blocks.push_back({shown ? Count(rows.size()) : 0.0});
  out.blocks.push_back({shown ? Count(patients) : 0.0});
  for (const std::string& name : request.columns) {
    const Series* series = table.Find(name);
    CHECK(series != nullptr);  // The workbench has compared the schemas.
    AppendColumn(plan, table, *series, rows, request.bins, &out.blocks);
  }
  return out;
}

}  // namespace consilium::node
