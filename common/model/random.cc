// Public random numbers. Compiled without contraction: every machine derives the same bits.
#include "common/model/random.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/base/check.h"

namespace consilium {
namespace {

std::uint64_t WordAt(const Digest& digest, std::size_t i) {
  std::uint64_t word = 0;
  for (std::size_t byte = 0; byte < 8; ++byte) word |= std::uint64_t{digest.bytes[8 * i + byte]} << (8 * byte);
  return word;
}

// SplitMix64 (Steele et al. 2014), which xoshiro's authors seed it with.
std::uint64_t SplitMix(std::uint64_t* state) {
  std::uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// Overwrites a message's last field, a number.
void PutLast(std::uint32_t number, Bytes* message) {
  for (std::size_t i = 0; i < 4; ++i)
    (*message)[message->size() - 4 + i] = static_cast<std::uint8_t>(number >> (8 * i));
}

// Uniform 64-bit numbers: hashes of a message that ends with a counter.
class HashStream {
 public:
  explicit HashStream(Bytes* message) : message_(message) {}

  // Uniform in [0, bound), by rejection.
  std::uint64_t Below(std::uint64_t bound) {
    const std::uint64_t excess = (0 - bound) % bound;  // 2^64 mod bound
    std::uint64_t word = Next();
    while (word < excess) word = Next();
    return word % bound;
  }

 private:
  std::uint64_t Next() {
    if (used_ == kWords) {
      PutLast(counter_++, message_);
      block_ = Blake2b(*message_);
      used_ = 0;
    }
    return WordAt(block_, used_++);
  }

  static constexpr std::size_t kWords = Digest::kSize / 8;
  Bytes* message_;
  Digest block_;
  std::uint32_t counter_ = 0;
  std::size_t used_ = kWords;
};

}  // namespace

PublicRandom::PublicRandom(const Digest& seed) {
  for (std::size_t i = 0; i < state_.size(); ++i) state_[i] = WordAt(seed, i);
  state_[0] |= state_ == decltype(state_){} ? 1 : 0;  // All zero would stay so.
}

PublicRandom::PublicRandom(std::uint64_t seed) {
  for (std::uint64_t& word : state_) word = SplitMix(&seed);
}

// The series of Canonne, Kamath and Steinke 2020, algorithm 1: draws of probability p / 1, p / 2, ... until one fails;
// an odd number of draws has probability e^-p, for p in [0, 1]. Larger p by parts.
bool PublicRandom::TrueWith(double minus_log) {
  while (minus_log > 1) {
    if (!TrueWith(1)) return false;
    minus_log -= 1;
  }
  std::uint64_t draws = 1;
  while (Uniform() * static_cast<double>(draws) < minus_log) ++draws;
  return draws % 2 == 1;
}

// Rejection without logarithm (Karney 2016, algorithm N): a whole part k with probability e^(-k^2/2) up to a constant,
// a fraction x that is kept with probability e^(-x (2k + x) / 2), a sign.
double PublicRandom::Normal() {
  for (;;) {
    std::uint64_t k = 0;
    while (TrueWith(0.5)) ++k;
    const auto whole = static_cast<double>(k);
    if (k > 1 && !TrueWith(whole * (whole - 1) / 2)) continue;
    const double x = Uniform();
    if (!TrueWith(x * (2 * whole + x) / 2)) continue;
    return (Word() >> 63) != 0 ? -(whole + x) : whole + x;
  }
}

Shuffler::Shuffler(const Digest& key)
    : epoch_(Fields("consilium/epoch").Add(key).Add(std::uint32_t{0}).bytes()),
      stream_(Fields("consilium/stream").Add(Digest()).Add(std::uint32_t{0}).bytes()) {}

void Shuffler::Shuffle(std::uint32_t epoch, std::vector<std::uint32_t>* order) {
  CHECK(order->size() <= UINT32_MAX);
  PutLast(epoch, &epoch_);
  const Digest key = Blake2b(epoch_);
  constexpr std::size_t kNumberField = 8;  // Length and four bytes.
  std::ranges::copy(key.bytes, stream_.end() - static_cast<std::ptrdiff_t>(kNumberField + Digest::kSize));
  std::iota(order->begin(), order->end(), std::uint32_t{0});
  HashStream stream(&stream_);
  for (std::size_t i = order->size(); i > 1; --i) std::swap((*order)[i - 1], (*order)[stream.Below(i)]);
}

}  // namespace consilium
