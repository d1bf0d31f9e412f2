// Byte strings and fixed-size identifiers.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace consilium {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView View(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline Bytes ToBytes(ByteView view) { return {view.begin(), view.end()}; }
inline std::string_view Text(ByteView view) { return {reinterpret_cast<const char*>(view.data()), view.size()}; }

std::string Hex(ByteView bytes);               // Lower case.
Result<Bytes> FromHex(std::string_view text);  // Even length, either case.
std::string Base64(ByteView bytes);            // URL-safe alphabet, no padding.
Result<Bytes> FromBase64(std::string_view text);

// N bytes that are not interchangeable with another kind of N bytes.
template <std::size_t N, class Tag>
struct Fixed {
  static constexpr std::size_t kSize = N;
  std::array<std::uint8_t, N> bytes{};

  auto operator<=>(const Fixed&) const = default;
  operator ByteView() const { return bytes; }  // NOLINT: a view of itself is what every hash wants.
  [[nodiscard]] std::string Hex() const { return consilium::Hex(bytes); }
  [[nodiscard]] bool IsZero() const {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
  }
  static Result<Fixed> From(ByteView view) {
    if (view.size() != N)
      return Fail(Code::kInvalid, "expected " + std::to_string(N) + " bytes, got " + std::to_string(view.size()));
    Fixed out;
    std::memcpy(out.bytes.data(), view.data(), N);
    return out;
  }
  static Result<Fixed> FromHexText(std::string_view text) {
    auto raw = FromHex(text);
    if (!raw) return std::unexpected(raw.error());
    return From(*raw);
  }
};

using Digest = Fixed<32, struct DigestTag>;              // BLAKE2b-256 or SHA-256, as the name beside it says.
using StudyId = Fixed<32, struct StudyIdTag>;            // H(plan's canonical bytes).
using HospitalId = Fixed<16, struct HospitalIdTag>;      // From the roster, never reused.
using TransportKey = Fixed<32, struct TransportKeyTag>;  // CURVE public key; how the transport names a peer.
using VerifyKey = Fixed<32, struct VerifyKeyTag>;        // Ed25519 public key.
using Signature = Fixed<64, struct SignatureTag>;        // Ed25519.

}  // namespace consilium
