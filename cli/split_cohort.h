// One data set as a simulated cohort: it is read once, and each hospital has a workbench over its part of the rows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/simulation.h"
#include "cli/split.h"
#include "common/plan/plan.h"
#include "hospital_node/workbench.h"

namespace consilium::cli {

struct SplitOptions {
  std::string rule;              // As ParseSplitRule has it.
  std::uint32_t hospitals = 10;
  std::uint64_t seed = 1;
  std::string data;              // A CSV file, a folder of them, or an .npz file; "": idx.
  std::vector<std::string> idx;  // Images and labels of each part in turn.
};

struct SplitCohort {
  std::vector<SimulatedHospital> hospitals;  // "hospital-1" ... with leading zeros, so that names order as numbers do.
  std::vector<node::NamedTable> tables;
  std::vector<std::unique_ptr<node::Workbench>> workbenches;  // The hospitals'; outlive the simulation.
  Value split;  // {"rule", "seed", "patients", "smallest", "largest"}
};

// kInvalid, with the mend, when the rule, the data or the plan do not go together. No hospital has fewer patients, or
// fewer to train on, than the plan's minimum.
Result<SplitCohort> SplitOneDataSet(const Plan& plan, const SplitOptions& options);

}  // namespace consilium::cli
