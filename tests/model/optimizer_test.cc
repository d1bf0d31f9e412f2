// Optimisers: PyTorch's own numbers after ten steps, penalties and decay on weights only.
#include "common/model/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/numbers.h"

namespace consilium {
namespace {

using Kind = OptimizerSpec::Kind;

// Ten steps on sum_i (i + 1) / 2 (p_i - 1)^2 + sin(p_i).
template <class Real>
std::vector<double> TenSteps(const OptimizerSpec& spec, double clip = 0) {
  Optimizer<Real> optimizer(spec, {{0, 3, true}});
  std::vector<Real> p = {Real{0.5}, -1, 2}, g(3);
  for (int step = 0; step < 10; ++step) {
    for (std::size_t i = 0; i < 3; ++i) g[i] = static_cast<Real>(i + 1) * (p[i] - 1) + std::cos(p[i]);
    const double norm = EuclideanNorm<Real>(g);
    optimizer.Step(spec.learning_rate, clip > 0 ? std::min(1.0, clip / (norm + 1e-6)) : 1, g, p);
  }
  return {p.begin(), p.end()};
}

struct Expected {
  Kind kind;
  std::vector<double> after;
};

// tests/model/torch_reference.py prints them: torch.optim 2.13, rate 0.1, weight decay 0.05, else its defaults.
const std::vector<Expected> kTorch = {
    {Kind::kSgd, {0.19927718845198444, 0.3589190204111094, 0.8421890853078504}},
    {Kind::kMomentum, {-0.2620607988200826, 1.3122828056863909, 1.1228174428412363}},
    {Kind::kNesterov, {-0.15859265543497925, 0.7848169114198409, 0.8758230535669873}},
    {Kind::kAdam, {-0.191999972266763, -0.04673285371424886, 1.0483564520619342}},
    {Kind::kAdamW, {-0.18765768647458478, -0.021755772594130557, 0.9810177767860612}},
    {Kind::kRmsProp, {7.204209975559456e-06, 0.5600065376396729, 0.7419079699416141}},
    {Kind::kAdagrad, {0.10835020380034528, -0.5407121678859012, 1.5399777481259078}},
};

OptimizerSpec Reference(Kind kind) {
  OptimizerSpec spec = UsualOptimizer(kind);
  spec.learning_rate = 0.1;
  spec.weight_decay = 0.05;
  return spec;
}

TEST(Optimizer, TakesTheStepsOfPyTorch) {
  for (const auto& [kind, after] : kTorch) {
    const std::vector<double> ours = TenSteps<double>(Reference(kind)), single = TenSteps<float>(Reference(kind));
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(ours[i], after[i], 1e-13) << "optimiser " << static_cast<int>(kind) << ", coordinate " << i;
      EXPECT_NEAR(single[i], after[i], 1e-5) << "optimiser " << static_cast<int>(kind) << ", coordinate " << i;
    }
  }
}

TEST(Optimizer, ScalesTheGradientAsClippingDoes) {
  OptimizerSpec spec = Reference(Kind::kAdam);
  spec.weight_decay = 0;
  const std::vector<double> after = {-0.12615420043622325, 0.0009850958554240702, 1.0018085015442777};
  const std::vector<double> ours = TenSteps<double>(spec, 0.5);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(ours[i], after[i], 1e-13);
}

TEST(Optimizer, DecaysWeightsOnly) {
  for (const auto& [kind, after] : kTorch) {
    OptimizerSpec spec = Reference(kind);
    Optimizer<double> optimizer(spec, {{0, 2, true}, {2, 2, false}});
    std::vector<double> p = {1, -1, 1, -1};
    const std::vector<double> none(4, 0.0);
    optimizer.Step(0.1, 1, none, p);
    EXPECT_LT(p[0], 1) << "optimiser " << static_cast<int>(kind);
    EXPECT_GT(p[1], -1);
    EXPECT_EQ(p[2], 1);
    EXPECT_EQ(p[3], -1);
  }
}

TEST(Optimizer, StartsAnewAfterReset) {
  for (const auto& [kind, after] : kTorch) {
    Optimizer<double> optimizer(Reference(kind), {{0, 5, true}});
    std::vector<double> first(5, 1.0), second(5, 1.0);
    const std::vector<double> g = testing::SomeNumbers<double>(5, 1);
    for (std::vector<double>* p : {&first, &second}) {
      for (int i = 0; i < 3; ++i) optimizer.Step(0.1, 1, g, *p);
      optimizer.Reset();
    }
    EXPECT_EQ(first, second) << "optimiser " << static_cast<int>(kind);
  }
}

TEST(AddPenalty, IsTheGradientOfTheNormsOnWeights) {
  const std::vector<double> p = {2, -3, 0, 4};
  std::vector<double> g = {1, 1, 1, 1};
  const std::vector<Segment> segments = {{0, 3, true}, {3, 1, false}};
  AddPenalty<double>(0.5, 0.1, segments, p, g);
  EXPECT_EQ(g, (std::vector<double>{1 + 0.5 + 0.1 * 2, 1 - 0.5 + 0.1 * -3, 1, 1}));
}

TEST(Norm, IsEuclidsForEveryLength) {
  for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 100U}) {
    const std::vector<float> v = testing::SomeNumbers<float>(size, 3);
    long double squares = 0;
    for (const float x : v) squares += static_cast<long double>(x) * x;
    EXPECT_NEAR(EuclideanNorm<float>(v), std::sqrt(static_cast<double>(squares)), 1e-14);
  }
}

}  // namespace
}  // namespace consilium
