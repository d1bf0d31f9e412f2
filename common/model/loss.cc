// Losses. Sums are double; only the exponentials of cross-entropy, the many ones, are of the network's type.
#include "common/model/loss.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/check.h"

namespace consilium {
namespace {

double Sigmoid(double z) {
  const double e = std::exp(-std::abs(z));
  return (z >= 0 ? 1 : e) / (1 + e);
}

struct RowLoss {
  double value, slope;
};

RowLoss Bce(double z, double y, double weight) {
  return {weight * (std::max(z, 0.0) - y * z + std::log1p(std::exp(-std::abs(z)))), weight * (Sigmoid(z) - y)};
}

RowLoss Squared(double z, double y) { return {(z - y) * (z - y), 2 * (z - y)}; }

RowLoss Huber(double z, double y, double delta) {
  const double miss = z - y, size = std::abs(miss);
  if (size <= delta) return {miss * miss / 2, miss};
  return {delta * (size - delta / 2), std::copysign(delta, miss)};
}

RowLoss Poisson(double z, double y) {
  const double rate = std::exp(z);
  return {rate - y * z, rate - y};
}

// log(e^a + e^b); -inf stands for an empty sum.
double LogSum(double a, double b) {
  const double high = std::max(a, b), low = std::min(a, b);
  return low == -INFINITY ? high : high + std::log1p(std::exp(low - high));
}

}  // namespace

template <class Real>
Loss<Real>::Loss(const LossSpec& spec, std::size_t outputs, std::size_t maximal_rows) : spec_(spec), outputs_(outputs) {
  if (spec_.kind != LossSpec::Kind::kCox) return;
  order_.resize(maximal_rows);
  score_.resize(maximal_rows);
  before_.resize(maximal_rows);
}

template <class Real>
double Loss<Real>::Evaluate(std::size_t rows, const Real* z, const Real* y, Real* gradient) {
  CHECK(rows > 0);
  if (spec_.kind == LossSpec::Kind::kCrossEntropy) return CrossEntropy(rows, z, y, gradient);
  if (spec_.kind == LossSpec::Kind::kCox) return Cox(rows, z, y, gradient);
  double sum = 0;
  const double share = 1 / static_cast<double>(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    RowLoss row{};
    switch (spec_.kind) {
      case LossSpec::Kind::kBce:
        row = Bce(z[i], y[i], WeightOf(y[i] > Real{0.5} ? 1 : 0));
        break;
      case LossSpec::Kind::kSquared:
        row = Squared(z[i], y[i]);
        break;
      case LossSpec::Kind::kHuber:
        row = Huber(z[i], y[i], spec_.huber_delta);
        break;
      default:
        row = Poisson(z[i], y[i]);
    }
    sum += row.value;
    if (gradient != nullptr) gradient[i] = static_cast<Real>(row.slope * share);
  }
  return sum * share;
}

// With w_c the class weights and W = sum over rows of w_y: L = sum over rows, classes of t_c w'_c (-log p_c) / W, where
// w'_c is w_y for the one-hot part and w_c for the smoothed part, as in PyTorch.
template <class Real>
double Loss<Real>::CrossEntropy(std::size_t rows, const Real* z, const Real* y, Real* gradient) const {
  double weights = 0, sum = 0, smooth_weight = 0;
  const double smoothed = spec_.label_smoothing / static_cast<double>(outputs_);
  for (std::size_t i = 0; i < rows; ++i) weights += WeightOf(static_cast<std::size_t>(y[i]));
  for (std::size_t c = 0; c < outputs_; ++c) smooth_weight += smoothed * WeightOf(c);
  const double share = weights > 0 ? 1 / weights : 0;
  for (std::size_t i = 0; i < rows; ++i, z += outputs_) {
    const auto label = static_cast<std::size_t>(y[i]);
    CHECK(label < outputs_);
    const Real most = *std::max_element(z, z + outputs_);
    Real total = 0;
    for (std::size_t c = 0; c < outputs_; ++c) total += std::exp(z[c] - most);
    const double log_total = std::log(static_cast<double>(total)), own = WeightOf(label) * (1 - spec_.label_smoothing);
    sum += own * (log_total - (static_cast<double>(z[label]) - most));
    for (std::size_t c = 0; smoothed > 0 && c < outputs_; ++c)
      sum += smoothed * WeightOf(c) * (log_total - (static_cast<double>(z[c]) - most));
    if (gradient == nullptr) continue;
    const double all = (own + smooth_weight) * share;  // The sum of this row's target weights.
    const Real factor = static_cast<Real>(all) / total;
    Real* out = gradient + i * outputs_;
    for (std::size_t c = 0; c < outputs_; ++c) {
      const double target = smoothed > 0 ? smoothed * WeightOf(c) * share : 0;
      out[c] = std::exp(z[c] - most) * factor - static_cast<Real>(target);
    }
    out[label] -= static_cast<Real>(own * share);
  }
  return sum * share;
}

// FLamby's BaselineLoss for TCGA-BRCA (Ogier du Terrail et al. 2022). In the sorted order, with L_i the logarithm of
// the sum of e^z over rows 0..i: loss_i = event_i (L_i - z_i), and dL/dz_j = sum over i >= j with an event of e^(z_j -
// L_i), less 1 for an event of its own. That sum's logarithm is kept from the last row backwards.
template <class Real>
double Loss<Real>::Cox(std::size_t rows, const Real* z, const Real* y, Real* gradient) {
  CHECK(rows <= order_.size());
  const auto event = [&](std::size_t row) { return y[2 * row] > Real{0.5}; };
  const auto time = [&](std::size_t row) { return y[2 * row + 1]; };
  const auto end = order_.begin() + static_cast<std::ptrdiff_t>(rows);
  std::iota(order_.begin(), end, std::uint32_t{0});
  std::sort(order_.begin(), end, [&](std::uint32_t a, std::uint32_t b) {  // Stable, as equal times keep their order.
    return time(a) != time(b) ? time(a) > time(b) : a < b;
  });
  double sum = 0, so_far = -INFINITY;
  for (std::size_t i = 0; i < rows; ++i) {
    score_[i] = z[order_[i]];
    so_far = LogSum(so_far, score_[i]);
    before_[i] = so_far;
    if (event(order_[i])) sum += so_far - score_[i];
  }
  const double share = 1 / static_cast<double>(rows);
  double after = -INFINITY;
  for (std::size_t i = rows; gradient != nullptr && i-- > 0;) {
    const bool own = event(order_[i]);
    if (own) after = LogSum(after, -before_[i]);
    const double in_risk = after == -INFINITY ? 0 : std::exp(score_[i] + after);
    gradient[order_[i]] = static_cast<Real>((in_risk - (own ? 1 : 0)) * share);
  }
  return sum * share;
}

template <class Real>
void Predictions(const LossSpec& spec, std::size_t rows, std::size_t outputs, Real* z) {
  if (spec.kind == LossSpec::Kind::kBce) {
    for (std::size_t i = 0; i < rows; ++i) z[i] = static_cast<Real>(Sigmoid(z[i]));
  } else if (spec.kind == LossSpec::Kind::kPoisson) {
    for (std::size_t i = 0; i < rows; ++i) z[i] = std::exp(z[i]);
  } else if (spec.kind == LossSpec::Kind::kCrossEntropy) {
    for (std::size_t i = 0; i < rows; ++i, z += outputs) {
      const Real most = *std::max_element(z, z + outputs);
      Real total = 0;
      for (std::size_t c = 0; c < outputs; ++c) total += z[c] = std::exp(z[c] - most);
      for (std::size_t c = 0; c < outputs; ++c) z[c] /= total;
    }
  }
}

template class Loss<float>;
template class Loss<double>;
template void Predictions(const LossSpec&, std::size_t, std::size_t, float*);
template void Predictions(const LossSpec&, std::size_t, std::size_t, double*);

}  // namespace consilium
