// Gathering.
#include "hospital_node/training/table_source.h"

#include <cmath>

#include "common/base/check.h"

namespace consilium::node {
namespace {

const Series& Existing(const Table& table, const std::string& name) {
  const Series* series = table.Find(name);
  CHECK(series != nullptr);  // The workbench has compared the schemas.
  return *series;
}

constexpr std::size_t kByteValues = 256;

// Yes or no as 1 and 0, a class as its number, or the number itself.
double TargetOf(const Series& series, std::size_t row, const std::uint8_t* bytes) {
  if (series.IsLabel()) return series.numbers[row];
  return series.column.type == Column::Type::kCategory ? series.Level(bytes) : series.Number(bytes);
}

}  // namespace

template <typename Real>
TableSource<Real>::TableSource(const Plan& plan, const Table& table, std::vector<std::uint32_t> rows,
                               const Preprocessing& preprocessing)
    : store_(table.store),
      label_(Existing(table, plan.label)),
      time_(plan.time.empty() ? nullptr : &Existing(table, plan.time)),
      rows_(std::move(rows)),
      cursor_(table.store, 0) {
  const std::vector<DesignSource> sources = DesignSources(plan);
  CHECK(preprocessing.impute.size() == sources.size() && preprocessing.mean.size() == sources.size() &&
        preprocessing.sd.size() == sources.size());
  for (std::size_t j = 0; j < sources.size(); ++j) {
    const Series& series = Existing(table, sources[j].column->name);
    Input input{&series, sources[j].level, preprocessing.impute[j], preprocessing.mean[j], preprocessing.sd[j], {}};
    const bool tensor = series.column.type == Column::Type::kTensor;
    if (tensor && series.element == Element::kU8) {
      for (std::size_t value = 0; value < kByteValues; ++value)
        input.lookup.push_back(static_cast<Real>((static_cast<double>(value) - input.mean) / input.sd));
    }
    inputs_.push_back(std::move(input));
    features_ += sources[j].width;
  }
}

template <typename Real>
void TableSource<Real>::Gather(std::span<const std::uint32_t> rows, Real* x, Real* y) {
  for (const std::uint32_t row : rows) store_.Announce(rows_[row]);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint32_t row = rows_[rows[i]];
    const std::uint8_t* bytes = cursor_.At(row);
    Fill(bytes, x + i * features_);
    *y++ = static_cast<Real>(TargetOf(label_, row, bytes));
    if (time_ != nullptr) *y++ = static_cast<Real>(TargetOf(*time_, row, bytes));
  }
}

template <typename Real>
void TableSource<Real>::Fill(const std::uint8_t* bytes, Real* x) const {
  for (const Input& input : inputs_) {
    if (input.series->column.type == Column::Type::kTensor) {
      x = FillTensor(input, bytes, x);
      continue;
    }
    double value = 0;
    if (input.level >= 0) {
      value = input.series->Level(bytes) == input.level ? 1 : 0;
    } else {
      value = input.series->Number(bytes);
      if (std::isnan(value)) value = input.impute;
    }
    *x++ = static_cast<Real>((value - input.mean) / input.sd);
  }
}

template <typename Real>
Real* TableSource<Real>::FillTensor(const Input& input, const std::uint8_t* bytes, Real* x) const {
  input.series->Elements(bytes, [&](auto zero, const std::uint8_t* at, std::size_t count) {
    if (!input.lookup.empty()) {
      for (std::size_t i = 0; i < count; ++i) *x++ = input.lookup[at[i]];
      return;
    }
    for (std::size_t i = 0; i < count; ++i) {
      auto value = zero;
      std::memcpy(&value, at + i * sizeof value, sizeof value);
      *x++ = static_cast<Real>((static_cast<double>(value) - input.mean) / input.sd);
    }
  });
  return x;
}

template class TableSource<float>;
template class TableSource<double>;

}  // namespace consilium::node
