// One line an event on stderr: time, level, event, then key=value fields. Never a patient's value, a weight or a key.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace consilium {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
using LogField = std::pair<std::string_view, std::string>;

void SetLogLevel(LogLevel least);
void SetLogFile(const std::string& path);  // Appends there instead of stderr.
void Log(LogLevel level, std::string_view event, std::span<const LogField> fields);
inline void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(level, event, std::span(fields.begin(), fields.size()));
}

}  // namespace consilium
