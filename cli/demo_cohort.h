// Whose data a demo uses: the generated cohort, or a folder with a file or a folder for each hospital.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/error.h"

namespace consilium::cli {

struct CohortHospital {
  std::string name;
  std::filesystem::path data;  // A file or a folder.
};
struct Cohort {
  std::vector<CohortHospital> hospitals;
  std::filesystem::path schema, describe_plan, train_plan;
  std::string dataset;
};

// A hospital for each file that matches the pattern, and for each folder with such files; two at least.
Result<std::vector<CohortHospital>> FindHospitals(const std::filesystem::path& data, const std::string& pattern);
// Writes data, schema and plans into `folder`.
Result<Cohort> GeneratedCohort(const std::filesystem::path& folder, std::uint32_t hospitals, std::uint32_t rounds);
// Writes schema and plans into `folder`; the data stay where they are. The plans use every number and category column,
// and the one label, that the schema declares.
Result<Cohort> OwnCohort(const std::filesystem::path& folder, const std::filesystem::path& data,
                         const std::string& schema, std::uint32_t rounds);

}  // namespace consilium::cli
