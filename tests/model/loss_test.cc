// Losses: PyTorch's values, gradients by central differences, FLamby's Cox loss row by row, and numbers far out.
#include "common/model/loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/model/numbers.h"

namespace consilium {
namespace {

using testing::SomeNumbers;
using Kind = LossSpec::Kind;

double Value(const LossSpec& spec, const std::vector<double>& z, const std::vector<double>& y,
             std::vector<double>* gradient = nullptr) {
  const std::size_t rows = y.size() / TargetsPerRow(spec), outputs = z.size() / rows;
  if (gradient != nullptr) gradient->resize(z.size());
  return Loss<double>(spec, outputs, rows)
      .Evaluate(rows, z.data(), y.data(), gradient == nullptr ? nullptr : gradient->data());
}

void ExpectGradient(const LossSpec& spec, const std::vector<double>& z, const std::vector<double>& y) {
  std::vector<double> gradient;
  Value(spec, z, y, &gradient);
  for (std::size_t i = 0; i < z.size(); ++i) {
    constexpr double kStep = 1e-5;
    std::vector<double> up = z, down = z;
    up[i] += kStep;
    down[i] -= kStep;
    EXPECT_NEAR(gradient[i], (Value(spec, up, y) - Value(spec, down, y)) / (2 * kStep), 1e-6)
        << "loss " << static_cast<int>(spec.kind) << ", output " << i;
  }
}

TEST(Loss, GradientsEqualCentralDifferences) {
  const std::vector<double> z = SomeNumbers<double>(12, 1), classes = {0, 2, 1, 1}, real = SomeNumbers<double>(12, 2);
  std::vector<double> binary, counts, survival;
  for (int i = 0; i < 12; ++i) {
    binary.push_back(i % 3 == 0 ? 1 : 0);
    counts.push_back(i % 4);
    survival.insert(survival.end(), {i % 3 != 1 ? 1.0 : 0.0, static_cast<double>(i * 7 % 5)});
  }
  for (const LossSpec& spec : {LossSpec{.kind = Kind::kBce}, LossSpec{.kind = Kind::kBce, .class_weights = {0.5, 3}}})
    ExpectGradient(spec, z, binary);
  for (const LossSpec& spec :
       {LossSpec{.kind = Kind::kCrossEntropy}, LossSpec{.kind = Kind::kCrossEntropy, .class_weights = {0.5, 3, 1}},
        LossSpec{.kind = Kind::kCrossEntropy, .label_smoothing = 0.1},
        LossSpec{.kind = Kind::kCrossEntropy, .class_weights = {2, 0, 1}, .label_smoothing = 0.3}})
    ExpectGradient(spec, z, classes);
  ExpectGradient({.kind = Kind::kSquared}, z, real);
  ExpectGradient({.kind = Kind::kHuber, .huber_delta = 0.5}, z, real);
  ExpectGradient({.kind = Kind::kPoisson}, z, counts);
  ExpectGradient({.kind = Kind::kCox}, z, survival);
}

// The numbers are PyTorch's: tests/model/torch_reference.py prints them.
TEST(Loss, ValuesAreThoseOfPyTorch) {
  const std::vector<double> z = {0.3, -1.2, 2.0, 0.0, 0.5, -0.5, 1.5, 1.0, -2.0, -0.7, 0.2, 0.9},
                            classes = {2, 0, 1, 1};
  const std::vector<double> weights = {0.5, 3, 1};
  EXPECT_NEAR(Value({.kind = Kind::kCrossEntropy}, z, classes), 0.9010937187444099, 1e-14);
  EXPECT_NEAR(Value({.kind = Kind::kCrossEntropy, .class_weights = weights}, z, classes), 0.9945477277897337, 1e-14);
  EXPECT_NEAR(Value({.kind = Kind::kCrossEntropy, .label_smoothing = 0.1}, z, classes), 0.9644270520777433, 1e-14);
  EXPECT_NEAR(Value({.kind = Kind::kCrossEntropy, .class_weights = weights, .label_smoothing = 0.1}, z, classes),
              1.0202915636214243, 1e-14);
  const std::vector<double> s = {0.3, -1.2, 2.0, 0.25}, binary = {1, 0, 0, 1}, real = {0.1, -3.0, 2.5, 1.0};
  EXPECT_NEAR(Value({.kind = Kind::kBce}, s, binary), 0.8801262856820937, 1e-14);
  EXPECT_NEAR(Value({.kind = Kind::kBce, .class_weights = {1, 3}}, s, binary), 1.4452736178557788, 1e-14);
  EXPECT_NEAR(Value({.kind = Kind::kSquared}, s, real), 1.023125, 1e-14);
  EXPECT_NEAR(Value({.kind = Kind::kHuber, .huber_delta = 0.6}, s, real), 0.32875, 1e-14);
  EXPECT_NEAR(Value({.kind = Kind::kPoisson}, s, {0, 2, 7, 1}), -0.38146636622335073, 1e-14);
}

// FLamby's BaselineLoss of Fed-TCGA-BRCA, as it stands there: for every row of the sorted batch the risk set's
// logarithm by its maximum, times the event, and the mean.
double FlambyCox(const std::vector<double>& z, const std::vector<double>& y) {
  std::vector<std::size_t> order(z.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return y[2 * a + 1] > y[2 * b + 1]; });
  double loss = 0;
  for (std::size_t i = 1; i < order.size(); ++i) {
    double most = -INFINITY, sum = 0;
    for (std::size_t j = 0; j <= i; ++j) most = std::max(most, z[order[j]] - z[order[i]]);
    for (std::size_t j = 0; j <= i; ++j) sum += std::exp(z[order[j]] - z[order[i]] - most);
    loss += y[2 * order[i]] * (most + std::log(sum));
  }
  return loss / static_cast<double>(z.size());
}

TEST(Loss, CoxIsFlambysWithTies) {
  for (std::uint64_t seed = 1; seed < 40; ++seed) {
    PublicRandom random(seed);
    std::vector<double> z, y;
    for (std::uint64_t i = 0; i < 1 + seed % 9; ++i) {
      z.push_back(random.Normal() * 3);
      y.insert(y.end(), {random.Uniform() < 0.5 ? 1.0 : 0.0, std::floor(random.Uniform() * 4)});
    }
    EXPECT_NEAR(Value({.kind = Kind::kCox}, z, y), FlambyCox(z, y), 1e-12);
  }
}

TEST(Loss, CoxWithoutEventsAndOfOneRowIsNothing) {
  std::vector<double> gradient;
  EXPECT_EQ(Value({.kind = Kind::kCox}, {1, 2}, {0, 5, 0, 6}, &gradient), 0);
  EXPECT_EQ(gradient, (std::vector<double>{0, 0}));
  EXPECT_EQ(Value({.kind = Kind::kCox}, {1}, {1, 5}, &gradient), 0);
  EXPECT_EQ(gradient, std::vector<double>{0});
}

TEST(Loss, StaysFiniteFarOut) {
  std::vector<double> gradient;
  EXPECT_DOUBLE_EQ(Value({.kind = Kind::kBce}, {1e4, -1e4}, {0, 1}, &gradient), 1e4);
  EXPECT_EQ(gradient, (std::vector<double>{0.5, -0.5}));
  EXPECT_DOUBLE_EQ(Value({.kind = Kind::kCrossEntropy}, {1e4, 0, -1e4}, {2}, &gradient), 2e4);
  EXPECT_EQ(gradient, (std::vector<double>{1, 0, -1}));
  EXPECT_DOUBLE_EQ(Value({.kind = Kind::kCrossEntropy, .label_smoothing = 0.3}, {1e4, 0, 0}, {0}, &gradient), 2e3);
  EXPECT_DOUBLE_EQ(Value({.kind = Kind::kCox}, {1e4, -1e4}, {1, 2, 1, 1}, &gradient), 1e4);
  EXPECT_NEAR(gradient[0], 0.5, 1e-11);
  EXPECT_NEAR(gradient[1], -0.5, 1e-11);
  EXPECT_DOUBLE_EQ(Value({.kind = Kind::kCox}, {-1e4, 1e4}, {1, 2, 1, 1}, &gradient), 0);
}

TEST(Loss, MayWriteItsGradientOverTheOutputs) {
  for (const LossSpec& spec :
       {LossSpec{.kind = Kind::kCrossEntropy, .label_smoothing = 0.1}, LossSpec{.kind = Kind::kCox}}) {
    std::vector<double> z = SomeNumbers<double>(spec.kind == Kind::kCox ? 3 : 9, 1), apart;
    const std::vector<double> y =
        spec.kind == Kind::kCox ? std::vector<double>{1, 3, 0, 1, 1, 2} : std::vector<double>{0, 2, 1};
    const double value = Value(spec, z, y, &apart);
    EXPECT_EQ(Loss<double>(spec, z.size() / 3, 3).Evaluate(3, z.data(), y.data(), z.data()), value);
    EXPECT_EQ(z, apart);
  }
}

TEST(Loss, AnInfiniteRateIsSeen) {
  EXPECT_FALSE(std::isfinite(Value({.kind = Kind::kPoisson}, {1e4}, {1})));
  EXPECT_FALSE(std::isfinite(Value({.kind = Kind::kBce}, {std::nan("")}, {1})));
  EXPECT_FALSE(std::isfinite(Value({.kind = Kind::kCrossEntropy}, {std::nan(""), 0}, {1})));
}

TEST(Predictions, AreProbabilitiesCountsOrTheOutputs) {
  std::vector<double> z = {0, 800, -800};
  Predictions<double>({.kind = Kind::kBce}, 3, 1, z.data());
  EXPECT_EQ(z, (std::vector<double>{0.5, 1, 0}));
  z = {0, 0, std::log(2), 1000, 0, 0};
  Predictions<double>({.kind = Kind::kCrossEntropy}, 2, 3, z.data());
  EXPECT_NEAR(z[2], 0.5, 1e-15);
  EXPECT_EQ(z[3], 1);
  z = {std::log(3.0)};
  Predictions<double>({.kind = Kind::kPoisson}, 1, 1, z.data());
  EXPECT_NEAR(z[0], 3, 1e-15);
  Predictions<double>({.kind = Kind::kSquared}, 1, 1, z.data());
  EXPECT_NEAR(z[0], 3, 1e-15);
}

}  // namespace
}  // namespace consilium
