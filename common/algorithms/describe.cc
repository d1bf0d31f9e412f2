// Federated table 1.
#include "common/algorithms/describe.h"

#include "common/algorithms/derive.h"
#include "common/base/check.h"

namespace consilium {
namespace {

Value OrNull(const std::optional<double>& v) { return v ? Number(*v) : Value(); }

// A column that too few hospitals showed has nulls, never zeros: a suppressed count is not 0.
Value ColumnResult(const ColumnSummary& summary, std::size_t of) {
  const Column& column = *summary.column;
  const bool shown = summary.shown;
  Value out;
  out.Set("name", column.name).Set("type", TypeName(column.type)).Set("unit", column.unit);
  out.Set("from_k", summary.from).Set("of_n", of);
  out.Set("count", shown ? Value(summary.count) : Value()).Set("missing", shown ? Value(summary.missing) : Value());
  if (column.type == Column::Type::kNumber || column.type == Column::Type::kTensor)
    out.Set("mean", OrNull(summary.mean)).Set("sd", OrNull(summary.sd));
  if (column.type == Column::Type::kNumber) {
    out.Set("q25", OrNull(summary.q25)).Set("median", OrNull(summary.median)).Set("q75", OrNull(summary.q75));
  }
  if (column.type == Column::Type::kLabel && column.classes.empty())
    out.Set("positive", shown ? Value(summary.positive) : Value());
  const std::vector<std::string>& names = column.type == Column::Type::kCategory ? column.levels : column.classes;
  if (!names.empty()) {
    Value levels{Value::Array{}};
    for (std::size_t i = 0; i < summary.levels.size(); ++i)
      levels.Push(Value().Set("level", names[i]).Set("count", shown ? Value(summary.levels[i]) : Value()));
    out.Set("levels", std::move(levels));
  }
  return out;
}

class Describe : public Algorithm {
 public:
  explicit Describe(const Plan& plan) : plan_(plan), request_(DescribeRequestOf(plan)) {}

  Status Restore(const AlgorithmState& state) {
    if (state.step > 1 || !state.vectors.empty() || (state.step == 1) != state.results.Has("describe")) {
      return Fail(Code::kCorrupt, "the saved state does not belong to a describe study");
    }
    state_ = state;
    return {};
  }

  [[nodiscard]] std::optional<Step> Next(std::uint32_t hospitals) const override {
    if (state_.step > 0) return std::nullopt;
    return Step{DescribeQuery(plan_, request_, hospitals), {}};
  }

  Status Absorb(const Query& query, const Answer& answer) override {
    if (state_.step > 0) return Fail(Code::kProtocol, "the description is complete; no further answer belongs to it");
    if (auto read = ReadDescribeQuery(plan_, query); !read) return std::unexpected(read.error());
    const std::size_t of = answer.survivors().size();
    Value columns{Value::Array{}};
    for (const ColumnSummary& summary : Summarise(plan_, request_, answer)) columns.Push(ColumnResult(summary, of));
    const double present = answer.Value1("present");
    Value table;
    table.Set("hospitals", Number(present)).Set("of", of);
    table.Set("rows", present > 0 ? Number(answer.Value1("rows")) : Value());
    table.Set("patients", present > 0 ? Number(answer.Value1("patients")) : Value());
    table.Set("columns", std::move(columns));
    state_.results.Set("describe", std::move(table));
    state_.bases = {answer.digest()};
    state_.step = 1;
    return {};
  }

  [[nodiscard]] AlgorithmState Save() const override { return state_; }
  [[nodiscard]] std::uint32_t TotalSteps() const override { return 1; }
  [[nodiscard]] Value Results() const override { return state_.results; }
  [[nodiscard]] std::optional<Bytes> ModelFile() const override { return std::nullopt; }

 private:
  Plan plan_;
  DescribeRequest request_;
  AlgorithmState state_{.step = 0, .vectors = {}, .results = Value::Object{}, .bases = {}};
};

}  // namespace

Result<std::unique_ptr<Algorithm>> MakeDescribe(const Plan& plan, const AlgorithmState* state) {
  auto out = std::make_unique<Describe>(plan);
  if (state != nullptr) {
    if (Status restored = out->Restore(*state); !restored) return std::unexpected(restored.error());
  }
  return out;
}

}  // namespace consilium
