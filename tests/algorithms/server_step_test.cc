// The server's steps: by hand, and against a second way to write them; tests/golden replays FLamby's traces through
// them.
#include "common/algorithms/server_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace consilium {
namespace {

using Vec = std::vector<double>;

TEST(ServerStep, AverageMovesByItsRate) {
  Vec x = {1, -2, 0.5};
  AverageStep(1, Vec{0.25, 1, -0.5}, x);
  EXPECT_EQ(x, (Vec{1.25, -1, 0}));
  AverageStep(0.5, Vec{1, 0, -1}, x);
  EXPECT_EQ(x, (Vec{1.75, -1, -0.5}));
}

// Rates that are exact in binary, so that every figure can be worked out on paper.
constexpr AdaptiveRates kPaper{.rate = 0.5, .beta1 = 0.5, .beta2 = 0.75, .tau = 0.25};

TEST(ServerStep, AdamByHand) {
  Vec m = {0}, v = {0}, x = {1};
  AdamStep(kPaper, Vec{2}, m, v, x);  // m = 1, v = 1, x = 1 + 0.5 * 1 / 1.25
  EXPECT_EQ(m, Vec{1});
  EXPECT_EQ(v, Vec{1});
  EXPECT_DOUBLE_EQ(x[0], 1.4);
  AdamStep(kPaper, Vec{-1}, m, v, x);  // m = 0.5 - 0.5, v = 0.75 + 0.25
  EXPECT_EQ(m, Vec{0});
  EXPECT_EQ(v, Vec{1});
  EXPECT_DOUBLE_EQ(x[0], 1.4);
}

TEST(ServerStep, YogiByHand) {
  Vec m = {0}, v = {0}, x = {0};
  YogiStep(kPaper, Vec{2}, m, v, x);  // v below the square: 0 + 0.25 * 4
  EXPECT_EQ(v, Vec{1});
  EXPECT_DOUBLE_EQ(x[0], 0.4);
  YogiStep(kPaper, Vec{1}, m, v, x);  // v is the square: it stays
  EXPECT_EQ(v, Vec{1});
  YogiStep(kPaper, Vec{0.5}, m, v, x);  // v above the square: 1 - 0.25 * 0.25
  EXPECT_EQ(v, Vec{0.9375});
}

TEST(ServerStep, AdagradByHand) {
  Vec m = {0}, v = {0}, x = {0};
  AdagradStep(kPaper, Vec{3}, m, v, x);  // m = 1.5, v = 9, x = 0.75 / 3.25
  EXPECT_EQ(v, Vec{9});
  EXPECT_DOUBLE_EQ(x[0], 0.75 / 3.25);
  AdagradStep(kPaper, Vec{4}, m, v, x);  // m = 2.75, v = 25
  EXPECT_EQ(m, Vec{2.75});
  EXPECT_EQ(v, Vec{25});
  EXPECT_DOUBLE_EQ(x[0], 0.75 / 3.25 + 0.5 * 2.75 / 5.25);
}

TEST(ServerStep, ACoordinateWithoutAnyChangeStays) {
  for (const auto step : {AdamStep, YogiStep, AdagradStep}) {
    Vec m = {0}, v = {0}, x = {7};
    step(AdaptiveRates{.tau = 1e-8}, Vec{0}, m, v, x);
    EXPECT_EQ(x, Vec{7});
    EXPECT_EQ(m, Vec{0});
    EXPECT_EQ(v, Vec{0});
  }
}

// The adaptive rules once more, as sums over all rounds so far instead of a recursion:
// m_t = (1 - b1) sum_s b1^(t-s) a_s; Adam v_t = (1 - b2) sum_s b2^(t-s) a_s^2; Adagrad v_t = sum_s a_s^2.
TEST(ServerStep, TheRecursionsAreTheSumsOverAllRounds) {
  const AdaptiveRates rates{.rate = 0.03, .beta1 = 0.9, .beta2 = 0.99, .tau = 1e-3};
  Vec adam_m(1), adam_v(1), adam_x(1), ada_m(1), ada_v(1), ada_x(1), history;
  double adam = 0, adagrad = 0;
  for (int t = 1; t <= 40; ++t) {
    const double a = std::sin(1.7 * t) * (t % 3 == 0 ? 4 : 0.1);
    history.push_back(a);
    AdamStep(rates, Vec{a}, adam_m, adam_v, adam_x);
    AdagradStep(rates, Vec{a}, ada_m, ada_v, ada_x);
    double m = 0, v = 0, squares = 0;
    for (int s = 1; s <= t; ++s) {
      const double past = history[static_cast<std::size_t>(s - 1)];
      m += (1 - rates.beta1) * std::pow(rates.beta1, t - s) * past;
      v += (1 - rates.beta2) * std::pow(rates.beta2, t - s) * past * past;
      squares += past * past;
    }
    adam += rates.rate * m / (std::sqrt(v) + rates.tau);
    adagrad += rates.rate * m / (std::sqrt(squares) + rates.tau);
    ASSERT_NEAR(adam_x[0], adam, 1e-12);
    ASSERT_NEAR(ada_x[0], adagrad, 1e-12);
  }
}

TEST(ServerStep, YogiMovesItsSecondMomentTowardsTheSquareByAShareOfTheSquare) {
  const AdaptiveRates rates{.rate = 0.03, .beta1 = 0.9, .beta2 = 0.99, .tau = 1e-3};
  Vec m(1), v(1), x(1);
  for (int t = 1; t <= 40; ++t) {
    const double a = std::sin(1.7 * t) * (t % 3 == 0 ? 4 : 0.1), before = v[0];
    YogiStep(rates, Vec{a}, m, v, x);
    EXPECT_NEAR(std::abs(v[0] - before), (1 - rates.beta2) * a * a, 1e-12);
    EXPECT_EQ(v[0] > before, a * a > before);
  }
}

TEST(ServerStep, ControlVariatesByHand) {
  const Vec mean = {0.5, 0}, x = {1, 1}, y = {0, 2};
  Vec control = {0.25, -1}, correction(2);
  ControlCorrection(control, mean, correction);
  EXPECT_EQ(correction, (Vec{0.25, 1}));
  ControlStep(4, 0.5, mean, x, y, control);  // c_i - c + (x - y) / 2
  EXPECT_EQ(control, (Vec{0.25, -1.5}));
  Vec c(2);
  MeanControl(Vec{3, -1}, 4, c);
  EXPECT_EQ(c, (Vec{0.75, -0.25}));
  MeanControl(Vec{0, 0}, 0, c);
  EXPECT_EQ(c, (Vec{0, 0}));
}

// For plain SGD option II gives the mean of the hospital's own gradients, whatever c and c_i were.
TEST(ServerStep, TheNewControlIsTheMeanGradient) {
  const Vec mean = {0.3, -0.2};
  Vec control = {-1, 0.7}, correction(2), x = {0.4, 0.1}, y = x, gradients = {0, 0};
  ControlCorrection(control, mean, correction);
  for (int step = 0; step < 5; ++step) {
    for (std::size_t i = 0; i < 2; ++i) {
      const double gradient = std::cos(static_cast<double>(step)) + y[i];
      gradients[i] += gradient;
      y[i] -= 0.05 * (gradient + correction[i]);
    }
  }
  ControlStep(5, 0.05, mean, x, y, control);
  EXPECT_NEAR(control[0], gradients[0] / 5, 1e-14);
  EXPECT_NEAR(control[1], gradients[1] / 5, 1e-14);
}

}  // namespace
}  // namespace consilium
