#include "common/algorithms/server_step.h"

#include <cmath>
#include <cstddef>

#include "common/base/check.h"

namespace consilium {
namespace {

// One coordinate at a time: m, then v by `second(v, average^2)`, then x.
template <class Second>
void AdaptiveStep(const AdaptiveRates& rates, std::span<const double> average, std::span<double> m, std::span<double> v,
                  std::span<double> x, Second second) {
  CHECK(m.size() == average.size() && v.size() == average.size() && x.size() == average.size());
  for (std::size_t i = 0; i < average.size(); ++i) {
    m[i] = rates.beta1 * m[i] + (1 - rates.beta1) * average[i];
    v[i] = second(v[i], average[i] * average[i]);
    x[i] += rates.rate * m[i] / (std::sqrt(v[i]) + rates.tau);
  }
}

}  // namespace

void AverageStep(double rate, std::span<const double> average, std::span<double> x) {
  CHECK(x.size() == average.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += rate * average[i];
}

void AdamStep(const AdaptiveRates& rates, std::span<const double> average, std::span<double> m, std::span<double> v,
              std::span<double> x) {
  AdaptiveStep(rates, average, m, v, x,
               [&](double second, double square) { return rates.beta2 * second + (1 - rates.beta2) * square; });
}

void YogiStep(const AdaptiveRates& rates, std::span<const double> average, std::span<double> m, std::span<double> v,
              std::span<double> x) {
  AdaptiveStep(rates, average, m, v, x, [&](double second, double square) {
    const double change = (1 - rates.beta2) * square;
    if (second == square) return second;
    return second > square ? second - change : second + change;
  });
}

void AdagradStep(const AdaptiveRates& rates, std::span<const double> average, std::span<double> m, std::span<double> v,
                 std::span<double> x) {
  AdaptiveStep(rates, average, m, v, x, [](double second, double square) { return second + square; });
}

void ControlCorrection(std::span<const double> control, std::span<const double> mean, std::span<double> correction) {
  CHECK(control.size() == mean.size() && correction.size() == mean.size());
  for (std::size_t i = 0; i < mean.size(); ++i) correction[i] = mean[i] - control[i];
}

void ControlStep(double steps, double learning_rate, std::span<const double> mean, std::span<const double> x,
                 std::span<const double> y, std::span<double> control) {
  CHECK(mean.size() == control.size() && x.size() == control.size() && y.size() == control.size());
  CHECK(steps > 0 && learning_rate > 0);
  const double whole = steps * learning_rate;
  for (std::size_t i = 0; i < control.size(); ++i) control[i] += (x[i] - y[i]) / whole - mean[i];
}

void MeanControl(std::span<const double> sum, double weight, std::span<double> mean) {
  CHECK(sum.size() == mean.size());
  for (std::size_t i = 0; i < sum.size(); ++i) mean[i] = weight > 0 ? sum[i] / weight : 0;
}

}  // namespace consilium
