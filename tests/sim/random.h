// The seed's one stream of choices: everything that a run decides by chance is drawn from here, in order.
#pragma once

#include <cstdint>

#include "common/base/check.h"

namespace consilium::sim {

class Random {  // splitmix64: small, fast, the same everywhere.
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint64_t Below(std::uint64_t n) {
    CHECK(n > 0);
    return Next() % n;
  }
  std::int64_t Between(std::int64_t least, std::int64_t most) {  // Both included.
    return least + static_cast<std::int64_t>(Below(static_cast<std::uint64_t>(most - least) + 1));
  }
  bool PerMille(std::uint64_t chance) { return Below(1000) < chance; }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }  // [0, 1)

 private:
  std::uint64_t state_;
};

}  // namespace consilium::sim
