// A trace of the Cox model in float32, on a small generated data set, made by other code than the project's: loops as
// FLamby's strategies and its batch loss are written, no layers, no trainer, no server steps.
#pragma once

#include <filesystem>

#include "common/settings/value.h"

namespace consilium::golden {

// Writes brca.csv and train_test_split.csv into `folder` and returns the trace of all six strategies.
Value MakeCoxTrace(const std::filesystem::path& folder);

}  // namespace consilium::golden
