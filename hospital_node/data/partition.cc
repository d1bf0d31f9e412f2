// Partition.
#include "hospital_node/data/partition.h"

#include "common/base/check.h"

namespace consilium::node {

std::vector<Table> Partition(const Table& table, const std::vector<std::uint32_t>& part, std::size_t parts) {
  CHECK(part.size() == table.patients());
  Table empty;
  empty.series = table.series;
  for (Series& series : empty.series) series.numbers.clear();
  empty.files = table.files;
  empty.ignored_columns = table.ignored_columns;
  std::vector<Table> out(parts, empty);
  std::vector<std::vector<std::uint32_t>> rows(parts);
  constexpr std::uint32_t kUnseen = UINT32_MAX;
  std::vector<std::uint32_t> number(table.patients(), kUnseen);  // Of each patient, in its own table.
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::uint32_t patient = table.patient[row];
    Table& mine = out.at(part[patient]);
    if (number[patient] == kUnseen) {
      number[patient] = static_cast<std::uint32_t>(mine.patient_ids.count++);
      if (!table.patient_ids.names.empty()) mine.patient_ids.names.push_back(table.patient_ids.names[patient]);
      if (!table.declared_side.empty()) mine.declared_side.push_back(table.declared_side[patient]);
    }
    mine.patient.push_back(number[patient]);
    for (std::size_t i = 0; i < table.series.size(); ++i) {
      if (table.series[i].IsLabel()) mine.series[i].numbers.push_back(table.series[i].numbers[row]);
    }
    rows[part[patient]].push_back(static_cast<std::uint32_t>(row));
  }
  for (std::size_t i = 0; i < parts; ++i) out[i].store = table.store.Chosen(std::move(rows[i]));
  return out;
}

}  // namespace consilium::node
