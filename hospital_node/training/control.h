// A hospital's memory in SCAFFOLD: its control variate c_i, as the sums so far have counted it.
#pragma once

#include <vector>

#include "common/plan/plan.h"

namespace consilium::node {

// What goes into a round's sum; on the grids of the query's blocks, so that encoding rounds nothing any more.
struct ControlChange {
  std::vector<double> sum;
  double weight = 0;
};

// w_i c_i and w_i exactly as they are in the coordinator's sums: what rounding cost one round the next one makes good,
// so that the sums never drift from what the hospitals hold.
struct Control {
  std::vector<double> sum;  // One a parameter.
  double weight = 0;        // 0: never counted, c_i = 0.

  [[nodiscard]] std::vector<double> Variate() const;                                    // c_i
  [[nodiscard]] std::vector<double> Correction(const std::vector<double>& mean) const;  // c - c_i
  // After local steps of plain SGD whose rates sum to `rates`, from `start` to `trained`: moves to the new c_i under
  // the weight, clipped to the plan's bound, and gives the change. Without a step nothing moves.
  ControlChange Move(const Plan& plan, const Query& query, double rates, const std::vector<double>& mean,
                     const std::vector<double>& start, const std::vector<double>& trained, double new_weight);
};

// The memory's bytes: doubles, little-endian: the weight, then the sum.
Bytes Encode(const Control& control);
// An empty memory is a control that was never counted. kCorrupt when it is not one of so many parameters.
Result<Control> ReadControl(ByteView memory, std::size_t parameters);

}  // namespace consilium::node
