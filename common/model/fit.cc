// Training and prediction over all rows of a source or of a matrix.
#include "common/model/fit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/check.h"

namespace consilium {
namespace {

constexpr std::size_t kRowsAtOnce = 256;

template <class Real>
std::vector<Real> Cast(const std::vector<double>& v) {
  return {v.begin(), v.end()};
}

template <class Real>
Result<std::vector<double>> FitAs(const Recipe& recipe, const Matrix& x, std::span<const double> y,
                                  const std::vector<double>& start, const Hooks<double>& hooks, TrainingRun* run) {
  MatrixSource<Real> source(x, y);
  return Fit(recipe, source, start, hooks, run);
}

template <class Real>
Matrix PredictAs(const Recipe& recipe, const Matrix& x, const std::vector<double>& parameters) {
  MatrixSource<Real> source(x, {});
  return Predict(recipe, source, parameters).predicted;
}

}  // namespace

template <class Real>
MatrixSource<Real>::MatrixSource(const Matrix& x, std::span<const double> y)
    : x_(x), y_(y), targets_(x.rows() > 0 ? y.size() / static_cast<std::size_t>(x.rows()) : 0) {
  CHECK(y.size() == targets_ * static_cast<std::size_t>(x.rows()));
}

template <class Real>
void MatrixSource<Real>::Gather(std::span<const std::uint32_t> rows, Real* x, Real* y) {
  const auto width = static_cast<std::size_t>(x_.cols());
  for (const std::uint32_t row : rows) {
    const double* from = x_.data() + row * width;
    x = std::copy(from, from + width, x);
    const double* target = y_.data() + row * targets_;
    y = std::copy(target, target + targets_, y);
  }
}

template <class Real>
Result<std::vector<double>> Fit(const Recipe& recipe, BatchSource<Real>& data, const std::vector<double>& start,
                                const Hooks<double>& hooks, TrainingRun* run) {
  CHECK(data.rows() == 0 || data.features() == recipe.model.inputs);
  std::vector<Real> parameters = Cast<Real>(start);
  const std::vector<Real> anchor(hooks.anchor.begin(), hooks.anchor.end()),
      correction(hooks.correction.begin(), hooks.correction.end());
  Trainer<Real> trainer(recipe, data.rows());
  const TrainingRun done = TRY(trainer.Run(data, parameters, {hooks.proximal_mu, anchor, correction}));
  if (run != nullptr) *run = done;
  return std::vector<double>(parameters.begin(), parameters.end());
}

Result<std::vector<double>> Fit(const Recipe& recipe, const Matrix& x, std::span<const double> y,
                                const std::vector<double>& start, const Hooks<double>& hooks, TrainingRun* run) {
  return recipe.precision == Precision::kFloat ? FitAs<float>(recipe, x, y, start, hooks, run)
                                               : FitAs<double>(recipe, x, y, start, hooks, run);
}

template <class Real>
Scores Predict(const Recipe& recipe, BatchSource<Real>& data, const std::vector<double>& parameters) {
  CHECK(data.rows() == 0 || data.features() == recipe.model.inputs);
  const std::vector<Real> p = Cast<Real>(parameters);
  const std::size_t rows = data.rows(), outputs = recipe.model.outputs, targets = TargetsPerRow(recipe.loss);
  const auto height = static_cast<Eigen::Index>(rows);
  Scores out{Matrix(height, recipe.model.outputs), Vector(height * static_cast<Eigen::Index>(targets))};
  Network<Real> network(recipe.model, kRowsAtOnce, recipe.kernels);
  std::vector<Real> x(kRowsAtOnce * recipe.model.inputs), y(kRowsAtOnce * targets), z(kRowsAtOnce * outputs);
  std::vector<std::uint32_t> batch;
  const Real nothing = recipe.loss.kind == LossSpec::Kind::kBce            ? Real{0.5}
                       : recipe.loss.kind == LossSpec::Kind::kCrossEntropy ? 1 / static_cast<Real>(outputs)
                                                                           : Real{0};
  for (std::size_t first = 0; first < rows; first += kRowsAtOnce) {
    const std::size_t count = std::min(kRowsAtOnce, rows - first);
    batch.resize(count);
    std::iota(batch.begin(), batch.end(), static_cast<std::uint32_t>(first));
    data.Gather(batch, x.data(), y.data());
    std::copy_n(y.begin(), count * targets, out.targets.data() + first * targets);
    std::ranges::copy(network.Forward(p, count, x.data()), z.begin());
    Predictions(recipe.loss, count, outputs, z.data());
    std::transform(z.begin(), z.begin() + static_cast<std::ptrdiff_t>(count * outputs),
                   out.predicted.data() + first * outputs, [&](Real v) { return std::isnan(v) ? nothing : v; });
  }
  return out;
}

Matrix Predict(const Recipe& recipe, const Matrix& x, const std::vector<double>& parameters) {
  return recipe.precision == Precision::kFloat ? PredictAs<float>(recipe, x, parameters)
                                               : PredictAs<double>(recipe, x, parameters);
}

template class MatrixSource<float>;
template class MatrixSource<double>;
template Result<std::vector<double>> Fit(const Recipe&, BatchSource<float>&, const std::vector<double>&,
                                         const Hooks<double>&, TrainingRun*);
template Result<std::vector<double>> Fit(const Recipe&, BatchSource<double>&, const std::vector<double>&,
                                         const Hooks<double>&, TrainingRun*);
template Scores Predict(const Recipe&, BatchSource<float>&, const std::vector<double>&);
template Scores Predict(const Recipe&, BatchSource<double>&, const std::vector<double>&);

}  // namespace consilium
