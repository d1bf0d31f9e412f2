// The grid on which numbers travel: close to the value, and two parts that a double can sum exactly.
#include <gtest/gtest.h>

#include <cmath>

#include "common/algorithms/derive.h"

namespace consilium {
namespace {

TEST(Grid, TwoWholePartsWithinHalfAStep) {
  for (int i = -1000; i <= 1000; ++i) {
    const double u = i == 0 ? 0 : std::sin(i * 0.7) * (i % 3 == 0 ? 1 : 1e-4);
    const GridValue at = ToGrid(u);
    EXPECT_EQ(at.coarse, std::floor(at.coarse));
    EXPECT_EQ(at.fine, std::floor(at.fine));
    EXPECT_LE(std::abs(at.coarse), kCoarse);
    EXPECT_LE(std::abs(at.fine), kFine);
    EXPECT_LE(std::abs((at.coarse * kCoarse + at.fine) / kGrid - u), 0.5 / kGrid);
  }
}

TEST(Grid, SaturatesAtTheEndsOfTheRange) {
  EXPECT_EQ(ToGrid(1).coarse, kCoarse);
  EXPECT_EQ(ToGrid(-7).coarse, -kCoarse);
  EXPECT_EQ(ToGrid(1.5).fine, 0);
}

}  // namespace
}  // namespace consilium
