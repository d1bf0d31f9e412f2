// The version that programs print, say in Hello and write into reports; CMakeLists.txt has the same.
#pragma once

#include <string_view>

namespace consilium {
inline constexpr std::string_view kProgramVersion = "0.1.0";
}  // namespace consilium
