// Training and prediction over all rows of a source, or of a matrix, in the recipe's precision: what the hospital's
// queries call.
#pragma once

#include <span>
#include <vector>

#include "common/model/matrix.h"
#include "common/model/source.h"
#include "common/model/spec.h"
#include "common/model/trainer.h"

namespace consilium {

// A matrix and its labels, [rows, targets] row by row, as a source; both must outlive it.
template <class Real>
class MatrixSource : public BatchSource<Real> {
 public:
  MatrixSource(const Matrix& x, std::span<const double> y);
  [[nodiscard]] std::size_t rows() const override { return static_cast<std::size_t>(x_.rows()); }
  [[nodiscard]] std::size_t features() const override { return static_cast<std::size_t>(x_.cols()); }
  void Gather(std::span<const std::uint32_t> rows, Real* x, Real* y) override;

 private:
  const Matrix& x_;
  std::span<const double> y_;
  std::size_t targets_;
};

// Returns the trained parameters, and in `run`, when it is not null, what the run was. Errors as Trainer::Run's.
template <class Real>  // The recipe's precision.
Result<std::vector<double>> Fit(const Recipe& recipe, BatchSource<Real>& data, const std::vector<double>& start,
                                const Hooks<double>& hooks = {}, TrainingRun* run = nullptr);
// x: [rows, inputs], y: rows * targets.
Result<std::vector<double>> Fit(const Recipe& recipe, const Matrix& x, std::span<const double> y,
                                const std::vector<double>& start, const Hooks<double>& hooks = {},
                                TrainingRun* run = nullptr);

struct Scores {
  Matrix predicted;  // [rows, outputs]
  Vector targets;    // rows * targets
};
// Predictions by the recipe's model and loss, in the order of the rows: probabilities, expected counts or the outputs
// themselves. Where a huge model leads to no number (Inf - Inf), it knows nothing: equal probabilities, else 0.
template <class Real>
Scores Predict(const Recipe& recipe, BatchSource<Real>& data, const std::vector<double>& parameters);
Matrix Predict(const Recipe& recipe, const Matrix& x, const std::vector<double>& parameters);  // [rows, outputs]

}  // namespace consilium
