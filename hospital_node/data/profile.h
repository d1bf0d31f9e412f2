// What a hospital is told of its own table: figures of each column, in one walk over the rows.
#pragma once

#include "hospital_node/data/table.h"

namespace consilium::node {

struct Profile {
  std::uint64_t missing = 0, count = 0;  // Rows. A tensor is never missing.
  std::vector<std::uint64_t> counts;     // Category: of each level. Label: of negative and positive, or each class.
  double least = 0, most = 0, mean = 0;  // Numbers, and tensors over all elements; when count is not 0.
};

std::vector<Profile> ProfilesOf(const Table& table);  // By series. Throws StoreUnreadable.
Profile ProfileOfLabel(const Series& label);
// The only value that a label has ("positive", "negative", a class); "" when there are several, or none.
std::string OnlyClass(const Series& label);

}  // namespace consilium::node
