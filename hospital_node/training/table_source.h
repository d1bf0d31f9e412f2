// A table's rows as a model's inputs: the plan's preprocessing, batch by batch, from wherever the rows lie.
#pragma once

#include "common/algorithms/derive.h"
#include "common/model/source.h"
#include "hospital_node/data/table.h"

namespace consilium::node {

// Row i of the source is row rows[i] of the table, which outlives it. Numbers are imputed and scaled, (value - mean) /
// sd in double; categories are one-hot; a tensor's elements follow one another, scaled alike. What is not in memory is
// read for each batch and kept by nobody.
template <typename Real>
class TableSource final : public BatchSource<Real> {
 public:
  // `preprocessing` as BuildDesign takes it. Every row has a label.
  TableSource(const Plan& plan, const Table& table, std::vector<std::uint32_t> rows,
              const Preprocessing& preprocessing);
  [[nodiscard]] std::size_t rows() const override { return rows_.size(); }
  [[nodiscard]] std::size_t features() const override { return features_; }
  [[nodiscard]] std::size_t targets() const { return time_ == nullptr ? 1 : 2; }  // The label, and the event's time.
  // Throws StoreUnreadable (hospital_node/data/row_store.h) when the disk fails.
  void Gather(std::span<const std::uint32_t> rows, Real* x, Real* y) override;

 private:
  struct Input {  // A design column.
    const Series* series;
    int level;
    double impute, mean, sd;
    std::vector<Real> lookup;  // Tensors of bytes: the input for each value.
  };
  void Fill(const std::uint8_t* bytes, Real* x) const;
  Real* FillTensor(const Input& input, const std::uint8_t* bytes, Real* x) const;

  const RowStore& store_;
  const Series& label_;
  const Series* time_;  // nullptr without.
  std::vector<std::uint32_t> rows_;
  std::vector<Input> inputs_;
  std::size_t features_ = 0;
  RowCursor cursor_;
};

extern template class TableSource<float>;
extern template class TableSource<double>;

}  // namespace consilium::node
