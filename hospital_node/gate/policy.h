// The site's policy (node.toml, [policy]); overrides every plan. An unset threshold is the default, never "no limit".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace consilium::node {

struct SitePolicy {
  std::uint32_t minimum_patients = 10;
  std::uint32_t minimum_hospitals = 2;
  std::vector<std::string> allowed_kinds = {"describe", "train", "evaluate"};
  std::vector<std::string> allowed_researchers = {};  // Empty: any.
  // Plans that ask for it get this hospital's own figures, under its name; else it withholds them and takes part in
  // everything else.
  bool release_own_figures = false;
};

}  // namespace consilium::node
