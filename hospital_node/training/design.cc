// The design matrix.
#include "hospital_node/training/design.h"

#include <cmath>

#include "common/base/check.h"

namespace consilium::node {
namespace {

using Index = Eigen::Index;

const Series& Existing(const Table& table, const std::string& name) {
  const Series* series = table.Find(name);
  CHECK(series != nullptr);  // The workbench has compared the schemas.
  return *series;
}

double Cell(const Series& series, const DesignSource& source, std::size_t row, double impute) {
  if (source.level >= 0) return series.levels[row] == source.level ? 1 : 0;
  return series.MissingAt(row) ? impute : series.numbers[row];
}

// Two passes, so that nothing cancels. Sample standard deviation; nullopt without a value.
std::optional<Moments> OwnMoments(const Series& series, const std::vector<std::size_t>& rows) {
  CompensatedSum sum, squares;
  double count = 0;
  for (const std::size_t row : rows) {
    if (series.MissingAt(row)) continue;
    sum.Add(series.numbers[row]);
    ++count;
  }
  if (count == 0) return std::nullopt;
  const double mean = sum.value() / count;
  for (const std::size_t row : rows) {
    if (!series.MissingAt(row)) squares.Add((series.numbers[row] - mean) * (series.numbers[row] - mean));
  }
  return Moments{mean, count > 1 ? std::sqrt(squares.value() / (count - 1)) : 0};
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

Design BuildDesign(const Plan& plan, const Table& table, const std::vector<std::size_t>& rows,
                   const Preprocessing& preprocessing) {
  const std::vector<DesignSource> sources = DesignSources(plan);
  CHECK(preprocessing.impute.size() == sources.size() && preprocessing.mean.size() == sources.size() &&
        preprocessing.sd.size() == sources.size());
  Design out{Matrix(static_cast<Index>(rows.size()), static_cast<Index>(sources.size())),
             Vector(static_cast<Index>(rows.size())),
             {}};
  for (std::size_t j = 0; j < sources.size(); ++j) {
    const Series& series = Existing(table, sources[j].column->name);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double value = Cell(series, sources[j], rows[i], preprocessing.impute[j]);
      out.x(static_cast<Index>(i), static_cast<Index>(j)) = (value - preprocessing.mean[j]) / preprocessing.sd[j];
    }
  }
  const Series& label = Existing(table, plan.label);
  const bool classes = !label.levels.empty();
  for (std::size_t i = 0; i < rows.size(); ++i)
    out.y[static_cast<Index>(i)] = classes ? label.levels[rows[i]] : label.numbers[rows[i]];
  if (plan.time.empty()) return out;
  const Series& time = Existing(table, plan.time);
  out.times = Vector(static_cast<Index>(rows.size()));
  for (std::size_t i = 0; i < rows.size(); ++i) out.times[static_cast<Index>(i)] = time.numbers[rows[i]];
  return out;
}

Preprocessing SiteScaled(const Plan& plan, const Table& table, const std::vector<std::size_t>& train,
                         Preprocessing preprocessing) {
  const std::vector<DesignSource> sources = DesignSources(plan);
  preprocessing.mean.assign(sources.size(), 0);
  preprocessing.sd.assign(sources.size(), 1);
  for (std::size_t j = 0; j < sources.size(); ++j) {
    if (sources[j].level >= 0) continue;
    const Range range = RangeOf(*sources[j].column);
    const Moments own =
        OwnMoments(Existing(table, sources[j].column->name), train).value_or(Moments{range.middle, range.half});
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
