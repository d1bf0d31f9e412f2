// Loops that the compiler turns into vector code; sums run in one fixed order.
#include "common/model/layers.h"

#include <cmath>
#include <numbers>

namespace consilium {
namespace {

constexpr double kNormEpsilon = 1e-5;  // PyTorch's.

template <class Real>
Real Sigmoid(Real z) {  // Without overflow: the exponential's argument is never positive.
  const Real e = std::exp(-std::abs(z));
  return (z >= 0 ? 1 : e) / (1 + e);
}

template <class Real>
Real NormalCdf(Real z) {
  return Real{0.5} * std::erfc(-z * static_cast<Real>(std::numbers::sqrt2 / 2));
}

template <class Real>
Real NormalDensity(Real z) {
  constexpr Real kFactor = static_cast<Real>(std::numbers::inv_sqrtpi * std::numbers::sqrt2 / 2);
  return kFactor * std::exp(-z * z / 2);
}

// A NaN stays one: z < 0 is false for it.
struct Relu {
  template <class Real>
  static Real Of(Real z) {
    return z < 0 ? Real{0} : z;
  }
  template <class Real>
  static Real Slope(Real /*z*/, Real a) {
    return a > 0 ? Real{1} : Real{0};
  }
};
struct Tanh {
  template <class Real>
  static Real Of(Real z) {
    return std::tanh(z);
  }
  template <class Real>
  static Real Slope(Real /*z*/, Real a) {
    return 1 - a * a;
  }
};
struct Logistic {
  template <class Real>
  static Real Of(Real z) {
    return Sigmoid(z);
  }
  template <class Real>
  static Real Slope(Real /*z*/, Real a) {
    return a * (1 - a);
  }
};
struct Gelu {
  template <class Real>
  static Real Of(Real z) {
    return z * NormalCdf(z);
  }
  template <class Real>
  static Real Slope(Real z, Real /*a*/) {
    return NormalCdf(z) + z * NormalDensity(z);
  }
};

template <class Work>
void With(Activation activation, Work work) {
  switch (activation) {
    case Activation::kRelu:
      return work(Relu{});
    case Activation::kTanh:
      return work(Tanh{});
    case Activation::kSigmoid:
      return work(Logistic{});
    case Activation::kGelu:
      return work(Gelu{});
  }
}

}  // namespace

template <class Real>
void BiasActivate(Activation activation, std::size_t rows, std::size_t units, const Real* bias, Real* z, Real* a) {
  With(activation, [&](auto function) {
    const bool keep = z != a;
    for (std::size_t row = 0; row < rows; ++row, z += units, a += units) {
      if (keep) {
        for (std::size_t j = 0; j < units; ++j) z[j] += bias[j];
        for (std::size_t j = 0; j < units; ++j) a[j] = function.Of(z[j]);
      } else {
        for (std::size_t j = 0; j < units; ++j) a[j] = function.Of(a[j] + bias[j]);
      }
    }
  });
}

template <class Real>
void Activate(Activation activation, std::size_t count, const Real* z, Real* a) {
  With(activation, [&](auto function) {
    for (std::size_t i = 0; i < count; ++i) a[i] = function.Of(z[i]);
  });
}

template <class Real>
void ActivateBackward(Activation activation, std::size_t count, const Real* z, const Real* a, Real* d) {
  With(activation, [&](auto function) {
    for (std::size_t i = 0; i < count; ++i) d[i] *= function.Slope(z[i], a[i]);
  });
}

template <class Real>
void AddBias(std::size_t rows, std::size_t units, const Real* bias, Real* z) {
  for (std::size_t row = 0; row < rows; ++row, z += units) {
    for (std::size_t j = 0; j < units; ++j) z[j] += bias[j];
  }
}

template <class Real>
void ColumnSums(std::size_t rows, std::size_t units, const Real* d, Real* out) {
  std::fill(out, out + units, Real{0});
  for (std::size_t row = 0; row < rows; ++row, d += units) {
    for (std::size_t j = 0; j < units; ++j) out[j] += d[j];
  }
}

template <class Real>
void LayerNorm(std::size_t rows, std::size_t units, const Real* scale, const Real* shift, Real* x, Real* inverse_sd,
               Real* out) {
  const Real share = 1 / static_cast<Real>(units);
  for (std::size_t row = 0; row < rows; ++row, x += units, out += units) {
    Real sum = 0, squares = 0;
    for (std::size_t j = 0; j < units; ++j) sum += x[j];
    const Real mean = sum * share;
    for (std::size_t j = 0; j < units; ++j) squares += (x[j] - mean) * (x[j] - mean);
    const Real factor = 1 / std::sqrt(squares * share + static_cast<Real>(kNormEpsilon));
    inverse_sd[row] = factor;
    for (std::size_t j = 0; j < units; ++j) {
      x[j] = (x[j] - mean) * factor;
      out[j] = x[j] * scale[j] + shift[j];
    }
  }
}

// With g = d scale: d = inverse_sd (g - mean(g) - x mean(g x)).
template <class Real>
void LayerNormBackward(std::size_t rows, std::size_t units, const Real* scale, const Real* x, const Real* inverse_sd,
                       Real* d) {
  const Real share = 1 / static_cast<Real>(units);
  for (std::size_t row = 0; row < rows; ++row, x += units, d += units) {
    Real sum = 0, along = 0;
    for (std::size_t j = 0; j < units; ++j) {
      d[j] *= scale[j];
      sum += d[j];
      along += d[j] * x[j];
    }
    for (std::size_t j = 0; j < units; ++j) d[j] = inverse_sd[row] * (d[j] - sum * share - x[j] * (along * share));
  }
}

template <class Real>
void LayerNormGradient(std::size_t rows, std::size_t units, const Real* x, const Real* d, Real* scale, Real* shift) {
  std::fill(scale, scale + units, Real{0});
  std::fill(shift, shift + units, Real{0});
  for (std::size_t row = 0; row < rows; ++row, x += units, d += units) {
    for (std::size_t j = 0; j < units; ++j) {
      scale[j] += d[j] * x[j];
      shift[j] += d[j];
    }
  }
}

template <class Real>
void DropoutMask(double dropped, std::size_t count, PublicRandom* random, Real* mask) {
  const auto threshold = static_cast<std::uint64_t>(dropped * 0x1p32);
  const Real kept = static_cast<Real>(1 / (1 - dropped));
  for (std::size_t i = 0; i < count; i += 2) {  // Half a word decides.
    const std::uint64_t word = random->Word();
    mask[i] = (word & 0xffffffff) < threshold ? Real{0} : kept;
    if (i + 1 < count) mask[i + 1] = (word >> 32) < threshold ? Real{0} : kept;
  }
}

template <class Real>
void Multiply(std::size_t count, const Real* factor, const Real* in, Real* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = in[i] * factor[i];
}

#define INSTANTIATE(Real)                                                                                  \
  template void BiasActivate(Activation, std::size_t, std::size_t, const Real*, Real*, Real*);             \
  template void Activate(Activation, std::size_t, const Real*, Real*);                                     \
  template void ActivateBackward(Activation, std::size_t, const Real*, const Real*, Real*);                \
  template void AddBias(std::size_t, std::size_t, const Real*, Real*);                                     \
  template void ColumnSums(std::size_t, std::size_t, const Real*, Real*);                                  \
  template void LayerNorm(std::size_t, std::size_t, const Real*, const Real*, Real*, Real*, Real*);        \
  template void LayerNormBackward(std::size_t, std::size_t, const Real*, const Real*, const Real*, Real*); \
  template void LayerNormGradient(std::size_t, std::size_t, const Real*, const Real*, Real*, Real*);       \
  template void DropoutMask(double, std::size_t, PublicRandom*, Real*);                                    \
  template void Multiply(std::size_t, const Real*, const Real*, Real*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace consilium
