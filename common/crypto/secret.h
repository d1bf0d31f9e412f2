// Secret bytes: one locked arena, wiped on release, never copied by accident, never printed.
#pragma once

#include <cstddef>
#include <span>

#include "common/base/bytes.h"

namespace consilium {

// Call once, first in main: initialises libsodium, forbids core dumps, and fails (kRefused, with the limit to raise)
// when memory cannot be locked.
Status StartCrypto();

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::size_t size);   // Zeros, in locked memory.
  static Secret Copy(ByteView bytes);  // The caller wipes its own.
  static Secret Random(std::size_t size);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  [[nodiscard]] std::span<std::uint8_t> bytes() { return {data_, size_}; }
  [[nodiscard]] ByteView view() const { return {data_, size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] Secret Clone() const { return Copy(view()); }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

void Wipe(std::span<std::uint8_t> bytes);
void RandomBytes(std::span<std::uint8_t> out);   // libsodium's generator.
bool EqualConstantTime(ByteView a, ByteView b);  // False at once for different sizes.

}  // namespace consilium
