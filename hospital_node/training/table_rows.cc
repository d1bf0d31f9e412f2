// Training and prediction over rows of tables.
#include "hospital_node/training/table_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"
#include "hospital_node/training/design.h"

namespace consilium::node {
namespace {

// The rows of several tables, one table after another.
template <typename Real>
class JoinedSource final : public BatchSource<Real> {
 public:
  explicit JoinedSource(const std::vector<TableRows>& data) {
    CHECK(!data.empty());
    for (const TableRows& part : data) {
      first_.push_back(rows_);
      parts_.emplace_back(part.plan, part.table, RowNumbers(part.rows), part.preprocessing);
      rows_ += part.rows.size();
    }
  }
  [[nodiscard]] std::size_t rows() const override { return rows_; }
  [[nodiscard]] std::size_t features() const override { return parts_.front().features(); }

  void Gather(std::span<const std::uint32_t> rows, Real* x, Real* y) override {
    if (parts_.size() == 1) return parts_.front().Gather(rows, x, y);
    for (std::size_t i = 0; i < rows.size();) {  // Together what lies in one table.
      const auto above = std::upper_bound(first_.begin(), first_.end(), rows[i]);
      const auto part = static_cast<std::size_t>(above - first_.begin()) - 1;
      const std::size_t first = first_[part], end = first + parts_[part].rows(), from = i;
      own_.clear();
      for (; i < rows.size() && rows[i] >= first && rows[i] < end; ++i)
        own_.push_back(rows[i] - static_cast<std::uint32_t>(first));
      parts_[part].Gather(own_, x + from * features(), y + from * parts_[part].targets());
    }
  }

 private:
  std::vector<TableSource<Real>> parts_;
  std::vector<std::size_t> first_;  // The number of each part's first row.
  std::vector<std::uint32_t> own_;
  std::size_t rows_ = 0;
};

template <typename Real>
Result<std::vector<double>> FitAs(const Recipe& recipe, const std::vector<TableRows>& data,
                                  const std::vector<double>& start, const Hooks<double>& hooks, TrainingRun* run) {
  JoinedSource<Real> source(data);
  return Fit(recipe, source, start, hooks, run);
}

template <typename Real>
RowScores PredictAs(const Recipe& recipe, const std::vector<TableRows>& data, const std::vector<double>& parameters) {
  JoinedSource<Real> source(data);
  Scores scores = Predict(recipe, source, parameters);
  RowScores out{std::move(scores.predicted), {}, {}};
  SplitTargets(scores.targets, TargetsPerRow(recipe.loss), &out.labels, &out.times);
  return out;
}

}  // namespace

Result<std::vector<double>> FitRows(const Recipe& recipe, const std::vector<TableRows>& data,
                                    const std::vector<double>& start, const Hooks<double>& hooks, TrainingRun* run) {
  CHECK(TargetsPerRow(recipe.loss) == (data.front().plan.time.empty() ? 1 : 2));
  return recipe.precision == Precision::kFloat ? FitAs<float>(recipe, data, start, hooks, run)
                                               : FitAs<double>(recipe, data, start, hooks, run);
}

RowScores PredictRows(const Recipe& recipe, const std::vector<TableRows>& data, const std::vector<double>& parameters) {
  CHECK(TargetsPerRow(recipe.loss) == (data.front().plan.time.empty() ? 1 : 2));
  return recipe.precision == Precision::kFloat ? PredictAs<float>(recipe, data, parameters)
                                               : PredictAs<double>(recipe, data, parameters);
}

Status CheckBatch(const Plan& plan, const Recipe& recipe, std::size_t rows) {
  const std::size_t real = recipe.precision == Precision::kFloat ? sizeof(float) : sizeof(double);
  const std::size_t row = std::max<std::size_t>(recipe.model.inputs, 1) * real;
  const std::size_t batch = std::min<std::size_t>(plan.batch_size, rows), most = kMaxBatchBytes / row;
  if (batch <= most) return {};
  return Fail(Code::kRefused,
              fmt::format("a batch of {} rows of {} inputs takes {} MB of memory, and {} are the most here; ask for a "
                          "plan with [training] batch_size of at most {}",
                          batch, recipe.model.inputs, batch * row >> 20, kMaxBatchBytes >> 20, most));
}

}  // namespace consilium::node
