// The seeds that are made from code: encoded messages and records, canonical JSON, streams of events.
#pragma once

#include <filesystem>
#include <set>

#include "tests/fuzz/fuzz.h"

namespace consilium::fuzz {

int WriteSeeds(const std::filesystem::path& folder);  // FOLDER/TARGET/NAME

}  // namespace consilium::fuzz
