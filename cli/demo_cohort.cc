#include "cli/demo_cohort.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <set>

#include "cli/demo_data.h"
#include "common/base/files.h"
#include "common/plan/schema.h"

namespace consilium::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSchema = std::size_t{256} * 1024;

// A hospital's name from its file's: what stands for the pattern's '*', or the name without its ending.
std::string NameFrom(const std::string& file, const std::string& pattern) {
  std::string stem = fs::path(file).stem().string();
  const auto star = pattern.find('*');
  if (star != std::string::npos && pattern.find_first_of("*?[", star + 1) == std::string::npos &&
      file.size() >= pattern.size() - 1) {
    stem = file.substr(star, file.size() - (pattern.size() - 1));
  }
  std::string name;
  for (char c : stem) {
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool fine = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
    if (fine) name.push_back(lower);
    if (!fine && !name.empty() && name.back() != '-') name.push_back('-');
  }
  while (name.ends_with('-')) name.pop_back();
  return name.empty() ? "hospital" : name.substr(0, 60);
}

bool HoldsData(const fs::path& folder, const std::string& pattern) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.is_regular_file() && fnmatch(pattern.c_str(), entry.path().filename().c_str(), 0) == 0) return true;
  }
  return false;
}

Result<demo::DemoTable> TableOf(const Schema& schema, const std::string& file) {
  demo::DemoTable table;
  table.features.clear();
  std::vector<std::string> labels;
  for (const Column& column : schema.columns) {
    if (column.name == schema.patient_id || column.name == schema.split_column) continue;
    if (column.type == Column::Type::kNumber || column.type == Column::Type::kCategory)
      table.features.push_back(column.name);
    if (column.type == Column::Type::kLabel) labels.push_back(column.name);
  }
  if (labels.size() != 1 || table.features.empty()) {
    return Fail(
        Code::kInvalid,
        fmt::format("{} declares {} label and {} feature columns; a demo needs one label and at least one feature",
                    file, labels.size(), table.features.size()));
  }
  table.label = labels.front();
  return table;
}

}  // namespace

Result<std::vector<CohortHospital>> FindHospitals(const fs::path& data, const std::string& pattern) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(data, error)) {
    const std::string name = entry.path().filename().string();
    const bool file = entry.is_regular_file() && fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
    if (file || (entry.is_directory() && HoldsData(entry.path(), pattern))) found.push_back(entry.path());
  }
  if (error) return Fail(Code::kNotFound, fmt::format("cannot read the folder {}: {}", data.string(), error.message()));
  std::sort(found.begin(), found.end());
  std::vector<CohortHospital> hospitals;
  std::set<std::string> names;
  for (const fs::path& path : found) {
    std::string name = NameFrom(path.filename().string(), fs::is_directory(path) ? "" : pattern);
    for (int i = 2; !names.insert(name).second; ++i) name = fmt::format("{}-{}", name, i);
    hospitals.push_back({name, fs::absolute(path)});
  }
  if (hospitals.size() < 2) {
    return Fail(
        Code::kInvalid,
        fmt::format("{} has {} file(s) or folder(s) that match the schema's pattern \"{}\"; a federation needs two or "
                    "more; correct [file] pattern or --data",
                    data.string(), hospitals.size(), pattern));
  }
  return hospitals;
}

Result<Cohort> GeneratedCohort(const fs::path& folder, std::uint32_t hospitals, std::uint32_t rounds) {
  demo::DemoStudy study;
  study.hospitals = hospitals;
  study.rounds = rounds;
  TRY(demo::WriteDemoData(folder.string(), study, demo::kDemoSeed));
  Cohort cohort{{}, folder / study.schema_file, folder / "describe.toml", folder / "train.toml", study.dataset};
  for (std::uint32_t i = 0; i < hospitals; ++i) {
    const std::string name = demo::HospitalName(i);
    cohort.hospitals.push_back({name, fs::absolute(folder / name)});
  }
  return cohort;
}

Result<Cohort> OwnCohort(const fs::path& folder, const fs::path& data, const std::string& schema_file,
                         std::uint32_t rounds) {
  const fs::path source = schema_file.empty() ? data / "schema.toml" : fs::path(schema_file);
  const Bytes text = TRY(ReadFile(source, kMaxSchema));
  const Schema schema = TRY(ParseSchema(Text(text), source.string()));
  demo::DemoStudy study;
  study.table = TRY(TableOf(schema, source.string()));
  study.rounds = rounds;
  Cohort cohort{TRY(FindHospitals(data, schema.pattern)), folder / study.schema_file, folder / "describe.toml",
                folder / "train.toml", study.dataset};
  study.hospitals = static_cast<std::uint32_t>(cohort.hospitals.size());
  std::error_code error;
  fs::create_directories(folder, error);
  TRY(WriteFileAtomic(cohort.schema, text));
  TRY(WriteFileAtomic(cohort.describe_plan, View(demo::DescribePlan(study))));
  TRY(WriteFileAtomic(cohort.train_plan, View(demo::TrainPlan(study))));
  return cohort;
}

}  // namespace consilium::cli
