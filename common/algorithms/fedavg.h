// Federated averaging (McMahan et al. 2017), weighted by patients.
#pragma once

#include "common/algorithms/algorithm.h"

namespace consilium {

// `state` null: from nothing.
Result<std::unique_ptr<Algorithm>> MakeFedAvg(const Plan& plan, const AlgorithmState* state);

}  // namespace consilium
