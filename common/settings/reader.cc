// Reader: one object, every key accounted for, the first error with its place.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "common/base/check.h"
#include "common/settings/value.h"

namespace consilium {
namespace {

std::string KindOf(const Value& value) {
  if (value.IsNull()) return "nothing";
  if (value.IsBool()) return value.AsBool() ? "true" : "false";
  if (value.IsNumber()) return CanonicalJson(value);
  if (value.IsString()) return Quoted(value.AsString());
  return value.IsArray() ? "a list" : "a table";
}

}  // namespace

Reader::Reader(const Value& object, std::string file, std::string section)
    : object_(object), file_(std::move(file)), section_(std::move(section)) {
  if (!object.IsObject() && !object.IsNull()) Fault(object, "", "must be a table, got " + KindOf(object));
}

std::string Reader::At(const Value::Place& place) const {
  std::string out = place.line > 0 ? fmt::format("{}:{}:{}: ", file_, place.line, place.column) : file_ + ": ";
  if (!section_.empty()) out += "[" + section_ + "]";
  return out;
}

void Reader::Fault(const Value& at, const std::string& key, const std::string& why) {
  if (error_) return;
  std::string what = At(at.place);
  if (!key.empty()) what += (section_.empty() ? "" : " ") + key;
  if (key.empty() && section_.empty()) what.resize(what.size() - 2);  // The place ends in ": " itself.
  error_ = Error{Code::kInvalid, what + ": " + why};
}

const Value* Reader::Find(const std::string& key, bool required) {
  known_.push_back(key);
  const Value::Object& members = object_.AsObject();
  const auto found = members.find(key);
  if (found != members.end()) return &found->second;
  if (required && !error_) {
    Fault(object_, key, "is required and not there");
    absent_ = key;
  }
  return nullptr;
}

std::int64_t Reader::Integer(const std::string& key, std::int64_t least, std::int64_t most) {
  const Value* value = Find(key, true);
  if (value == nullptr) return least;
  if (value->IsInteger() && value->AsInteger() >= least && value->AsInteger() <= most) return value->AsInteger();
  Fault(*value, key, fmt::format("must be a whole number between {} and {}, got {}", least, most, KindOf(*value)));
  return least;
}
std::int64_t Reader::Integer(const std::string& key, std::int64_t least, std::int64_t most, std::int64_t fallback) {
  if (Has(key)) return Integer(key, least, most);
  known_.push_back(key);
  return fallback;
}

double Reader::Number(const std::string& key, double least, double most) {
  const Value* value = Find(key, true);
  if (value == nullptr) return least;
  if (value->IsNumber() && value->AsDouble() >= least && value->AsDouble() <= most) return value->AsDouble();
  Fault(*value, key, fmt::format("must be between {} and {}, got {}", least, most, KindOf(*value)));
  return least;
}
double Reader::Number(const std::string& key, double least, double most, double fallback) {
  if (Has(key)) return Number(key, least, most);
  known_.push_back(key);
  return fallback;
}

bool Reader::Bool(const std::string& key, bool fallback) {
  const Value* value = Find(key, false);
  if (value == nullptr || value->IsBool()) return value == nullptr ? fallback : value->AsBool();
  Fault(*value, key, "must be true or false, got " + KindOf(*value));
  return fallback;
}

std::string Reader::String(const std::string& key) {
  const Value* value = Find(key, true);
  if (value == nullptr) return "";
  if (!value->IsString()) Fault(*value, key, "must be text in quotes, got " + KindOf(*value));
  if (value->IsString() && value->AsString().empty()) Fault(*value, key, "must not be empty");
  return value->AsString();
}
std::string Reader::String(const std::string& key, std::string fallback) {
  const Value* value = Find(key, false);
  if (value == nullptr) return fallback;
  if (!value->IsString()) Fault(*value, key, "must be text in quotes, got " + KindOf(*value));
  return value->AsString();
}

std::string Reader::Choice(const std::string& key, const std::vector<std::string>& choices) {
  CHECK(!choices.empty());
  const Value* value = Find(key, true);
  if (value == nullptr) return choices.front();
  for (const std::string& choice : choices) {
    if (value->IsString() && value->AsString() == choice) return choice;
  }
  std::string why = fmt::format("must be one of \"{}\", got {}", fmt::join(choices, "\", \""), KindOf(*value));
  const std::string near = Nearest(value->AsString(), choices);
  if (!near.empty() && choices.size() > 1) why += fmt::format("; did you mean '{}'?", near);
  Fault(*value, key, why);
  return choices.front();
}
std::string Reader::Choice(const std::string& key, const std::vector<std::string>& choices, std::string fallback) {
  if (Has(key)) return Choice(key, choices);
  known_.push_back(key);
  return fallback;
}

std::optional<std::vector<std::string>> Reader::StringList(const std::string& key, const Value& value) {
  std::vector<std::string> out;
  out.reserve(value.AsArray().size());
  for (const Value& element : value.AsArray()) {
    if (!element.IsString()) {
      Fault(element.place.line > 0 ? element : value, key, "must hold texts in quotes only, got " + KindOf(element));
      return std::nullopt;
    }
    out.push_back(element.AsString());
  }
  if (value.IsArray()) return out;
  Fault(value, key, "must be a list of texts, like [\"a\", \"b\"], got " + KindOf(value));
  return std::nullopt;
}
std::vector<std::string> Reader::Strings(const std::string& key) {
  const Value* value = Find(key, true);
  return value == nullptr ? std::vector<std::string>{} : StringList(key, *value).value_or(std::vector<std::string>{});
}
std::vector<std::string> Reader::Strings(const std::string& key, std::vector<std::string> fallback) {
  const Value* value = Find(key, false);
  if (value == nullptr) return fallback;
  auto list = StringList(key, *value);
  return list ? std::move(*list) : std::move(fallback);
}

Duration Reader::ReadDuration(const std::string& key, Duration least, Duration most, Duration fallback) {
  const Value* value = Find(key, false);
  if (value == nullptr) return fallback;
  const Result<Duration> duration = ParseDuration(value->AsString());
  if (!value->IsString()) {
    Fault(*value, key, "must be a duration in quotes, like \"90s\", got " + KindOf(*value));
  } else if (!duration) {
    Fault(*value, key, duration.error().what);
  } else if (*duration < least || *duration > most) {
    Fault(*value, key,
          fmt::format("must be between {} and {}, got {}", DurationText(least), DurationText(most),
                      DurationText(*duration)));
  } else {
    return *duration;
  }
  return fallback;
}

const Value* Reader::Take(const std::string& key) { return Find(key, false); }
bool Reader::Has(const std::string& key) const { return object_.Has(key); }

void Reader::Refuse(const std::string& key, const std::string& why) {
  const Value& member = object_[key];
  Fault(member.IsNull() ? object_ : member, key, why);
}

Status Reader::Finish() {
  if (error_ && absent_.empty()) return std::unexpected(*error_);
  for (const auto& [key, member] : object_.AsObject()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const std::string near = Nearest(key, known_);
    if (error_ && near != absent_) continue;
    std::string what = fmt::format("{}{}unknown key {}", At(member.place), section_.empty() ? "" : ": ", Quoted(key));
    what += near.empty() ? fmt::format("; known are {}", fmt::join(known_, ", "))
                         : fmt::format("; did you mean '{}'?", near);
    return Fail(Code::kInvalid, what);
  }
  if (error_) return std::unexpected(*error_);
  return {};
}

}  // namespace consilium
