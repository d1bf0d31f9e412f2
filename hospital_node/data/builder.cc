// The builder.
#include "hospital_node/data/builder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/base/check.h"
#include "hospital_node/data/table_file.h"

namespace consilium::node {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kShownBytes = 40;

}  // namespace

TableBuilder::TableBuilder(const Schema& schema, const ReadOptions& options) : schema_(schema), options_(options) {
  table_.series = SeriesOf(schema);
  elements_.resize(table_.series.size());
  labels_.resize(table_.series.size());
}

Status TableBuilder::SetElement(std::size_t series, Element element, const std::string& source) {
  if (!elements_[series]) elements_[series] = element;
  if (*elements_[series] == element) return {};
  return Fail(Code::kInvalid,
              fmt::format("{}: column \"{}\" has elements of another type than in the part before; save "
                          "both with one type",
                          source, table_.series[series].column.name));
}

void TableBuilder::LayOut() {
  for (std::size_t i = 0; i < elements_.size(); ++i) {
    if (elements_[i]) table_.series[i].element = *elements_[i];
  }
  row_.resize(PlaceSeries(&table_.series));
  writer_.emplace(row_.size(), options_.memory_bytes, options_.spool);
}

void TableBuilder::Put(std::size_t series, const CellReader::Cell& cell) {
  if (!writer_) LayOut();
  const Series& one = table_.series[series];
  if (one.IsLabel()) {
    labels_[series] = cell.missing ? kMissing : cell.number;
  } else if (one.column.type == Column::Type::kCategory) {
    const auto level = static_cast<std::int16_t>(cell.missing ? -1 : cell.level);
    std::memcpy(row_.data() + one.offset, &level, sizeof level);
  } else {
    const double number = cell.missing ? kMissing : cell.number;
    std::memcpy(row_.data() + one.offset, &number, sizeof number);
  }
}

std::uint8_t* TableBuilder::Tensor(std::size_t series) {
  if (!writer_) LayOut();
  return row_.data() + table_.series[series].offset;
}

Status TableBuilder::Commit(const std::string& id, std::optional<Side> side, const std::string& where) {
  if (rows() == kMaxRows)
    return Fail(Code::kInvalid, fmt::format("{}: more than {} rows in one data set", where, kMaxRows));
  if (!writer_) LayOut();
  auto patient = static_cast<std::uint32_t>(table_.patient_ids.count);
  bool fresh = true;
  if (schema_.patient_id != "row") {
    const auto [entry, inserted] = patients_.emplace(id, patient);
    patient = entry->second;
    fresh = inserted;
    if (fresh) table_.patient_ids.names.push_back(id);
  }
  if (fresh) ++table_.patient_ids.count;
  table_.patient.push_back(patient);
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    if (table_.series[i].IsLabel()) table_.series[i].numbers.push_back(labels_[i]);
  }
  if (side && fresh) table_.declared_side.push_back(*side);
  if (side && table_.declared_side[patient] != *side) {
    TRY(Problem(fmt::format(
        "{}: this patient has rows on both sides of the split; put all rows of a patient on one side", where)));
  }
  return writer_->Append(row_.data());
}

bool TableBuilder::Excludes(std::string_view id) const {
  return options_.excluded != nullptr && !options_.excluded->empty() && options_.excluded->contains(PatientMark(id));
}

Status TableBuilder::Problem(std::string text) {
  problems_.push_back(std::move(text));
  if (problems_.size() < options_.maximum_problems) return {};
  return Fail(Code::kInvalid, fmt::format("{}", fmt::join(problems_, "\n")));
}

std::string TableBuilder::Shown(std::string_view value) const {
  if (!options_.show_values || value.empty()) return "";
  const bool cut = value.size() > kShownBytes;
  return fmt::format(" (\"{}{}\")", value.substr(0, kShownBytes), cut ? "..." : "");
}

void TableBuilder::NoteIgnored(const std::string& name) {
  auto& ignored = table_.ignored_columns;
  if (std::find(ignored.begin(), ignored.end(), name) == ignored.end()) ignored.push_back(name);
}

Result<Table> TableBuilder::Finish() {
  if (!problems_.empty()) return Fail(Code::kInvalid, fmt::format("{}", fmt::join(problems_, "\n")));
  if (!writer_) LayOut();
  table_.store = TRY(writer_->Finish());
  if (writer_->keeps()) TRY(writer_->Keep(TableTail(table_)));
  return std::move(table_);
}

}  // namespace consilium::node
