// A tree of plain values: what TOML and JSON files, plans, query parameters and HTTP bodies are made of.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/time.h"

namespace consilium {

class Value {
 public:
  using Array = std::vector<Value>;
  using Object = std::map<std::string, Value, std::less<>>;  // Sorted by bytes; RFC 8785's order for ASCII keys.

  Value() = default;                                               // null
  Value(bool v) : data_(v) {}                                      // NOLINT: literals should read as values.
  Value(int v) : data_(std::int64_t{v}) {}                         // NOLINT
  Value(unsigned v) : data_(std::int64_t{v}) {}                    // NOLINT
  Value(std::int64_t v) : data_(v) {}                              // NOLINT
  Value(std::uint64_t v) : data_(static_cast<std::int64_t>(v)) {}  // NOLINT: callers stay below 2^53.
  Value(double v);                                 // NOLINT: whole and below 2^53 is kept as an integer, so 1.0 == 1.
  Value(const char* v) : data_(std::string(v)) {}  // NOLINT
  Value(std::string_view v) : data_(std::string(v)) {}  // NOLINT
  Value(std::string v) : data_(std::move(v)) {}         // NOLINT
  Value(Array v) : data_(std::move(v)) {}               // NOLINT
  Value(Object v) : data_(std::move(v)) {}              // NOLINT

  [[nodiscard]] bool IsNull() const { return std::holds_alternative<std::monostate>(data_); }
  [[nodiscard]] bool IsBool() const { return std::holds_alternative<bool>(data_); }
  [[nodiscard]] bool IsInteger() const { return std::holds_alternative<std::int64_t>(data_); }
  [[nodiscard]] bool IsNumber() const { return IsInteger() || std::holds_alternative<double>(data_); }
  [[nodiscard]] bool IsString() const { return std::holds_alternative<std::string>(data_); }
  [[nodiscard]] bool IsArray() const { return std::holds_alternative<Array>(data_); }
  [[nodiscard]] bool IsObject() const { return std::holds_alternative<Object>(data_); }

  // The value, or `fallback` when it is of another kind. AsDouble takes integers too, AsInteger whole doubles.
  [[nodiscard]] bool AsBool(bool fallback = false) const;
  [[nodiscard]] std::int64_t AsInteger(std::int64_t fallback = 0) const;
  [[nodiscard]] double AsDouble(double fallback = 0) const;
  [[nodiscard]] const std::string& AsString() const;  // "" when it is no string.
  [[nodiscard]] const Array& AsArray() const;         // Empty when it is no array.
  [[nodiscard]] const Object& AsObject() const;       // Empty when it is no object.

  // The member, or null. Set makes this an object first when it is null.
  [[nodiscard]] const Value& operator[](std::string_view key) const;
  [[nodiscard]] bool Has(std::string_view key) const;
  Value& Set(std::string key, Value value) &;  // Returns *this, for chains; a chain that begins with Value() is moved.
  Value&& Set(std::string key, Value value) && { return std::move(Set(std::move(key), std::move(value))); }
  Value& Push(Value value) &;  // Makes this an array first when it is null.
  Value&& Push(Value value) && { return std::move(Push(std::move(value))); }

  bool operator==(const Value&) const = default;

  // Line and column in the file it came from; 0 when it came from none. Not part of equality.
  struct Place {
    int line = 0, column = 0;
    bool operator==(const Place&) const { return true; }
  };
  Place place;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> data_;
};

// RFC 8785: sorted keys, no white space, shortest round-trip numbers (1.0 is written 1). NaN, Inf and integers beyond
// 2^53 are CHECK failures; bytes that are not UTF-8 become U+FFFD (keys are UTF-8, or two could become one).
std::string CanonicalJson(const Value& value);
// The same content, indented by two, for people.
std::string PrettyJson(const Value& value);

struct ParseLimits {
  std::size_t bytes = 1 << 20;
  int depth = 32;
};
// kInvalid with line and column. A double key, trailing text, NaN, or an integer beyond 2^53 is an error (but the
// digits that CanonicalJson writes for a large double are that double, so that every Value survives the way there and
// back). A number that is whole and below 2^53 becomes an integer, so 1.0 and 1 are equal after parsing.
Result<Value> ParseJson(std::string_view text, ParseLimits limits = {});
// TOML 1.0; `name` is the file's name in messages ("plan.toml:12:3: ..."). Values know their place. Dates become
// strings.
Result<Value> ParseToml(std::string_view text, std::string_view name, ParseLimits limits = {});

// "60s", "250ms", "2h": the largest unit that divides it. ParseDuration takes those and "us".
std::string DurationText(Duration duration);
Result<Duration> ParseDuration(std::string_view text);
// Text of others for a message: quoted, control bytes replaced, cut to 60 characters.
std::string Quoted(std::string_view text);

// The nearest of `known` by edit distance, for "unknown key 'epoch' (did you mean 'epochs'?)"; "" when none is near.
std::string Nearest(std::string_view word, const std::vector<std::string>& known);

// Reads one object with every key accounted for: take what is known, then Finish() reports what is left.
//   Reader r(value, "plan.toml", "training"); int n = r.Integer("rounds", 1, 10000); ... Status s = r.Finish();
// The first error wins and is kept; later calls return defaults. Messages are "FILE:LINE: [section] key: ...".
class Reader {
 public:
  Reader(const Value& object, std::string file, std::string section);
  std::int64_t Integer(const std::string& key, std::int64_t least, std::int64_t most);  // Required.
  std::int64_t Integer(const std::string& key, std::int64_t least, std::int64_t most, std::int64_t fallback);
  double Number(const std::string& key, double least, double most);
  double Number(const std::string& key, double least, double most, double fallback);
  bool Bool(const std::string& key, bool fallback);
  std::string String(const std::string& key);  // Required and not empty.
  std::string String(const std::string& key, std::string fallback);
  std::string Choice(const std::string& key, const std::vector<std::string>& choices);  // Required.
  std::string Choice(const std::string& key, const std::vector<std::string>& choices, std::string fallback);
  std::vector<std::string> Strings(const std::string& key);  // Required; array of strings.
  std::vector<std::string> Strings(const std::string& key, std::vector<std::string> fallback);
  Duration ReadDuration(const std::string& key, Duration least, Duration most,
                        Duration fallback);   // "90s", "5m", "250ms", "2h".
  const Value* Take(const std::string& key);  // The raw member, marked as known; null pointer when absent.
  [[nodiscard]] bool Has(const std::string& key) const;
  void Refuse(const std::string& key, const std::string& why);  // Records an error at this key's place.
  [[nodiscard]] bool ok() const { return !error_.has_value(); }
  [[nodiscard]] const std::vector<std::string>& known() const { return known_; }  // Every key that was asked for.
  Status Finish();  // The first error, or an unknown key with the nearest known one.

 private:
  const Value* Find(const std::string& key, bool required);
  [[nodiscard]] std::string At(const Value::Place& place) const;
  void Fault(const Value& at, const std::string& key, const std::string& why);
  std::optional<std::vector<std::string>> StringList(const std::string& key, const Value& value);
  const Value& object_;
  std::string file_, section_;
  std::vector<std::string> known_;
  std::string absent_;  // The required key that error_ is about; a near unknown key explains it better.
  std::optional<Error> error_;
};

}  // namespace consilium
