// Monotonic time inside (CLOCK_BOOTTIME, so that a suspended machine's deadlines pass); wall time for display only.
#pragma once

#include <chrono>
#include <cstdint>

namespace consilium {

struct BootClock {
  using duration = std::chrono::microseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept;
};
using Instant = BootClock::time_point;
using Duration = std::chrono::microseconds;

// Milliseconds since 1970, for display, validity dates and budget years.
std::int64_t WallMilliseconds();

// What a turn is told of time; both are inputs, so that a simulator can make them.
struct Now {
  Instant instant;
  std::int64_t wall_ms = 0;
};

}  // namespace consilium
