// The design matrix.
#include "hospital_node/training/design.h"

#include <cmath>
#include <numeric>
#include <optional>

#include "common/base/check.h"
#include "hospital_node/data/sum.h"
#include "hospital_node/training/table_source.h"

namespace consilium::node {
namespace {

using Index = Eigen::Index;

// What a row adds to a column's moments: of a number itself, of a tensor the mean over its elements.
double MeanOf(const Series& series, const std::uint8_t* bytes, double from, bool squared) {
  if (series.column.type == Column::Type::kNumber) {
    const double v = series.Number(bytes) - from;
    return squared ? v * v : v;
  }
  double total = 0;
  series.Elements(bytes, [&](auto zero, const std::uint8_t* at, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto value = zero;
      std::memcpy(&value, at + i * sizeof value, sizeof value);
      const double v = static_cast<double>(value) - from;
      total += squared ? v * v : v;
    }
    total /= static_cast<double>(count);
  });
  return total;
}

// One walk over the rows for all columns: the mean of the values, or of their squared distances from `from`.
std::vector<double> Walk(const Table& table, const std::vector<const Series*>& columns,
                         const std::vector<std::size_t>& rows, const std::vector<double>* from,
                         std::vector<double>* counts) {
  std::vector<CompensatedSum> sums(columns.size());
  counts->assign(columns.size(), 0);
  RowCursor cursor(table.store);
  for (const std::size_t row : rows) {
    const std::uint8_t* bytes = cursor.At(row);
    for (std::size_t j = 0; j < columns.size(); ++j) {
      if (columns[j]->Missing(row, bytes)) continue;
      sums[j].Add(MeanOf(*columns[j], bytes, from == nullptr ? 0 : (*from)[j], from != nullptr));
      ++(*counts)[j];
    }
  }
  std::vector<double> out;
  out.reserve(sums.size());
  for (const CompensatedSum& sum : sums) out.push_back(sum.value());
  return out;
}

// Two walks, so that nothing cancels. Of numbers the sample's standard deviation; nullopt without a value.
std::vector<std::optional<Moments>> OwnMoments(const Table& table, const std::vector<const Series*>& columns,
                                               const std::vector<std::size_t>& rows) {
  std::vector<double> counts;
  std::vector<double> means = Walk(table, columns, rows, nullptr, &counts);
  for (std::size_t j = 0; j < columns.size(); ++j) means[j] /= std::max(counts[j], 1.0);
  const std::vector<double> squares = Walk(table, columns, rows, &means, &counts);
  std::vector<std::optional<Moments>> out(columns.size());
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const bool number = columns[j]->column.type == Column::Type::kNumber;
    const double divisor = number ? counts[j] - 1 : counts[j];
    if (counts[j] > 0) out[j] = {means[j], divisor > 0 ? std::sqrt(squares[j] / divisor) : 0};
  }
  return out;
}

}  // namespace

std::vector<double> Design::Targets() const {
  std::vector<double> out;
  out.reserve(static_cast<std::size_t>(y.size() + times.size()));
  for (Index i = 0; i < y.size(); ++i) {
    out.push_back(y[i]);
    if (times.size() > 0) out.push_back(times[i]);
  }
  return out;
}

void SplitTargets(const Vector& targets, std::size_t each, Vector* labels, Vector* times) {
  const auto stride = static_cast<Index>(each), rows = targets.size() / stride;
  *labels = targets(Eigen::seqN(0, rows, stride));
  if (each > 1) *times = targets(Eigen::seqN(1, rows, stride));
}

std::vector<std::uint32_t> RowNumbers(const std::vector<std::size_t>& rows) { return {rows.begin(), rows.end()}; }

Design BuildDesign(const Plan& plan, const Table& table, const std::vector<std::size_t>& rows,
                   const Preprocessing& preprocessing) {
  TableSource<double> source(plan, table, RowNumbers(rows), preprocessing);
  Design out{Matrix(static_cast<Index>(rows.size()), static_cast<Index>(source.features())), {}, {}};
  Vector targets(static_cast<Index>(rows.size() * source.targets()));
  std::vector<std::uint32_t> all(rows.size());
  std::iota(all.begin(), all.end(), 0U);
  source.Gather(all, out.x.data(), targets.data());
  SplitTargets(targets, source.targets(), &out.y, &out.times);
  return out;
}

Preprocessing SiteScaled(const Plan& plan, const Table& table, const std::vector<std::size_t>& train,
                         Preprocessing preprocessing) {
  const std::vector<DesignSource> sources = DesignSources(plan);
  preprocessing.mean.assign(sources.size(), 0);
  preprocessing.sd.assign(sources.size(), 1);
  std::vector<const Series*> columns;
  for (const DesignSource& source : sources) {
    if (source.level >= 0) continue;
    columns.push_back(table.Find(source.column->name));
    CHECK(columns.back() != nullptr);  // The workbench has compared the schemas.
  }
  const std::vector<std::optional<Moments>> moments = OwnMoments(table, columns, train);
  auto next = moments.begin();
  for (std::size_t j = 0; j < sources.size(); ++j) {
    if (sources[j].level >= 0) continue;
    const Range range = RangeOf(*sources[j].column);
    const Moments own = (next++)->value_or(Moments{range.middle, range.half});
    preprocessing.mean[j] = own.mean;
    preprocessing.sd[j] = own.sd > 0 ? own.sd : 1;
  }
  return preprocessing;
}

Preprocessing OwnPreprocessing(const Plan& plan, const Table& table, const std::vector<std::size_t>& train) {
  const std::vector<DesignSource> sources = DesignSources(plan);
  Preprocessing out = SiteScaled(plan, table, train, {});
  out.impute = out.mean;
  for (std::size_t j = 0; j < sources.size(); ++j) {
    if (sources[j].level >= 0) out.impute[j] = 0;
  }
  return out;
}

}  // namespace consilium::node
