// Our own bugs stop the process, in release builds too.
#pragma once

namespace consilium {
[[noreturn]] void CheckFailed(const char* what, const char* file, int line);
}

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) ::consilium::CheckFailed(#condition, __FILE__, __LINE__); \
  } while (false)
