// Tables of tests/data/plans.h's schema, made in memory.
#pragma once

#include <cmath>

#include "hospital_node/data/table.h"
#include "tests/data/plans.h"

namespace consilium::testing {

struct SmallRow {
  std::string id;
  double age, dose;  // NaN: missing.
  int grade;         // 0: missing.
  double sick;
};

inline constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

inline node::Table SmallTable(const std::vector<SmallRow>& rows) {
  const Schema schema = SmallTrainPlan().schema;
  node::Table out;
  for (const Column& column : schema.columns) {
    if (column.type != Column::Type::kText) out.series.push_back({column, {}, {}});
  }
  for (const SmallRow& row : rows) {
    for (node::Series& series : out.series) {
      const std::string& name = series.column.name;
      if (name == "grade") {
        series.levels.push_back(row.grade - 1);
      } else {
        series.numbers.push_back(name == "age" ? row.age : name == "dose" ? row.dose : row.sick);
      }
    }
    const auto known = std::find(out.patient_ids.begin(), out.patient_ids.end(), row.id);
    out.patient.push_back(static_cast<std::uint32_t>(known - out.patient_ids.begin()));
    if (known == out.patient_ids.end()) out.patient_ids.push_back(row.id);
  }
  return out;
}

// Deterministic rows that look like patients; every seventh age and every fifth grade is missing.
inline node::Table ManyPatients(int patients, double salt) {
  std::vector<SmallRow> rows;
  for (int i = 0; i < patients; ++i) {
    const double a = std::sin(salt + 12.9 * i), b = std::sin(salt + 78.2 * i), c = std::sin(salt + 3.7 * i);
    rows.push_back({"p" + std::to_string(i), i % 7 == 3 ? kNone : std::round(50 + 30 * a), b,
                    i % 5 == 2 ? 0 : 1 + static_cast<int>(1.5 * (1 + c)), a + b > 0.2 * c ? 1.0 : 0.0});
  }
  return SmallTable(rows);
}

}  // namespace consilium::testing
