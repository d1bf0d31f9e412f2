// Local training.
#include "common/model/trainer.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace consilium {
namespace {

constexpr double kClipGuard = 1e-6;  // As in PyTorch's clip_grad_norm_.

// Numbers too small to be normal count as 0 in this scope: a moment of Adam that fades away would else spend the rest
// of the training among them, where the processor is a hundred times slower.
class FlushToZero {
 public:
  FlushToZero() : before_(_mm_getcsr()) { _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON); }
  ~FlushToZero() { _mm_setcsr(before_); }
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
  unsigned before_;
};

std::size_t BatchRows(const Recipe& recipe, std::size_t rows) {
  return std::max<std::size_t>(1, std::min<std::size_t>(recipe.training.batch_size, rows));
}

Status Diverged(std::uint64_t step) {
  return Fail(Code::kInvalid,
              fmt::format("local training diverged at step {}: the loss is no finite number any more; lower "
                          "learning_rate, write clip_norm, or standardise the features",
                          step));
}

// A dropout seed a step: the key's first word, moved on by the step.
std::uint64_t DropoutSeed(const Digest& key, std::uint64_t step) {
  std::uint64_t word = 0;
  std::memcpy(&word, key.bytes.data(), sizeof(word));
  return word + step * 0x9e3779b97f4a7c15;
}

}  // namespace

template <class Real>
Trainer<Real>::Trainer(const Recipe& recipe, std::size_t rows)
    : recipe_(recipe),
      maximal_rows_(BatchRows(recipe, rows)),
      segments_(Segments(recipe.model)),
      network_(recipe.model, maximal_rows_, recipe.kernels),
      loss_(recipe.loss, recipe.model.outputs, maximal_rows_),
      optimizer_(recipe.optimizer, segments_),
      x_(maximal_rows_ * recipe.model.inputs),
      y_(maximal_rows_ * TargetsPerRow(recipe.loss)),
      gradient_(network_.size()) {
  order_.reserve(rows);
}

// Whether a layer's step needs nothing but its own gradient.
template <class Real>
bool Trainer<Real>::IsPlain(const Hooks<Real>& hooks) const {
  const OptimizerSpec& o = recipe_.optimizer;
  return o.clip_norm == 0 && o.l1 == 0 && o.l2 == 0 && hooks.proximal_mu == 0 && hooks.correction.empty();
}

// Each layer's step follows its gradient while that is in the cache: fewer trips to memory, the same numbers.
template <class Real>
void Trainer<Real>::StepByLayer(double rate, std::span<Real> parameters) {
  constexpr std::size_t kSegmentsALayer = 2;
  CHECK(optimizer_.segments() == kSegmentsALayer * network_.layers());
  optimizer_.Begin();
  for (std::size_t i = 0; i < network_.layers(); ++i) {
    network_.Gradient(i, gradient_.span());
    for (std::size_t s = 0; s < kSegmentsALayer; ++s)
      optimizer_.StepSegment(kSegmentsALayer * i + s, rate, 1, gradient_.span(), parameters);
  }
}

// Returns the factor that clipping asks for.
template <class Real>
double Trainer<Real>::AddHooks(std::span<const Real> parameters, const Hooks<Real>& hooks) {
  Real* __restrict g = gradient_.data();
  if (hooks.proximal_mu != 0) {
    CHECK(hooks.anchor.size() == gradient_.size());
    const auto mu = static_cast<Real>(hooks.proximal_mu);
    for (std::size_t i = 0; i < gradient_.size(); ++i) g[i] += mu * (parameters[i] - hooks.anchor[i]);
  }
  const OptimizerSpec& o = recipe_.optimizer;
  if (o.l1 != 0 || o.l2 != 0) AddPenalty<Real>(o.l1, o.l2, segments_, parameters, gradient_.span());
  double scale = 1;
  if (o.clip_norm > 0) {
    const double norm = EuclideanNorm<Real>(gradient_.span());
    scale = std::min(1.0, o.clip_norm / (norm + kClipGuard));
  }
  if (hooks.correction.empty()) return scale;
  CHECK(hooks.correction.size() == gradient_.size());
  const auto factor = static_cast<Real>(scale);
  for (std::size_t i = 0; i < gradient_.size(); ++i) g[i] = g[i] * factor + hooks.correction[i];
  return 1;
}

template <class Real>
Status Trainer<Real>::Step(BatchSource<Real>& data, std::span<const std::uint32_t> batch, std::span<Real> parameters,
                           const Hooks<Real>& hooks, TrainingRun* run) {
  CHECK(!batch.empty() && batch.size() <= maximal_rows_ && data.features() == network_.inputs());
  data.Gather(batch, x_.data(), y_.data());
  const auto outputs =
      network_.Forward(parameters, batch.size(), x_.data(),
                       DropoutSeed(recipe_.training.shuffle_key, recipe_.training.first_tick + run->steps));
  run->last_loss = loss_.Evaluate(batch.size(), outputs.data(), y_.data(), network_.output_gradient().data());
  if (!std::isfinite(run->last_loss)) return Diverged(run->steps + 1);
  network_.Backward(parameters);
  const double rate =
      RateAt(recipe_.optimizer.schedule, recipe_.optimizer.learning_rate, recipe_.training.first_tick + run->steps);
  if (IsPlain(hooks)) {
    StepByLayer(rate, parameters);
  } else {
    network_.Gradient(gradient_.span());
    const double scale = AddHooks(parameters, hooks);
    optimizer_.Step(rate, scale, gradient_.span(), parameters);
  }
  run->rates += rate;
  ++run->steps;
  return {};
}

template <class Real>
Status Trainer<Real>::CheckFinite(std::span<const Real> parameters, const TrainingRun& run) const {
  if (std::isfinite(EuclideanNorm<Real>(parameters))) return {};
  return Diverged(run.steps);
}

template <class Real>
Result<TrainingRun> Trainer<Real>::Run(BatchSource<Real>& data, std::span<Real> parameters, const Hooks<Real>& hooks) {
  CHECK(parameters.size() == network_.size());
  const FlushToZero scope;
  const TrainingSpec& training = recipe_.training;
  const std::size_t rows = data.rows();
  TrainingRun run;
  if (rows == 0) return run;
  Shuffler shuffler(training.shuffle_key);
  order_.resize(rows);
  for (std::uint32_t epoch = 0; training.steps != 0 || epoch < training.epochs; ++epoch) {
    shuffler.Shuffle(epoch, &order_);
    for (std::size_t first = 0; first < rows; first += maximal_rows_) {
      const std::size_t count = std::min(maximal_rows_, rows - first);
      TRY(Step(data, std::span(order_).subspan(first, count), parameters, hooks, &run));
      if (training.steps != 0 && run.steps == training.steps) {
        TRY(CheckFinite(parameters, run));
        return run;
      }
    }
  }
  TRY(CheckFinite(parameters, run));
  return run;
}

template <class Real>
Result<TrainingRun> Trainer<Real>::RunBatches(BatchSource<Real>& data,
                                              std::span<const std::vector<std::uint32_t>> batches,
                                              std::span<Real> parameters, const Hooks<Real>& hooks) {
  CHECK(parameters.size() == network_.size());
  const FlushToZero scope;
  TrainingRun run;
  for (const std::vector<std::uint32_t>& batch : batches) TRY(Step(data, batch, parameters, hooks, &run));
  TRY(CheckFinite(parameters, run));
  return run;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace consilium
