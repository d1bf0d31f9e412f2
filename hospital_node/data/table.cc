// From files to a table.
#include "hospital_node/data/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "common/base/check.h"
#include "common/crypto/hash.h"
#include "hospital_node/data/cell.h"
#include "hospital_node/data/csv.h"

namespace consilium::node {
namespace {

namespace fs = std::filesystem;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kShownBytes = 40;

// Which field of a record holds what, for one file.
struct Positions {
  std::vector<std::size_t> columns;  // By declared column.
  std::size_t width = 0;
  std::size_t patient = 0, split = 0;
};

class TableReader {
 public:
  TableReader(const Schema& schema, const ReadOptions& options) : schema_(schema), options_(options) {
    for (const Column& column : schema.columns) {
      cells_.emplace_back(column, schema.missing);
      if (column.type != Column::Type::kText) table_.series.push_back({column, {}, {}});
    }
    const Column* id = schema.Find(schema.patient_id);
    Column plain;
    plain.type = Column::Type::kText;
    id_cell_.emplace(id == nullptr ? plain : *id, schema.missing);
  }

  Status ReadFile(const std::string& path) {
    CsvReader csv = TRY(CsvReader::Open(path, schema_.delimiter));
    const Positions positions = TRY(FindColumns(&csv));
    std::vector<std::string> fields;
    const std::size_t before = table_.rows();
    while (TRY(csv.Next(&fields))) {
      if (Status row = ReadRow(csv, positions, fields); !row) return row;
    }
    if (table_.rows() == before && problems_.empty()) {
      return Fail(
          Code::kInvalid,
          fmt::format("{}: {}", path, schema_.header ? "has a header but no rows of data" : "the file is empty"));
    }
    table_.files.push_back(path);
    return {};
  }

  Result<Table> Finish() {
    if (!problems_.empty()) return Fail(Code::kInvalid, fmt::format("{}", fmt::join(problems_, "\n")));
    return std::move(table_);
  }

 private:
  using Names = std::vector<std::string>;

  Result<Positions> FindColumns(CsvReader* csv) {
    Names names = schema_.file_columns;
    if (schema_.header) {
      names.clear();
      if (!TRY(csv->Next(&names)))
        return Fail(Code::kInvalid, fmt::format("{}: the file is empty; expected a header line and rows", csv->path()));
      for (std::string& name : names) name = std::string(Trim(name));
    }
    std::map<std::string, std::size_t> where;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!where.emplace(names[i], i).second && !names[i].empty()) {
        return Fail(Code::kInvalid,
                    fmt::format("{}:{}: column \"{}\" is there twice; rename one", csv->path(), csv->line(), names[i]));
      }
    }
    Positions out;
    out.width = names.size();
    for (const Column& column : schema_.columns) out.columns.push_back(TRY(Locate(where, column.name, names, *csv)));
    if (schema_.patient_id != "row") out.patient = TRY(Locate(where, schema_.patient_id, names, *csv));
    if (!schema_.split_column.empty()) out.split = TRY(Locate(where, schema_.split_column, names, *csv));
    for (const std::string& name : names) NoteIgnored(name);
    return out;
  }

  [[nodiscard]] Result<std::size_t> Locate(const std::map<std::string, std::size_t>& where, const std::string& name,
                                           const Names& names, const CsvReader& csv) const {
    const auto found = where.find(name);
    if (found != where.end()) return found->second;
    if (!schema_.header) {
      return Fail(Code::kInvalid,
                  fmt::format("{}: column \"{}\" is declared, but [file] columns does not name it", csv.path(), name));
    }
    const std::string near = Nearest(name, names);
    const std::string hint = near.empty() ? "" : fmt::format(" (the header has \"{}\")", near);
    return Fail(Code::kInvalid, fmt::format("{}:{}: column \"{}\" is missing{}; add it, or mend the schema", csv.path(),
                                            csv.line(), name, hint));
  }

  void NoteIgnored(const std::string& name) {
    if (schema_.Find(name) != nullptr || name == schema_.patient_id || name == schema_.split_column) return;
    auto& ignored = table_.ignored_columns;
    if (std::find(ignored.begin(), ignored.end(), name) == ignored.end()) ignored.push_back(name);
  }

  // Problems of values are collected; only their number ends the reading.
  Status ReadRow(const CsvReader& csv, const Positions& positions, const Names& fields) {
    if (fields.size() != positions.width) {
      return Problem(fmt::format(
          "{}:{}: {} fields where {} are expected; is a delimiter missing, or a field with '{}' not quoted?",
          csv.path(), csv.line(), fields.size(), positions.width, schema_.delimiter));
    }
    if (schema_.patient_id != "row" && options_.excluded != nullptr && !options_.excluded->empty() &&
        options_.excluded->contains(PatientMark(Trim(fields[positions.patient])))) {
      return {};
    }
    if (table_.rows() == kMaxRows)
      return Fail(Code::kInvalid,
                  fmt::format("{}:{}: more than {} rows in one data set", csv.path(), csv.line(), kMaxRows));
    std::size_t next = 0;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      const std::string& field = fields[positions.columns[i]];
      const CellReader::Cell cell = cells_[i].Read(field);
      if (!cell.fault.empty()) {
        if (Status problem = Problem(Describe(csv, cells_[i].column().name, field, cell)); !problem) return problem;
      }
      const Column::Type type = cells_[i].column().type;
      if (type == Column::Type::kText) continue;
      Series& series = table_.series[next++];
      if (type == Column::Type::kCategory) {
        series.levels.push_back(cell.missing ? -1 : cell.level);
      } else {
        series.numbers.push_back(cell.missing ? kMissing : cell.number);
      }
    }
    return ReadPatient(csv, positions, fields);
  }

  Status ReadPatient(const CsvReader& csv, const Positions& positions, const Names& fields) {
    std::string id = std::to_string(table_.rows());
    if (schema_.patient_id != "row") {
      id = std::string(Trim(fields[positions.patient]));
      const bool missing = id.empty() || id_cell_->Read(id).missing;
      if (missing) {
        if (Status problem = Problem(fmt::format("{}:{}: column \"{}\": the patient id is missing; every row needs one",
                                                 csv.path(), csv.line(), schema_.patient_id));
            !problem) {
          return problem;
        }
      }
    }
    const auto [entry, fresh] = patients_.emplace(id, static_cast<std::uint32_t>(table_.patient_ids.size()));
    if (fresh) table_.patient_ids.push_back(id);
    table_.patient.push_back(entry->second);
    return schema_.split_column.empty() ? Status{} : ReadSide(csv, fields[positions.split], entry->second);
  }

  Status ReadSide(const CsvReader& csv, const std::string& field, std::uint32_t patient) {
    const auto any = [&](const Names& values) {
      return std::any_of(values.begin(), values.end(),
                         [&](const std::string& value) { return SameValue(value, field); });
    };
    const bool train = any(schema_.split_train), test = any(schema_.split_test);
    const std::string where = fmt::format("{}:{}: column \"{}\"", csv.path(), csv.line(), schema_.split_column);
    const Side side = test ? Side::kTest : Side::kTrain;
    if (patient == table_.declared_side.size()) table_.declared_side.push_back(side);
    if (train == test) {
      return Problem(
          fmt::format("{}: a value that is not declared{}; the schema knows \"{}\" as train and \"{}\" as test", where,
                      Shown(field), fmt::join(schema_.split_train, "\", \""), fmt::join(schema_.split_test, "\", \"")));
    }
    if (table_.declared_side[patient] != side) {
      return Problem(fmt::format(
          "{}: this patient has rows on both sides of the split; put all rows of a patient on one side", where));
    }
    return {};
  }

  [[nodiscard]] std::string Shown(std::string_view value) const {
    if (!options_.show_values || value.empty()) return "";
    const bool cut = value.size() > kShownBytes;
    return fmt::format(" (\"{}{}\")", value.substr(0, kShownBytes), cut ? "..." : "");
  }

  [[nodiscard]] std::string Describe(const CsvReader& csv, const std::string& name, std::string_view field,
                                     const CellReader::Cell& cell) const {
    return fmt::format("{}:{}: column \"{}\": {}{}; {}", csv.path(), csv.line(), name, cell.fault, Shown(field),
                       cell.mend);
  }

  Status Problem(std::string text) {
    problems_.push_back(std::move(text));
    if (problems_.size() < options_.maximum_problems) return {};
    return Fail(Code::kInvalid, fmt::format("{}", fmt::join(problems_, "\n")));
  }

  const Schema& schema_;
  const ReadOptions& options_;
  std::vector<CellReader> cells_;
  std::optional<CellReader> id_cell_;
  std::map<std::string, std::uint32_t> patients_;
  Names problems_;
  Table table_;
};

}  // namespace

std::string PatientMark(std::string_view id) { return Fields("consilium/patient").AddText(id).Hash().Hex(); }

bool Series::MissingAt(std::size_t row) const {
  return column.type == Column::Type::kCategory ? levels[row] < 0 : std::isnan(numbers[row]);
}

std::uint64_t Series::Missing() const {
  const auto levels_missing = std::count(levels.begin(), levels.end(), -1);
  const auto numbers_missing = std::count_if(numbers.begin(), numbers.end(), [](double v) { return std::isnan(v); });
  return static_cast<std::uint64_t>(levels_missing + numbers_missing);
}

const Series* Table::Find(std::string_view name) const {
  for (const Series& one : series) {
    if (one.column.name == name) return &one;
  }
  return nullptr;
}

Result<std::vector<std::string>> SourceFiles(const std::string& folder, const Schema& schema) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (fs::is_regular_file(status)) return std::vector<std::string>{folder};
  if (!fs::is_directory(status)) return Fail(Code::kInvalid, fmt::format("{}: no such folder or file", folder));
  std::vector<std::string> out;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (fnmatch(schema.pattern.c_str(), name.c_str(), FNM_PERIOD) == 0 && entry->is_regular_file(ignored))
      out.push_back(entry->path().string());
  }
  if (error)
    return Fail(Code::kIo,
                fmt::format("{}: cannot be listed ({}); let the node's user read it", folder, error.message()));
  if (out.empty()) {
    return Fail(Code::kInvalid,
                fmt::format("{}: no file matches \"{}\"; mend the folder, or [file] pattern in the schema", folder,
                            schema.pattern));
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<Table> ReadTable(const std::string& folder, const Schema& schema, const ReadOptions& options) {
  TableReader reader(schema, options);
  for (const std::string& file : TRY(SourceFiles(folder, schema))) {
    if (Status read = reader.ReadFile(file); !read) return std::unexpected(read.error());
  }
  return reader.Finish();
}

}  // namespace consilium::node
