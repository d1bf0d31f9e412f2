// A draft of a schema is one that its own file passes.
#include "hospital_node/data/infer.h"

#include <gtest/gtest.h>

#include "hospital_node/data/table.h"
#include "tests/data/scratch.h"

namespace consilium::node {
namespace {

using consilium::testing::Scratch;

class Infer : public ::testing::Test {
 protected:
  std::string Draft(const std::string& csv) {
    scratch_.Write("patients.csv", csv);
    const auto draft = InferCsv((scratch_.path() / "patients.csv").string());
    EXPECT_TRUE(draft.has_value()) << draft.error().what;
    if (!draft) return "";
    const auto schema = ParseSchema(*draft, "draft.toml");
    EXPECT_TRUE(schema.has_value()) << schema.error().what << "\n" << *draft;
    if (schema) {
      const auto table = ReadTable(scratch_.path().string(), *schema);
      EXPECT_TRUE(table.has_value()) << table.error().what << "\n" << *draft;
    }
    return *draft;
  }
  static bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
  Scratch scratch_;
};

TEST_F(Infer, WhatNoSchemaCanHoldIsNoLevelAndNoRange) {
  EXPECT_TRUE(Has(Draft("a,b\n1,x\n2,\xc3\xc3y\n"), "[columns.\"b\"]\ntype = \"text\""));
  EXPECT_TRUE(Has(Draft("a,b\n1,x\n2,\x01\n"), "[columns.\"b\"]\ntype = \"text\""));
  Draft("a,b\n.,x\n39007919254740993,s\n");
  Draft("a,b\n1e-320,1e200\n-3e-310,2\n");
  scratch_.Write("twice.csv", "a,a\n1,2\n");
  const auto twice = InferCsv((scratch_.path() / "twice.csv").string());
  ASSERT_FALSE(twice.has_value());
  EXPECT_TRUE(Has(twice.error().what, "twice.csv:1: column \"a\" is there twice")) << twice.error().what;
}

TEST_F(Infer, TypesRangesLevelsMissingCodesAndThePatient) {
  std::string csv = "patient_id,age,weight,sex,note,sick\n";
  for (int i = 0; i < 40; ++i) {
    csv += "p" + std::to_string(i) + "," + std::to_string(31 + i) + "," + (i == 3 ? "NA" : std::to_string(50.5 + i)) +
           "," + (i % 2 == 0 ? "f" : "m") + ",text " + std::to_string(i) + "," + (i % 3 == 0 ? "1" : "0") + "\n";
  }
  const std::string draft = Draft(csv);
  EXPECT_TRUE(Has(draft, "id = \"patient_id\"")) << draft;
  EXPECT_TRUE(Has(draft, "missing = [\"NA\"]"));
  EXPECT_TRUE(Has(draft, "[columns.\"age\"]\ntype = \"number\"\nunit = \"\"\nminimum = 31"));
  EXPECT_TRUE(Has(draft, "[columns.\"sex\"]\ntype = \"category\"\nlevels = [\"f\", \"m\"]"));
  EXPECT_TRUE(Has(draft, "[columns.\"sick\"]\ntype = \"category\"\nlevels = [\"0\", \"1\"]"));
  EXPECT_TRUE(Has(draft, "[columns.\"note\"]\ntype = \"text\""));
}

TEST_F(Infer, OddFilesToo) {
  EXPECT_TRUE(Has(Draft("a;b\n1;2\n3;4\n"), "delimiter = \";\""));
  EXPECT_TRUE(Has(Draft("a,b\n-0.00123,1e9\n55.5,2e9\n"), "id = \"row\""));
  Draft("x\n1.5\n1.5\n");                     // One value.
  Draft("x,y\n?,1\n?,2\n");                   // Nothing but missing.
  Draft("\xef\xbb\xbfx,\"a_b\"\r\n1,2\r\n");  // Byte order mark, CRLF, a name in quotes.
}

TEST_F(Infer, WhatIsNoTableIsNamed) {
  const auto code = [&](const std::string& csv) {
    scratch_.Write("bad.csv", csv);
    const auto draft = InferCsv((scratch_.path() / "bad.csv").string());
    return draft ? std::string("taken") : draft.error().what;
  };
  EXPECT_TRUE(Has(code(""), "empty"));
  EXPECT_TRUE(Has(code("a,b\n"), "no rows"));
  EXPECT_TRUE(Has(code("a,b\n1\n"), "bad.csv:2: 1 fields where the header has 2"));
  EXPECT_TRUE(Has(code("a,\n1,2\n"), "no name"));
  EXPECT_TRUE(Has(code("a,b c\n1,2\n"), "rename it"));
}

TEST_F(Infer, ExcludedPatientsAreReadAsIfTheyWereNotThere) {
  scratch_.Write("patients.csv", "id,age\na,40\nb,wrong\na,42\nc,50\n");
  const Schema schema = *ParseSchema(
      "[patient]\nid = \"id\"\n[columns.id]\ntype = \"text\"\n[columns.age]\ntype = \"number\"\nminimum = "
      "0\nmaximum = 120\n",
      "schema.toml");
  EXPECT_FALSE(ReadTable(scratch_.path().string(), schema).has_value());
  const std::set<std::string> excluded = {PatientMark("b"), PatientMark("a")};
  const auto table = ReadTable(scratch_.path().string(), schema, {.excluded = &excluded});
  ASSERT_TRUE(table.has_value()) << table.error().what;
  EXPECT_EQ(table->patients(), 1U);
  EXPECT_EQ(table->rows(), 1U);
  EXPECT_EQ(table->patient_ids[0], "c");
}

}  // namespace
}  // namespace consilium::node
