// Random numbers for what is public: initial weights, the order of rows in mode none, dropout. Not for noise or keys.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/crypto/hash.h"

namespace consilium {

// xoshiro256++ (Blackman and Vigna 2019), seeded by a digest.
class PublicRandom {
 public:
  explicit PublicRandom(const Digest& seed);
  // A short seed: one stream a training step.
  explicit PublicRandom(std::uint64_t seed);

  std::uint64_t Word() {
    const std::uint64_t out = Rotate(state_[0] + state_[3], 23) + state_[0], shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = Rotate(state_[3], 45);
    return out;
  }
  double Uniform() { return static_cast<double>(Word() >> 11) * 0x1p-53; }  // [0, 1), a multiple of 2^-53.
  double Normal();                                                          // Mean 0, sd 1.

 private:
  static std::uint64_t Rotate(std::uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }
  bool TrueWith(double minus_log);  // With probability e^-minus_log.
  std::array<std::uint64_t, 4> state_{};
};

// Orders of rows: Fisher and Yates by the words of H("consilium/stream" | H("consilium/epoch" | key | epoch) |
// counter).
class Shuffler {
 public:
  explicit Shuffler(const Digest& key);
  // `order` becomes a permutation of its length, below 2^32. Allocates nothing.
  void Shuffle(std::uint32_t epoch, std::vector<std::uint32_t>* order);

 private:
  Bytes epoch_, stream_;  // The two messages; their last fields change.
};

}  // namespace consilium
