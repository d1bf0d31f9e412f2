// A hospital's data set: its sources, checked value by value against the declared schema, as rows that are looked at
// one after another. Labels and patients are in memory; numbers, categories and tensors in a row store.
//
//   files + schema -> csv_table.cc | arrays.cc -> TableBuilder -> Table (table_file.h keeps a large one)
//
// Nothing is guessed: a value that the schema does not allow is an error that names file, place, column and the mend.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "common/plan/schema.h"
#include "hospital_node/data/element.h"
#include "hospital_node/data/row_store.h"

namespace consilium::node {

inline constexpr std::uint64_t kMaxRows = 1ULL << 22;  // Over all files; the bound of every count that leaves.

// One declared column: where a row holds it. Text columns keep no values.
struct Series {
  Column column;
  std::vector<double>
      numbers;  // Labels alone, by row: negative 0 and positive 1, or the class's number; NaN is missing.
  Element element = Element::kF64;  // Number: f64, NaN is missing. Category: i16, -1 is missing. Tensor: as its source.
  std::size_t offset = 0;           // In a row of the store.

  [[nodiscard]] bool IsLabel() const { return column.type == Column::Type::kLabel; }
  [[nodiscard]] bool MissingAt(std::size_t row) const { return std::isnan(numbers[row]); }  // Labels.
  [[nodiscard]] double Number(const std::uint8_t* bytes) const { return As<double>(bytes); }
  [[nodiscard]] int Level(const std::uint8_t* bytes) const { return As<std::int16_t>(bytes); }
  // Of any type, in row `row`, whose bytes are `bytes`.
  [[nodiscard]] bool Missing(std::size_t row, const std::uint8_t* bytes) const;
  // visitor(pointer, count) for a tensor's elements, as their own type; the pointer may be unaligned for it.
  template <class Visitor>
  void Elements(const std::uint8_t* bytes, Visitor&& visitor) const {
    Visit(element, [&](auto zero) { visitor(zero, bytes + offset, column.Elements()); });
  }

 private:
  template <class T>
  [[nodiscard]] T As(const std::uint8_t* bytes) const {
    T out;
    std::memcpy(&out, bytes + offset, sizeof out);
    return out;
  }
};

enum class Side : std::uint8_t { kTrain, kTest };

// Distinct. With patient.id = "row": the row's number from 0, over all files; these take no memory.
struct PatientIds {
  std::vector<std::string> names;  // Empty with "row".
  std::size_t count = 0;
  [[nodiscard]] std::string operator[](std::size_t i) const { return names.empty() ? std::to_string(i) : names[i]; }
};

struct Table {
  std::vector<Series> series;          // In the schema's order, text columns left out.
  RowStore store;                      // Of each row what is no label.
  std::vector<std::uint32_t> patient;  // Per row: index into patient_ids.
  PatientIds patient_ids;
  std::vector<Side> declared_side;  // Per patient, from the schema's split; empty without one.
  std::vector<std::string> files;
  std::vector<std::string> ignored_columns;  // In the files, but not declared.

  [[nodiscard]] std::size_t rows() const { return patient.size(); }
  [[nodiscard]] std::size_t patients() const { return patient_ids.count; }
  [[nodiscard]] const Series* Find(std::string_view name) const;
};

inline constexpr std::size_t kMemoryBytes = std::size_t{64} << 20;

struct ReadOptions {
  // The offending value is named: only for the hospital's own terminal. Otherwise its class is ("text", "a number
  // above the range"), so that the message may reach a log.
  bool show_values = false;
  std::size_t maximum_problems = 1;                 // How many faulty lines a message lists before reading stops.
  const std::set<std::string>* excluded = nullptr;  // Marks of patients whose rows are skipped.
  std::size_t memory_bytes = kMemoryBytes;          // Rows beyond it go to a file.
  Spool spool = {};                                 // Where that lies.
};

// A patient's id as the node keeps it when the patient withdrew: a hash, so that its database names nobody.
std::string PatientMark(std::string_view id);

// `folder` is a directory, whose regular files matching the schema's pattern are taken in name order, or one file.
Result<std::vector<std::string>> SourceFiles(const std::string& folder, const Schema& schema);
// CSV (csv_table.cc).
Result<Table> ReadTable(const std::string& folder, const Schema& schema, const ReadOptions& options = {});
// idx (arrays.cc): a file of images and one of labels, and so for each of the schema's parts. Of the schema's columns
// one is a tensor, the images', and one is not, the labels'.
Result<Table> ReadIdx(const std::vector<std::string>& files, const Schema& schema, const ReadOptions& options = {});
// npz (arrays.cc): a column is the array of its name ([columns.NAME] array), with parts PART_ARRAY of each in turn.
Result<Table> ReadNpz(const std::string& file, const Schema& schema, const ReadOptions& options = {});

}  // namespace consilium::node
