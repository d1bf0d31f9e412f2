// Where a trainer's rows come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace consilium {

template <class Real>
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  [[nodiscard]] virtual std::size_t rows() const = 0;      // Below 2^32.
  [[nodiscard]] virtual std::size_t features() const = 0;  // A model's inputs.
  // Writes the rows named, in that order: x [rows.size(), features()], y [rows.size(), the loss's targets]; a class is
  // its index. The caller owns x and y. Allocates nothing after the first call. One thread at a time.
  virtual void Gather(std::span<const std::uint32_t> rows, Real* x, Real* y) = 0;
};

}  // namespace consilium
