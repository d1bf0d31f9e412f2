// What a hospital's table must look like: declared, never guessed from the data.
//
//   [file]      pattern, header, columns (names for files without a header), delimiter, missing (codes for every
//   column) [patient]   id = "row" or a column [split]     column, train (values), test (values)            optional
//   [columns.NAME]  type = "number" | "category" | "label" | "text", unit, minimum, maximum, levels, positive,
//   negative, missing
#pragma once

#include <string>
#include <vector>

#include "common/settings/value.h"

namespace consilium {

struct Column {
  enum class Type : std::uint8_t { kNumber, kCategory, kLabel, kText };
  std::string name;
  Type type = Type::kNumber;
  std::string unit;                   // "" when none.
  double minimum = 0, maximum = 0;    // Numbers: the declared range; a value outside is an error.
  std::vector<std::string> levels;    // Categories: declared levels in order; the first is the reference.
  std::vector<std::string> positive;  // Labels: values that mean 1 ...
  std::vector<std::string> negative;  // ... and 0. Numbers compare as numbers ("1" == "1.0").
  std::vector<std::string> missing;   // Codes of this column that mean missing.
  std::string meaning;                // For people.
  bool operator==(const Column&) const = default;
};

struct Schema {
  std::string pattern = "*.csv";
  bool header = true;
  char delimiter = ',';
  std::vector<std::string> file_columns;  // Names by position; required without a header.
  std::vector<std::string> missing = {""};
  std::string patient_id = "row";
  std::string split_column;  // "" when none.
  std::vector<std::string> split_train, split_test;
  std::vector<Column> columns;  // In the file's declared order.

  [[nodiscard]] const Column* Find(std::string_view name) const;
  bool operator==(const Schema&) const = default;
};

// `name` is the file's name in messages.
Result<Schema> ParseSchema(std::string_view toml, std::string_view name);
Result<Schema> SchemaFromValue(const Value& value, std::string_view name);
Value ToValue(const Schema& schema);  // Every default written out; SchemaFromValue inverts it.
std::string SchemaToml(const Schema& schema);
// Whether data described by `local` can serve a plan that declares `wanted` for `column`: same type, unit, range,
// levels, positive and negative values (missing codes and files may differ). kInvalid names the first difference.
Status Compatible(const Schema& wanted, const Schema& local, std::string_view column);
// At most `most` bytes, without control characters, line breaks and marks that turn the direction of text: what a
// stranger may put on an officer's screen.
bool IsPlainText(std::string_view text, std::size_t most);

}  // namespace consilium
