// The split.
#include "hospital_node/training/split.h"

#include <fmt/format.h>

#include <optional>

#include "common/crypto/hash.h"

namespace consilium::node {
namespace {

// The digest's first 53 bits as a fraction in [0, 1).
double Fraction(const Digest& digest) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < 8; ++i) word |= std::uint64_t{digest.bytes[i]} << (8 * i);
  return static_cast<double>(word >> 11) * 0x1p-53;
}

std::vector<Side> SideOfPatients(const Plan& plan, const Table& table) {
  if (plan.use_split_column) return table.declared_side;
  std::vector<Side> out;
  const std::string seed = std::to_string(plan.seed);
  for (std::size_t patient = 0; patient < table.patients(); ++patient) {
    const Digest digest = Fields("consilium/split").AddText(seed).AddText(table.patient_ids[patient]).Hash();
    out.push_back(Fraction(digest) < plan.test_fraction ? Side::kTest : Side::kTrain);
  }
  return out;
}

}  // namespace

Result<Rows> SplitRows(const Plan& plan, const Table& table) {
  const Series* label = table.Find(plan.label);
  if (label == nullptr)
    return Fail(Code::kInvalid,
                fmt::format("the data set has no label column \"{}\"; add it to its schema", plan.label));
  if (plan.use_split_column && table.declared_side.size() != table.patients()) {
    return Fail(Code::kInvalid, "the plan splits by a column, but the data set's schema has no [split]; add it");
  }
  const Series* time = plan.time.empty() ? nullptr : table.Find(plan.time);
  if (!plan.time.empty() && time == nullptr)
    return Fail(Code::kInvalid,
                fmt::format("the data set has no column \"{}\" of times; add it to its schema", plan.time));
  const std::vector<Side> sides = SideOfPatients(plan, table);
  // Only what no label is lies in the row store.
  std::optional<RowCursor> cursor;
  if (!label->IsLabel() || time != nullptr) cursor.emplace(table.store);
  Rows out;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::uint8_t* bytes = cursor ? cursor->At(row) : nullptr;
    if (label->Missing(row, bytes) || (time != nullptr && time->Missing(row, bytes))) {
      ++out.unlabelled;
    } else {
      (sides[table.patient[row]] == Side::kTest ? out.test : out.train).push_back(row);
    }
  }
  return out;
}

std::size_t PatientsIn(const Table& table, const std::vector<std::size_t>& rows) {
  std::vector<bool> seen(table.patients());
  std::size_t count = 0;
  for (const std::size_t row : rows) {
    if (!seen[table.patient[row]]) ++count;
    seen[table.patient[row]] = true;
  }
  return count;
}

}  // namespace consilium::node
