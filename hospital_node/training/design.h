// From a table's rows to the matrix that a model sees, as the plan's preprocessing says.
#pragma once

#include <span>

#include "common/algorithms/derive.h"
#include "common/model/matrix.h"
#include "hospital_node/data/table.h"

namespace consilium::node {

struct Design {
  Matrix x;  // rows x DesignWidth(plan)
  Vector y;  // The label.
  [[nodiscard]] std::span<const double> Targets() const { return {y.data(), static_cast<std::size_t>(y.size())}; }
};

// With standardize = "site" the preprocessing has no mean and sd: SiteScaled fills them in from the training rows.
Design BuildDesign(const Plan& plan, const Table& table, const std::vector<std::size_t>& rows,
                   const Preprocessing& preprocessing);
Preprocessing SiteScaled(const Plan& plan, const Table& table, const std::vector<std::size_t>& train,
                         Preprocessing preprocessing);
std::vector<std::uint32_t> RowNumbers(const std::vector<std::size_t>& rows);  // As TableSource takes them.
// All of a hospital's own: imputation and scale from its training rows; what a model trained alone would use.
Preprocessing OwnPreprocessing(const Plan& plan, const Table& table, const std::vector<std::size_t>& train);

}  // namespace consilium::node
