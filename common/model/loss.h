// Losses: value and gradient with respect to a model's outputs, and what the outputs mean as predictions.
//
//   bce            y in {0, 1}       log(1 + e^z) - y z, weighted by y's class
//   cross-entropy  y = class         -sum_c t_c log softmax(z)_c, t = (1 - s) onehot(y) + s / classes
//   squared        y                 (z - y)^2
//   huber          y                 (z - y)^2 / 2 within delta, else delta (|z - y| - delta / 2)
//   poisson        y = 0, 1, ...     e^z - y z
//   cox            y = (event, time) event (log sum over the risk set of e^z_j - z): the batch is sorted by falling
//                                    time, ties in the batch's order; a row's risk set is itself and the rows before it
//
// All are means over the rows (cross-entropy: over their class weights), with PyTorch's conventions; Cox is FLamby's.
// None overflows where its value is a number of the type.
#pragma once

#include <span>
#include <vector>

#include "common/model/buffer.h"
#include "common/model/spec.h"

namespace consilium {

template <class Real>
class Loss {
 public:
  // For batches of at most `maximal_rows` rows of `outputs` values.
  Loss(const LossSpec& spec, std::size_t outputs, std::size_t maximal_rows);
  // z: [rows, outputs]; y: [rows, TargetsPerRow]. Writes dL/dz to `gradient` (z itself is allowed) unless it is null.
  double Evaluate(std::size_t rows, const Real* z, const Real* y, Real* gradient);

 private:
  double CrossEntropy(std::size_t rows, const Real* z, const Real* y, Real* gradient) const;
  double Cox(std::size_t rows, const Real* z, const Real* y, Real* gradient);
  [[nodiscard]] double WeightOf(std::size_t label) const {
    return spec_.class_weights.empty() ? 1 : spec_.class_weights[label];
  }

  LossSpec spec_;
  std::size_t outputs_;
  std::vector<std::uint32_t> order_;    // Cox: rows by falling time ...
  std::vector<double> score_, before_;  // ... their outputs, and the logarithm of their risk set's sum.
};

// Outputs to predictions, in place: probabilities (bce, cross-entropy), expected counts (poisson), else as they are.
template <class Real>
void Predictions(const LossSpec& spec, std::size_t rows, std::size_t outputs, Real* z);

extern template class Loss<float>;
extern template class Loss<double>;

}  // namespace consilium
