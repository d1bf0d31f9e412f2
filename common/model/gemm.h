// Matrix products, row-major, on one thread. The door to oneDNN.
#pragma once

#include <cstddef>
#include <vector>

#include "common/model/spec.h"

namespace consilium {

// A matrix as the product reads it: `rows` x `columns`, or its transpose stored so. `stride`: from row to row as
// stored.
template <class Real>
struct Operand {
  const Real* data = nullptr;
  std::size_t stride = 0;
  bool transposed = false;
};

// C = op(A) op(B): [m, k] times [k, n]. kReproducible (and every double) adds the products in ascending k, by blocks of
// 256 with fused multiply-add, whatever m and n: one result on all machines. It allocates only for a larger panel than
// any before; kFastest leaves that to dnnl_sgemm. Not thread-safe: one Gemm a thread.
template <class Real>
class Gemm {
 public:
  explicit Gemm(Kernels kernels) : kernels_(kernels) {}
  void Multiply(std::size_t m, std::size_t n, std::size_t k, Operand<Real> a, Operand<Real> b, Real* c);

 private:
  Kernels kernels_;
  std::vector<Real> packed_a_, packed_b_;
};

extern template class Gemm<float>;
extern template class Gemm<double>;

}  // namespace consilium
