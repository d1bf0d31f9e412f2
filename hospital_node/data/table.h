// A hospital's data set in memory: files of a folder, checked value by value against the declared schema.
//
//   folder + schema -> SourceFiles -> CsvReader -> CellReader per column -> Table
//
// Nothing is guessed: a value that the schema does not allow is an error that names file, line, column and the mend.
#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "common/plan/schema.h"

namespace consilium::node {

inline constexpr std::uint64_t kMaxRows = 1ULL << 22;  // Over all files; the bound of every count that leaves.

// One declared column over all rows. Text columns keep no values.
struct Series {
  Column column;
  std::vector<double> numbers;       // Number: NaN is missing. Label: 0, 1 or NaN.
  std::vector<std::int32_t> levels;  // Category: index into column.levels, -1 is missing.
  [[nodiscard]] std::uint64_t Missing() const;
  [[nodiscard]] bool MissingAt(std::size_t row) const;
};

enum class Side : std::uint8_t { kTrain, kTest };

struct Table {
  std::vector<Series> series;            // In the schema's order, text columns left out.
  std::vector<std::uint32_t> patient;    // Per row: index into patient_ids.
  std::vector<std::string> patient_ids;  // Distinct. With patient.id = "row": the row's number from 0, over all files.
  std::vector<Side> declared_side;       // Per patient, from the schema's split column; empty without one.
  std::vector<std::string> files;
  std::vector<std::string> ignored_columns;  // In a header, but not declared.

  [[nodiscard]] std::size_t rows() const { return patient.size(); }
  [[nodiscard]] std::size_t patients() const { return patient_ids.size(); }
  [[nodiscard]] const Series* Find(std::string_view name) const;
};

struct ReadOptions {
  // The offending value is named: only for the hospital's own terminal. Otherwise its class is ("text", "a number
  // above the range"), so that the message may reach a log.
  bool show_values = false;
  std::size_t maximum_problems = 1;                 // How many faulty lines a message lists before reading stops.
  const std::set<std::string>* excluded = nullptr;  // Marks of patients whose rows are skipped.
};

// A patient's id as the node keeps it when the patient withdrew: a hash, so that its database names nobody.
std::string PatientMark(std::string_view id);

// `folder` is a directory, whose regular files matching the schema's pattern are taken in name order, or one file.
Result<std::vector<std::string>> SourceFiles(const std::string& folder, const Schema& schema);
Result<Table> ReadTable(const std::string& folder, const Schema& schema, const ReadOptions& options = {});

}  // namespace consilium::node
