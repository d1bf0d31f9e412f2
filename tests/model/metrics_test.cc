// Metrics against their definitions, and the histogram's bracket around the exact AUROC.
#include "common/model/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace consilium {
namespace {

Vector Of(const std::vector<double>& values) {
  return Eigen::Map<const Vector>(values.data(), static_cast<Eigen::Index>(values.size()));
}

// The definition: over all pairs, 1 when right, 1/2 when tied.
double PairAuroc(const Vector& scores, const Vector& labels) {
  double sum = 0, pairs = 0;
  for (int i = 0; i < scores.size(); ++i) {
    for (int j = 0; j < scores.size(); ++j) {
      if (labels[i] != 1 || labels[j] != 0) continue;
      pairs += 1;
      sum += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
    }
  }
  return sum / pairs;
}

TEST(Metrics, AurocEqualsItsDefinitionWithTies) {
  Vector scores(200), labels(200);
  for (int i = 0; i < 200; ++i) {
    scores[i] = std::round(10 * (0.5 + 0.5 * std::sin(7.1 * i))) / 10;
    labels[i] = std::sin(3.3 * i) + scores[i] > 0.6 ? 1 : 0;
  }
  const BinaryMetrics m = Evaluate(scores, labels);
  ASSERT_TRUE(m.auroc_defined);
  EXPECT_NEAR(m.auroc, PairAuroc(scores, labels), 1e-12);
  EXPECT_LT(m.auroc_low, m.auroc);
  EXPECT_NEAR((m.auroc_low + m.auroc_high) / 2, m.auroc, 1e-12);
}

TEST(Metrics, WithoutTiesTheBracketIsAPoint) {
  const BinaryMetrics m = Evaluate(Of({0.1, 0.4, 0.35, 0.8}), Of({0, 0, 1, 1}));
  EXPECT_DOUBLE_EQ(m.auroc, 0.75);
  EXPECT_DOUBLE_EQ(m.auroc_low, m.auroc_high);
}

TEST(Metrics, AccuracyBrierAndLoss) {
  const BinaryMetrics m = Evaluate(Of({0.9, 0.5, 0.2, 0.6}), Of({1, 1, 0, 0}));
  EXPECT_EQ(m.rows, 4U);
  EXPECT_EQ(m.positives, 2U);
  EXPECT_DOUBLE_EQ(m.accuracy, 0.75);
  EXPECT_NEAR(m.brier, (0.01 + 0.25 + 0.04 + 0.36) / 4, 1e-15);
  EXPECT_NEAR(m.log_loss, -(std::log(0.9) + std::log(0.5) + std::log(0.8) + std::log(0.4)) / 4, 1e-15);
}

TEST(Metrics, OneClassHasNoAuroc) {
  EXPECT_FALSE(Evaluate(Of({0.1, 0.2}), Of({1, 1})).auroc_defined);
  EXPECT_FALSE(Evaluate(Vector(0), Vector(0)).auroc_defined);
}

TEST(Metrics, LossOfACertainMistakeIsBounded) {
  EXPECT_LT(RowLogLoss(0, true), 28);
  EXPECT_LT(RowLogLoss(1, false), 28);
  EXPECT_GT(RowLogLoss(0, true), 27);
  EXPECT_LT(RowLogLoss(1, true), 1e-11);
}

TEST(Metrics, HistogramBracketsTheExactAuroc) {
  constexpr int kRows = 500, kBins = 64;
  Vector scores(kRows), labels(kRows);
  std::vector<std::int64_t> positives(kBins), negatives(kBins);
  for (int i = 0; i < kRows; ++i) {
    scores[i] = 0.5 + 0.499 * std::sin(1.7 * i);
    labels[i] = std::sin(0.9 * i) + 2 * scores[i] > 1 ? 1 : 0;
    auto& bins = labels[i] == 1 ? positives : negatives;
    ++bins[static_cast<std::size_t>(scores[i] * kBins)];
  }
  const double exact = Evaluate(scores, labels).auroc;
  BinaryMetrics m;
  AurocFromHistogram(positives, negatives, &m);
  ASSERT_TRUE(m.auroc_defined);
  EXPECT_LE(m.auroc_low, exact);
  EXPECT_GE(m.auroc_high, exact);
  EXPECT_LT(m.auroc_high - m.auroc_low, 0.05);
}

TEST(NumberMetrics, ByHandAndCutToTheRange) {
  Vector predictions(4), labels(4);
  predictions << 1, 5, 200, 3;  // 200 counts as 10.
  labels << 2, 5, 8, 1;
  const NumberMetrics m = EvaluateNumbers(predictions, labels, 0, 10);
  EXPECT_DOUBLE_EQ(m.mae, 5.0 / 4);
  EXPECT_DOUBLE_EQ(m.rmse, 1.5);
  EXPECT_DOUBLE_EQ(m.r2, 1 - 9.0 / 30);
  EXPECT_FALSE(EvaluateNumbers(labels, Vector::Ones(4), 0, 10).r2_defined);
  EXPECT_EQ(EvaluateNumbers(Vector(0), Vector(0), 0, 1).rows, 0U);
}

TEST(ClassCounts, TheHighestProbabilityIsThePrediction) {
  Matrix p(4, 3);
  p << 0.5, 0.25, 0.25, 0.2, 0.2, 0.6, 0.4, 0.4, 0.2, 0, 1, 0;
  Vector labels(4);
  labels << 0, 1, 1, 1;
  const ClassCounts counts = CountClasses(p, labels);
  EXPECT_EQ(counts.confusion, (std::vector<std::uint64_t>{1, 0, 0, 1, 1, 1, 0, 0, 0})) << "of equals the first";
  EXPECT_NEAR(counts.log_loss, -std::log(0.5) - std::log(0.2) - std::log(0.4), 1e-9);
  EXPECT_EQ(CountClasses(Matrix(0, 3), Vector(0)).confusion.size(), 9U);
}

// Against every pair looked at, with many equal times and scores.
TEST(PairCounts, AreThoseOfAllPairs) {
  for (int salt = 0; salt < 20; ++salt) {
    constexpr int kRows = 60;
    Vector scores(kRows), events(kRows), times(kRows);
    for (int i = 0; i < kRows; ++i) {
      scores[i] = std::round(4 * std::sin(salt + 1.7 * i));
      events[i] = std::sin(salt + 0.9 * i) > 0.2 ? 1 : 0;
      times[i] = std::round(6 + 6 * std::sin(salt + 2.3 * i));
    }
    PairCounts all;
    for (int i = 0; i < kRows; ++i) {
      all.events += events[i] == 1 ? 1 : 0;
      for (int j = 0; j < kRows; ++j) {
        const bool earlier = times[i] < times[j] || (times[i] == times[j] && events[j] == 0);
        if (i == j || events[i] == 0 || !earlier) continue;
        ++all.pairs;
        all.concordant += scores[i] > scores[j] ? 1 : 0;
        all.tied += scores[i] == scores[j] ? 1 : 0;
      }
    }
    const PairCounts fast = CountPairs(scores, events, times);
    EXPECT_EQ(fast.events, all.events);
    EXPECT_EQ(fast.pairs, all.pairs);
    EXPECT_EQ(fast.concordant, all.concordant);
    EXPECT_EQ(fast.tied, all.tied);
  }
  EXPECT_EQ(CountPairs(Vector(0), Vector(0), Vector(0)).pairs, 0U);
}

}  // namespace
}  // namespace consilium
