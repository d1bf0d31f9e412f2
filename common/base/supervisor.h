// What a service manager is told (sd_notify(3)); nothing happens where none listens.
#pragma once

#include <optional>
#include <string_view>

#include "common/base/time.h"

namespace consilium {

// "READY=1", "STOPPING=1", "WATCHDOG=1"; to the datagram socket that NOTIFY_SOCKET names.
void NotifySupervisor(std::string_view state);
// How often WATCHDOG=1 is due: half of WATCHDOG_USEC, when it is set for this process.
std::optional<Duration> WatchdogPeriod();

}  // namespace consilium
