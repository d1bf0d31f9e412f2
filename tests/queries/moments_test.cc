// However rows are spread over hospitals, the federated mean and standard deviation are those of all rows together, to
// 1e-9 of the declared range; also where the values hardly differ, and where they lie far from the range's middle.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "common/algorithms/algorithm.h"
#include "hospital_node/queries/queries.h"
#include "tests/data/tables.h"

namespace consilium::node {
namespace {

using testing::SmallRow;

struct Figures {
  double mean, sd;
};

Figures Pooled(const std::vector<std::vector<SmallRow>>& hospitals) {
  long double sum = 0, squares = 0, n = 0;
  for (const auto& rows : hospitals) {
    for (const SmallRow& row : rows) sum += row.age, ++n;
  }
  const long double mean = sum / n;
  for (const auto& rows : hospitals) {
    for (const SmallRow& row : rows) squares += (row.age - mean) * (row.age - mean);
  }
  return {static_cast<double>(mean), n > 1 ? static_cast<double>(std::sqrt(squares / (n - 1))) : 0};
}

Value Federated(const std::vector<std::vector<SmallRow>>& hospitals) {
  static const Plan plan = testing::SmallDescribePlan();
  auto algorithm = *MakeAlgorithm(plan);
  const Query query = algorithm->Next(static_cast<std::uint32_t>(std::max<std::size_t>(hospitals.size(), 2)))->query;
  Bytes sum(query.WireBytes());
  std::vector<std::uint32_t> survivors;
  for (const auto& rows : hospitals) {
    AddWords(query.ring, sum, *Encode(query, *ComputeDescribe(plan, testing::SmallTable(rows), query), nullptr));
    survivors.push_back(static_cast<std::uint32_t>(survivors.size() + 1));
  }
  EXPECT_TRUE(algorithm->Absorb(query, *Answer::Create(query, survivors, sum)).has_value());
  return algorithm->Results()["describe"]["columns"].AsArray()[0];
}

void ExpectPooled(const std::vector<std::vector<SmallRow>>& hospitals) {
  const Value federated = Federated(hospitals);
  const Figures pooled = Pooled(hospitals);
  constexpr double kTolerance = 1e-9 * 100;  // The declared range of age is 0 to 100.
  RC_ASSERT(std::abs(federated["mean"].AsDouble() - pooled.mean) <= kTolerance);
  if (!federated["sd"].IsNull()) RC_ASSERT(std::abs(federated["sd"].AsDouble() - pooled.sd) <= kTolerance);
}

TEST(Moments, AreThePooledOnes) {
  EXPECT_TRUE(rc::check([] {
    const auto spread = *rc::gen::element(100.0, 1.0, 1e-3, 1e-5, 1e-7, 0.0);
    const auto base = *rc::gen::inRange(0, 1'000'000) * 1e-6 * (100 - spread);
    std::vector<std::vector<SmallRow>> hospitals(*rc::gen::inRange<std::size_t>(2, 6));
    int patient = 0;
    for (auto& rows : hospitals) {
      for (const int v : *rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 1'000'001)))) {
        rows.push_back({"p" + std::to_string(patient++), base + v * 1e-6 * spread, 0, 1, 1});
      }
    }
    ExpectPooled(hospitals);
  }));
}

TEST(Moments, OfAConstantColumnHaveNoSpreadAtAll) {
  std::vector<std::vector<SmallRow>> hospitals(3);
  for (int i = 0; i < 300; ++i)
    hospitals[static_cast<std::size_t>(i % 3)].push_back({"p" + std::to_string(i), 98.7, 0, 1, 1});
  EXPECT_EQ(Federated(hospitals)["sd"].AsDouble(), 0);
}

}  // namespace
}  // namespace consilium::node
