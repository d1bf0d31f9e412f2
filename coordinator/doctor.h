// `consilium-coordinator doctor`: what keeps this coordinator from working, and the mend.
#pragma once

#include <filesystem>
#include <vector>

#include "common/base/checkup.h"
#include "common/base/error.h"

namespace consilium::coordinator {

// In the order in which things must work; later ones that make no sense after a bad one are left out. `crypto`: what
// StartCrypto said. A running daemon is asked how it is; without one its state is read and its ports are tried.
std::vector<Check> Examine(const std::filesystem::path& directory, const Status& crypto);

}  // namespace consilium::coordinator
