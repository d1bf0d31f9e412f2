#include "common/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace consilium {
namespace {

std::shared_ptr<spdlog::logger>& Logger() {
  static std::shared_ptr<spdlog::logger> logger = [] {
    auto made = spdlog::stderr_logger_mt("consilium");
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    return made;
  }();
  return logger;
}

// A value with a space, a quote or a control character is quoted, so that one event stays one line.
void AppendValue(std::string* line, std::string_view value) {
  const bool plain = !value.empty() && std::all_of(value.begin(), value.end(),
                                                   [](char c) { return c > ' ' && c != '"' && c != '\\' && c != 127; });
  if (plain) {
    line->append(value);
    return;
  }
  line->push_back('"');
  for (char c : value) {
    if (c == '"' || c == '\\') line->push_back('\\');
    line->push_back(static_cast<unsigned char>(c) < ' ' || c == 127 ? ' ' : c);
  }
  line->push_back('"');
}

}  // namespace

void SetLogLevel(LogLevel least) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn, spdlog::level::err};
  Logger()->set_level(kLevels[static_cast<int>(least)]);
}

void SetLogFile(const std::string& path) {
  auto made = std::make_shared<spdlog::logger>("consilium", std::make_shared<spdlog::sinks::basic_file_sink_mt>(path));
  made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  made->set_level(Logger()->level());
  made->flush_on(spdlog::level::info);
  Logger() = std::move(made);
}

void Log(LogLevel level, std::string_view event, std::span<const LogField> fields) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn, spdlog::level::err};
  const auto at = kLevels[static_cast<int>(level)];
  if (!Logger()->should_log(at)) return;
  std::string line(event);
  for (const auto& [key, value] : fields) {
    line.append(" ").append(key).append("=");
    AppendValue(&line, value);
  }
  Logger()->log(at, "{}", line);
}

}  // namespace consilium
