// Logistic regression by mini-batch SGD: forward, backward, one local training run. Double inside, single thread,
// fixed order, so that mode none is bit-reproducible.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "common/base/bytes.h"

namespace consilium {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

struct SgdOptions {
  std::uint32_t epochs = 1;  // One of epochs and steps is not 0.
  std::uint32_t steps = 0;
  std::uint32_t batch_size = 32;
  double learning_rate = 0.1;
  double l2 = 0;  // Penalty l2/2 * ||weight||^2; the bias is free.
  double mu = 0;  // Penalty mu/2 * ||parameters - start||^2, where start is what training begins with (FedProx).
  Vector correction = {};   // Added to every gradient (SCAFFOLD); empty: nothing.
  Digest shuffle_key = {};  // The order of rows in epoch e is drawn from H(shuffle_key | e); mode none only.
};

// Mean loss over the rows plus penalty; gradient in `gradient` (size features + 1, bias last) when not null.
double LogisticLoss(const Matrix& x, const Vector& y, const Vector& parameters, double l2, Vector* gradient);
// parameters: features + 1. Returns the trained parameters. Zero rows: returned unchanged.
Vector TrainLogistic(const Matrix& x, const Vector& y, Vector parameters, const SgdOptions& options);
// How many steps TrainLogistic takes on so many rows.
std::uint64_t StepsOf(const SgdOptions& options, Eigen::Index rows);
Vector PredictLogistic(const Matrix& x, const Vector& parameters);  // Probabilities.

}  // namespace consilium
