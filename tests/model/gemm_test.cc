// Matrix products: right for every shape and transposition, and, where the order is fixed, the same bits whatever else
// is in the product.
#include "common/model/gemm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/numbers.h"

namespace consilium {
namespace {

template <class Real>
struct Case {
  std::size_t m, n, k;
  bool left, right;
  std::vector<Real> a, b;

  Case(std::size_t rows, std::size_t columns, std::size_t depth, bool transpose_left, bool transpose_right)
      : m(rows),
        n(columns),
        k(depth),
        left(transpose_left),
        right(transpose_right),
        a(testing::SomeNumbers<Real>(m * k, 1)),
        b(testing::SomeNumbers<Real>(k * n, 2)) {}
  [[nodiscard]] Operand<Real> A() const { return {a.data(), left ? m : k, left}; }
  [[nodiscard]] Operand<Real> B() const { return {b.data(), right ? k : n, right}; }
  [[nodiscard]] long double Exact(std::size_t i, std::size_t j) const {
    long double sum = 0;
    for (std::size_t d = 0; d < k; ++d)
      sum += static_cast<long double>(left ? a[d * m + i] : a[i * k + d]) * (right ? b[j * k + d] : b[d * n + j]);
    return sum;
  }
  [[nodiscard]] std::vector<Real> Product(Kernels kernels) const {
    std::vector<Real> c(m * n, Real{77});
    Gemm<Real>(kernels).Multiply(m, n, k, A(), B(), c.data());
    return c;
  }
};

template <class Real>
void ExpectRight(Kernels kernels) {
  const double unit = std::numeric_limits<Real>::epsilon();
  for (const auto [m, n, k] : std::vector<std::array<std::size_t, 3>>{
           {1, 1, 1}, {6, 16, 8}, {7, 17, 9}, {32, 1, 13}, {1, 13, 32}, {5, 1, 700}, {100, 33, 300}, {13, 1030, 5}}) {
    for (const int transposed : {0, 1, 2, 3}) {
      const Case<Real> one(m, n, k, (transposed & 1) != 0, (transposed & 2) != 0);
      const std::vector<Real> c = one.Product(kernels);
      double worst = 0;
      for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j < n; ++j)
          worst = std::max(worst, std::fabs(static_cast<double>(c[i * n + j] - one.Exact(i, j))));
      }
      EXPECT_LT(worst, unit * static_cast<double>(k) * 2) << m << " x " << n << " x " << k << " " << transposed;
    }
  }
}

TEST(Gemm, DoubleIsRight) { ExpectRight<double>(Kernels::kFastest); }
TEST(Gemm, ReproducibleFloatIsRight) { ExpectRight<float>(Kernels::kReproducible); }
TEST(Gemm, FastestFloatIsRight) { ExpectRight<float>(Kernels::kFastest); }

// A row of the product has the same bits alone and among others, and a column too: the order is that of k alone.
template <class Real>
void ExpectOrderOfDepthAlone() {
  const Case<Real> whole(40, 70, 500, false, true);
  const std::vector<Real> c = whole.Product(Kernels::kReproducible);
  for (const std::size_t rows : {2U, 9U, 31U}) {
    for (const std::size_t columns : {2U, 16U, 23U}) {
      std::vector<Real> part(rows * columns);
      Gemm<Real>(Kernels::kReproducible)
          .Multiply(rows, columns, 500, {whole.a.data() + 3 * 500, 500, false}, {whole.b.data() + 5 * 500, 500, true},
                    part.data());
      for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < columns; ++j) EXPECT_EQ(part[i * columns + j], c[(i + 3) * 70 + j + 5]);
      }
    }
  }
}

TEST(Gemm, AFixedOrderDependsOnNothingElse) {
  ExpectOrderOfDepthAlone<float>();
  ExpectOrderOfDepthAlone<double>();
}

// The order itself: blocks of 256, ascending, fused. Any machine must come to these very bits.
TEST(Gemm, ReproducibleIsTheSumThatItSays) {
  const Case<float> one(3, 4, 600, false, true);
  const std::vector<float> c = one.Product(Kernels::kReproducible);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 4; ++j) {
      float sum = 0;
      for (std::size_t block = 0; block < 600; block += 256) {
        float part = 0;
        for (std::size_t d = block; d < std::min<std::size_t>(600, block + 256); ++d)
          part = std::fma(one.a[i * 600 + d], one.b[j * 600 + d], part);
        sum = block == 0 ? part : sum + part;
      }
      EXPECT_EQ(c[i * 4 + j], sum);
    }
  }
}

}  // namespace
}  // namespace consilium
