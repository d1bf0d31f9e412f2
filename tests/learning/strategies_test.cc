// Every strategy learns from the demo's hospitals; SCAFFOLD is its textbook self, also when a hospital is left out; and
// what the ring's rounding may cost a model is bounded.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <iostream>

#include "common/algorithms/derive.h"
#include "common/algorithms/server_step.h"
#include "common/model/fit.h"
#include "common/model/parameters.h"
#include "common/plan/strategy.h"
#include "hospital_node/data/table.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/design.h"
#include "tests/learning/federation.h"

namespace consilium {
namespace {

using testing::Federation;
using testing::Scratch;
using Vec = std::vector<double>;

class StrategiesLearn : public ::testing::Test {
 protected:
  void SetUp() override { MakeDemo(scratch_, study_, demo::kDemoSeed, &federation_); }

  // The demo's plan with these lines in place of its algorithm and its learning rate.
  void Use(const std::string& lines, int rounds = 20) {
    std::string toml = demo::TrainPlan(study_);
    const auto replace = [&](const std::string& what, const std::string& by) {
      const std::size_t at = toml.find(what);
      ASSERT_NE(at, std::string::npos) << what;
      toml.replace(at, what.size(), by);
    };
    replace("learning_rate = 0.1\n", "");
    replace("algorithm = \"fedavg\"\n", lines);
    replace("rounds = 20", "rounds = " + std::to_string(rounds));
    federation_.plan = testing::PlanFromText(toml, demo::DemoSchema());
    federation_.memories.clear();
  }
  Value Train() {
    auto algorithm = *MakeAlgorithm(federation_.plan);
    const Status run = federation_.Run(algorithm.get());
    EXPECT_TRUE(run.has_value()) << run.error().what;
    return algorithm->Results();
  }

  Scratch scratch_;
  demo::DemoStudy study_;
  Federation federation_;
};

TEST_F(StrategiesLearn, EachReachesTheAurocOfTheDemo) {
  const std::vector<std::pair<std::string, std::string>> settings = {
      {"fedavg", "learning_rate = 0.1\n"},
      {"fedprox", "learning_rate = 0.1\nmu = 0.1\n"},
      {"fedadam", "learning_rate = 0.05\nserver_learning_rate = 0.1\n"},
      {"fedyogi", "learning_rate = 0.05\nserver_learning_rate = 0.1\n"},
      {"fedadagrad", "learning_rate = 0.05\nserver_learning_rate = 0.3\n"},
      {"scaffold", "learning_rate = 0.05\n"},
      {"cyclic", "learning_rate = 0.05\n"},
  };
  ASSERT_EQ(settings.size(), StrategyNames().size());
  for (const auto& [strategy, lines] : settings) {
    Use("algorithm = \"" + strategy + "\"\n" + lines);
    const Value results = Train();
    EXPECT_GT(results["evaluation"]["auroc"].AsDouble(), 0.78) << strategy << ", where pooled training reaches 0.80";
    std::cout << strategy << ": AUROC " << results["evaluation"]["auroc"].AsDouble() << "\n";
  }
}

TEST_F(StrategiesLearn, EarlyStoppingSavesRoundsAndKeepsTheBestModel) {
  Use("algorithm = \"fedavg\"\nlearning_rate = 0.1\nearly_stopping = \"log_loss\"\npatience = 2\nmin_delta = 0.001\n",
      60);
  const Value results = Train();
  const Value::Array evaluations = results["evaluations"].AsArray();
  EXPECT_LT(results["rounds"].AsArray().size(), 60U) << "it levels off long before";
  EXPECT_TRUE(results["early_stopping"]["stopped"].AsBool());
  EXPECT_EQ(results["evaluation"]["log_loss"], results["early_stopping"]["best"]);
  EXPECT_GT(results["evaluation"]["auroc"].AsDouble(), 0.78);
}

TEST_F(StrategiesLearn, ATrainingThatExplodesSaysInWhichRound) {
  Use("algorithm = \"fedavg\"\nlearning_rate = 100\n");
  auto algorithm = *MakeAlgorithm(federation_.plan);
  const Status run = federation_.Run(algorithm.get());
  ASSERT_TRUE(run.has_value()) << run.error().what;
  EXPECT_EQ(algorithm->failure(), Algorithm::Failure::kDiverged) << CanonicalJson(algorithm->Results()["evaluations"]);
  EXPECT_EQ(algorithm->Results()["diverged"]["why"].AsString(), "loss");
  EXPECT_EQ(algorithm->Results()["diverged"]["round"].AsInteger(), 5) << "the first evaluation";
}

// ---- SCAFFOLD against its textbook, without rounding ----

// Everything of one hospital that a replay needs.
struct Replayed {
  node::Design train;
  double weight = 0;
  Vec control;  // c_i
  bool counted = false;
};

// Karimireddy et al., algorithm 1, over whole doubles; `who` says who is counted in a round.
Vec TextbookScaffold(Federation& federation, const Preprocessing& preprocessing,
                     const std::function<bool(std::uint32_t round, std::size_t hospital)>& who) {
  const Plan& plan = federation.plan;
  std::vector<Replayed> hospitals;
  for (const auto& spec : federation.hospitals) {
    const node::Table table = *node::ReadTable(spec.folder, *ParseSchema(spec.schema, "schema"));
    const node::Rows rows = *node::SplitRows(plan, table);
    auto& one = hospitals.emplace_back();
    one.train = node::BuildDesign(plan, table, rows.train, preprocessing);
    one.weight = static_cast<double>(node::PatientsIn(table, rows.train)) / plan.weight_cap;
    one.control.assign(static_cast<std::size_t>(one.train.x.cols()) + 1, 0.0);
  }
  const std::size_t d = hospitals.front().control.size();
  Vec x(d), c(d);
  for (std::uint32_t round = 1; round <= plan.rounds; ++round) {
    Vec average(d);
    double total = 0;
    std::vector<Vec> moved(hospitals.size());
    for (std::size_t i = 0; i < hospitals.size(); ++i) {
      if (!who(round, i)) continue;
      Replayed& one = hospitals[i];
      Vec correction(d);
      for (std::size_t j = 0; j < d; ++j) correction[j] = c[j] - one.control[j];
      TrainingRun run;
      const Vec y = *Fit(node::RoundRecipe(plan, round, BlobRoot(ParameterBlob(x))), one.train.x, one.train.Targets(),
                         x, {.proximal_mu = 0, .anchor = {}, .correction = correction}, &run);
      moved[i] = one.control;
      for (std::size_t j = 0; j < d; ++j) {
        const double change = y[j] - x[j];
        average[j] += one.weight * change;
        moved[i][j] += -c[j] - change / (static_cast<double>(run.steps) * plan.learning.optimizer.learning_rate);
      }
      total += one.weight;
    }
    for (std::size_t i = 0; i < hospitals.size(); ++i) {
      if (moved[i].empty()) continue;
      hospitals[i].control = moved[i];
      hospitals[i].counted = true;
    }
    Vec sum(d);
    double weight = 0;
    for (const Replayed& one : hospitals) {
      if (!one.counted) continue;
      weight += one.weight;
      for (std::size_t j = 0; j < d; ++j) sum[j] += one.weight * one.control[j];
    }
    for (std::size_t j = 0; j < d; ++j) {  // As hospitals receive them.
      x[j] = static_cast<float>(x[j] + plan.server_learning_rate * average[j] / total);
      c[j] = static_cast<float>(sum[j] / weight);
    }
  }
  return x;
}

// What the ring may cost. One coordinate of a round's average is off by at most half a grid step a hospital, over the
// sum of weights; the model that hospitals receive by half a float32 step more. Local training by full batches of a
// convex loss at a small rate brings two models no further apart, so over all rounds the errors at most add up. An
// adaptive server enlarges each by at most rate / tau; SCAFFOLD adds what a local run makes of c's own rounding.
double RingBound(const Plan& plan, const Query& query, std::size_t hospitals, double weight, double largest) {
  const auto grid = [&](const char* block) {
    return static_cast<double>(hospitals) * std::ldexp(1.0, -query.Find(block)->scale_log2 - 1) / weight;
  };
  const double sent = std::ldexp(largest, -24);
  double round = 2 * grid("delta") + sent;
  if (plan.algorithm == "fedadam") round *= plan.server_learning_rate / plan.tau;
  if (plan.algorithm == "scaffold")
    round += plan.local_steps * plan.learning.optimizer.learning_rate * 2 *
             (2 * grid("control") + std::ldexp(ControlBound(plan), -24));
  return plan.rounds * round;
}

constexpr const char* kFullBatches = "local_steps = 5\nbatch_size = 100000\nlearning_rate = 0.2\nl2 = 0.005\n";

class Rounding : public StrategiesLearn {
 protected:
  void Use(const std::string& strategy, int rounds) {
    std::string toml = demo::TrainPlan(study_);
    const std::size_t from = toml.find("algorithm = "), to = toml.find("seed = ");
    ASSERT_TRUE(from < to && to != std::string::npos);
    toml.replace(from, to - from, strategy + kFullBatches);
    const std::size_t at = toml.find("rounds = 20");
    toml.replace(at, 11, "rounds = " + std::to_string(rounds));
    federation_.plan = testing::PlanFromText(toml, demo::DemoSchema());
    federation_.memories.clear();
  }

  // The study as it is, and the moments that it began with. `left_out`: this hospital misses this round.
  Vec Studied(std::uint32_t left_out_round = 0, std::uint32_t left_out = 0) {
    auto algorithm = *MakeAlgorithm(federation_.plan);
    while (algorithm->Next(1)) {
      const Step step = federation_.NextOf(*algorithm);
      std::vector<std::uint32_t> who;
      const bool out = step.query.kind == "train" && step.query.params["round"].AsInteger() == left_out_round;
      for (std::uint32_t i = 1; out && i <= federation_.hospitals.size(); ++i) {
        if (i != left_out) who.push_back(i);
      }
      const auto answer = federation_.Ask(step, who);
      EXPECT_TRUE(answer.has_value());
      if (step.query.kind == "train") last_ = step.query;
      if (step.query.kind == "train") weight_ = std::min(weight_, answer->Value1("weight"));
      EXPECT_TRUE(algorithm->Absorb(step.query, *answer).has_value());
    }
    const Vec model = algorithm->Save().vectors.at("global");
    for (const double v : model) largest_ = std::max(largest_, std::abs(v));
    return model;
  }
  [[nodiscard]] Preprocessing Started() const { return ReadTrainQuery(federation_.plan, last_)->preprocessing; }

  // FedAvg and FedAdam with contributions added as they are, without a ring.
  Vec Unrounded() {
    const Plan& plan = federation_.plan;
    const std::size_t d = DesignSources(plan).size() + 1;
    Vec x(d), m(d), v(d);
    for (std::uint32_t round = 1; round <= plan.rounds; ++round) {
      const Bytes blob = ParameterBlob(x);
      const Query query = TrainQuery(plan, round, BlobRoot(blob), Started(), 4);
      Vec average(d);
      double weight = 0;
      for (const auto& spec : federation_.hospitals) {
        const auto raw =
            federation_.workbench.Compute(plan, spec, query, {.inputs = {{BlobRoot(blob), blob}}, .seats = 4});
        EXPECT_TRUE(raw.has_value());
        for (std::size_t j = 0; j < d; ++j) average[j] += raw->blocks[0][j];
        weight += raw->blocks[1][0];
      }
      for (double& one : average) one /= weight;
      if (plan.algorithm == "fedadam") {
        AdamStep({plan.server_learning_rate, plan.beta1, plan.beta2, plan.tau}, average, m, v, x);
      } else {
        AverageStep(1, average, x);
      }
      for (double& one : x) one = static_cast<float>(one);
    }
    return x;
  }

  void ExpectWithinTheRing(const Vec& studied, const Vec& replayed) {
    ASSERT_EQ(studied.size(), replayed.size());
    const double bound = RingBound(federation_.plan, last_, federation_.hospitals.size(), weight_, largest_);
    double worst = 0;
    for (std::size_t j = 0; j < studied.size(); ++j) worst = std::max(worst, std::abs(studied[j] - replayed[j]));
    EXPECT_LE(worst, bound);
    EXPECT_GT(largest_, 1000 * bound) << "a bound that says something";
    std::cout << federation_.plan.algorithm << ": " << worst << " apart, at most " << bound << "\n";
  }

  Query last_;
  double weight_ = 1e9, largest_ = 0;
};

TEST_F(Rounding, FedAvgAndFedAdamEqualTheirReplayWithoutARing) {
  for (const char* strategy :
       {"algorithm = \"fedavg\"\n", "algorithm = \"fedadam\"\nserver_learning_rate = 0.05\ntau = 0.01\n"}) {
    weight_ = 1e9;
    largest_ = 0;
    Use(strategy, 12);
    const Vec studied = Studied();
    ExpectWithinTheRing(studied, Unrounded());
  }
}

TEST_F(Rounding, ScaffoldEqualsItsTextbook) {
  Use("algorithm = \"scaffold\"\n", 12);
  const Vec studied = Studied();
  ExpectWithinTheRing(studied, TextbookScaffold(federation_, Started(), [](auto, auto) { return true; }));
}

// Its c_i did not move in round 3; that of the others did, and c is still the mean over all.
TEST_F(Rounding, ScaffoldWithAHospitalLeftOutInRound3EqualsTheReplayInWhichItsControlDidNotMove) {
  Use("algorithm = \"scaffold\"\n", 8);
  const Vec studied = Studied(3, 2);
  const auto without = [](std::uint32_t round, std::size_t hospital) { return round != 3 || hospital != 1; };
  ExpectWithinTheRing(studied, TextbookScaffold(federation_, Started(), without));
  const Vec whole = TextbookScaffold(federation_, Started(), [](auto, auto) { return true; });
  double apart = 0;
  for (std::size_t j = 0; j < whole.size(); ++j) apart = std::max(apart, std::abs(whole[j] - studied[j]));
  EXPECT_GT(apart, 10 * RingBound(federation_.plan, last_, 4, weight_, largest_)) << "the absence shows";
}

}  // namespace
}  // namespace consilium
