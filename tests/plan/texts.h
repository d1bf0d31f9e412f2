// A whole plan of each task as text, and its spoilt forms.
#pragma once

#include <gtest/gtest.h>

#include "common/plan/plan.h"

namespace consilium::testing {

inline constexpr const char* kSchema = R"([patient]
id = "pid"
[columns.pid]
type = "text"
[columns.age]
type = "number"
unit = "years"
minimum = 0
maximum = 120
[columns.chol]
type = "number"
unit = "mg/dl"
minimum = 0
maximum = 700
[columns.cp]
type = "category"
levels = ["1", "2", "3", "4"]
[columns.disease]
type = "label"
positive = ["1"]
negative = ["0"]
)";
inline constexpr const char* kTrain = R"([study]
name = "Heart disease"
purpose = "Predict heart disease at admission"
researcher = "researcher-1"
rounds = 20

[data]
dataset = "heart"
schema = "schema.toml"
label = "disease"
features = ["age", "chol", "cp"]

[training]
learning_rate = 0.1

[privacy]
mode = "none"

[aggregation]
profile = "visible"
)";
inline constexpr const char* kDescribe = R"([study]
name = "Table 1"
purpose = "Describe the cohort"
researcher = "researcher-1"
[data]
dataset = "heart"
schema = "schema.toml"
[describe]
columns = ["age", "cp", "disease"]
[privacy]
mode = "none"
[aggregation]
profile = "visible"
)";

inline Result<Plan> Read(std::string_view toml, std::string schema = kSchema) {
  return ParsePlanToml(toml, "plan.toml", [&](const std::string& path) -> Result<std::string> {
    if (path == "schema.toml") return schema;
    return Fail(Code::kNotFound, "no file " + path);
  });
}
inline Plan Good(std::string_view toml) {
  Result<Plan> plan = Read(toml);
  EXPECT_TRUE(plan.has_value()) << plan.error().what;
  return plan ? *plan : Plan();
}
inline std::string With(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}
inline void ExpectError(const std::string& toml, const std::string& part, Code code = Code::kInvalid) {
  const Result<Plan> plan = Read(toml);
  ASSERT_FALSE(plan.has_value()) << part;
  EXPECT_EQ(plan.error().code, code) << plan.error().what;
  EXPECT_NE(plan.error().what.find(part), std::string::npos) << plan.error().what;
}
inline std::string TextOf(const Plan& plan) { return std::string(Text(Canonical(plan))); }

}  // namespace consilium::testing
