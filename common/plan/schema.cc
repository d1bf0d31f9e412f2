// The data schema: reading, checking, writing, comparing.
#include "common/plan/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "common/base/check.h"

namespace consilium {
namespace {

constexpr std::size_t kMaxColumns = 4096, kMaxLevels = 256, kMaxText = 128, kMaxMeaning = 512;
constexpr double kMaxMagnitude = 1e30;
const std::vector<std::string> kTypes = {"number", "category", "label", "text"};

std::string TypeName(Column::Type type) { return kTypes.at(static_cast<std::size_t>(type)); }

bool IsColumnName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  });
}
constexpr const char* kNameRule = "a column's name is 1 to 64 of the letters A-Z, a-z, digits and _ . -";

// Codes that read as numbers compare as numbers: "1" is "1.0".
std::string CodeKey(std::string_view code) {
  double number = 0;
  const auto [end, error] = std::from_chars(code.data(), code.data() + code.size(), number);
  if (error != std::errc() || end != code.data() + code.size()) return std::string(code);
  return fmt::format("{}", number == 0 ? 0.0 : number);
}
std::vector<std::string> SortedKeys(const std::vector<std::string>& codes) {
  std::vector<std::string> keys;
  keys.reserve(codes.size());
  for (const std::string& code : codes) keys.push_back(CodeKey(code));
  std::sort(keys.begin(), keys.end());
  return keys;
}
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
void ReadCategory(Reader& r, Column& column) {
  column.levels = Codes(r, "levels", kMaxLevels);
  if (column.levels.size() < 2)
    r.Refuse("levels", "a category needs at least two levels, like levels = [\"0\", \"1\"]");
  std::string code;
  if (Shares(column.levels, column.missing, &code))
    r.Refuse("levels", fmt::format("{} is a code for missing too", Quoted(code)));
}
void ReadLabel(Reader& r, Column& column) {
  column.positive = Codes(r, "positive", kMaxLevels);
  column.negative = Codes(r, "negative", kMaxLevels);
  std::string code;
  if (column.positive.empty()) r.Refuse("positive", "a label needs the values that mean 1, like positive = [\"1\"]");
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
  static const std::array<std::pair<const char*, Column::Type>, 5> kOwners = {{{"minimum", Column::Type::kNumber},
                                                                               {"maximum", Column::Type::kNumber},
                                                                               {"levels", Column::Type::kCategory},
                                                                               {"positive", Column::Type::kLabel},
                                                                               {"negative", Column::Type::kLabel}}};
  for (const auto& [key, owner] : kOwners) {
    if (owner != type && r.Has(key))
      r.Refuse(key, fmt::format("only a {} has it; this column is a {}", TypeName(owner), TypeName(type)));
  }
}

Result<Column> ReadColumn(const Value& value, const std::string& file, const std::string& name, bool named_inside) {
  Reader r(value, file, "columns." + (IsColumnName(name) ? name : Quoted(name)));
  Column column;
  column.name = name;
  if (named_inside) r.Take("name");
  if (!IsColumnName(name)) r.Refuse(named_inside ? "name" : "", fmt::format("{}: {}", Quoted(name), kNameRule));
  const std::string type = r.Choice("type", kTypes);
  column.type = static_cast<Column::Type>(std::find(kTypes.begin(), kTypes.end(), type) - kTypes.begin());
  column.unit = PlainString(r, "unit", 64);
  column.meaning = PlainString(r, "meaning", kMaxMeaning);
  column.missing = Codes(r, "missing", kMaxLevels);
  RefuseForeign(r, column.type);
  if (column.type == Column::Type::kNumber) ReadNumber(r, column);
  if (column.type == Column::Type::kCategory) ReadCategory(r, column);
  if (column.type == Column::Type::kLabel) ReadLabel(r, column);
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
  std::set<std::string> seen;
  for (const std::string& name : schema->file_columns) {
    if (!IsColumnName(name)) r.Refuse("columns", fmt::format("{}: {}", Quoted(name), kNameRule));
    if (!seen.insert(name).second) r.Refuse("columns", fmt::format("{} is there twice", Quoted(name)));
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

Status ReadSplit(const Value& value, const std::string& file, Schema* schema) {
  if (value.IsNull()) return {};
  Reader r(value, file, "split");
  schema->split_column = r.String("column");
  schema->split_train = Codes(r, "train", kMaxLevels);
  schema->split_test = Codes(r, "test", kMaxLevels);
  std::string code;
  if (!IsThere(*schema, schema->split_column)) r.Refuse("column", NotThere(*schema, schema->split_column));
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
        Shares(column.negative, schema.missing, &code)) {
      return Fail(Code::kInvalid, fmt::format("{}: [columns.{}]: {} is a code for missing in [file] too", at,
                                              column.name, Quoted(code)));
    }
  }
  return {};
}

Value ListOf(const std::vector<std::string>& texts) { return Value(Value::Array(texts.begin(), texts.end())); }

Value ToValue(const Column& column) {
  Value value = Value()
                    .Set("name", column.name)
                    .Set("type", TypeName(column.type))
                    .Set("unit", column.unit)
                    .Set("meaning", column.meaning)
                    .Set("missing", ListOf(column.missing));
  if (column.type == Column::Type::kNumber) value.Set("minimum", column.minimum).Set("maximum", column.maximum);
  if (column.type == Column::Type::kCategory) value.Set("levels", ListOf(column.levels));
  if (column.type == Column::Type::kLabel)
    value.Set("positive", ListOf(column.positive)).Set("negative", ListOf(column.negative));
  return value;
}

// JSON's strings, numbers and lists of them are TOML's too.
std::string Line(const std::string& key, const Value& value) { return key + " = " + CanonicalJson(value) + "\n"; }

std::string ColumnToml(const Column& column) {
  std::string out = fmt::format("\n[columns.{}]\n",
                                column.name.find('.') == std::string::npos ? column.name : "\"" + column.name + "\"");
  const Value value = ToValue(column);
  for (const char* key :
       {"type", "unit", "minimum", "maximum", "levels", "positive", "negative", "missing", "meaning"}) {
    const Value& member = value[key];
    if (member.IsNull() || member == Value("") || (member.IsArray() && member.AsArray().empty())) continue;
    out += Line(key, member);
  }
  return out;
}

}  // namespace

bool IsPlainText(std::string_view text, std::size_t most) {
  if (text.size() > most) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](std::size_t j) { return i + j < text.size() ? static_cast<unsigned char>(text[i + j]) : 0U; };
    if (byte(0) < 0x20 || byte(0) == 0x7f) return false;
    if (byte(0) == 0xc2 && byte(1) < 0xa0) return false;  // C1 controls, which terminals obey.
    if (byte(0) == 0xe2 && byte(1) == 0x80 &&
        (byte(2) == 0xa8 || byte(2) == 0xa9 || (byte(2) >= 0xaa && byte(2) <= 0xae)))
      return false;
    if (byte(0) == 0xe2 && byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9)
      return false;  // These two: lines and direction.
  }
  return true;
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

Value ToValue(const Schema& schema) {
  Value columns = Value::Array{};
  for (const Column& column : schema.columns) columns.Push(ToValue(column));
  Value value = Value()
                    .Set("file", Value()
                                     .Set("pattern", schema.pattern)
                                     .Set("header", schema.header)
                                     .Set("delimiter", std::string(1, schema.delimiter))
                                     .Set("columns", ListOf(schema.file_columns))
                                     .Set("missing", ListOf(schema.missing)))
                    .Set("patient", Value().Set("id", schema.patient_id))
                    .Set("columns", std::move(columns));
  if (!schema.split_column.empty()) {
    value.Set("split", Value()
                           .Set("column", schema.split_column)
                           .Set("train", ListOf(schema.split_train))
                           .Set("test", ListOf(schema.split_test)));
  }
  return value;
}

std::string SchemaToml(const Schema& schema) {
  const Value value = ToValue(schema);
  std::string out = "[file]\n";
  for (const char* key : {"pattern", "header", "delimiter", "columns", "missing"}) out += Line(key, value["file"][key]);
  out += "\n[patient]\n" + Line("id", value["patient"]["id"]);
  if (value.Has("split")) {
    out += "\n[split]\n";
    for (const char* key : {"column", "train", "test"}) out += Line(key, value["split"][key]);
  }
  for (const Column& column : schema.columns) out += ColumnToml(column);
  return out;
}

Status Compatible(const Schema& wanted, const Schema& local, std::string_view column) {
  const Column* w = wanted.Find(column);
  const Column* l = local.Find(column);
  const auto differ = [&](const std::string& what, const std::string& plan, const std::string& here) {
    return Fail(
        Code::kInvalid,
        fmt::format(
            "column '{}': the plan declares {} {}, this data set {}; correct the data set's schema or reject the plan",
            column, what, plan, here));
  };
  if (w == nullptr) return Fail(Code::kInvalid, fmt::format("column {} is not in the plan's schema", Quoted(column)));
  if (l == nullptr)
    return Fail(Code::kInvalid, fmt::format("column {} is in the plan and not in this data set's schema; add it there",
                                            Quoted(column)));
  const auto list = [](const std::vector<std::string>& codes) { return CanonicalJson(ListOf(codes)); };
  const auto keys = [](const std::vector<std::string>& codes) {
    std::vector<std::string> out;
    out.reserve(codes.size());
    for (const std::string& code : codes) out.push_back(CodeKey(code));
    return out;
  };
  if (w->type != l->type) return differ("type", TypeName(w->type), TypeName(l->type));
  if (w->unit != l->unit) return differ("unit", Quoted(w->unit), Quoted(l->unit));
  if (w->minimum != l->minimum) return differ("minimum", fmt::format("{}", w->minimum), fmt::format("{}", l->minimum));
  if (w->maximum != l->maximum) return differ("maximum", fmt::format("{}", w->maximum), fmt::format("{}", l->maximum));
  if (keys(w->levels) != keys(l->levels)) return differ("levels", list(w->levels), list(l->levels));
  if (SortedKeys(w->positive) != SortedKeys(l->positive))
    return differ("positive", list(w->positive), list(l->positive));
  if (SortedKeys(w->negative) != SortedKeys(l->negative))
    return differ("negative", list(w->negative), list(l->negative));
  return {};
}

}  // namespace consilium
