// The data schema: reading and checking.
#include "common/plan/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "common/base/check.h"

namespace consilium {
namespace {

constexpr std::size_t kMaxColumns = 4096, kMaxLevels = 256, kMaxText = 128, kMaxMeaning = 512;
constexpr double kMaxMagnitude = 1e30;
constexpr std::size_t kMaxAxes = 4, kMaxParts = 16;

bool IsColumnName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  });
}
constexpr const char* kNameRule = "a column's name is 1 to 64 of the letters A-Z, a-z, digits and _ . -";

bool Shares(const std::vector<std::string>& a, const std::vector<std::string>& b, std::string* which) {
  for (const std::string& x : a) {
    for (const std::string& y : b) {
      if (CodeKey(x) != CodeKey(y)) continue;
      *which = x;
      return true;
    }
  }
  return false;
}

// A list of codes; numbers may be written bare.
std::vector<std::string> Codes(Reader& r, const std::string& key, std::size_t most) {
  std::vector<std::string> codes;
  const Value* value = r.Take(key);
  if (value == nullptr) return codes;
  if (!value->IsArray()) r.Refuse(key, "must be a list, like [\"1\", \"2\"]");
  if (value->AsArray().size() > most)
    r.Refuse(key, fmt::format("has {} values, more than {}", value->AsArray().size(), most));
  std::set<std::string> seen;
  for (const Value& element : value->AsArray()) {
    if (!element.IsString() && !element.IsNumber()) r.Refuse(key, "must hold texts and numbers only");
    std::string code = element.IsNumber() ? CanonicalJson(element) : element.AsString();
    if (!IsPlainText(code, kMaxText))
      r.Refuse(key, fmt::format("{} is longer than {} bytes or has control characters", Quoted(code), kMaxText));
    if (!seen.insert(CodeKey(code)).second) r.Refuse(key, fmt::format("{} is there twice", Quoted(code)));
    if (!r.ok()) break;
    codes.push_back(std::move(code));
  }
  return codes;
}

std::string PlainString(Reader& r, const std::string& key, std::size_t most) {
  std::string text = r.String(key, "");
  if (!IsPlainText(text, most))
    r.Refuse(key, fmt::format("must be at most {} bytes without line breaks and control characters", most));
  return text;
}

void ReadNumber(Reader& r, Column& column) {
  column.minimum = r.Number("minimum", -kMaxMagnitude, kMaxMagnitude);
  column.maximum = r.Number("maximum", -kMaxMagnitude, kMaxMagnitude);
  if (!(column.minimum < column.maximum)) {
    r.Refuse("maximum", fmt::format("must be above minimum ({}), got {}", column.minimum, column.maximum));
  }
}
void ReadTensor(Reader& r, Column& column) {
  ReadNumber(r, column);
  if (!column.missing.empty())
    r.Refuse("missing", "a tensor is there or not; its elements have no codes for missing. Take it out");
  const Value* shape = r.Take("shape");
  const Value::Array none;
  const Value::Array& axes = shape == nullptr ? none : shape->AsArray();
  if (axes.empty() || axes.size() > kMaxAxes)
    return r.Refuse("shape",
                    fmt::format("a tensor needs the lengths of its 1 to {} axes, like shape = [28, 28]", kMaxAxes));
  std::size_t elements = 1;
  for (const Value& axis : axes) {
    const std::int64_t length = axis.IsInteger() ? axis.AsInteger() : 0;
    if (length < 1 || length > static_cast<std::int64_t>(kMaxElements))
      return r.Refuse("shape", "must hold whole numbers from 1, like [28, 28]");
    elements *= static_cast<std::size_t>(length);
    if (elements > kMaxElements) return r.Refuse("shape", fmt::format("has more than {} elements", kMaxElements));
    column.shape.push_back(static_cast<std::uint32_t>(length));
  }
}
void ReadCategory(Reader& r, Column& column) {
  column.levels = Codes(r, "levels", kMaxLevels);
  if (column.levels.size() < 2)
    r.Refuse("levels", "a category needs at least two levels, like levels = [\"0\", \"1\"]");
  std::string code;
  if (Shares(column.levels, column.missing, &code))
    r.Refuse("levels", fmt::format("{} is a code for missing too", Quoted(code)));
}
void ReadClasses(Reader& r, Column& column) {
  column.classes = Codes(r, "classes", kMaxLevels);
  std::string code;
  for (const char* key : {"positive", "negative"}) {
    r.Take(key);
    if (r.Has(key)) r.Refuse(key, "stands beside classes; a label has two values (positive, negative) or classes");
  }
  if (column.classes.size() < 3)
    r.Refuse("classes", "of a label are three or more; with two, write positive and negative instead");
  if (Shares(column.classes, column.missing, &code))
    r.Refuse("classes", fmt::format("{} is a code for missing too", Quoted(code)));
}
void ReadLabel(Reader& r, Column& column) {
  if (r.Has("classes")) return ReadClasses(r, column);
  r.Take("classes");
  column.positive = Codes(r, "positive", kMaxLevels);
  column.negative = Codes(r, "negative", kMaxLevels);
  std::string code;
  if (column.positive.empty())
    r.Refuse("positive", "a label needs the values that mean 1, like positive = [\"1\"], or three or more classes");
  if (column.negative.empty()) r.Refuse("negative", "a label needs the values that mean 0, like negative = [\"0\"]");
  if (Shares(column.positive, column.negative, &code))
    r.Refuse("negative", fmt::format("{} means 1 already", Quoted(code)));
  if (Shares(column.positive, column.missing, &code))
    r.Refuse("positive", fmt::format("{} is a code for missing too", Quoted(code)));
  if (Shares(column.negative, column.missing, &code))
    r.Refuse("negative", fmt::format("{} is a code for missing too", Quoted(code)));
}

// Keys of another type are no unknown words, so they get a better answer than a spelling hint.
void RefuseForeign(Reader& r, Column::Type type) {
  static const std::array<std::pair<const char*, Column::Type>, 7> kOwners = {{{"minimum", Column::Type::kNumber},
                                                                               {"maximum", Column::Type::kNumber},
                                                                               {"shape", Column::Type::kTensor},
                                                                               {"levels", Column::Type::kCategory},
                                                                               {"positive", Column::Type::kLabel},
                                                                               {"negative", Column::Type::kLabel},
                                                                               {"classes", Column::Type::kLabel}}};
  for (const auto& [key, owner] : kOwners) {
    const bool range = owner == Column::Type::kNumber && type == Column::Type::kTensor;
    if (owner != type && !range && r.Has(key))
      r.Refuse(key, fmt::format("only a {} has it; this column is a {}", TypeName(owner), TypeName(type)));
  }
}

Result<Column> ReadColumn(const Value& value, const std::string& file, const std::string& name, bool named_inside) {
  Reader r(value, file, "columns." + (IsColumnName(name) ? name : Quoted(name)));
  Column column;
  column.name = name;
  if (named_inside) r.Take("name");
  if (!IsColumnName(name)) r.Refuse(named_inside ? "name" : "", fmt::format("{}: {}", Quoted(name), kNameRule));
  const std::string type = r.Choice("type", TypeNames());
  column.type = static_cast<Column::Type>(std::ranges::find(TypeNames(), type) - TypeNames().begin());
  column.unit = PlainString(r, "unit", 64);
  column.meaning = PlainString(r, "meaning", kMaxMeaning);
  column.missing = Codes(r, "missing", kMaxLevels);
  column.array = r.String("array", "");
  if (!column.array.empty() && !IsColumnName(column.array))
    r.Refuse("array", fmt::format("{}: as of a column, {}", Quoted(column.array), kNameRule));
  RefuseForeign(r, column.type);
  if (column.type == Column::Type::kNumber) ReadNumber(r, column);
  if (column.type == Column::Type::kCategory) ReadCategory(r, column);
  if (column.type == Column::Type::kLabel) ReadLabel(r, column);
  if (column.type == Column::Type::kTensor) ReadTensor(r, column);
  TRY(r.Finish());
  return column;
}

// [columns.NAME] tables in the file's order, or the canonical form's list of objects with "name".
Status ReadColumns(const Value& value, const std::string& file, Schema* schema) {
  struct Entry {
    std::string name;
    const Value* value;
  };
  std::vector<Entry> entries;
  for (const auto& [name, column] : value.AsObject()) entries.push_back({name, &column});
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.value->place.line, a.value->place.column) <
           std::pair(b.value->place.line, b.value->place.column);
  });
  for (const Value& column : value.AsArray()) entries.push_back({column["name"].AsString(), &column});
  if (entries.empty()) return Fail(Code::kInvalid, file + ": no column is declared; write [columns.NAME] with a type");
  if (entries.size() > kMaxColumns)
    return Fail(Code::kInvalid, fmt::format("{}: {} columns are more than {}", file, entries.size(), kMaxColumns));
  std::set<std::string> seen;
  for (const Entry& entry : entries) {
    schema->columns.push_back(TRY(ReadColumn(*entry.value, file, entry.name, value.IsArray())));
    if (!seen.insert(entry.name).second)
      return Fail(Code::kInvalid, fmt::format("{}: column '{}' is there twice", file, entry.name));
  }
  return {};
}

Status ReadFile(const Value& value, const std::string& file, Schema* schema) {
  Reader r(value, file, "file");
  schema->pattern = r.String("pattern", schema->pattern);
  schema->header = r.Bool("header", schema->header);
  const std::string delimiter = r.String("delimiter", ",");
  schema->file_columns = r.Strings("columns", {});
  if (r.Has("missing")) {
    schema->missing = Codes(r, "missing", kMaxLevels);
  } else {
    r.Take("missing");
  }
  if (!IsPlainText(schema->pattern, kMaxText) || schema->pattern.empty() ||
      schema->pattern.find('/') != std::string::npos) {
    r.Refuse("pattern", "must be a file name pattern without a folder, like \"*.csv\"");
  }
  if (delimiter.size() != 1 || std::string_view(",;|\t ").find(delimiter) == std::string_view::npos) {
    r.Refuse("delimiter", R"(must be one of ",", ";", "|", "\t", " ")");
  } else {
    schema->delimiter = delimiter[0];
  }
  if (!schema->header && schema->file_columns.empty())
    r.Refuse("columns", "a file without a header needs its columns' names in order");
  if (schema->file_columns.size() > kMaxColumns) r.Refuse("columns", fmt::format("more than {} columns", kMaxColumns));
  schema->parts = r.Strings("parts", {});
  if (schema->parts.size() > kMaxParts) r.Refuse("parts", fmt::format("more than {} parts", kMaxParts));
  for (const char* key : {"columns", "parts"}) {
    std::set<std::string> seen;
    for (const std::string& name : std::string_view(key) == "parts" ? schema->parts : schema->file_columns) {
      if (!IsColumnName(name)) r.Refuse(key, fmt::format("{}: {}", Quoted(name), kNameRule));
      if (!seen.insert(name).second) r.Refuse(key, fmt::format("{} is there twice", Quoted(name)));
    }
  }
  return r.Finish();
}

// Whether the file surely has the column: declared, or named by position.
bool IsThere(const Schema& schema, const std::string& name) {
  const auto& names = schema.file_columns;
  return schema.Find(name) != nullptr || std::find(names.begin(), names.end(), name) != names.end();
}
std::string NotThere(const Schema& schema, const std::string& name) {
  std::vector<std::string> names = schema.file_columns;
  for (const Column& column : schema.columns) names.push_back(column.name);
  const std::string near = Nearest(name, names);
  return fmt::format("{} is no column of this schema{}", Quoted(name),
                     near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
}

Status ReadPatient(const Value& value, const std::string& file, Schema* schema) {
  Reader r(value, file, "patient");
  schema->patient_id = r.String("id", schema->patient_id);
  if (schema->patient_id != "row" && !IsThere(*schema, schema->patient_id)) {
    r.Refuse("id", NotThere(*schema, schema->patient_id) + "; or write \"row\" when every row is another patient");
  }
  return r.Finish();
}

// Every part is on one side.
void RefuseStrangeParts(Reader& r, const Schema& schema) {
  const auto& parts = schema.parts;
  const auto has = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  for (const auto* side : {&schema.split_train, &schema.split_test}) {
    for (const std::string& name : *side) {
      if (!has(parts, name))
        r.Refuse(side == &schema.split_train ? "train" : "test",
                 fmt::format("{} is not among [file] parts", Quoted(name)));
    }
  }
  for (const std::string& name : parts) {
    if (!has(schema.split_train, name) && !has(schema.split_test, name))
      r.Refuse("train", fmt::format("neither train nor test has the part {}", Quoted(name)));
  }
}

Status ReadSplit(const Value& value, const std::string& file, Schema* schema) {
  if (value.IsNull()) return {};
  Reader r(value, file, "split");
  schema->split_column = r.String("column");
  schema->split_train = Codes(r, "train", kMaxLevels);
  schema->split_test = Codes(r, "test", kMaxLevels);
  std::string code;
  const bool by_part = schema->SplitByPart();
  if (!by_part && !IsThere(*schema, schema->split_column)) r.Refuse("column", NotThere(*schema, schema->split_column));
  if (by_part) RefuseStrangeParts(r, *schema);
  if (schema->split_train.empty()) r.Refuse("train", "needs the values that mean training, like train = [\"train\"]");
  if (schema->split_test.empty()) r.Refuse("test", "needs the values that mean test, like test = [\"test\"]");
  if (Shares(schema->split_train, schema->split_test, &code))
    r.Refuse("test", fmt::format("{} means training already", Quoted(code)));
  return r.Finish();
}

Status CheckTogether(const Value& columns, const std::string& file, const Schema& schema) {
  for (const Column& column : schema.columns) {
    const Value::Place place = columns[column.name].place;
    const std::string at = place.line > 0 ? fmt::format("{}:{}:{}", file, place.line, place.column) : file;
    if (!schema.file_columns.empty() &&
        std::find(schema.file_columns.begin(), schema.file_columns.end(), column.name) == schema.file_columns.end()) {
      return Fail(Code::kInvalid, fmt::format("{}: [columns.{}]: is not among [file] columns", at, column.name));
    }
    std::string code;
    if (Shares(column.levels, schema.missing, &code) || Shares(column.positive, schema.missing, &code) ||
        Shares(column.negative, schema.missing, &code) || Shares(column.classes, schema.missing, &code)) {
      return Fail(Code::kInvalid, fmt::format("{}: [columns.{}]: {} is a code for missing in [file] too", at,
                                              column.name, Quoted(code)));
    }
  }
  return {};
}

}  // namespace

std::size_t Column::Elements() const {
  std::size_t out = 1;
  for (const std::uint32_t axis : shape) out *= axis;
  return out;
}

const Column* Schema::Find(std::string_view name) const {
  const auto found =
      std::find_if(columns.begin(), columns.end(), [&](const Column& column) { return column.name == name; });
  return found == columns.end() ? nullptr : &*found;
}

Result<Schema> SchemaFromValue(const Value& value, std::string_view name) {
  const std::string file(name);
  Reader r(value, file, "");
  for (const char* section : {"file", "patient", "split", "columns"}) r.Take(section);
  TRY(r.Finish());
  Schema schema;
  TRY(ReadFile(value["file"], file, &schema));
  TRY(ReadColumns(value["columns"], file, &schema));
  TRY(ReadPatient(value["patient"], file, &schema));
  TRY(ReadSplit(value["split"], file, &schema));
  TRY(CheckTogether(value["columns"], file, schema));
  return schema;
}

Result<Schema> ParseSchema(std::string_view toml, std::string_view name) {
  return SchemaFromValue(TRY(ParseToml(toml, name)), name);
}

}  // namespace consilium
