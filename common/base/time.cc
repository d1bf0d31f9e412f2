#include "common/base/time.h"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <string>

namespace consilium {
namespace {

BootId ReadBoot() {
  std::string text;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), text);
  std::erase(text, '-');
  return BootId::FromHexText(text).value_or(BootId());
}

}  // namespace

BootClock::time_point BootClock::now() noexcept {
  timespec ts{};
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return time_point(std::chrono::seconds(ts.tv_sec) + std::chrono::microseconds(ts.tv_nsec / 1000));
}

std::int64_t WallMilliseconds() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Now ReadClocks() {
  static const BootId boot = ReadBoot();
  return {BootClock::now(), WallMilliseconds(), boot};
}

}  // namespace consilium
