// What the coordinator does with the average of a round, and SCAFFOLD's control variates, as pure functions: doubles,
// coordinate by coordinate in order, no contraction, no libm but sqrt. All spans of one call have one length.
//
//   average   sum_i w_i delta_i / sum_i w_i, where delta_i = y_i - x is how hospital i's training changed the model x
//   m, v      moments, zero before the first round; as Reddi et al. use them, without bias correction
//
// Sources: McMahan et al. 2017 (FedAvg); Reddi et al. 2021, "Adaptive Federated Optimization", algorithm 2 (FedAdagrad,
// FedYogi, FedAdam); Karimireddy et al. 2020, "SCAFFOLD", algorithm 1 with option II.
#pragma once

#include <span>

namespace consilium {

// x += rate * average
void AverageStep(double rate, std::span<const double> average, std::span<double> x);

struct AdaptiveRates {
  double rate = 0.01, beta1 = 0.9, beta2 = 0.999, tau = 1e-3;
};
// m = beta1 m + (1 - beta1) average, then v by its rule, then x += rate m / (sqrt(v) + tau).
//   Adam     v = beta2 v + (1 - beta2) average^2
//   Yogi     v = v - (1 - beta2) average^2 sign(v - average^2)
//   Adagrad  v = v + average^2; beta2 has no part
void AdamStep(const AdaptiveRates& rates, std::span<const double> average, std::span<double> m, std::span<double> v,
              std::span<double> x);
void YogiStep(const AdaptiveRates& rates, std::span<const double> average, std::span<double> m, std::span<double> v,
              std::span<double> x);
void AdagradStep(const AdaptiveRates& rates, std::span<const double> average, std::span<double> m, std::span<double> v,
                 std::span<double> x);

// SCAFFOLD. `control` is c_i, `mean` is c.
// What a hospital adds to each of its gradients: c - c_i.
void ControlCorrection(std::span<const double> control, std::span<const double> mean, std::span<double> correction);
// Option II: c_i <- c_i - c + (x - y_i) / (steps * learning_rate), for `steps` plain SGD steps of one rate.
void ControlStep(double steps, double learning_rate, std::span<const double> mean, std::span<const double> x,
                 std::span<const double> y, std::span<double> control);
// c = sum / weight, where sum = sum_i w_i c_i and weight = sum_i w_i over every hospital that was ever counted, each
// with the c_i of its last counted round: a hospital that was away keeps its part. Zero while nobody was counted.
void MeanControl(std::span<const double> sum, double weight, std::span<double> mean);

}  // namespace consilium
