// A table that does not fit in memory, kept in the node's directory so that its sources are read once:
//
//   rows | tail: what a table has in memory | length of the tail, version, magic | SHA-256 of all before
//
// The file's name is its key: what was read, how and without whom. A file that is not exactly that is not used.
#pragma once

#include "hospital_node/data/table.h"

namespace consilium::node {

// The table's columns, without values, and where a row holds each; the row's length. At least 1, so that rows exist.
std::vector<Series> SeriesOf(const Schema& schema);
std::size_t PlaceSeries(std::vector<Series>* series);

// Of the sources' content, the schema and the marks of who withdrew.
std::string TableKey(const std::string& content, const Schema& schema, const std::set<std::string>& excluded);

// Everything but the rows. All of the file's numbers are little-endian.
Bytes TableTail(const Table& table);
// Inverts TableTail, for a file of as many bytes of rows; the table has no store yet. kCorrupt.
Result<Table> ParseTableTail(ByteView tail, const Schema& schema, std::uint64_t bytes_of_rows);
// kNotFound when there is none, kCorrupt when it is damaged or of another version: it is made again.
Result<Table> OpenTableFile(const std::filesystem::path& path, const Schema& schema);

}  // namespace consilium::node
