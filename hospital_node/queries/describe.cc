// describe: counts, sums and histograms of columns.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "common/base/check.h"
#include "hospital_node/queries/queries.h"

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

// Whether at least so many different patients were seen; patients are numbered as they come.
class EnoughPatients {
 public:
  explicit EnoughPatients(std::size_t wanted) : wanted_(wanted) {}
  void Add(std::uint32_t patient) {
    if (reached()) return;
    if (patient >= seen_.size()) seen_.resize(patient + 1);
    count_ += seen_[patient] ? 0 : 1;
    seen_[patient] = true;
    if (reached()) seen_ = {};
  }
  [[nodiscard]] bool reached() const { return count_ >= wanted_; }

 private:
  std::size_t wanted_, count_ = 0;
  std::vector<bool> seen_;
};

// One column's blocks, from a walk over its rows.
class Tally {
 public:
  Tally(const Plan& plan, const Series& series, std::uint32_t bins) : series_(series), enough_(plan.minimum_patients) {
    const Column& column = series.column;
    if (column.type == Column::Type::kCategory) counts_.resize(column.levels.size());
    if (series.IsLabel()) counts_.resize(column.classes.empty() ? 2 : column.classes.size());
    if (column.type == Column::Type::kNumber) counts_.resize(bins);
  }

  void Add(std::size_t row, std::uint32_t patient, const std::uint8_t* bytes) {
    ++rows_;
    if (series_.Missing(row, bytes)) return;
    ++present_;
    enough_.Add(patient);
    if (series_.IsLabel()) {
      counts_[static_cast<std::size_t>(series_.numbers[row])] += 1;
    } else if (series_.column.type == Column::Type::kCategory) {
      counts_[static_cast<std::size_t>(series_.Level(bytes))] += 1;
    } else if (series_.column.type == Column::Type::kNumber) {
      AddNumber(series_.Number(bytes));
    } else {
      AddTensor(bytes);
    }
  }

  void Append(Parts* out) {
    const bool shown = enough_.reached();
    out->push_back({shown ? 1.0 : 0.0});
    out->push_back({shown ? Count(present_) : 0.0});
    out->push_back({shown ? Count(rows_ - present_) : 0.0});
    if (series_.column.type == Column::Type::kNumber) {
      Show(shown, {sum_}, out);
      Show(shown, {squares_[0], squares_[1], squares_[2]}, out);
      if (!counts_.empty()) Show(shown, std::move(counts_), out);
    } else if (series_.column.type == Column::Type::kTensor) {
      Show(shown, {sum_}, out);
      Show(shown, {squares_[0]}, out);
    } else if (series_.IsLabel() && series_.column.classes.empty()) {
      Show(shown, {counts_[1]}, out);
    } else {
      Show(shown, std::move(counts_), out);
    }
  }

 private:
  static void Show(bool shown, std::vector<double> values, Parts* out) {
    if (!shown) std::ranges::fill(values, 0.0);
    out->push_back(std::move(values));
  }

  // sum, squares and, with bins, the histogram over the declared range; its top belongs to the last bin.
  void AddNumber(double value) {
    const auto [middle, half] = RangeOf(series_.column);
    const double u = (value - middle) / half;
    const GridValue at = ToGrid(u);  // All that follows is exact.
    const double c = at.coarse / kCoarse, f = at.fine / kFine;
    sum_ += c + at.fine / kGrid;
    squares_[0] += c * c;
    squares_[1] += c * f;
    squares_[2] += f * f;
    const auto bins = static_cast<double>(counts_.size());
    if (!counts_.empty()) counts_[static_cast<std::size_t>(std::clamp((u + 1) / 2 * bins, 0.0, bins - 1.0))] += 1;
  }

  // The mean and the mean square of the row's elements, on the grid, so that their sums are exact too.
  void AddTensor(const std::uint8_t* bytes) {
    const auto [middle, half] = RangeOf(series_.column);
    series_.Elements(bytes, [&](auto zero, const std::uint8_t* at, std::size_t count) {
      double mean = 0, square = 0;
      for (std::size_t i = 0; i < count; ++i) {
        auto value = zero;
        std::memcpy(&value, at + i * sizeof value, sizeof value);
        const double u = (static_cast<double>(value) - middle) / half;
        mean += u;
        square += u * u;
      }
      sum_ += OnGrid(mean / Count(count));
      squares_[0] += OnGrid(square / Count(count));
    });
  }
  static double OnGrid(double u) {
    const GridValue at = ToGrid(u);
    return at.coarse / kCoarse + at.fine / kGrid;
  }

  const Series& series_;
  EnoughPatients enough_;
  std::size_t rows_ = 0, present_ = 0;
  double sum_ = 0;
  std::array<double, 3> squares_{};
  std::vector<double> counts_;  // Levels, classes or bins.
};

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
  std::vector<Tally> tallies;
  for (const std::string& name : request.columns) {
    const Series* series = table.Find(name);
    CHECK(series != nullptr);  // The workbench has compared the schemas.
    tallies.emplace_back(plan, *series, request.bins);
  }
  RowCursor cursor(table.store);
  for (const std::size_t row : rows) {
    const std::uint8_t* bytes = cursor.At(row);
    for (Tally& tally : tallies) tally.Add(row, table.patient[row], bytes);
  }
  for (Tally& tally : tallies) tally.Append(&out.blocks);
  return out;
}

}  // namespace consilium::node
