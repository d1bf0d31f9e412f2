// One field of a CSV file against one declared column.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/plan/schema.h"

namespace consilium::node {

// The whole of `text` (white space around it aside) as a finite decimal number.
std::optional<double> ParseNumber(std::string_view text);
std::string_view Trim(std::string_view text);
// As text, or as numbers when both are: "1.0" is "1".
bool SameValue(std::string_view a, std::string_view b);

// Reads fields of one column. What a value is not is said in words that hold nothing of it (`fault`), and what would
// be right (`mend`).
class CellReader {
 public:
  struct Cell {
    bool missing = false;
    double number = 0;        // Number; label: 0, 1 or the class's number.
    int level = -1;           // Category.
    std::string fault, mend;  // Not empty when the value is wrong.
  };
  CellReader(const Column& column, const std::vector<std::string>& missing_everywhere);
  [[nodiscard]] Cell Read(std::string_view field) const;
  [[nodiscard]] Cell ReadValue(double value) const;  // Of an array; NaN is missing.
  [[nodiscard]] const Column& column() const { return column_; }

 private:
  struct Code {  // A declared value, parsed once.
    std::string text;
    std::optional<double> number;
  };
  static std::vector<Code> Codes(const std::vector<std::string>& values);
  static int IndexOf(const std::vector<Code>& codes, std::string_view text, const std::optional<double>& number);
  [[nodiscard]] Cell ReadAny(const std::optional<double>& number, std::string_view text) const;
  [[nodiscard]] Cell ReadNumber(const std::optional<double>& number, std::string_view text) const;
  [[nodiscard]] Cell ReadLabel(const std::optional<double>& number, std::string_view text) const;
  [[nodiscard]] Cell ReadCategory(const std::optional<double>& number, std::string_view text) const;

  Column column_;
  std::vector<Code> missing_, levels_, positive_, negative_, classes_;
};

}  // namespace consilium::node
