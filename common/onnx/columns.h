// The plan's preprocessing as part of a graph.
#pragma once

#include "common/algorithms/derive.h"
#include "common/onnx/graph.h"

namespace consilium {

struct GraphColumns {
  std::string x;        // [N, DesignWidth(plan)], double: what the model sees.
  std::string refused;  // [N, 1], bool: a value of the row is one that no hospital's reader takes.
  Value described;      // For the metadata: [{name, type, ...}], one per column.
};
// Adds an input per feature. Standardize "site": two more per number and tensor, "NAME/mean" and "NAME/sd".
GraphColumns WriteColumns(const Plan& plan, const Preprocessing& preprocessing, GraphWriter* graph);

}  // namespace consilium
