// Training and prediction over whole matrices.
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
  std::vector<Real> parameters = Cast<Real>(start);
  const std::vector<Real> anchor(hooks.anchor.begin(), hooks.anchor.end()),
      correction(hooks.correction.begin(), hooks.correction.end());
  Trainer<Real> trainer(recipe, source.rows());
  const TrainingRun done = TRY(trainer.Run(source, parameters, {hooks.proximal_mu, anchor, correction}));
  if (run != nullptr) *run = done;
  return std::vector<double>(parameters.begin(), parameters.end());
}

template <class Real>
Matrix PredictAs(const Recipe& recipe, const Matrix& x, const std::vector<double>& start) {
  const std::vector<Real> parameters = Cast<Real>(start);
  const auto rows = static_cast<std::size_t>(x.rows()), outputs = std::size_t{recipe.model.outputs};
  Matrix out(x.rows(), recipe.model.outputs);
  Network<Real> network(recipe.model, kRowsAtOnce, recipe.kernels);
  std::vector<Real> batch(kRowsAtOnce * recipe.model.inputs), z(kRowsAtOnce * outputs);
  const Real nothing = recipe.loss.kind == LossSpec::Kind::kBce            ? Real{0.5}
                       : recipe.loss.kind == LossSpec::Kind::kCrossEntropy ? 1 / static_cast<Real>(outputs)
                                                                           : Real{0};
  for (std::size_t first = 0; first < rows; first += kRowsAtOnce) {
    const std::size_t count = std::min(kRowsAtOnce, rows - first);
    const double* from = x.data() + first * recipe.model.inputs;
    std::copy(from, from + count * recipe.model.inputs, batch.begin());
    std::ranges::copy(network.Forward(parameters, count, batch.data()), z.begin());
    Predictions(recipe.loss, count, outputs, z.data());
    std::transform(z.begin(), z.begin() + static_cast<std::ptrdiff_t>(count * outputs), out.data() + first * outputs,
                   [&](Real v) { return std::isnan(v) ? nothing : v; });
  }
  return out;
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

Result<std::vector<double>> Fit(const Recipe& recipe, const Matrix& x, std::span<const double> y,
                                const std::vector<double>& start, const Hooks<double>& hooks, TrainingRun* run) {
  CHECK(x.rows() == 0 || x.cols() == recipe.model.inputs);
  return recipe.precision == Precision::kFloat ? FitAs<float>(recipe, x, y, start, hooks, run)
                                               : FitAs<double>(recipe, x, y, start, hooks, run);
}

Matrix Predict(const Recipe& recipe, const Matrix& x, const std::vector<double>& parameters) {
  CHECK(x.rows() == 0 || x.cols() == recipe.model.inputs);
  return recipe.precision == Precision::kFloat ? PredictAs<float>(recipe, x, parameters)
                                               : PredictAs<double>(recipe, x, parameters);
}

template class MatrixSource<float>;
template class MatrixSource<double>;

}  // namespace consilium
