// Values: access by kind, durations as text, and the nearest known word.
#include "common/settings/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "common/base/check.h"

namespace consilium {
namespace {

constexpr double kTwo53 = 9007199254740992.0;

template <class T>
const T& Empty() {
  static const T empty;
  return empty;
}

struct Unit {
  std::string_view name;
  std::int64_t microseconds;
};
constexpr std::array<Unit, 5> kUnits = {
    {{"h", 3'600'000'000}, {"m", 60'000'000}, {"s", 1'000'000}, {"ms", 1000}, {"us", 1}}};

std::string Folded(std::string_view word) {
  std::string out(word);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-' || c == ' ') c = '_';
  }
  return out;
}

// Edits (insert, delete, replace, swap of neighbours) from a to b.
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

// "epoch" is meant for "local_epochs", though it is seven edits away.
bool Contains(std::string_view a, std::string_view b) {
  return std::min(a.size(), b.size()) >= 4 && (a.find(b) != a.npos || b.find(a) != b.npos);
}

}  // namespace

Value::Value(double v) {
  if (std::trunc(v) == v && std::fabs(v) < kTwo53) {
    data_ = static_cast<std::int64_t>(v);
  } else {
    data_ = v;
  }
}

bool Value::AsBool(bool fallback) const {
  const bool* v = std::get_if<bool>(&data_);
  return v ? *v : fallback;
}
std::int64_t Value::AsInteger(std::int64_t fallback) const {
  const std::int64_t* v = std::get_if<std::int64_t>(&data_);
  return v ? *v : fallback;
}
double Value::AsDouble(double fallback) const {
  if (const std::int64_t* v = std::get_if<std::int64_t>(&data_)) return static_cast<double>(*v);
  const double* v = std::get_if<double>(&data_);
  return v ? *v : fallback;
}
const std::string& Value::AsString() const {
  const std::string* v = std::get_if<std::string>(&data_);
  return v ? *v : Empty<std::string>();
}
const Value::Array& Value::AsArray() const {
  const Array* v = std::get_if<Array>(&data_);
  return v ? *v : Empty<Array>();
}
const Value::Object& Value::AsObject() const {
  const Object* v = std::get_if<Object>(&data_);
  return v ? *v : Empty<Object>();
}

const Value& Value::operator[](std::string_view key) const {
  const Object& members = AsObject();
  const auto found = members.find(key);
  return found == members.end() ? Empty<Value>() : found->second;
}
bool Value::Has(std::string_view key) const { return AsObject().contains(key); }

Value& Value::Set(std::string key, Value value) & {
  if (IsNull()) data_ = Object();
  CHECK(IsObject());
  std::get<Object>(data_).insert_or_assign(std::move(key), std::move(value));
  return *this;
}
Value& Value::Push(Value value) & {
  if (IsNull()) data_ = Array();
  CHECK(IsArray());
  std::get<Array>(data_).push_back(std::move(value));
  return *this;
}

std::string DurationText(Duration duration) {
  const std::int64_t count = duration.count();
  if (count == 0) return "0s";
  for (const Unit& unit : kUnits) {
    if (count % unit.microseconds == 0) return fmt::format("{}{}", count / unit.microseconds, unit.name);
  }
  CHECK(false);
  return {};
}

Result<Duration> ParseDuration(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error == std::errc() && count >= 0) {
    const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
    for (const Unit& unit : kUnits) {
      std::int64_t total = 0;
      if (name == unit.name && !__builtin_mul_overflow(count, unit.microseconds, &total)) return Duration(total);
    }
  }
  return Fail(Code::kInvalid,
              fmt::format("{} is not a duration; write a whole number and h, m, s or ms, like \"90s\"", Quoted(text)));
}

std::string Quoted(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::string out = "'";
  for (std::size_t i = 0; i < text.size() && i < kMost; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    out += byte < 0x20 || byte == 0x7f ? '?' : text[i];
  }
  if (text.size() > kMost) {
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0x80) != 0) out.pop_back();  // No half character.
    out += "...";
  }
  return out + "'";
}

std::string Nearest(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t kLongest = 64;
  if (word.empty() || word.size() > kLongest) return "";
  const std::string folded = Folded(word);
  const std::size_t allowed = std::max<std::size_t>(1, word.size() / 3);
  std::string best, containing;
  std::size_t best_distance = allowed + 1;
  for (const std::string& candidate : known) {
    if (candidate.size() > kLongest) continue;
    const std::string other = Folded(candidate);
    const std::size_t distance = EditDistance(folded, other);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
    if (containing.empty() && Contains(folded, other)) containing = candidate;
  }
  return best.empty() ? containing : best;
}

}  // namespace consilium
