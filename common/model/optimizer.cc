// Optimiser steps: one pass over memory each.
#include "common/model/optimizer.h"

#include <cmath>

#include "common/base/check.h"

namespace consilium {
namespace {

using Kind = OptimizerSpec::Kind;

bool HasFirst(Kind kind) {
  return kind == Kind::kMomentum || kind == Kind::kNesterov || kind == Kind::kAdam || kind == Kind::kAdamW;
}
bool HasSecond(Kind kind) {
  return kind == Kind::kAdam || kind == Kind::kAdamW || kind == Kind::kRmsProp || kind == Kind::kAdagrad;
}

std::size_t SizeOf(const std::vector<Segment>& segments) {
  return segments.empty() ? 0 : segments.back().first + segments.back().length;
}

}  // namespace

// One segment of all vectors.
template <class Real>
struct Optimizer<Real>::Stretch {
  std::size_t length;
  const Real* gradient;
  Real *parameters, *first, *second;
  Real rate, scale, decay;
};

template <class Real>
Optimizer<Real>::Optimizer(const OptimizerSpec& spec, std::vector<Segment> segments)
    : spec_(spec),
      segments_(std::move(segments)),
      first_(HasFirst(spec.kind) ? SizeOf(segments_) : 0),
      second_(HasSecond(spec.kind) ? SizeOf(segments_) : 0) {}

template <class Real>
void Optimizer<Real>::Reset() {
  std::fill_n(first_.data(), first_.size(), Real{0});
  std::fill_n(second_.data(), second_.size(), Real{0});
  power1_ = power2_ = 1;
}

template <class Real>
void Optimizer<Real>::Begin() {
  power1_ *= spec_.beta1;
  power2_ *= spec_.beta2;
}

template <class Real>
void Optimizer<Real>::Step(double rate, double scale, std::span<const Real> gradient, std::span<Real> parameters) {
  Begin();
  for (std::size_t i = 0; i < segments_.size(); ++i) StepSegment(i, rate, scale, gradient, parameters);
}

template <class Real>
void Optimizer<Real>::StepSegment(std::size_t i, double rate, double scale, std::span<const Real> gradient,
                                  std::span<Real> parameters) {
  CHECK(gradient.size() == SizeOf(segments_) && parameters.size() == gradient.size());
  const Segment& segment = segments_[i];
  const auto at = [&](Buffer<Real>& buffer) { return buffer.size() > 0 ? buffer.data() + segment.first : nullptr; };
  StepStretch({.length = segment.length,
               .gradient = gradient.data() + segment.first,
               .parameters = parameters.data() + segment.first,
               .first = at(first_),
               .second = at(second_),
               .rate = static_cast<Real>(rate),
               .scale = static_cast<Real>(scale),
               .decay = static_cast<Real>(segment.decays ? spec_.weight_decay : 0)});
}

template <class Real>
void Optimizer<Real>::StepStretch(const Stretch& at) {
  const Real* __restrict g = at.gradient;
  Real* __restrict p = at.parameters;
  Real* __restrict b = at.first;
  Real* __restrict v = at.second;
  const Real rate = at.rate, scale = at.scale, decay = at.decay, momentum = static_cast<Real>(spec_.momentum),
             alpha = static_cast<Real>(spec_.alpha), rest = static_cast<Real>(1 - spec_.alpha),
             epsilon = static_cast<Real>(spec_.epsilon);
  const std::size_t n = at.length;
  switch (spec_.kind) {
    case Kind::kSgd:
      for (std::size_t i = 0; i < n; ++i) p[i] -= rate * (g[i] * scale + decay * p[i]);
      break;
    case Kind::kMomentum:  // The buffer starts at 0, so that the first b is g'.
      for (std::size_t i = 0; i < n; ++i) {
        b[i] = momentum * b[i] + (g[i] * scale + decay * p[i]);
        p[i] -= rate * b[i];
      }
      break;
    case Kind::kNesterov:
      for (std::size_t i = 0; i < n; ++i) {
        const Real slope = g[i] * scale + decay * p[i];
        b[i] = momentum * b[i] + slope;
        p[i] -= rate * (slope + momentum * b[i]);
      }
      break;
    case Kind::kAdam:
    case Kind::kAdamW:
      Adam(at);
      break;
    case Kind::kRmsProp:
      for (std::size_t i = 0; i < n; ++i) {
        const Real slope = g[i] * scale + decay * p[i];
        v[i] = alpha * v[i] + rest * slope * slope;
        p[i] -= rate * slope / (std::sqrt(v[i]) + epsilon);
      }
      break;
    case Kind::kAdagrad:
      for (std::size_t i = 0; i < n; ++i) {
        const Real slope = g[i] * scale + decay * p[i];
        v[i] += slope * slope;
        p[i] -= rate * slope / (std::sqrt(v[i]) + epsilon);
      }
      break;
  }
}

template <class Real>
void Optimizer<Real>::Adam(const Stretch& at) {
  const Real* __restrict g = at.gradient;
  Real* __restrict p = at.parameters;
  Real* __restrict m = at.first;
  Real* __restrict v = at.second;
  const bool decoupled = spec_.kind == Kind::kAdamW;
  const Real keep = decoupled ? 1 - at.rate * at.decay : 1, decay = decoupled ? 0 : at.decay;
  const Real scale = at.scale, beta1 = static_cast<Real>(spec_.beta1), rest1 = static_cast<Real>(1 - spec_.beta1),
             beta2 = static_cast<Real>(spec_.beta2), rest2 = static_cast<Real>(1 - spec_.beta2),
             epsilon = static_cast<Real>(spec_.epsilon);
  const auto step = static_cast<Real>(static_cast<double>(at.rate) / (1 - power1_)),
             second = static_cast<Real>(1 / std::sqrt(1 - power2_));
  for (std::size_t i = 0; i < at.length; ++i) {
    const Real slope = g[i] * scale + decay * p[i];
    const Real mean = beta1 * m[i] + rest1 * slope, square = beta2 * v[i] + rest2 * (slope * slope);
    m[i] = mean;
    v[i] = square;
    p[i] = p[i] * keep - step * mean / (std::sqrt(square) * second + epsilon);
  }
}

template <class Real>
void AddPenalty(double l1, double l2, std::span<const Segment> segments, std::span<const Real> parameters,
                std::span<Real> gradient) {
  const auto size = static_cast<Real>(l1), factor = static_cast<Real>(l2);
  for (const Segment& segment : segments) {
    if (!segment.decays) continue;
    const Real* __restrict p = parameters.data() + segment.first;
    Real* __restrict g = gradient.data() + segment.first;
    for (std::size_t i = 0; i < segment.length; ++i) {
      const Real sign = p[i] > 0 ? size : p[i] < 0 ? -size : Real{0};
      g[i] += sign + factor * p[i];
    }
  }
}

template <class Real>
double EuclideanNorm(std::span<const Real> v) {
  constexpr std::size_t kSums = 16;
  double sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= v.size(); i += kSums) {
    for (std::size_t s = 0; s < kSums; ++s) sums[s] += static_cast<double>(v[i + s]) * static_cast<double>(v[i + s]);
  }
  for (std::size_t s = 0; i < v.size(); ++i, ++s) sums[s] += static_cast<double>(v[i]) * static_cast<double>(v[i]);
  double all = 0;
  for (const double sum : sums) all += sum;
  return std::sqrt(all);
}

template class Optimizer<float>;
template class Optimizer<double>;
template void AddPenalty(double, double, std::span<const Segment>, std::span<const float>, std::span<float>);
template void AddPenalty(double, double, std::span<const Segment>, std::span<const double>, std::span<double>);
template double EuclideanNorm(std::span<const float>);
template double EuclideanNorm(std::span<const double>);

}  // namespace consilium
