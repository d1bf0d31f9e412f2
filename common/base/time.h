// Monotonic time inside (CLOCK_BOOTTIME, so that a suspended machine's deadlines pass); wall time for display only.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/base/bytes.h"

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

// Which boot of which machine an Instant counts from: instants of two boots say nothing of each other. Zero: not known.
using BootId = Fixed<16, struct BootIdTag>;

// What a turn is told of time; all are inputs, so that a simulator can make them.
struct Now {
  Instant instant;
  std::int64_t wall_ms = 0;
  BootId boot = {};
};
// This machine's clocks. Its boot is the kernel's (/proc/sys/kernel/random/boot_id), not known where that is not to be
// read.
Now ReadClocks();

}  // namespace consilium
