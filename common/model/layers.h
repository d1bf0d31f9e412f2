// What happens between the matrix products of a network, as plain forward and backward pairs. Every matrix is
// rows x units, row-major, without gaps. Backward functions turn dL/d(output) into dL/d(input) in place.
#pragma once

#include <cstddef>

#include "common/model/random.h"
#include "common/model/spec.h"

namespace consilium {

// z += bias; a = activation(z). Without keep_z, z and a are the same memory; GELU's backward needs z.
template <class Real>
void BiasActivate(Activation activation, std::size_t rows, std::size_t units, const Real* bias, Real* z, Real* a);
// a = activation(z). z and a may be the same memory.
template <class Real>
void Activate(Activation activation, std::size_t count, const Real* z, Real* a);
// d *= activation'. From the output a, but GELU from the input z.
template <class Real>
void ActivateBackward(Activation activation, std::size_t count, const Real* z, const Real* a, Real* d);
// Whether backward reads z.
constexpr bool NeedsInput(Activation activation) { return activation == Activation::kGelu; }

template <class Real>
void AddBias(std::size_t rows, std::size_t units, const Real* bias, Real* z);
// out[j] = sum over rows of d[row][j], in ascending order: the gradient of a bias.
template <class Real>
void ColumnSums(std::size_t rows, std::size_t units, const Real* d, Real* out);

// Layer norm (Ba et al. 2016), epsilon 1e-5: x is z on entry and (z - mean) / sd after; out = x scale + shift.
// inverse_sd: one per row.
template <class Real>
void LayerNorm(std::size_t rows, std::size_t units, const Real* scale, const Real* shift, Real* x, Real* inverse_sd,
               Real* out);
template <class Real>
void LayerNormBackward(std::size_t rows, std::size_t units, const Real* scale, const Real* x, const Real* inverse_sd,
                       Real* d);
// Gradients of scale and shift, from dL/d(out).
template <class Real>
void LayerNormGradient(std::size_t rows, std::size_t units, const Real* x, const Real* d, Real* scale, Real* shift);

// mask[i] is 0 with probability `dropped`, else 1 / (1 - dropped): inverted dropout (Srivastava et al. 2014).
template <class Real>
void DropoutMask(double dropped, std::size_t count, PublicRandom* random, Real* mask);
template <class Real>
void Multiply(std::size_t count, const Real* factor, const Real* in, Real* out);  // in and out may be the same.

}  // namespace consilium
