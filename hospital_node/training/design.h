// From a table's rows to the matrix that a model sees, as the plan's preprocessing says.
#pragma once

#include <vector>

#include "common/algorithms/derive.h"
#include "common/model/matrix.h"
#include "hospital_node/data/table.h"

namespace consilium::node {

struct Design {
  Matrix x;      // rows x DesignColumns(plan)
  Vector y;      // The label: 0 or 1, a number, or a class's number.
  Vector times;  // Of the label's event, where the plan names them; else empty.
  // As the loss takes them: row by row the label, and the time where there are times.
  [[nodiscard]] std::vector<double> Targets() const;
};

// With standardize = "site" the preprocessing has no mean and sd: SiteScaled fills them in from the training rows.
Design BuildDesign(const Plan& plan, const Table& table, const std::vector<std::size_t>& rows,
                   const Preprocessing& preprocessing);
Preprocessing SiteScaled(const Plan& plan, const Table& table, const std::vector<std::size_t>& train,
                         Preprocessing preprocessing);
// All of a hospital's own: imputation and scale from its training rows; what a model trained alone would use.
Preprocessing OwnPreprocessing(const Plan& plan, const Table& table, const std::vector<std::size_t>& train);

// Sums whose error does not grow with the number of terms (Neumaier 1974).
class CompensatedSum {
 public:
  void Add(double v) {
    const double sum = sum_ + v;
    lost_ += std::abs(sum_) >= std::abs(v) ? (sum_ - sum) + v : (v - sum) + sum_;
    sum_ = sum;
  }
  [[nodiscard]] double value() const { return sum_ + lost_; }

 private:
  double sum_ = 0, lost_ = 0;
};

}  // namespace consilium::node
