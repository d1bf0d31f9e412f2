// Logistic regression. Plain loops: their order of additions does not depend on how a buffer happens to be aligned.
#include "common/model/logistic.h"

#include <cmath>
#include <numeric>

#include "common/base/check.h"
#include "common/crypto/hash.h"

namespace consilium {
namespace {

using Index = Eigen::Index;

double Sigmoid(double z) {
  if (z >= 0) return 1 / (1 + std::exp(-z));
  const double e = std::exp(z);
  return e / (1 + e);
}

// -log p(y | z) = log(1 + e^z) - y z, without overflow for large |z|.
double CrossEntropy(double z, double y) { return std::max(z, 0.0) - y * z + std::log1p(std::exp(-std::abs(z))); }

double Logit(const Matrix& x, Index row, const Vector& parameters) {
  double z = parameters[x.cols()];
  for (Index j = 0; j < x.cols(); ++j) z += x(row, j) * parameters[j];
  return z;
}

// Adds one row's gradient; returns its loss.
double AddRow(const Matrix& x, const Vector& y, Index row, const Vector& parameters, Vector* gradient) {
  const double z = Logit(x, row, parameters);
  if (gradient != nullptr) {
    const double error = Sigmoid(z) - y[row];
    for (Index j = 0; j < x.cols(); ++j) (*gradient)[j] += error * x(row, j);
    (*gradient)[x.cols()] += error;
  }
  return CrossEntropy(z, y[row]);
}

// Uniform 64-bit numbers: BLAKE2b of a key and a counter.
class Stream {
 public:
  Stream(const Digest& key, std::uint32_t epoch) : key_(Fields("consilium/epoch").Add(key).Add(epoch).Hash()) {}

  // Uniform in [0, bound), by rejection.
  std::uint64_t Below(std::uint64_t bound) {
    const std::uint64_t excess = (0 - bound) % bound;  // 2^64 mod bound
    std::uint64_t word = Next();
    while (word < excess) word = Next();
    return word % bound;
  }

 private:
  std::uint64_t Next() {
    if (used_ == kWords) {
      block_ = Fields("consilium/stream").Add(key_).Add(counter_++).Hash();
      used_ = 0;
    }
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < 8; ++i) word |= std::uint64_t{block_.bytes[8 * used_ + i]} << (8 * i);
    ++used_;
    return word;
  }

  static constexpr std::size_t kWords = Digest::kSize / 8;
  Digest key_, block_;
  std::uint32_t counter_ = 0;
  std::size_t used_ = kWords;
};

std::vector<Index> ShuffledRows(Index rows, const Digest& key, std::uint32_t epoch) {
  std::vector<Index> order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), Index{0});
  Stream stream(key, epoch);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[stream.Below(i)]);
  return order;
}

void Step(const Matrix& x, const Vector& y, std::span<const Index> batch, const SgdOptions& options,
          const Vector& start, Vector* parameters, Vector* gradient) {
  gradient->setZero();
  for (const Index row : batch) AddRow(x, y, row, *parameters, gradient);
  const double scale = 1 / static_cast<double>(batch.size());
  for (Index j = 0; j < parameters->size(); ++j) {
    double further = j < x.cols() ? options.l2 * (*parameters)[j] : 0;
    further += options.mu * ((*parameters)[j] - start[j]);
    if (options.correction.size() != 0) further += options.correction[j];
    (*parameters)[j] -= options.learning_rate * ((*gradient)[j] * scale + further);
  }
}

}  // namespace

double LogisticLoss(const Matrix& x, const Vector& y, const Vector& parameters, double l2, Vector* gradient) {
  CHECK(x.rows() == y.size() && parameters.size() == x.cols() + 1);
  if (gradient != nullptr) gradient->setZero(parameters.size());
  double loss = 0;
  for (Index row = 0; row < x.rows(); ++row) loss += AddRow(x, y, row, parameters, gradient);
  const double scale = x.rows() > 0 ? 1 / static_cast<double>(x.rows()) : 0;
  if (gradient != nullptr) *gradient *= scale;
  double penalty = 0;
  for (Index j = 0; j < x.cols(); ++j) {
    penalty += parameters[j] * parameters[j];
    if (gradient != nullptr) (*gradient)[j] += l2 * parameters[j];
  }
  return loss * scale + l2 / 2 * penalty;
}

Vector TrainLogistic(const Matrix& x, const Vector& y, Vector parameters, const SgdOptions& options) {
  CHECK(x.rows() == y.size() && parameters.size() == x.cols() + 1 && options.batch_size > 0);
  CHECK((options.epochs == 0) != (options.steps == 0));
  CHECK(options.correction.size() == 0 || options.correction.size() == parameters.size());
  if (x.rows() == 0) return parameters;
  const auto rows = static_cast<std::size_t>(x.rows());
  const Vector start = parameters;
  Vector gradient(parameters.size());
  std::uint64_t steps = 0;
  for (std::uint32_t epoch = 0; options.steps != 0 || epoch < options.epochs; ++epoch) {
    const std::vector<Index> order = ShuffledRows(x.rows(), options.shuffle_key, epoch);
    for (std::size_t first = 0; first < rows; first += options.batch_size) {
      const std::size_t count = std::min<std::size_t>(options.batch_size, rows - first);
      Step(x, y, std::span(order).subspan(first, count), options, start, &parameters, &gradient);
      if (options.steps != 0 && ++steps == options.steps) return parameters;
    }
  }
  return parameters;
}

std::uint64_t StepsOf(const SgdOptions& options, Index rows) {
  if (rows == 0 || options.steps != 0) return rows == 0 ? 0 : options.steps;
  const auto whole = static_cast<std::uint64_t>(rows);
  return options.epochs * ((whole + options.batch_size - 1) / options.batch_size);
}

Vector PredictLogistic(const Matrix& x, const Vector& parameters) {
  CHECK(parameters.size() == x.cols() + 1);
  Vector out(x.rows());
  for (Index row = 0; row < x.rows(); ++row) {
    const double z = Logit(x, row, parameters);
    out[row] = std::isnan(z) ? 0.5 : Sigmoid(z);  // A huge model can reach Inf - Inf; it then knows nothing.
  }
  return out;
}

}  // namespace consilium
