// Small plans for tests, through the real parser.
#pragma once

#include <gtest/gtest.h>

#include "common/plan/plan.h"

namespace consilium::testing {

inline constexpr const char* kSmallSchema = R"([file]
missing = ["", "?"]
[patient]
id = "id"
[columns.id]
type = "text"
[columns.age]
type = "number"
minimum = 0
maximum = 100
[columns.dose]
type = "number"
minimum = -1
maximum = 1
[columns.grade]
type = "category"
levels = ["1", "2", "3"]
[columns.sick]
type = "label"
positive = ["1"]
negative = ["0"]
)";

inline Plan PlanFrom(const std::string& toml, const std::string& schema) {
  const auto plan = ParsePlanToml(toml, "plan.toml", [&](const std::string&) -> Result<std::string> { return schema; });
  if (!plan) {
    ADD_FAILURE() << plan.error().what;
    return {};
  }
  return *plan;
}

inline constexpr const char* kUnprotected = "[privacy]\nmode = \"none\"\n[aggregation]\nprofile = \"visible\"\n";

inline Plan SmallTrainPlan(const std::string& preprocessing = "", const std::string& training = "",
                           const std::string& evaluation = "") {
  return PlanFrom(R"([study]
name = "t"
purpose = "p"
researcher = "r"
rounds = 3
minimum_patients = 1
[data]
dataset = "d"
schema = "s"
label = "sick"
features = ["age", "grade", "dose"]
test_fraction = 0.5
[training]
weight_cap = 100
)" + training + "[preprocessing]\n" +
                      preprocessing + "[evaluation]\n" + evaluation + kUnprotected,
                  kSmallSchema);
}

inline Plan SmallDescribePlan(std::uint32_t minimum_patients = 1) {
  return PlanFrom(R"([study]
name = "t"
purpose = "p"
researcher = "r"
minimum_patients = )" +
                      std::to_string(minimum_patients) + R"(
[data]
dataset = "d"
schema = "s"
[describe]
columns = ["age", "grade", "sick"]
bins = 4
)" + kUnprotected,
                  kSmallSchema);
}

}  // namespace consilium::testing
