#include "hospital_node/data/infer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <vector>

#include "common/settings/terminal.h"
#include "common/settings/value.h"
#include "hospital_node/data/cell.h"
#include "hospital_node/data/csv.h"
#include "hospital_node/data/stream.h"

namespace consilium::node {
namespace {

constexpr std::size_t kMostLevels = 20, kMostNumericLevels = 10, kTracked = 64;
constexpr double kLeastDigit = 1e-300, kMostNumber = 1e29;
constexpr std::string_view kMissingCodes[] = {"", "?", "NA", "N/A", "na", "NULL", "null", "NaN", "nan", "."};

struct Seen {
  std::string name;
  std::uint64_t rows = 0, missing = 0;
  bool numeric = true, whole = true, unique = true;
  bool writable = true;  // Every value is text that a schema can hold: UTF-8 without control characters.
  double least = INFINITY, most = -INFINITY;
  std::set<std::string> values;  // The first kTracked.
  std::set<std::string> ids;     // All, while they are unique.

  void Take(std::string_view field, std::set<std::string>* missing_codes) {
    const std::string text(Trim(field));
    ++rows;
    if (std::ranges::find(kMissingCodes, text) != std::end(kMissingCodes)) {
      ++missing;
      unique = false;
      missing_codes->insert(text);
      return;
    }
    if (const auto number = ParseNumber(text)) {
      least = std::min(least, *number);
      most = std::max(most, *number);
      whole = whole && *number == std::floor(*number);
    } else {
      numeric = false;
    }
    writable = writable && ParseJson(TomlString(text)).value_or(Value()) == Value(text);
    if (values.size() < kTracked) values.insert(text);
    if (unique) unique = ids.insert(text).second;
    if (!unique) ids.clear();
  }
  [[nodiscard]] bool IsCategory() const {
    if (values.size() < 2 || !writable) return false;
    return numeric ? whole && values.size() <= kMostNumericLevels : values.size() <= kMostLevels;
  }
};

// Outward to two significant digits.
double Rounded(double v, bool up) {
  if (v == 0) return 0;
  if (std::fabs(v) < kLeastDigit) return up == (v > 0) ? std::copysign(kLeastDigit, v) : 0;
  const double unit = std::pow(10.0, std::floor(std::log10(std::fabs(v))) - 1);
  return (up ? std::ceil(v / unit) : std::floor(v / unit)) * unit;
}

// TOML's integers end at 2^53 here.
std::string NumberText(double v) {
  return v == std::floor(v) && std::fabs(v) < 1e15 ? fmt::format("{:.0f}", v) : fmt::format("{:g}", v);
}

std::string Levels(const Seen& column) {
  std::vector<std::string> levels(column.values.begin(), column.values.end());
  if (column.numeric) {
    std::ranges::sort(levels, {}, [](const std::string& text) { return ParseNumber(text).value_or(0); });
    const auto same = std::ranges::unique(levels, [](const auto& a, const auto& b) { return SameValue(a, b); });
    levels.erase(same.begin(), same.end());
  }
  for (std::string& level : levels) level = TomlString(level);
  return fmt::format("[{}]", fmt::join(levels, ", "));
}

std::string ColumnText(const Seen& column, bool patient) {
  std::string out = fmt::format("\n[columns.{}]\n", TomlString(column.name));
  if (patient || column.values.empty()) return out + "type = \"text\"\n";
  if (column.IsCategory()) {
    out += fmt::format("type = \"category\"\nlevels = {}\n", Levels(column));
    if (column.values.size() == 2)
      out += fmt::format("# If this is the outcome: type = \"label\", positive and negative instead of levels.\n");
    return out + "meaning = \"\"\n";
  }
  const bool range = column.numeric && std::max(std::fabs(column.least), std::fabs(column.most)) < kMostNumber;
  if (!range) return out + "type = \"text\"  # Not used by any study.\n";
  const double least = Rounded(column.least, false), most = Rounded(column.most, true);
  const double above = least + (std::fabs(least) < 1e15 ? 1.0 : 0.01 * std::fabs(least));
  return out + fmt::format(
                   "type = \"number\"\nunit = \"\"\nminimum = {}  # What is possible, not what this file holds.\n"
                   "maximum = {}\nmeaning = \"\"\n",
                   NumberText(least), NumberText(least < most ? most : above));
}

char GuessDelimiter(const std::vector<std::string>& header) {
  if (header.size() != 1) return ',';
  for (const char c : {';', '\t', '|'}) {
    if (header[0].contains(c)) return c;
  }
  return ',';
}

}  // namespace

Result<std::string> InferCsv(const std::string& csv_file) {
  std::vector<std::string> fields;
  CsvReader first = TRY(CsvReader::Open(csv_file, ','));
  if (!TRY(first.Next(&fields)))
    return Fail(Code::kInvalid, csv_file + ": the file is empty; expected a header line and rows");
  const char delimiter = GuessDelimiter(fields);
  CsvReader csv = TRY(CsvReader::Open(csv_file, delimiter));
  TRY(csv.Next(&fields));
  std::vector<Seen> columns;
  for (const std::string& name : fields) {
    if (Trim(name).empty()) {
      return Fail(Code::kInvalid,
                  fmt::format("{}:{}: a column has no name; name it, or write the names into the schema's "
                              "[file] columns with header = false",
                              csv_file, csv.line()));
    }
    const std::string plain(Trim(name));
    const bool usable = plain.size() <= 64 && std::ranges::all_of(plain, [](unsigned char c) {
                          return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
                        });
    if (!usable) {
      return Fail(
          Code::kInvalid,
          fmt::format("{}:{}: the column \"{}\" has a name that no schema can hold (1 to 64 of the letters A-Z, a-z, "
                      "digits and _ . -); rename it in the file's header",
                      csv_file, csv.line(), Printable(plain.substr(0, 80))));
    }
    if (std::ranges::find(columns, plain, &Seen::name) != columns.end()) {
      return Fail(Code::kInvalid,
                  fmt::format("{}:{}: column \"{}\" is there twice; rename one", csv_file, csv.line(), plain));
    }
    columns.emplace_back().name = plain;
  }
  std::set<std::string> missing;
  while (TRY(csv.Next(&fields))) {
    if (fields.size() != columns.size()) {
      return Fail(Code::kInvalid, fmt::format("{}:{}: {} fields where the header has {}", csv_file, csv.line(),
                                              fields.size(), columns.size()));
    }
    for (std::size_t i = 0; i < fields.size(); ++i) columns[i].Take(fields[i], &missing);
  }
  if (columns.front().rows == 0) return Fail(Code::kInvalid, csv_file + ": has a header but no rows of data");

  const auto patient = std::ranges::find_if(columns, [](const Seen& c) {
    std::string lower = c.name;
    std::ranges::transform(lower, lower.begin(), [](unsigned char ch) { return std::tolower(ch); });
    return c.missing == 0 && (lower.contains("patient") || lower == "id" || lower.ends_with("_id"));
  });
  std::string out = fmt::format(
      "# A draft, made from {}. Correct every line: a schema says what is possible, and all hospitals of a study must\n"
      "# mean the same by it. Columns that no study needs can be taken out.\n\n[file]\npattern = \"*.csv\"\n",
      TomlString(std::filesystem::path(csv_file).filename().string()));
  if (delimiter != ',')
    out += fmt::format("delimiter = {}\n", delimiter == '\t' ? "\"\\t\"" : fmt::format("\"{}\"", delimiter));
  std::vector<std::string> codes;
  codes.reserve(missing.size());
  for (const std::string& code : missing) codes.push_back(TomlString(code));
  out += fmt::format("missing = [{}]\n\n[patient]\n", fmt::join(codes, ", "));
  out += patient == columns.end()
             ? "id = \"row\"  # No column looks like a patient's id: every row counts as another patient.\n"
             : fmt::format("id = {}\n", TomlString(patient->name));
  for (const Seen& column : columns)
    out += ColumnText(column, patient != columns.end() && column.name == patient->name);
  return out;
}

Result<std::string> InferSchema(const std::vector<std::string>& files) {
  if (files.size() == 2) return InferIdx(files[0], files[1]);
  if (files.size() != 1)
    return Fail(Code::kInvalid, "give one CSV or npz file, or two idx files: images and their labels");
  const SharedFile file = TRY(InputFile::Open(files.front()));
  std::array<std::uint8_t, 2> magic{};
  if (file->size() >= magic.size()) TRY(file->ReadAt(0, magic));
  return magic[0] == 'P' && magic[1] == 'K' ? InferNpz(files.front()) : InferCsv(files.front());
}

}  // namespace consilium::node
