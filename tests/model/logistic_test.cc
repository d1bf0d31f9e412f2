// Logistic regression: right gradients, stable losses, reproducible training.
#include "common/model/logistic.h"

#include <gtest/gtest.h>

#include <cmath>

namespace consilium {
namespace {

double Noise(int i) { return std::sin(12.9898 * i) * 0.9; }  // Any fixed numbers will do.

Matrix SomeX(int rows, int columns) {
  Matrix x(rows, columns);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) x(i, j) = Noise(i * columns + j + 1);
  }
  return x;
}

Vector SomeY(const Matrix& x) {
  Vector y(x.rows());
  for (int i = 0; i < x.rows(); ++i) y[i] = x(i, 0) - x(i, 1) + Noise(1000 + i) > 0 ? 1 : 0;
  return y;
}

TEST(Logistic, GradientEqualsCentralDifferences) {
  const Matrix x = SomeX(23, 4);
  const Vector y = SomeY(x);
  for (const double l2 : {0.0, 0.3}) {
    Vector parameters(5), gradient, none;
    for (int j = 0; j < 5; ++j) parameters[j] = Noise(77 + j);
    LogisticLoss(x, y, parameters, l2, &gradient);
    for (int j = 0; j < 5; ++j) {
      constexpr double kStep = 1e-5;
      Vector up = parameters, down = parameters;
      up[j] += kStep;
      down[j] -= kStep;
      const double numeric =
          (LogisticLoss(x, y, up, l2, nullptr) - LogisticLoss(x, y, down, l2, nullptr)) / (2 * kStep);
      EXPECT_NEAR(gradient[j], numeric, 1e-6) << "parameter " << j << ", l2 " << l2;
    }
  }
}

TEST(Logistic, BiasIsNotPenalised) {
  const Matrix x = Matrix::Zero(2, 1);
  Vector y(2), parameters(2);
  y << 0, 1;
  parameters << 0, 3;
  EXPECT_DOUBLE_EQ(LogisticLoss(x, y, parameters, 0, nullptr), LogisticLoss(x, y, parameters, 10, nullptr));
}

TEST(Logistic, LossAndProbabilitiesStayFiniteFarOut) {
  Matrix x(2, 1);
  x << 1e4, -1e4;
  Vector y(2), parameters(2);
  y << 0, 1;
  parameters << 1, 0;
  EXPECT_DOUBLE_EQ(LogisticLoss(x, y, parameters, 0, nullptr), 1e4);
  const Vector p = PredictLogistic(x, parameters);
  EXPECT_EQ(p[0], 1);
  EXPECT_EQ(p[1], 0);
}

TEST(Logistic, AModelBeyondAllNumbersPredictsHalf) {
  Vector parameters(2);
  parameters << std::nan(""), 0;
  EXPECT_EQ(PredictLogistic(Matrix::Ones(1, 1), parameters)[0], 0.5);
}

TEST(TrainLogistic, FullBatchesReachTheMinimum) {
  const Matrix x = SomeX(60, 3);
  const Vector y = SomeY(x);
  SgdOptions options{.epochs = 4000, .batch_size = 60, .learning_rate = 1, .l2 = 0.1, .shuffle_key = {}};
  const Vector trained = TrainLogistic(x, y, Vector::Zero(4), options);
  Vector gradient;
  LogisticLoss(x, y, trained, 0.1, &gradient);
  EXPECT_LT(gradient.norm(), 1e-9);
}

TEST(TrainLogistic, OneFullBatchIsOneStepOfGradientDescent) {
  const Matrix x = SomeX(10, 2);
  const Vector y = SomeY(x);
  Vector gradient;
  const Vector start = Vector::Constant(3, 0.25);
  LogisticLoss(x, y, start, 0.5, &gradient);
  SgdOptions options{.epochs = 0, .steps = 1, .batch_size = 10, .learning_rate = 0.2, .l2 = 0.5, .shuffle_key = {}};
  EXPECT_LT((TrainLogistic(x, y, start, options) - (start - 0.2 * gradient)).norm(), 1e-14);
}

TEST(TrainLogistic, SameKeySameBitsOtherKeyOtherOrder) {
  const Matrix x = SomeX(50, 3);
  const Vector y = SomeY(x);
  SgdOptions options{.epochs = 3, .batch_size = 7, .shuffle_key = {}};
  const Vector first = TrainLogistic(x, y, Vector::Zero(4), options);
  EXPECT_EQ(first, TrainLogistic(x, y, Vector::Zero(4), options));
  options.shuffle_key.bytes[31] = 1;
  EXPECT_NE(first, TrainLogistic(x, y, Vector::Zero(4), options));
}

TEST(TrainLogistic, StepsCountBatchesAcrossEpochs) {
  const Matrix x = SomeX(10, 2);
  const Vector y = SomeY(x);
  // Ten rows in batches of four are three steps an epoch: six steps are two epochs.
  const SgdOptions epochs{.epochs = 2, .steps = 0, .batch_size = 4, .shuffle_key = {}};
  const SgdOptions steps{.epochs = 0, .steps = 6, .batch_size = 4, .shuffle_key = {}};
  EXPECT_EQ(TrainLogistic(x, y, Vector::Zero(3), epochs), TrainLogistic(x, y, Vector::Zero(3), steps));
}

TEST(TrainLogistic, NoRowsChangeNothing) {
  const Vector start = Vector::Constant(3, 0.5);
  EXPECT_EQ(TrainLogistic(Matrix(0, 2), Vector(0), start, SgdOptions{}), start);
}

}  // namespace
}  // namespace consilium
