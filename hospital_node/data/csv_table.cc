// From CSV files to a table.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "hospital_node/data/builder.h"
#include "hospital_node/data/cell.h"
#include "hospital_node/data/csv.h"

namespace consilium::node {
namespace {

// Which field of a record holds what, for one file.
struct Positions {
  std::vector<std::size_t> columns;  // By declared column.
  std::size_t width = 0;
  std::size_t patient = 0, split = 0;
};

class TableReader {
 public:
  TableReader(const Schema& schema, const ReadOptions& options) : schema_(schema), builder_(schema, options) {
    for (const Column& column : schema.columns) cells_.emplace_back(column, schema.missing);
    const Column* id = schema.Find(schema.patient_id);
    Column plain;
    plain.type = Column::Type::kText;
    id_cell_.emplace(id == nullptr ? plain : *id, schema.missing);
  }

  Status ReadFile(const std::string& path) {
    CsvReader csv = TRY(CsvReader::Open(path, schema_.delimiter));
    const Positions positions = TRY(FindColumns(&csv));
    std::vector<std::string> fields;
    bool any = false;  // Of patients who withdrew, too: that nobody is left is no fault of the file.
    while (TRY(csv.Next(&fields))) {
      any = true;
      if (Status row = ReadRow(csv, positions, fields); !row) return row;
    }
    if (!any) {
      return Fail(Code::kInvalid,
                  fmt::format("{}: {}", path,
                              schema_.header ? "has a header but no rows of data; was it exported whole?"
                                             : "the file is empty; was it exported whole?"));
    }
    builder_.NoteFile(path);
    return {};
  }

  Result<Table> Finish() { return builder_.Finish(); }

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
    if (schema_.Find(name) == nullptr && name != schema_.patient_id && name != schema_.split_column)
      builder_.NoteIgnored(name);
  }

  // Problems of values are collected; only their number ends the reading.
  Status ReadRow(const CsvReader& csv, const Positions& positions, const Names& fields) {
    if (fields.size() != positions.width) {
      return builder_.Problem(fmt::format(
          "{}:{}: {} fields where {} are expected; is a delimiter missing, or a field with '{}' not quoted?",
          csv.path(), csv.line(), fields.size(), positions.width, schema_.delimiter));
    }
    const bool named = schema_.patient_id != "row";
    if (named && builder_.Excludes(Trim(fields[positions.patient]))) return {};
    std::size_t series = 0;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      const std::string& field = fields[positions.columns[i]];
      const CellReader::Cell cell = cells_[i].Read(field);
      if (!cell.fault.empty()) TRY(builder_.Problem(Describe(csv, cells_[i].column().name, field, cell)));
      if (cells_[i].column().type != Column::Type::kText) builder_.Put(series++, cell);
    }
    const std::string id = named ? TRY(ReadPatient(csv, fields[positions.patient])) : "";
    std::optional<Side> side;
    if (!schema_.split_column.empty()) side = TRY(ReadSide(csv, fields[positions.split]));
    const std::string where = side ? fmt::format("{}:{}: column \"{}\"", csv.path(), csv.line(), schema_.split_column)
                                   : fmt::format("{}:{}", csv.path(), csv.line());
    return builder_.Commit(id, side, where);
  }

  Result<std::string> ReadPatient(const CsvReader& csv, const std::string& field) {
    std::string id(Trim(field));
    if (id.empty() || id_cell_->Read(id).missing) {
      TRY(builder_.Problem(fmt::format("{}:{}: column \"{}\": the patient id is missing; every row needs one",
                                       csv.path(), csv.line(), schema_.patient_id)));
    }
    return id;
  }

  Result<Side> ReadSide(const CsvReader& csv, const std::string& field) {
    const auto any = [&](const Names& values) {
      return std::any_of(values.begin(), values.end(),
                         [&](const std::string& value) { return SameValue(value, field); });
    };
    const bool train = any(schema_.split_train), test = any(schema_.split_test);
    if (train == test) {
      TRY(builder_.Problem(fmt::format(
          "{}:{}: column \"{}\": a value that is not declared{}; the schema knows \"{}\" as train and \"{}\" as test",
          csv.path(), csv.line(), schema_.split_column, builder_.Shown(field), fmt::join(schema_.split_train, "\", \""),
          fmt::join(schema_.split_test, "\", \""))));
    }
    return test ? Side::kTest : Side::kTrain;
  }

  [[nodiscard]] std::string Describe(const CsvReader& csv, const std::string& name, std::string_view field,
                                     const CellReader::Cell& cell) const {
    return fmt::format("{}:{}: column \"{}\": {}{}; {}", csv.path(), csv.line(), name, cell.fault,
                       builder_.Shown(field), cell.mend);
  }

  const Schema& schema_;
  TableBuilder builder_;
  std::vector<CellReader> cells_;
  std::optional<CellReader> id_cell_;
};

// What only arrays have.
Status RefuseArrays(const Schema& schema) {
  for (const Column& column : schema.columns) {
    if (column.type != Column::Type::kTensor) continue;
    return Fail(Code::kInvalid,
                fmt::format("column \"{}\" is a tensor, which no CSV file holds; give the files with --idx "
                            "or --npz",
                            column.name));
  }
  if (schema.parts.empty()) return {};
  return Fail(Code::kInvalid, "[file] parts are those of idx and npz sources; take them out for CSV files");
}

}  // namespace

Result<Table> ReadTable(const std::string& folder, const Schema& schema, const ReadOptions& options) {
  TRY(RefuseArrays(schema));
  TableReader reader(schema, options);
  for (const std::string& file : TRY(SourceFiles(folder, schema))) {
    if (Status read = reader.ReadFile(file); !read) return std::unexpected(read.error());
  }
  return reader.Finish();
}

}  // namespace consilium::node
