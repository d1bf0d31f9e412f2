// Training and prediction over whole matrices, in the recipe's precision: what the hospital's queries call.
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

// Returns the trained parameters, and in `run`, when it is not null, what the run was. x: [rows, inputs], y: rows *
// targets. Errors as Trainer::Run's.
Result<std::vector<double>> Fit(const Recipe& recipe, const Matrix& x, std::span<const double> y,
                                const std::vector<double>& start, const Hooks<double>& hooks = {},
                                TrainingRun* run = nullptr);
// Predictions [rows, outputs] by the recipe's model and loss: probabilities, expected counts or the outputs themselves.
// Where a huge model leads to no number (Inf - Inf), it knows nothing: equal probabilities, else 0.
Matrix Predict(const Recipe& recipe, const Matrix& x, const std::vector<double>& parameters);

}  // namespace consilium
