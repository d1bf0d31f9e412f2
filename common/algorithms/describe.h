// Federated table 1: one query, then done.
#pragma once

#include "common/algorithms/algorithm.h"

namespace consilium {

// `state` null: from nothing.
Result<std::unique_ptr<Algorithm>> MakeDescribe(const Plan& plan, const AlgorithmState* state);

}  // namespace consilium
