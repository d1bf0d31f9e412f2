#include "common/base/bytes.h"

namespace consilium {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string Hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(bytes.size() * 2, '\0');
  char* at = out.data();
  for (std::uint8_t b : bytes) {
    *at++ = kDigits[b >> 4];
    *at++ = kDigits[b & 15];
  }
  return out;
}

Result<Bytes> FromHex(std::string_view text) {
  if (text.size() % 2 != 0) return Fail(Code::kInvalid, "hexadecimal text has an odd length");
  Bytes out(text.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = HexDigit(text[2 * i]);
    const int low = HexDigit(text[2 * i + 1]);
    if (high < 0 || low < 0) return Fail(Code::kInvalid, "a character is not hexadecimal");
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return out;
}

std::string Base64(ByteView bytes) {
  std::string out((bytes.size() * 4 + 2) / 3, '\0');
  char* at = out.data();
  std::uint32_t bits = 0;
  int count = 0;
  for (std::uint8_t b : bytes) {
    bits = bits << 8 | b;
    for (count += 8; count >= 6; count -= 6) *at++ = kAlphabet[bits >> (count - 6) & 63];
  }
  if (count > 0) *at++ = kAlphabet[bits << (6 - count) & 63];
  return out;
}

Result<Bytes> FromBase64(std::string_view text) {
  Bytes out;
  out.reserve(text.size() / 4 * 3 + 3);  // Never moved: a token's copy would stay behind.
  std::uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    const char* at = c == '\0' ? nullptr : std::strchr(kAlphabet, c);
    if (at == nullptr) {
      explicit_bzero(out.data(), out.size());  // It may be the beginning of a secret.
      return Fail(Code::kInvalid, "a character is not base64url");
    }
    bits = bits << 6 | static_cast<std::uint32_t>(at - kAlphabet);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<std::uint8_t>(bits >> count));
  }
  if (count >= 6 || (bits & ((1U << count) - 1)) != 0) {
    explicit_bzero(out.data(), out.size());
    return Fail(Code::kInvalid, "base64url text is cut off");
  }
  return out;
}

}  // namespace consilium
