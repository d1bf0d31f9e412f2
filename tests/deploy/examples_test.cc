// The examples under deploy/examples say what the programs do: every key that the parser knows, with its default, and
// plans and schemas that are read. e2e/Examples starts the real daemons with them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>

#include "common/base/files.h"
#include "common/plan/plan.h"
#include "coordinator/config.h"
#include "hospital_node/config.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

const fs::path kExamples = fs::path(CONSILIUM_SOURCE_DIR) / "deploy" / "examples";

std::string TextOf(const fs::path& file) {
  const auto bytes = ReadFile(file, 1 << 20);
  EXPECT_TRUE(bytes.has_value()) << file;
  return bytes ? std::string(Text(*bytes)) : "";
}

// The lines that show a default, as if they were meant.
std::string Uncommented(const std::string& text) {
  return std::regex_replace(text, std::regex("(^|\n)# ([a-z_]+ = )"), "$1$2");
}

// "section.key" of every key that the text sets.
std::vector<std::string> KeysIn(const std::string& text) {
  const auto root = ParseToml(text, "example");
  EXPECT_TRUE(root.has_value()) << root.error().what;
  std::vector<std::string> keys;
  const Value file = root.value_or(Value());
  for (const auto& [section, members] : file.AsObject()) {
    for (const auto& [key, value] : members.AsObject()) keys.push_back(section + "." + key);
  }
  return keys;
}

std::vector<std::string> Sorted(std::vector<std::string> keys) {
  std::ranges::sort(keys);
  const auto rest = std::ranges::unique(keys);
  keys.erase(rest.begin(), rest.end());
  return keys;
}

TEST(Examples, TheCoordinatorsNamesEveryKeyWithItsDefault) {
  const std::string text = TextOf(kExamples / "coordinator.toml");
  std::vector<std::string> known;
  const auto read = coordinator::ParseConfig(text, "coordinator.toml", &known);
  ASSERT_TRUE(read.has_value()) << read.error().what;
  const auto shown = coordinator::ParseConfig(Uncommented(text), "coordinator.toml");
  ASSERT_TRUE(shown.has_value()) << shown.error().what;
  EXPECT_EQ(Sorted(KeysIn(Uncommented(text))), Sorted(known));
  EXPECT_EQ(KeysIn(text), std::vector<std::string>{"federation.name"}) << "the only one without a default";
  const coordinator::Config defaults;
  for (const auto& config : {*read, *shown}) {
    EXPECT_EQ(config.listen, defaults.listen);
    EXPECT_EQ(config.http, defaults.http);
    EXPECT_EQ(config.endpoint, defaults.endpoint);
    EXPECT_EQ(config.log_level, defaults.log_level);
  }
}

TEST(Examples, TheNodesNamesEveryKeyWithItsDefault) {
  const std::string text = TextOf(kExamples / "node.toml");
  std::vector<std::string> known;
  const auto read = node::ParseConfig(text, "node.toml", &known);
  ASSERT_TRUE(read.has_value()) << read.error().what;
  const auto shown = node::ParseConfig(Uncommented(text), "node.toml");
  ASSERT_TRUE(shown.has_value()) << shown.error().what;
  EXPECT_EQ(Sorted(KeysIn(Uncommented(text))), Sorted(known));
  const std::vector<std::string> required = {"coordinator.endpoint", "coordinator.roster_fingerprint",
                                             "coordinator.server_key", "hospital.name"};
  EXPECT_EQ(Sorted(KeysIn(text)), required) << "those without a default";
  const node::Config defaults;
  for (const auto& config : {*read, *shown}) {
    EXPECT_EQ(config.policy.minimum_patients, defaults.policy.minimum_patients);
    EXPECT_EQ(config.policy.minimum_hospitals, defaults.policy.minimum_hospitals);
    EXPECT_EQ(config.policy.allowed_kinds, defaults.policy.allowed_kinds);
    EXPECT_EQ(config.policy.allowed_researchers, defaults.policy.allowed_researchers);
    EXPECT_EQ(config.policy.release_own_figures, defaults.policy.release_own_figures);
    EXPECT_EQ(config.metrics, defaults.metrics);
    EXPECT_EQ(config.log_level, defaults.log_level);
  }
}

// What the demo's say: learning/DemoData; the others with the real files: learning/HeartDiseaseTest.
TEST(Examples, EveryPlanIsRead) {
  int plans = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kExamples)) {
    const fs::path& file = entry.path();
    const bool plan = entry.is_regular_file() && TextOf(file).find("[study]") != std::string::npos;
    if (!plan) continue;
    const auto read = ParsePlanToml(TextOf(file), file.string(), [&](const std::string& schema) -> Result<std::string> {
      return TextOf(file.parent_path() / schema);
    });
    EXPECT_TRUE(read.has_value()) << read.error().what;
    ++plans;
  }
  EXPECT_GE(plans, 4);
}

}  // namespace
}  // namespace consilium
