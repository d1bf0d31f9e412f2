// What a hospital's table must look like: declared, never guessed from the data.
//
//   [file]          pattern, header, columns (names for files without a header), delimiter, missing (codes for every
//                   column), parts (of idx and npz sources: ["train", "test"])
//   [patient]       id = "row" or a column
//   [split]         column (or "part"), train (values), test (values)                                      optional
//   [columns.NAME]  type = "number" | "category" | "label" | "text" | "tensor", unit, minimum, maximum, shape, levels,
//                   positive and negative, or classes, missing, array (its name in an npz source)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/settings/value.h"

namespace consilium {

struct Column {
  enum class Type : std::uint8_t { kNumber, kCategory, kLabel, kText, kTensor };
  std::string name;
  Type type = Type::kNumber;
  std::string unit;                   // "" when none.
  double minimum = 0, maximum = 0;    // Numbers, each element of a tensor: the declared range; outside is an error.
  std::vector<std::uint32_t> shape;   // Tensors: of one row, the last axis fastest. {28, 28}
  std::vector<std::string> levels;    // Categories: declared levels in order; the first is the reference.
  std::vector<std::string> positive;  // Labels: values that mean 1 ...
  std::vector<std::string> negative;  // ... and 0. Numbers compare as numbers ("1" == "1.0").
  std::vector<std::string> classes;   // Labels of three or more classes instead: their values in order.
  std::vector<std::string> missing;   // Codes of this column that mean missing.
  std::string meaning;                // For people.
  std::string array;                  // Of an npz source; "": the column's name.
  [[nodiscard]] std::size_t Elements() const;  // Of one row of a tensor; 1 for every other type.
  bool operator==(const Column&) const = default;
};

const std::vector<std::string>& TypeNames();  // As [columns.NAME] type has them, in the enum's order.
const std::string& TypeName(Column::Type type);
// Codes that read as numbers compare as numbers: "1" is "1.0".
std::string CodeKey(std::string_view code);

struct Schema {
  std::string pattern = "*.csv";
  bool header = true;
  char delimiter = ',';
  std::vector<std::string> file_columns;  // Names by position; required without a header.
  std::vector<std::string> missing = {""};
  std::vector<std::string> parts;  // Of idx and npz sources, in order: prefixes of arrays, names of pairs of files.
  std::string patient_id = "row";
  std::string split_column;  // "" when none; "part" with parts: the part that a row lies in.
  std::vector<std::string> split_train, split_test;
  std::vector<Column> columns;  // In the file's declared order.

  [[nodiscard]] const Column* Find(std::string_view name) const;
  [[nodiscard]] bool SplitByPart() const { return !parts.empty() && split_column == "part"; }
  bool operator==(const Schema&) const = default;
};

// `name` is the file's name in messages.
Result<Schema> ParseSchema(std::string_view toml, std::string_view name);
Result<Schema> SchemaFromValue(const Value& value, std::string_view name);
Value ToValue(const Schema& schema);  // Every default written out; SchemaFromValue inverts it.
std::string SchemaToml(const Schema& schema);
inline constexpr std::size_t kMaxElements = 1 << 20;             // Of a tensor: 1024 x 1024.
std::string ShapeText(const std::vector<std::uint32_t>& shape);  // "28 x 28"

// Whether data described by `local` can serve a plan that declares `wanted` for `column`: same type, unit, range,
// shape, levels, classes, positive and negative values (missing codes and files may differ). kInvalid names the first
// difference.
Status Compatible(const Schema& wanted, const Schema& local, std::string_view column);
// At most `most` bytes, without control characters, line breaks and marks that turn the direction of text: what a
// stranger may put on an officer's screen.
bool IsPlainText(std::string_view text, std::size_t most);

}  // namespace consilium
