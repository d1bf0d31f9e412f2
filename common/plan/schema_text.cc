// The data schema: writing and comparing.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "common/plan/schema.h"

namespace consilium {
namespace {

std::vector<std::string> SortedKeys(const std::vector<std::string>& codes) {
  std::vector<std::string> keys;
  keys.reserve(codes.size());
  for (const std::string& code : codes) keys.push_back(CodeKey(code));
  std::sort(keys.begin(), keys.end());
  return keys;
}

Value ListOf(const std::vector<std::string>& texts) { return Value(Value::Array(texts.begin(), texts.end())); }

Value ToValue(const Column& column) {
  Value value = Value()
                    .Set("name", column.name)
                    .Set("type", TypeName(column.type))
                    .Set("unit", column.unit)
                    .Set("meaning", column.meaning)
                    .Set("missing", ListOf(column.missing));
  const bool tensor = column.type == Column::Type::kTensor;
  if (column.type == Column::Type::kNumber || tensor)
    value.Set("minimum", column.minimum).Set("maximum", column.maximum);
  if (tensor) value.Set("shape", Value(Value::Array(column.shape.begin(), column.shape.end())));
  if (column.type == Column::Type::kCategory) value.Set("levels", ListOf(column.levels));
  if (!column.classes.empty()) value.Set("classes", ListOf(column.classes));
  if (column.type == Column::Type::kLabel && column.classes.empty())
    value.Set("positive", ListOf(column.positive)).Set("negative", ListOf(column.negative));
  if (!column.array.empty()) value.Set("array", column.array);
  return value;
}

// JSON's strings, numbers and lists of them are TOML's too.
std::string Line(const std::string& key, const Value& value) { return key + " = " + CanonicalJson(value) + "\n"; }

std::string ColumnToml(const Column& column) {
  std::string out = fmt::format("\n[columns.{}]\n",
                                column.name.find('.') == std::string::npos ? column.name : "\"" + column.name + "\"");
  const Value value = ToValue(column);
  for (const char* key : {"type", "array", "unit", "shape", "minimum", "maximum", "levels", "classes", "positive",
                          "negative", "missing", "meaning"}) {
    const Value& member = value[key];
    if (member.IsNull() || member == Value("") || (member.IsArray() && member.AsArray().empty())) continue;
    out += Line(key, member);
  }
  return out;
}

}  // namespace

const std::vector<std::string>& TypeNames() {
  static const std::vector<std::string> names = {"number", "category", "label", "text", "tensor"};
  return names;
}

const std::string& TypeName(Column::Type type) { return TypeNames().at(static_cast<std::size_t>(type)); }

std::string CodeKey(std::string_view code) {
  double number = 0;
  const auto [end, error] = std::from_chars(code.data(), code.data() + code.size(), number);
  if (error != std::errc() || end != code.data() + code.size()) return std::string(code);
  return fmt::format("{}", number == 0 ? 0.0 : number);
}

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

std::string ShapeText(const std::vector<std::uint32_t>& shape) { return fmt::format("{}", fmt::join(shape, " x ")); }

Value ToValue(const Schema& schema) {
  Value columns = Value::Array{};
  for (const Column& column : schema.columns) columns.Push(ToValue(column));
  Value file = Value()
                   .Set("pattern", schema.pattern)
                   .Set("header", schema.header)
                   .Set("delimiter", std::string(1, schema.delimiter))
                   .Set("columns", ListOf(schema.file_columns))
                   .Set("missing", ListOf(schema.missing));
  if (!schema.parts.empty()) file.Set("parts", ListOf(schema.parts));
  Value value = Value()
                    .Set("file", std::move(file))
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
  if (!schema.parts.empty()) out += Line("parts", value["file"]["parts"]);
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
  if (w->shape != l->shape) return differ("shape", ShapeText(w->shape), ShapeText(l->shape));
  if (keys(w->levels) != keys(l->levels)) return differ("levels", list(w->levels), list(l->levels));
  if (keys(w->classes) != keys(l->classes)) return differ("classes", list(w->classes), list(l->classes));
  if (SortedKeys(w->positive) != SortedKeys(l->positive))
    return differ("positive", list(w->positive), list(l->positive));
  if (SortedKeys(w->negative) != SortedKeys(l->negative))
    return differ("negative", list(w->negative), list(l->negative));
  return {};
}

}  // namespace consilium
