// Where a trainer gets its mini-batches from: rows by number, without knowing what they were made of or where they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace consilium::node {

template <typename Real>
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  [[nodiscard]] virtual std::size_t rows() const = 0;
  [[nodiscard]] virtual std::size_t features() const = 0;
  // Row i of the batch is row `rows[i]` (below rows()) of the source: its inputs go to x[i * features()] and on, its
  // label (0 or 1; of more classes the class's number) to y[i]. The caller owns x and y. Allocates nothing after the
  // first call; throws StoreUnreadable (hospital_node/data/row_store.h) when the disk fails. One thread at a time.
  virtual void Gather(std::span<const std::uint32_t> rows, Real* x, Real* y) = 0;
};

}  // namespace consilium::node
