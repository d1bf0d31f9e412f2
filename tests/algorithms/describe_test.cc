// Table 1 from sums: right figures, and a suppressed cell is never shown as 0.
#include <gtest/gtest.h>

#include <cmath>

#include "common/algorithms/algorithm.h"
#include "common/algorithms/derive.h"
#include "common/privacy/encode.h"
#include "tests/data/plans.h"

namespace consilium {
namespace {

using testing::SmallDescribePlan;

// Blocks: present rows patients; age: present count missing sum squares[3] hist[4]; grade: present count missing
// levels[3]; sick: present count missing positive.
RawContribution Hospital() {
  return {
      {{1}, {4}, {3}, {1}, {4}, {0}, {-1.5}, {1.25, 0, 0}, {2, 1, 1, 0}, {1}, {3}, {1}, {2, 0, 1}, {1}, {4}, {0}, {3}}};
}
RawContribution WithoutAge() {
  return {{{1}, {6}, {6}, {0}, {0}, {0}, {0}, {0, 0, 0}, {0, 0, 0, 0}, {1}, {6}, {0}, {1, 2, 3}, {1}, {6}, {0}, {2}}};
}

Result<Value> Describe(const std::vector<RawContribution>& hospitals) {
  auto algorithm = TRY(MakeAlgorithm(SmallDescribePlan()));
  const Query query = algorithm->Next(2)->query;
  Bytes sum(query.WireBytes());
  std::vector<std::uint32_t> survivors;
  for (const RawContribution& raw : hospitals) {
    const Bytes words = TRY(Encode(query, raw, nullptr));
    AddWords(query.ring, sum, words);
    survivors.push_back(static_cast<std::uint32_t>(survivors.size() + 1));
  }
  const Answer answer = TRY(Answer::Create(query, survivors, sum));
  TRY(algorithm->Absorb(query, answer));
  EXPECT_FALSE(algorithm->Next(2).has_value());
  EXPECT_FALSE(algorithm->Absorb(query, answer).has_value());
  EXPECT_FALSE(algorithm->ModelFile().has_value());
  EXPECT_EQ((*RestoreAlgorithm(SmallDescribePlan(), algorithm->Save()))->Results(), algorithm->Results());
  return algorithm->Results()["describe"];
}

// The plan asks for two hospitals in every sum; a column of one would be that hospital's own.
TEST(Describe, AColumnOfFewerHospitalsThanTheMinimumHasNoFigures) {
  const auto table = Describe({Hospital(), WithoutAge()});
  ASSERT_TRUE(table.has_value()) << table.error().what;
  const Value& age = (*table)["columns"].AsArray()[0];
  EXPECT_EQ(age["from_k"].AsInteger(), 1);
  for (const char* figure : {"count", "missing", "mean", "sd", "q25", "median", "q75"})
    EXPECT_TRUE(age[figure].IsNull()) << figure;
  EXPECT_FALSE((*table)["columns"].AsArray()[1]["count"].IsNull());
}

TEST(Describe, FiguresOfTheSum) {
  const auto table = Describe({Hospital(), Hospital(), WithoutAge()});
  ASSERT_TRUE(table.has_value()) << table.error().what;
  EXPECT_EQ((*table)["hospitals"].AsInteger(), 3);
  EXPECT_EQ((*table)["rows"].AsInteger(), 14);
  EXPECT_EQ((*table)["patients"].AsInteger(), 12);
  const auto& columns = (*table)["columns"].AsArray();
  const Value& age = columns[0];
  EXPECT_EQ(age["from_k"].AsInteger(), 2);
  EXPECT_EQ(age["of_n"].AsInteger(), 3);
  EXPECT_EQ(age["count"].AsInteger(), 8);
  EXPECT_NEAR(age["mean"].AsDouble(), 50 - 50 * 1.5 / 4, 1e-9);
  EXPECT_NEAR(age["sd"].AsDouble(), 50 * std::sqrt((2.5 - 3.0 * 3.0 / 8) / 7), 1e-9) << "of the sample";
  EXPECT_NEAR(age["q25"].AsDouble(), 12.5, 1e-12);
  EXPECT_NEAR(age["median"].AsDouble(), 25, 1e-12);
  EXPECT_NEAR(age["q75"].AsDouble(), 50, 1e-12);
  EXPECT_EQ(columns[1]["levels"].AsArray()[2]["count"].AsInteger(), 5);
  EXPECT_EQ(columns[1]["missing"].AsInteger(), 2);
  EXPECT_EQ(columns[2]["positive"].AsInteger(), 8);
  for (const Value& column : columns) {
    EXPECT_FALSE(column.Has("minimum"));
    EXPECT_FALSE(column.Has("maximum"));
  }
}

TEST(Describe, WhatAllSuppressedIsNullAndNotZero) {
  const Value table = *Describe({WithoutAge(), WithoutAge()});
  const Value& age = table["columns"].AsArray()[0];
  EXPECT_EQ(age["from_k"].AsInteger(), 0);
  EXPECT_TRUE(age.Has("count") && age["count"].IsNull());
  EXPECT_TRUE(age.Has("mean") && age["mean"].IsNull());
  EXPECT_TRUE(age["median"].IsNull());
}

TEST(Describe, AStateOfAnotherStudyIsCorrupt) {
  AlgorithmState state;
  state.step = 1;
  state.results = Value::Object{};
  EXPECT_FALSE(RestoreAlgorithm(SmallDescribePlan(), state).has_value());
}

}  // namespace
}  // namespace consilium
