// Tables of tests/data/plans.h's schema, made in memory.
#pragma once

#include <cmath>

#include "hospital_node/data/builder.h"
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
  const node::ReadOptions options;
  node::TableBuilder builder(schema, options);
  for (const SmallRow& row : rows) {
    for (std::size_t i = 0; i < builder.series().size(); ++i) {
      const std::string& name = builder.series()[i].column.name;
      const double number = name == "age" ? row.age : name == "dose" ? row.dose : row.sick;
      const bool missing = name == "grade" ? row.grade == 0 : std::isnan(number);
      builder.Put(i, {missing, number, row.grade - 1, "", ""});
    }
    EXPECT_TRUE(builder.Commit(row.id, std::nullopt, "row").has_value());
  }
  auto table = builder.Finish();
  EXPECT_TRUE(table.has_value());
  return std::move(*table);
}

// A column's numbers, from wherever they lie; labels too.
inline std::vector<double> NumbersOf(const node::Table& table, std::string_view name) {
  const node::Series& series = *table.Find(name);
  if (series.IsLabel()) return series.numbers;
  std::vector<double> out;
  node::RowCursor cursor(table.store);
  for (std::size_t row = 0; row < table.rows(); ++row) out.push_back(series.Number(cursor.At(row)));
  return out;
}
inline std::vector<int> LevelsOf(const node::Table& table, std::string_view name) {
  std::vector<int> out;
  node::RowCursor cursor(table.store);
  for (std::size_t row = 0; row < table.rows(); ++row) out.push_back(table.Find(name)->Level(cursor.At(row)));
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
