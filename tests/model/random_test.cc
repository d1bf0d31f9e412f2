// Public random numbers: distributions, and orders that every hospital and every build draws alike.
#include "common/model/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace consilium {
namespace {

TEST(PublicRandom, UniformHasItsMoments) {
  PublicRandom random(std::uint64_t{7});
  constexpr int kDraws = 200'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.Uniform();
    ASSERT_TRUE(u >= 0 && u < 1);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.003);
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 0.003);
}

TEST(PublicRandom, NormalHasItsMomentsAndTails) {
  PublicRandom random(std::uint64_t{8});
  constexpr int kDraws = 400'000;
  double moments[5] = {};
  std::vector<double> draws;
  for (int i = 0; i < kDraws; ++i) {
    const double z = random.Normal();
    draws.push_back(z);
    double power = 1;
    for (double& moment : moments) moment += power / kDraws, power *= z;
  }
  EXPECT_NEAR(moments[1], 0, 0.01);
  EXPECT_NEAR(moments[2], 1, 0.01);
  EXPECT_NEAR(moments[3], 0, 0.03);
  EXPECT_NEAR(moments[4], 3, 0.06) << "a sum of a few uniforms would fall short";
  std::sort(draws.begin(), draws.end());
  double worst = 0;  // Kolmogorov and Smirnov against erf: the 0.1 % point is 1.95 / sqrt(n).
  for (int i = 0; i < kDraws; ++i)
    worst = std::max(worst,
                     std::fabs((i + 0.5) / kDraws - std::erfc(-draws[static_cast<std::size_t>(i)] / std::sqrt(2)) / 2));
  EXPECT_LT(worst, 1.95 / std::sqrt(kDraws));
}

TEST(PublicRandom, EveryBitOfTheSeedMatters) {
  std::set<std::uint64_t> firsts;
  for (std::size_t bit = 0; bit < 256; ++bit) {
    Digest seed;
    seed.bytes[bit / 8] = static_cast<std::uint8_t>(1 << (bit % 8));
    PublicRandom random(seed);
    std::uint64_t mixed = 0;
    for (int i = 0; i < 8; ++i) mixed ^= random.Word() << i;
    firsts.insert(mixed);
  }
  EXPECT_EQ(firsts.size(), 256U);
  PublicRandom zero{Digest()};
  EXPECT_NE(zero.Word() | zero.Word() | zero.Word() | zero.Word() | zero.Word(), 0U)
      << "the all-zero state never moves";
}

TEST(Shuffler, DrawsTheOrdersThatStudiesHaveUsed) {
  Digest key;
  key.bytes[0] = 7;
  std::vector<std::uint32_t> order(12);
  Shuffler shuffler(key);
  shuffler.Shuffle(0, &order);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{7, 6, 10, 5, 11, 0, 9, 1, 3, 2, 8, 4}));
  shuffler.Shuffle(3, &order);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{7, 4, 8, 5, 2, 1, 0, 9, 11, 10, 3, 6}));
}

TEST(Shuffler, IsAPermutation) {
  std::vector<std::uint32_t> order(1000), all(1000);
  Shuffler(Digest()).Shuffle(1, &order);
  EXPECT_FALSE(std::ranges::is_sorted(order));
  std::ranges::sort(order);
  for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(order[i], i);
  std::vector<std::uint32_t> none;
  Shuffler(Digest()).Shuffle(0, &none);
  EXPECT_TRUE(none.empty());
}

}  // namespace
}  // namespace consilium
