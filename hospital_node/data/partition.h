// One table as several, each as if its rows had been in files of their own.
#pragma once

#include "hospital_node/data/table.h"

namespace consilium::node {

// Patient p's rows go into table part[p], below `parts`, in the order they have. All share the bytes of the rows.
std::vector<Table> Partition(const Table& table, const std::vector<std::uint32_t>& part, std::size_t parts);

}  // namespace consilium::node
