// First-order optimisers over the flat parameter vector, as torch.optim 2 has them (its documentation's algorithms):
//
//   g' = g + weight_decay p                  (weights only; AdamW: p <- p - rate weight_decay p instead)
//   sgd       p <- p - rate g'
//   momentum  b <- momentum b + g' (first: g');  p <- p - rate b
//   nesterov  the same b;                        p <- p - rate (g' + momentum b)
//   adam(w)   m <- beta1 m + (1 - beta1) g';  v <- beta2 v + (1 - beta2) g'^2
//             p <- p - rate / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
//   rmsprop   v <- alpha v + (1 - alpha) g'^2;   p <- p - rate g' / (sqrt(v) + epsilon)
//   adagrad   v <- v + g'^2;                     p <- p - rate g' / (sqrt(v) + epsilon)
#pragma once

#include <span>
#include <vector>

#include "common/model/buffer.h"
#include "common/model/spec.h"

namespace consilium {

template <class Real>
class Optimizer {
 public:
  Optimizer(const OptimizerSpec& spec, std::vector<Segment> segments);
  // One step at this rate with gradient * scale (of clipping, else 1). Both spans have the model's size.
  void Step(double rate, double scale, std::span<const Real> gradient, std::span<Real> parameters);
  // The same in parts: Begin once, then each segment once, as soon as its gradient is there.
  void Begin();
  void StepSegment(std::size_t segment, double rate, double scale, std::span<const Real> gradient,
                   std::span<Real> parameters);
  [[nodiscard]] std::size_t segments() const { return segments_.size(); }
  void Reset();  // As before the first step.

 private:
  struct Stretch;
  void StepStretch(const Stretch& at);
  void Adam(const Stretch& at);

  OptimizerSpec spec_;
  std::vector<Segment> segments_;
  Buffer<Real> first_, second_;     // Momentum or m; v.
  double power1_ = 1, power2_ = 1;  // beta^steps
};

// gradient += l1 sign(p) + l2 p on the coordinates that decay.
template <class Real>
void AddPenalty(double l1, double l2, std::span<const Segment> segments, std::span<const Real> parameters,
                std::span<Real> gradient);
// The L2 norm, summed in double in one fixed order.
template <class Real>
double EuclideanNorm(std::span<const Real> v);

extern template class Optimizer<float>;
extern template class Optimizer<double>;

}  // namespace consilium
