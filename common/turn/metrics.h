// Prometheus' text format, version 0.0.4. Labels come from enums and rosters only; nothing here is derived from
// patients.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace consilium {

class MetricsText {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  // All samples of one metric follow one another. A counter's name ends in _total.
  void Gauge(std::string_view name, std::string_view help, std::int64_t value, Labels labels = {});
  void Counter(std::string_view name, std::string_view help, std::uint64_t value, Labels labels = {});
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void Sample(std::string_view name, std::string_view help, std::string_view type, const std::string& value,
              Labels labels);
  std::string text_, last_;
};

inline constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace consilium
