// From a table's rows to the matrix that a model sees, as the plan's preprocessing says.
#pragma once

#include <vector>

#include "common/algorithms/derive.h"
#include "common/model/matrix.h"
#include "hospital_node/data/table.h"

namespace consilium::node {

struct Design {
  Matrix x;      // rows x DesignWidth(plan)
  Vector y;      // The label: 0 or 1, a number, or a class's number.
  Vector times;  // Of the label's event, where the plan names them; else empty.
  // As the loss takes them: row by row the label, and the time where there are times.
  [[nodiscard]] std::vector<double> Targets() const;
};

// From targets row by row, `each` a row: the label, and the event's time where there are two.
void SplitTargets(const Vector& targets, std::size_t each, Vector* labels, Vector* times);
// With standardize = "site" the preprocessing has no mean and sd: SiteScaled fills them in from the training rows.
Design BuildDesign(const Plan& plan, const Table& table, const std::vector<std::size_t>& rows,
                   const Preprocessing& preprocessing);
Preprocessing SiteScaled(const Plan& plan, const Table& table, const std::vector<std::size_t>& train,
                         Preprocessing preprocessing);
std::vector<std::uint32_t> RowNumbers(const std::vector<std::size_t>& rows);  // As TableSource takes them.
// All of a hospital's own: imputation and scale from its training rows; what a model trained alone would use.
Preprocessing OwnPreprocessing(const Plan& plan, const Table& table, const std::vector<std::size_t>& train);

}  // namespace consilium::node
