// oneDNN's product, and one of our own whose order of additions is fixed.
//
// Ours packs a block of B into panels of two vectors' width and a block of A into panels of six rows; the kernel keeps
// 6 x 2 vectors of C in registers over a block's k (Goto and van de Geijn 2008).
#include "common/model/gemm.h"

#include <dnnl.h>
#include <immintrin.h>

#include <algorithm>
#include <type_traits>

#include "common/base/check.h"

extern "C" void omp_set_num_threads(int threads);  // clang brings no omp.h.

namespace consilium {
namespace {

constexpr std::size_t kBlockK = 256, kBlockM = 96, kBlockN = 1024, kRows = 6;

struct FloatLane {
  using Vector = __m256;
  static constexpr std::size_t kWidth = 8;
  static Vector Zero() { return _mm256_setzero_ps(); }
  static Vector Load(const float* p) { return _mm256_loadu_ps(p); }
  static Vector All(const float* p) { return _mm256_broadcast_ss(p); }
  static Vector Fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  static Vector Add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static void Store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
};

struct DoubleLane {
  using Vector = __m256d;
  static constexpr std::size_t kWidth = 4;
  static Vector Zero() { return _mm256_setzero_pd(); }
  static Vector Load(const double* p) { return _mm256_loadu_pd(p); }
  static Vector All(const double* p) { return _mm256_broadcast_sd(p); }
  static Vector Fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_pd(a, b, c); }
  static Vector Add(Vector a, Vector b) { return _mm256_add_pd(a, b); }
  static void Store(double* p, Vector v) { _mm256_storeu_pd(p, v); }
};

template <class Real>
using Lane = std::conditional_t<std::is_same_v<Real, float>, FloatLane, DoubleLane>;

std::size_t RoundUp(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

// Panels of `width` columns (of op(B)) or rows (of op(A)), each `depth` deep and padded with zeros: out[d * width + w].
template <class Real>
void Pack(const Real* from, std::size_t along_depth, std::size_t along_width, std::size_t depth, std::size_t length,
          std::size_t width, Real* out) {
  for (std::size_t first = 0; first < length; first += width) {
    const std::size_t here = std::min(width, length - first);
    const Real* panel = from + first * along_width;
    for (std::size_t d = 0; d < depth; ++d, out += width) {
      const Real* line = panel + d * along_depth;
      for (std::size_t w = 0; w < here; ++w) out[w] = line[w * along_width];
      std::fill(out + here, out + width, Real{0});
    }
  }
}

// tile[6][2 vectors] = sum over depth of a[d][6] b[d][2 vectors].
template <class Real>
void Kernel(std::size_t depth, const Real* a, const Real* b, Real* tile) {
  using L = Lane<Real>;
  typename L::Vector sum[kRows][2];  // Registers, once unrolled.
  for (auto& row : sum) row[0] = row[1] = L::Zero();
  for (std::size_t d = 0; d < depth; ++d, a += kRows, b += 2 * L::kWidth) {
    const auto left = L::Load(b), right = L::Load(b + L::kWidth);
#pragma GCC unroll 6
    for (std::size_t i = 0; i < kRows; ++i) {
      const auto factor = L::All(a + i);
      sum[i][0] = L::Fma(factor, left, sum[i][0]);
      sum[i][1] = L::Fma(factor, right, sum[i][1]);
    }
  }
  for (std::size_t i = 0; i < kRows; ++i) {
    L::Store(tile + 2 * L::kWidth * i, sum[i][0]);
    L::Store(tile + 2 * L::kWidth * i + L::kWidth, sum[i][1]);
  }
}

template <class Real>
void PutTile(const Real* tile, std::size_t rows, std::size_t columns, bool add, std::size_t n, Real* c) {
  constexpr std::size_t kWidth = 2 * Lane<Real>::kWidth;
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      Real& out = c[i * n + j];
      out = add ? out + tile[i * kWidth + j] : tile[i * kWidth + j];
    }
  }
}

// C[m] = A b: eight running sums a row, added in one fixed order.
template <class Real>
void TimesVector(std::size_t m, std::size_t k, const Real* a, std::size_t stride, const Real* b, Real* c) {
  constexpr std::size_t kSums = 8;
  for (std::size_t i = 0; i < m; ++i, a += stride) {
    Real sums[kSums] = {};
    std::size_t d = 0;
    for (; d + kSums <= k; d += kSums) {
      for (std::size_t s = 0; s < kSums; ++s) sums[s] += a[d + s] * b[d + s];
    }
    for (std::size_t s = 0; d < k; ++d, ++s) sums[s] += a[d] * b[d];
    c[i] = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
  }
}

// C[n] = sum over k of a[k] B[k], row by row.
template <class Real>
void SumOfRows(std::size_t n, std::size_t k, const Real* a, std::size_t step, const Real* b, std::size_t stride,
               Real* c) {
  std::fill(c, c + n, Real{0});
  for (std::size_t d = 0; d < k; ++d) {
    const Real factor = a[d * step];
    for (std::size_t j = 0; j < n; ++j) c[j] += factor * b[d * stride + j];
  }
}

template <class Real>
void InFixedOrder(std::size_t m, std::size_t n, std::size_t k, Operand<Real> a, Operand<Real> b,
                  std::vector<Real>* packed_a, std::vector<Real>* packed_b, Real* c) {
  constexpr std::size_t kWidth = 2 * Lane<Real>::kWidth;
  if (n == 1 && !a.transposed && (b.transposed || b.stride == 1)) return TimesVector(m, k, a.data, a.stride, b.data, c);
  if (m == 1 && !b.transposed) return SumOfRows(n, k, a.data, a.transposed ? a.stride : 1, b.data, b.stride, c);
  const std::size_t a_row = a.transposed ? 1 : a.stride, a_k = a.transposed ? a.stride : 1;
  const std::size_t b_k = b.transposed ? 1 : b.stride, b_column = b.transposed ? b.stride : 1;
  const std::size_t deepest = std::min(k, kBlockK);
  packed_a->resize(std::max(packed_a->size(), deepest * RoundUp(std::min(m, kBlockM), kRows)));
  packed_b->resize(std::max(packed_b->size(), deepest * RoundUp(std::min(n, kBlockN), kWidth)));
  Real tile[kRows * kWidth];
  for (std::size_t j = 0; j < n; j += kBlockN) {
    const std::size_t columns = std::min(kBlockN, n - j);
    for (std::size_t d = 0; d < k; d += kBlockK) {
      const std::size_t depth = std::min(kBlockK, k - d);
      Pack(b.data + d * b_k + j * b_column, b_k, b_column, depth, columns, kWidth, packed_b->data());
      for (std::size_t i = 0; i < m; i += kBlockM) {
        const std::size_t rows = std::min(kBlockM, m - i);
        Pack(a.data + i * a_row + d * a_k, a_k, a_row, depth, rows, kRows, packed_a->data());
        for (std::size_t jj = 0; jj < columns; jj += kWidth) {
          for (std::size_t ii = 0; ii < rows; ii += kRows) {
            Kernel(depth, packed_a->data() + ii * depth, packed_b->data() + jj * depth, tile);
            PutTile(tile, std::min(kRows, rows - ii), std::min(kWidth, columns - jj), d > 0, n,
                    c + (i + ii) * n + j + jj);
          }
        }
      }
    }
  }
}

// Inside one small model OpenMP only stands in other trainers' way. The setting is a thread's own.
void UseOneThread() {
  thread_local const bool once = [] {
    omp_set_num_threads(1);
    return true;
  }();
  (void)once;
}

void ByOneDnn(std::size_t m, std::size_t n, std::size_t k, Operand<float> a, Operand<float> b, float* c) {
  UseOneThread();
  const auto whole = [](std::size_t v) { return static_cast<dnnl_dim_t>(v); };
  const dnnl_status_t status =
      dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', whole(m), whole(n), whole(k), 1.0F, a.data,
                 whole(a.stride), b.data, whole(b.stride), 0.0F, c, whole(n));
  CHECK(status == dnnl_success);  // It fails on wrong sizes or without memory only.
}

}  // namespace

template <class Real>
void Gemm<Real>::Multiply(std::size_t m, std::size_t n, std::size_t k, Operand<Real> a, Operand<Real> b, Real* c) {
  CHECK(m > 0 && n > 0 && k > 0);
  if constexpr (std::is_same_v<Real, float>) {
    if (kernels_ == Kernels::kFastest) return ByOneDnn(m, n, k, a, b, c);
  }
  InFixedOrder(m, n, k, a, b, &packed_a_, &packed_b_, c);
}

template class Gemm<float>;
template class Gemm<double>;

}  // namespace consilium
