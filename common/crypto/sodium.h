// libsodium, initialised before its first use by whoever comes first. For this folder only.
#pragma once

#include <sodium.h>

#include "common/base/check.h"

namespace consilium {

inline void InitSodium() {
  static const bool ready = sodium_init() >= 0;
  CHECK(ready);  // Only a kernel without random numbers fails here.
}

}  // namespace consilium
