// The server's steps: by hand, against a second way to write them, and against FLamby's published traces.
#include "common/algorithms/server_step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "common/settings/value.h"

namespace consilium {
namespace {

using Vec = std::vector<double>;

TEST(ServerStep, AverageMovesByItsRate) {
  Vec x = {1, -2, 0.5};
  AverageStep(1, Vec{0.25, 1, -0.5}, x);
  EXPECT_EQ(x, (Vec{1.25, -1, 0}));
  AverageStep(0.5, Vec{1, 0, -1}, x);
  EXPECT_EQ(x, (Vec{1.75, -1, -0.5}));
}

// Rates that are exact in binary, so that every figure can be worked out on paper.
constexpr AdaptiveRates kPaper{.rate = 0.5, .beta1 = 0.5, .beta2 = 0.75, .tau = 0.25};

TEST(ServerStep, AdamByHand) {
  Vec m = {0}, v = {0}, x = {1};
  AdamStep(kPaper, Vec{2}, m, v, x);  // m = 1, v = 1, x = 1 + 0.5 * 1 / 1.25
  EXPECT_EQ(m, Vec{1});
  EXPECT_EQ(v, Vec{1});
  EXPECT_DOUBLE_EQ(x[0], 1.4);
  AdamStep(kPaper, Vec{-1}, m, v, x);  // m = 0.5 - 0.5, v = 0.75 + 0.25
  EXPECT_EQ(m, Vec{0});
  EXPECT_EQ(v, Vec{1});
  EXPECT_DOUBLE_EQ(x[0], 1.4);
}

TEST(ServerStep, YogiByHand) {
  Vec m = {0}, v = {0}, x = {0};
  YogiStep(kPaper, Vec{2}, m, v, x);  // v below the square: 0 + 0.25 * 4
  EXPECT_EQ(v, Vec{1});
  EXPECT_DOUBLE_EQ(x[0], 0.4);
  YogiStep(kPaper, Vec{1}, m, v, x);  // v is the square: it stays
  EXPECT_EQ(v, Vec{1});
  YogiStep(kPaper, Vec{0.5}, m, v, x);  // v above the square: 1 - 0.25 * 0.25
  EXPECT_EQ(v, Vec{0.9375});
}

TEST(ServerStep, AdagradByHand) {
  Vec m = {0}, v = {0}, x = {0};
  AdagradStep(kPaper, Vec{3}, m, v, x);  // m = 1.5, v = 9, x = 0.75 / 3.25
  EXPECT_EQ(v, Vec{9});
  EXPECT_DOUBLE_EQ(x[0], 0.75 / 3.25);
  AdagradStep(kPaper, Vec{4}, m, v, x);  // m = 2.75, v = 25
  EXPECT_EQ(m, Vec{2.75});
  EXPECT_EQ(v, Vec{25});
  EXPECT_DOUBLE_EQ(x[0], 0.75 / 3.25 + 0.5 * 2.75 / 5.25);
}

TEST(ServerStep, ACoordinateWithoutAnyChangeStays) {
  for (const auto step : {AdamStep, YogiStep, AdagradStep}) {
    Vec m = {0}, v = {0}, x = {7};
    step(AdaptiveRates{.tau = 1e-8}, Vec{0}, m, v, x);
    EXPECT_EQ(x, Vec{7});
    EXPECT_EQ(m, Vec{0});
    EXPECT_EQ(v, Vec{0});
  }
}

// The adaptive rules once more, as sums over all rounds so far instead of a recursion:
// m_t = (1 - b1) sum_s b1^(t-s) a_s; Adam v_t = (1 - b2) sum_s b2^(t-s) a_s^2; Adagrad v_t = sum_s a_s^2.
TEST(ServerStep, TheRecursionsAreTheSumsOverAllRounds) {
  const AdaptiveRates rates{.rate = 0.03, .beta1 = 0.9, .beta2 = 0.99, .tau = 1e-3};
  Vec adam_m(1), adam_v(1), adam_x(1), ada_m(1), ada_v(1), ada_x(1), history;
  double adam = 0, adagrad = 0;
  for (int t = 1; t <= 40; ++t) {
    const double a = std::sin(1.7 * t) * (t % 3 == 0 ? 4 : 0.1);
    history.push_back(a);
    AdamStep(rates, Vec{a}, adam_m, adam_v, adam_x);
    AdagradStep(rates, Vec{a}, ada_m, ada_v, ada_x);
    double m = 0, v = 0, squares = 0;
    for (int s = 1; s <= t; ++s) {
      const double past = history[static_cast<std::size_t>(s - 1)];
      m += (1 - rates.beta1) * std::pow(rates.beta1, t - s) * past;
      v += (1 - rates.beta2) * std::pow(rates.beta2, t - s) * past * past;
      squares += past * past;
    }
    adam += rates.rate * m / (std::sqrt(v) + rates.tau);
    adagrad += rates.rate * m / (std::sqrt(squares) + rates.tau);
    ASSERT_NEAR(adam_x[0], adam, 1e-12);
    ASSERT_NEAR(ada_x[0], adagrad, 1e-12);
  }
}

TEST(ServerStep, YogiMovesItsSecondMomentTowardsTheSquareByAShareOfTheSquare) {
  const AdaptiveRates rates{.rate = 0.03, .beta1 = 0.9, .beta2 = 0.99, .tau = 1e-3};
  Vec m(1), v(1), x(1);
  for (int t = 1; t <= 40; ++t) {
    const double a = std::sin(1.7 * t) * (t % 3 == 0 ? 4 : 0.1), before = v[0];
    YogiStep(rates, Vec{a}, m, v, x);
    EXPECT_NEAR(std::abs(v[0] - before), (1 - rates.beta2) * a * a, 1e-12);
    EXPECT_EQ(v[0] > before, a * a > before);
  }
}

TEST(ServerStep, ControlVariatesByHand) {
  const Vec mean = {0.5, 0}, x = {1, 1}, y = {0, 2};
  Vec control = {0.25, -1}, correction(2);
  ControlCorrection(control, mean, correction);
  EXPECT_EQ(correction, (Vec{0.25, 1}));
  ControlStep(4 * 0.5, mean, x, y, control);  // c_i - c + (x - y) / 2
  EXPECT_EQ(control, (Vec{0.25, -1.5}));
  Vec c(2);
  MeanControl(Vec{3, -1}, 4, c);
  EXPECT_EQ(c, (Vec{0.75, -0.25}));
  MeanControl(Vec{0, 0}, 0, c);
  EXPECT_EQ(c, (Vec{0, 0}));
}

// For plain SGD option II gives the mean of the hospital's own gradients, whatever c and c_i were.
TEST(ServerStep, TheNewControlIsTheMeanGradient) {
  const Vec mean = {0.3, -0.2};
  Vec control = {-1, 0.7}, correction(2), x = {0.4, 0.1}, y = x, gradients = {0, 0};
  ControlCorrection(control, mean, correction);
  for (int step = 0; step < 5; ++step) {
    for (std::size_t i = 0; i < 2; ++i) {
      const double gradient = std::cos(static_cast<double>(step)) + y[i];
      gradients[i] += gradient;
      y[i] -= 0.05 * (gradient + correction[i]);
    }
  }
  ControlStep(5 * 0.05, mean, x, y, control);
  EXPECT_NEAR(control[0], gradients[0] / 5, 1e-14);
  EXPECT_NEAR(control[1], gradients[1] / 5, 1e-14);
}

// ---- FLamby's traces ----

std::filesystem::path DataFolder() {
  const char* set = std::getenv("CONSILIUM_DATA");
  return set != nullptr ? std::filesystem::path(set)
                        : std::filesystem::path(CONSILIUM_SOURCE_DIR) / ".." / "shared" / "data";
}

struct Centre {
  std::vector<Vec> x;
  Vec y;
};

// The training rows of each hospital, brought to mean 0 and sample sd 1 there (plus 1e-9).
std::vector<Centre> ReadCentres(std::istream& in) {
  std::vector<Centre> out(4);
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    std::vector<std::string> row;
    for (std::string cell; std::getline(cells, cell, ',');) row.push_back(cell);
    if (row[3] != "train") continue;
    Centre& centre = out[std::stoul(row[0])];
    Vec& x = centre.x.emplace_back();
    for (std::size_t i = 4; i + 1 < row.size(); ++i) x.push_back(std::stod(row[i]));
    centre.y.push_back(std::stod(row.back()));
  }
  for (Centre& centre : out) {
    const auto n = static_cast<double>(centre.x.size());
    for (std::size_t j = 0; j < centre.x.front().size(); ++j) {
      double mean = 0, squares = 0;
      for (const Vec& x : centre.x) mean += x[j] / n;
      for (const Vec& x : centre.x) squares += (x[j] - mean) * (x[j] - mean);
      for (Vec& x : centre.x) x[j] = (x[j] - mean) / (std::sqrt(squares / (n - 1)) + 1e-9);
    }
  }
  return out;
}

struct Local {
  double rate = 0, mu = 0;
  Vec correction;
};

// Plain SGD over the given mini-batches: logistic loss, proximal term, correction.
Vec TrainLocally(const Centre& centre, const Vec& start, const Value::Array& batches, std::size_t first,
                 std::size_t steps, const Local& local) {
  Vec w = start;
  for (std::size_t step = first; step < first + steps; ++step) {
    const Value::Array& batch = batches[step].AsArray();
    Vec gradient = local.correction;
    for (std::size_t j = 0; j < w.size(); ++j) gradient[j] += local.mu * (w[j] - start[j]);
    for (const Value& index : batch) {
      const Vec& x = centre.x[static_cast<std::size_t>(index.AsInteger())];
      double z = w.back();
      for (std::size_t j = 0; j < x.size(); ++j) z += w[j] * x[j];
      const double error = (1 / (1 + std::exp(-z)) - centre.y[static_cast<std::size_t>(index.AsInteger())]) /
                           static_cast<double>(batch.size());
      for (std::size_t j = 0; j < x.size(); ++j) gradient[j] += error * x[j];
      gradient.back() += error;
    }
    for (std::size_t j = 0; j < w.size(); ++j) w[j] -= local.rate * gradient[j];
  }
  return w;
}

// Replays one strategy; the largest difference from the trace's weights over all rounds.
double Replay(const std::string& strategy, const Value& trace, const std::vector<Centre>& centres) {
  const Value& hyper = trace["hyper"];
  const auto number = [&](const char* key, double fallback) {
    return hyper.Has(key) ? hyper[key].AsDouble() : fallback;
  };
  const auto steps = static_cast<std::size_t>(trace["num_updates"].AsInteger());
  const double rate = number("learning_rate", 0), server = number("server_learning_rate", 1);
  const AdaptiveRates rates{server, number("beta1", 0), number("beta2", 0), number("tau", 0)};
  Vec x;
  for (const Value& w : trace["init"]["linear.weight"].AsArray().front().AsArray()) x.push_back(w.AsDouble());
  x.push_back(trace["init"]["linear.bias"].AsArray().front().AsDouble());
  const std::size_t d = x.size();
  Vec m(d), v(d), c(d);
  std::vector<Vec> controls(centres.size(), Vec(d));
  double worst = 0;
  for (std::size_t round = 0; round < static_cast<std::size_t>(trace["rounds"].AsInteger()); ++round) {
    Vec average(d), sum(d);
    double total = 0;
    for (const Centre& centre : centres) total += static_cast<double>(centre.y.size());
    for (std::size_t i = 0; i < centres.size(); ++i) {
      Local local{rate, number("mu", 0), Vec(d)};
      if (strategy == "Scaffold") ControlCorrection(controls[i], c, local.correction);
      const Vec y = TrainLocally(centres[i], x, trace["batches"].AsArray()[i].AsArray(), round * steps, steps, local);
      if (strategy == "Scaffold") ControlStep(static_cast<double>(steps) * rate, c, x, y, controls[i]);
      const auto weight = static_cast<double>(centres[i].y.size());
      for (std::size_t j = 0; j < d; ++j) {
        average[j] += weight * (y[j] - x[j]) / total;
        sum[j] += weight * controls[i][j];
      }
    }
    MeanControl(sum, total, c);
    if (strategy == "FedAdam") {
      AdamStep(rates, average, m, v, x);
    } else if (strategy == "FedYogi") {
      YogiStep(rates, average, m, v, x);
    } else if (strategy == "FedAdagrad") {
      AdagradStep(rates, average, m, v, x);
    } else {
      AverageStep(server, average, x);
    }
    const Value::Array& expected = trace["weights_after_round"].AsArray()[round].AsArray();
    for (std::size_t j = 0; j < d; ++j) worst = std::max(worst, std::abs(x[j] - expected.at(j).AsDouble()));
  }
  return worst;
}

TEST(ServerStep, FlambysTracesOnTheRealHeartData) {
  std::ifstream rows(DataFolder() / "fed-heart-disease" / "flamby_split_features.csv");
  std::ifstream file(DataFolder() / "flamby-results" / "golden_fed_heart_disease.json");
  if (!rows || !file)
    GTEST_SKIP() << "no traces at " << DataFolder()
                 << "; set CONSILIUM_DATA to the folder that holds flamby-results and fed-heart-disease";
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto golden = ParseJson(text);
  ASSERT_TRUE(golden.has_value()) << golden.error().what;
  const std::vector<Centre> centres = ReadCentres(rows);
  for (const char* strategy : {"FedAvg", "FedProx", "Scaffold", "FedAdam", "FedYogi", "FedAdagrad"}) {
    const double worst = Replay(strategy, (*golden)["strategies"][strategy], centres);
    EXPECT_LT(worst, 1e-5) << strategy;
    RecordProperty(strategy, std::to_string(worst));
    std::cout << strategy << ": largest difference " << worst << "\n";
  }
}

}  // namespace
}  // namespace consilium
