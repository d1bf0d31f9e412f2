// TOML through toml++: its exceptions and its tree stop here.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <cmath>
#include <sstream>

#include "common/settings/value.h"

namespace consilium {
namespace {

constexpr std::int64_t kTwo53 = std::int64_t{1} << 53;

Value::Place PlaceOf(const toml::source_region& region) {
  return {static_cast<int>(region.begin.line), static_cast<int>(region.begin.column)};
}

struct Converter {
  std::string_view name;
  int depth;

  [[nodiscard]] std::unexpected<Error> Wrong(const toml::node& node, const std::string& why) const {
    return Fail(Code::kInvalid,
                fmt::format("{}:{}:{}: {}", name, node.source().begin.line, node.source().begin.column, why));
  }

  [[nodiscard]] Result<Value> Scalar(const toml::node& node) const {
    if (const auto* v = node.as_boolean()) return Value(v->get());
    if (const auto* v = node.as_string()) return Value(v->get());
    if (const auto* v = node.as_integer()) {
      if (v->get() >= kTwo53 || v->get() <= -kTwo53) return Wrong(node, "an integer beyond 2^53; write a smaller one");
      return Value(std::int64_t{v->get()});
    }
    if (const auto* v = node.as_floating_point()) {
      if (!std::isfinite(v->get())) return Wrong(node, "inf and nan are no values here; write a number");
      return Value(double{v->get()});
    }
    std::ostringstream text;
    if (const auto* date = node.as_date()) text << date->get();
    if (const auto* time = node.as_time()) text << time->get();
    if (const auto* both = node.as_date_time()) text << both->get();
    return Value(text.str());
  }

  [[nodiscard]] Result<Value> Convert(const toml::node& node, int level) const {
    if (level > depth) return Wrong(node, fmt::format("nested deeper than {} levels", depth));
    Value out;
    if (const toml::table* table = node.as_table()) {
      Value::Object members;
      for (const auto& [key, child] : *table) {
        Value member = TRY(Convert(child, level + 1));
        member.place = PlaceOf(key.source());
        members.emplace(std::string(key.str()), std::move(member));
      }
      out = Value(std::move(members));
    } else if (const toml::array* array = node.as_array()) {
      Value::Array elements;
      elements.reserve(array->size());
      for (const toml::node& child : *array) elements.push_back(TRY(Convert(child, level + 1)));
      out = Value(std::move(elements));
    } else {
      out = TRY(Scalar(node));
    }
    out.place = PlaceOf(node.source());
    return out;
  }
};

// The index of the last character of the string that opens at `i`; counts the lines it passes.
std::size_t EndOfString(std::string_view text, std::size_t i, int* line) {
  const char quote = text[i];
  const std::string_view three = text.substr(i, 3);
  const bool multi = three.size() == 3 && three[1] == quote && three[2] == quote;
  for (i += multi ? 3 : 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text[i] == quote && !multi) {
      return i;
    } else if (text[i] == quote && text.substr(i, 3) == three) {
      i += 2;
      for (int more = 0; more < 2 && i + 1 < text.size() && text[i + 1] == quote; ++more) ++i;  // """a"""" ends in one.
      return i;
    }
    if (i < text.size() && text[i] == '\n') ++*line;
    if (i < text.size() && text[i] == '\n' && !multi) return i;  // No TOML; the library says so.
  }
  return text.size();
}

// The library nests one table per part of a dotted key, without a limit, and frees them by recursion. Returns the
// line with a key of more than `depth` parts, else 0. Strings and comments are skipped.
int OverlongKey(std::string_view text, int depth) {
  int line = 1, dots = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      i = EndOfString(text, i, &line);
    } else if (c == '#') {
      i = std::min(text.find('\n', i), text.size()) - 1;
    } else if (c == '\n' || c == '=' || c == ',' || c == '{') {
      dots = 0;
      line += c == '\n' ? 1 : 0;
    } else if (c == '.' && ++dots >= depth) {
      return line;
    }
  }
  return 0;
}

}  // namespace

Result<Value> ParseToml(std::string_view text, std::string_view name, ParseLimits limits) {
  if (text.size() > limits.bytes) {
    return Fail(Code::kInvalid, fmt::format("{}: {} bytes are over the limit of {}", name, text.size(), limits.bytes));
  }
  if (const int line = OverlongKey(text, limits.depth); line > 0) {
    return Fail(Code::kInvalid, fmt::format("{}:{}:1: a key of more than {} parts", name, line, limits.depth));
  }
  try {
    const toml::table table = toml::parse(text, name);
    return Converter{name, limits.depth}.Convert(table, 0);
  } catch (const toml::parse_error& e) {
    return Fail(Code::kInvalid,
                fmt::format("{}:{}:{}: {}", name, e.source().begin.line, e.source().begin.column, e.description()));
  } catch (const std::exception& e) {
    return Fail(Code::kInvalid, fmt::format("{}: {}", name, e.what()));
  }
}

}  // namespace consilium
