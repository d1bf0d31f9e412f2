// Which algorithm a plan names.
#include "common/algorithms/algorithm.h"

#include "common/algorithms/describe.h"
#include "common/algorithms/training.h"

namespace consilium {
namespace {

Result<std::unique_ptr<Algorithm>> Make(const Plan& plan, const AlgorithmState* state) {
  return plan.task == Plan::Task::kDescribe ? MakeDescribe(plan, state) : MakeTraining(plan, state);
}

}  // namespace

Result<std::unique_ptr<Algorithm>> MakeAlgorithm(const Plan& plan) { return Make(plan, nullptr); }

Result<std::unique_ptr<Algorithm>> RestoreAlgorithm(const Plan& plan, const AlgorithmState& state) {
  return Make(plan, &state);
}

}  // namespace consilium
