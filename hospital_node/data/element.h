// The types of numbers that arrays hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace consilium::node {

enum class Element : std::uint8_t { kU8, kI8, kU16, kI16, kU32, kI32, kU64, kI64, kF32, kF64 };

// visitor(T{}) for the C++ type of `element`.
template <class Visitor>
decltype(auto) Visit(Element element, Visitor&& visitor) {
  switch (element) {
    case Element::kU8:
      return visitor(std::uint8_t{});
    case Element::kI8:
      return visitor(std::int8_t{});
    case Element::kU16:
      return visitor(std::uint16_t{});
    case Element::kI16:
      return visitor(std::int16_t{});
    case Element::kU32:
      return visitor(std::uint32_t{});
    case Element::kI32:
      return visitor(std::int32_t{});
    case Element::kU64:
      return visitor(std::uint64_t{});
    case Element::kI64:
      return visitor(std::int64_t{});
    case Element::kF32:
      return visitor(float{});
    case Element::kF64:
      break;
  }
  return visitor(double{});
}

inline std::size_t BytesOf(Element element) {
  return Visit(element, [](auto zero) { return sizeof zero; });
}

}  // namespace consilium::node
