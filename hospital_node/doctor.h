// `consilium-node doctor`: what keeps this node from working, and the mend.
#pragma once

#include <filesystem>
#include <vector>

#include "common/base/checkup.h"
#include "common/base/error.h"

namespace consilium::node {

// In the order in which things must work; later ones that make no sense after a bad one are left out. `crypto`: what
// StartCrypto said. A running daemon is asked about its session; without one the coordinator's key is tried.
std::vector<Check> Examine(const std::filesystem::path& directory, const Status& crypto);

}  // namespace consilium::node
