// Cells.
#include "hospital_node/data/cell.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>

namespace consilium::node {
namespace {

std::string Listed(const std::vector<std::string>& values) {
  return fmt::format("\"{}\"", fmt::join(values, "\", \""));
}

std::string Range(const Column& column) {
  const std::string unit = column.unit.empty() ? "" : " " + column.unit;
  return fmt::format("{} to {}{}", column.minimum, column.maximum, unit);
}

bool LooksLikeDecimalComma(std::string_view text) {
  std::string copy(text);
  const std::size_t comma = copy.find(',');
  if (comma == std::string::npos) return false;
  copy[comma] = '.';
  return ParseNumber(copy).has_value();
}

}  // namespace

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<double> ParseNumber(std::string_view text) {
  text = Trim(text);
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool SameValue(std::string_view a, std::string_view b) {
  if (Trim(a) == Trim(b)) return true;
  const auto x = ParseNumber(a), y = ParseNumber(b);
  return x && y && *x == *y;
}

std::vector<CellReader::Code> CellReader::Codes(const std::vector<std::string>& values) {
  std::vector<Code> out;
  out.reserve(values.size());
  for (const std::string& value : values) out.push_back({std::string(Trim(value)), ParseNumber(value)});
  return out;
}

int CellReader::IndexOf(const std::vector<Code>& codes, std::string_view text, const std::optional<double>& number) {
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes[i].text == text || (number && codes[i].number && *number == *codes[i].number)) return static_cast<int>(i);
  }
  return -1;
}

CellReader::CellReader(const Column& column, const std::vector<std::string>& missing_everywhere)
    : column_(column),
      levels_(Codes(column.levels)),
      positive_(Codes(column.positive)),
      negative_(Codes(column.negative)),
      classes_(Codes(column.classes)) {
  missing_ = Codes(missing_everywhere);
  for (Code& code : Codes(column.missing)) missing_.push_back(std::move(code));
}

CellReader::Cell CellReader::Read(std::string_view field) const {
  const std::string_view text = Trim(field);
  return ReadAny(ParseNumber(text), text);
}

CellReader::Cell CellReader::ReadValue(double value) const {
  if (!std::isnan(value)) return ReadAny(value, "a number of an array");  // No code is spelt so.
  Cell cell;
  cell.missing = true;
  return cell;
}

CellReader::Cell CellReader::ReadAny(const std::optional<double>& number, std::string_view text) const {
  if (IndexOf(missing_, text, number) >= 0) {
    Cell cell;
    cell.missing = true;
    return cell;
  }
  switch (column_.type) {
    case Column::Type::kNumber:
      return ReadNumber(number, text);
    case Column::Type::kLabel:
      return ReadLabel(number, text);
    case Column::Type::kCategory:
      return ReadCategory(number, text);
    case Column::Type::kText:
    case Column::Type::kTensor:
      break;
  }
  return {};
}

CellReader::Cell CellReader::ReadNumber(const std::optional<double>& number, std::string_view text) const {
  Cell cell;
  if (!number) {
    cell.fault = text.empty() ? "an empty field where a number is expected" : "text where a number is expected";
    cell.mend = fmt::format("write a number from {}, or declare the code as missing in the schema", Range(column_));
    if (LooksLikeDecimalComma(text)) cell.mend = "write a point, not a comma, as the decimal sign";
    return cell;
  }
  if (*number < column_.minimum || *number > column_.maximum) {
    cell.fault = *number < column_.minimum ? "a number below the declared range" : "a number above the declared range";
    cell.mend =
        fmt::format("the schema allows {}; mend the value or its unit, or declare the code as missing", Range(column_));
    return cell;
  }
  cell.number = *number;
  return cell;
}

CellReader::Cell CellReader::ReadLabel(const std::optional<double>& number, std::string_view text) const {
  Cell cell;
  if (!classes_.empty()) {
    const int index = IndexOf(classes_, text, number);
    cell.number = std::max(index, 0);
    if (index >= 0) return cell;
    cell.fault = text.empty() ? "an empty label" : "a label that is no declared class";
    cell.mend = fmt::format("the schema knows {}", Listed(column_.classes));
    return cell;
  }
  if (IndexOf(positive_, text, number) >= 0) {
    cell.number = 1;
  } else if (IndexOf(negative_, text, number) < 0) {
    cell.fault = text.empty() ? "an empty label" : "a label that is neither positive nor negative";
    cell.mend = fmt::format("the schema knows {} as positive and {} as negative", Listed(column_.positive),
                            Listed(column_.negative));
  }
  return cell;
}

CellReader::Cell CellReader::ReadCategory(const std::optional<double>& number, std::string_view text) const {
  Cell cell;
  cell.level = IndexOf(levels_, text, number);
  if (cell.level < 0) {
    cell.fault = text.empty() ? "an empty field where a category is expected" : "an unknown category";
    cell.mend = fmt::format("the schema knows {}; mend the value, or declare it as a level or as missing",
                            Listed(column_.levels));
  }
  return cell;
}

}  // namespace consilium::node
