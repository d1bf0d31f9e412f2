// A registered data set's sources, whatever their format.
#pragma once

#include "hospital_node/data/spec.h"
#include "hospital_node/data/table.h"

namespace consilium::node {

// The files to read, in order. kInvalid when the format has no such number of files, or a folder none that match.
Result<std::vector<std::string>> FilesOf(const DataSetSpec& spec, const Schema& schema);
// Reads them. With a spool name, a table that does not fit in memory is kept there, and read from there when it is
// there already; a damaged one is made again.
Result<Table> ReadSource(const DataSetSpec& spec, const Schema& schema, const ReadOptions& options);

}  // namespace consilium::node
