#include "common/turn/metrics.h"

#include <fmt/format.h>

namespace consilium {
namespace {

std::string Quoted(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') out.push_back('\\');
    out += c == '\n' ? "\\n" : std::string(1, c);
  }
  return out + "\"";
}

}  // namespace

void MetricsText::Sample(std::string_view name, std::string_view help, std::string_view type, const std::string& value,
                         Labels labels) {
  if (last_ != name) text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  last_ = name;
  std::string inner;
  for (const auto& [key, label] : labels) inner += fmt::format("{}{}={}", inner.empty() ? "" : ",", key, Quoted(label));
  text_ += fmt::format("{}{} {}\n", name, inner.empty() ? "" : "{" + inner + "}", value);
}

void MetricsText::Gauge(std::string_view name, std::string_view help, std::int64_t value, Labels labels) {
  Sample(name, help, "gauge", std::to_string(value), labels);
}
void MetricsText::Counter(std::string_view name, std::string_view help, std::uint64_t value, Labels labels) {
  Sample(name, help, "counter", std::to_string(value), labels);
}

}  // namespace consilium
