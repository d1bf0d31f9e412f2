#include "common/base/cpu.h"

#include <unistd.h>

#include <string_view>

namespace consilium {

// Compiled for plain x86-64, and run before every other constructor.
__attribute__((constructor(101))) void RequireCpu() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma")) return;
  static constexpr std::string_view kWhy =
      "consilium: this processor is older than x86-64-v3 (it lacks AVX2, BMI2 or FMA); use a machine of 2015 or "
      "later\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kWhy.data(), kWhy.size());
  _exit(1);
}

}  // namespace consilium
