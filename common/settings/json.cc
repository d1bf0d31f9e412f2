// JSON: the canonical writer (RFC 8785) and the strict reader.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/base/check.h"
#include "common/settings/value.h"

namespace consilium {
namespace {

constexpr std::int64_t kTwo53 = std::int64_t{1} << 53;

// The length of the well-formed UTF-8 sequence at `at` (Unicode table 3-7), 0 when there is none.
std::size_t SequenceLength(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    return (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ? 0 : 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    return (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f) ? 0 : 4;
  }
  return 0;
}

bool IsPlain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

void WriteString(std::string_view text, std::string& out) {
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    std::size_t plain = i;
    while (plain < text.size() && IsPlain(text[plain])) ++plain;
    out.append(text, i, plain - i);
    if ((i = plain) == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x80) {
      const std::size_t length = SequenceLength(text, i);
      out += length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(i, length);
      i += std::max<std::size_t>(1, length);
      continue;
    }
    switch (text[i++]) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    }
  }
  out += '"';
}

// ECMAScript's Number::toString: the shortest digits that read back as the same double.
void WriteDouble(double v, std::string& out) {
  CHECK(std::isfinite(v));
  if (v == 0) {
    out += '0';
    return;
  }
  if (v < 0) out += '-';
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, std::fabs(v), std::chars_format::scientific);
  CHECK(error == std::errc());
  const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  const std::size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), end, exponent);
  const int count = static_cast<int>(digits.size()), point = exponent + 1;  // The point stands after `point` digits.
  const auto cut = static_cast<std::size_t>(std::max(point, 0));
  if (count <= point && point <= 21) {
    out += digits + std::string(static_cast<std::size_t>(point - count), '0');
  } else if (0 < point && point <= 21) {
    out += digits.substr(0, cut) + "." + digits.substr(cut);
  } else if (-6 < point && point <= 0) {
    out += "0." + std::string(static_cast<std::size_t>(-point), '0') + digits;
  } else {
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    out += fmt::format("e{}{}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
}

void WriteScalar(const Value& value, std::string& out) {
  if (value.IsNull()) {
    out += "null";
  } else if (value.IsBool()) {
    out += value.AsBool() ? "true" : "false";
  } else if (value.IsInteger()) {
    const std::int64_t v = value.AsInteger();
    CHECK(v <= kTwo53 && v >= -kTwo53);  // Beyond it readers disagree about the digits.
    out += fmt::format_int(v).c_str();
  } else if (value.IsNumber()) {
    WriteDouble(value.AsDouble(), out);
  } else {
    WriteString(value.AsString(), out);
  }
}

// indent < 0: canonical.
void Write(const Value& value, int indent, std::string& out) {
  const auto line = [&](int depth) {
    if (indent >= 0) out += "\n" + std::string(static_cast<std::size_t>(depth) * 2, ' ');
  };
  const int inner = indent < 0 ? -1 : indent + 1;
  bool first = true;
  if (value.IsArray()) {
    if (value.AsArray().empty()) {
      out += "[]";
      return;
    }
    out += '[';
    for (const Value& element : value.AsArray()) {
      if (!std::exchange(first, false)) out += ',';
      line(inner);
      Write(element, inner, out);
    }
    line(indent);
    out += ']';
  } else if (value.IsObject()) {
    if (value.AsObject().empty()) {
      out += "{}";
      return;
    }
    out += '{';
    for (const auto& [key, member] : value.AsObject()) {
      if (!std::exchange(first, false)) out += ',';
      line(inner);
      WriteString(key, out);
      out += indent < 0 ? ":" : ": ";
      Write(member, inner, out);
    }
    line(indent);
    out += '}';
  } else {
    WriteScalar(value, out);
  }
}

// Builds the tree while the text is read, so that depth and double keys are refused where they stand.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(int depth) : depth_(depth) {}
  Value root;
  std::string why;        // Set when reading stopped.
  std::size_t where = 0;  // Byte of the library's own complaint; 0: at the reader's position.

  bool null() override { return Put(Value()); }
  bool boolean(bool v) override { return Put(Value(v)); }
  bool number_integer(number_integer_t v) override {
    if (v > -kTwo53) return Put(Value(std::int64_t{v}));
    return Large(static_cast<double>(v), std::to_string(v));
  }
  bool number_unsigned(number_unsigned_t v) override {
    if (v < static_cast<std::uint64_t>(kTwo53)) return Put(Value(static_cast<std::int64_t>(v)));
    return Large(static_cast<double>(v), std::to_string(v));
  }
  bool number_float(number_float_t v, const string_t& text) override {
    if (!std::isfinite(v)) return Stop("the number " + Quoted(text) + " is too large");
    return text.find_first_of(".eE") == text.npos ? Large(v, text) : Put(Value(double{v}));
  }
  bool string(string_t& v) override { return Put(Value(std::move(v))); }
  bool binary(binary_t& /*v*/) override { return Stop("binary is no JSON"); }
  bool start_object(std::size_t /*elements*/) override { return Open(Value(Value::Object())); }
  bool key(string_t& v) override {
    const auto [member, fresh] = const_cast<Value::Object&>(open_.back()->AsObject()).try_emplace(v);  // In our root.
    member_ = &member->second;
    return fresh || Stop("the key " + Quoted(v) + " is there twice");
  }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t /*elements*/) override { return Open(Value(Value::Array())); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t position, const std::string& /*token*/, const nlohmann::detail::exception& e) override {
    const std::string_view text = e.what();
    const std::size_t cut = text.find("syntax error");
    where = position;
    return Stop(std::string(cut == text.npos ? text.substr(text.rfind("] ") == text.npos ? 0 : text.rfind("] ") + 2)
                                             : text.substr(cut)));
  }

 private:
  bool Stop(std::string reason) {
    why = std::move(reason);
    return false;
  }
  // Whole numbers beyond 2^53: only the digits that the canonical writer itself gives a double.
  bool Large(double v, const std::string& text) {
    std::string canonical;
    WriteDouble(v, canonical);
    return canonical == text ? Put(Value(v))
                             : Stop("the integer " + Quoted(text) + " is beyond 2^53; write it as a string");
  }
  Value* Place(Value value) {
    Value* place = open_.empty() ? &root : member_;
    if (!open_.empty() && open_.back()->IsArray()) {
      place = &const_cast<Value::Array&>(open_.back()->AsArray()).emplace_back();  // In our root.
    }
    *place = std::move(value);
    return place;
  }
  bool Put(Value value) {
    Place(std::move(value));
    return true;
  }
  bool Open(Value value) {
    if (static_cast<int>(open_.size()) >= depth_) return Stop(fmt::format("nested deeper than {} levels", depth_));
    open_.push_back(Place(std::move(value)));
    return true;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }

  const int depth_;
  std::vector<Value*> open_;  // A parent does not move while its child is open.
  Value* member_ = nullptr;   // Of the innermost open object: where the next value belongs.
};

std::string LineColumn(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const std::size_t line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const std::size_t start = before.rfind('\n');
  return fmt::format("{}:{}", line, start == before.npos ? before.size() + 1 : before.size() - start);
}

// The library's reader says where it is only in its own errors; this one counts.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  CountingIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

}  // namespace

std::string CanonicalJson(const Value& value) {
  std::string out;
  Write(value, -1, out);
  return out;
}
std::string PrettyJson(const Value& value) {
  std::string out;
  Write(value, 0, out);
  return out;
}

Result<Value> ParseJson(std::string_view text, ParseLimits limits) {
  if (text.size() > limits.bytes) {
    return Fail(Code::kInvalid, fmt::format("JSON of {} bytes is over the limit of {}", text.size(), limits.bytes));
  }
  Builder builder(limits.depth);
  const char* furthest = text.data();
  bool good = false;
  try {
    // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): a pair of iterators.
    good = nlohmann::json::sax_parse(CountingIterator(text.data(), &furthest),
                                     CountingIterator(text.data() + text.size(), &furthest), &builder);
  } catch (const std::exception& e) {
    builder.why = e.what();
  }
  if (good && builder.why.empty()) return std::move(builder.root);
  const std::size_t at = builder.where > 0 ? builder.where - 1 : static_cast<std::size_t>(furthest - text.data());
  return Fail(Code::kInvalid, fmt::format("JSON, {}: {}", LineColumn(text, at), builder.why));
}

}  // namespace consilium
