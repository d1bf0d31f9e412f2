// Local training: batches of shuffled rows, gradients, steps of an optimiser.
//
//   order of rows -> gather -> forward -> loss -> backward -> gradient
//     [+ mu (p - anchor)] [+ penalties] -> clip -> [+ correction] -> optimiser step
//
// A step allocates nothing (dnnl_sgemm's own work memory aside).
#pragma once

#include <span>
#include <vector>

#include "common/base/error.h"
#include "common/model/loss.h"
#include "common/model/network.h"
#include "common/model/optimizer.h"
#include "common/model/random.h"
#include "common/model/source.h"

namespace consilium {

// What a strategy adds to every step; empty spans add nothing. Both have the model's size.
template <class Real>
struct Hooks {
  double proximal_mu = 0;            // FedProx (Li et al. 2020): the objective gains mu / 2 ||p - anchor||^2.
  std::span<const Real> anchor;      // For example the parameters that the round began with.
  std::span<const Real> correction;  // SCAFFOLD (Karimireddy et al. 2020): c - c_i, added after clipping.
};

struct TrainingRun {
  std::uint64_t steps = 0;
  double rates = 0;      // The sum of the steps' learning rates: SCAFFOLD divides by it.
  double last_loss = 0;  // Mean loss of the last batch, before its step, without penalties.
};

template <class Real>
class Trainer {
 public:
  // `recipe` has passed CheckRecipe. Batches have at most recipe.training.batch_size rows, and at most `rows`.
  Trainer(const Recipe& recipe, std::size_t rows);

  // Epochs or steps over the source's rows, in the order that the shuffle key draws; the last batch of an epoch may be
  // smaller. `parameters` are trained in place; the optimiser goes on from where it is (see Reset). Without rows
  // nothing happens. kInvalid when the loss or a parameter is no finite number any more: it names the step and what to
  // do.
  Result<TrainingRun> Run(BatchSource<Real>& data, std::span<Real> parameters, const Hooks<Real>& hooks = {});
  // The same over given batches of row numbers, one step each.
  Result<TrainingRun> RunBatches(BatchSource<Real>& data, std::span<const std::vector<std::uint32_t>> batches,
                                 std::span<Real> parameters, const Hooks<Real>& hooks = {});
  void Reset() { optimizer_.Reset(); }

 private:
  Status Step(BatchSource<Real>& data, std::span<const std::uint32_t> batch, std::span<Real> parameters,
              const Hooks<Real>& hooks, TrainingRun* run);
  [[nodiscard]] bool IsPlain(const Hooks<Real>& hooks) const;
  void StepByLayer(double rate, std::span<Real> parameters);
  double AddHooks(std::span<const Real> parameters, const Hooks<Real>& hooks);
  Status CheckFinite(std::span<const Real> parameters, const TrainingRun& run) const;

  Recipe recipe_;
  std::size_t maximal_rows_;
  std::vector<Segment> segments_;
  Network<Real> network_;
  Loss<Real> loss_;
  Optimizer<Real> optimizer_;
  Buffer<Real> x_, y_, gradient_;
  std::vector<std::uint32_t> order_;
};

extern template class Trainer<float>;
extern template class Trainer<double>;

}  // namespace consilium
