// A draft of a schema from a CSV file, an npz file or a pair of idx files, for a person to correct: what a file happens
// to hold is not what is possible.
#pragma once

#include <string>
#include <vector>

#include "common/base/error.h"

namespace consilium::node {

// TOML text that `data check` accepts for this very file, with comments where somebody must think. Ranges and levels
// are the file's own: the draft stays in the hospital until it was corrected. kInvalid names file and line.
Result<std::string> InferSchema(const std::vector<std::string>& files);
Result<std::string> InferCsv(const std::string& csv_file);
// infer_arrays.cc. Arrays of several numbers a row are tensors; one of few whole numbers is a label.
Result<std::string> InferNpz(const std::string& file);
Result<std::string> InferIdx(const std::string& images, const std::string& labels);

}  // namespace consilium::node
