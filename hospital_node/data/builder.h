// Rows of a source, one after another, into a table.
#pragma once

#include <map>
#include <optional>

#include "hospital_node/data/cell.h"
#include "hospital_node/data/table.h"

namespace consilium::node {

class TableBuilder {
 public:
  TableBuilder(const Schema& schema, const ReadOptions& options);
  [[nodiscard]] const std::vector<Series>& series() const { return table_.series; }
  // Before the first row: how the source holds a tensor. kInvalid when it was said otherwise before.
  Status SetElement(std::size_t series, Element element, const std::string& source);

  // A row: its values, then Commit.
  void Put(std::size_t series, const CellReader::Cell& cell);
  std::uint8_t* Tensor(std::size_t series);  // Where its elements go.
  // The patient of the row; "": with patient.id = "row". `side`: where the schema's split puts it. kInvalid at kMaxRows
  // (`where` says at what) and when the disk is full.
  Status Commit(const std::string& id, std::optional<Side> side, const std::string& where);

  // The row's patient withdrew: it is to be skipped.
  [[nodiscard]] bool Excludes(std::string_view id) const;
  // Notes a fault; an error when there are enough of them.
  Status Problem(std::string text);
  // " (\"value\")" where values may be shown, else "".
  [[nodiscard]] std::string Shown(std::string_view value) const;
  void NoteIgnored(const std::string& name);
  void NoteFile(const std::string& path) { table_.files.push_back(path); }
  [[nodiscard]] std::size_t rows() const { return table_.rows(); }
  Result<Table> Finish();  // Kept under the options' spool name when it does not fit in memory.

 private:
  void LayOut();  // At the first row.

  const Schema& schema_;
  const ReadOptions& options_;
  std::optional<RowWriter> writer_;
  std::vector<std::optional<Element>> elements_;
  Bytes row_;
  std::vector<double> labels_;  // Of the row, by series.
  std::map<std::string, std::uint32_t> patients_;
  std::vector<std::string> problems_;
  Table table_;
};

}  // namespace consilium::node
