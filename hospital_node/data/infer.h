// A draft of a schema from a CSV file, for a person to correct: what a file happens to hold is not what is possible.
#pragma once

#include <string>

#include "common/base/error.h"

namespace consilium::node {

// TOML text that `data check` accepts for this very file, with comments where somebody must think. Ranges and levels
// are the file's own: the draft stays in the hospital until it was corrected. kInvalid names file and line.
Result<std::string> InferSchema(const std::string& csv_file);

}  // namespace consilium::node
