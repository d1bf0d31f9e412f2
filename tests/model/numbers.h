// Numbers for tests: any fixed ones between -1 and 1 will do.
#pragma once

#include <vector>

#include "common/model/random.h"

namespace consilium::testing {

template <class Real>
std::vector<Real> SomeNumbers(std::size_t count, std::uint64_t seed) {
  PublicRandom random(seed);
  std::vector<Real> out(count);
  for (Real& v : out) v = static_cast<Real>(2 * random.Uniform() - 1);
  return out;
}

}  // namespace consilium::testing
