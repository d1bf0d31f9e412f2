// Which rows train and which test.
#pragma once

#include "common/plan/plan.h"
#include "hospital_node/data/table.h"

namespace consilium::node {

struct Rows {
  std::vector<std::size_t> train, test;  // Ascending. Rows without a label are in neither.
  std::size_t unlabelled = 0;
};

// All rows of a patient fall on one side: by the schema's split column when the plan says so, else test when
// H("consilium/split" | seed | patient id), read as a fraction, is below the plan's test_fraction. kInvalid when the
// table lacks the plan's label or split column.
Result<Rows> SplitRows(const Plan& plan, const Table& table);
std::size_t PatientsIn(const Table& table, const std::vector<std::size_t>& rows);  // Distinct.

}  // namespace consilium::node
