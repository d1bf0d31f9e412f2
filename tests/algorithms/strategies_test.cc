// Each strategy: what its rounds ask, how an answer moves the model, and that a restart changes nothing.
#include "common/algorithms/strategy.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <set>

#include "common/algorithms/derive.h"
#include "common/algorithms/early_stopping.h"
#include "common/algorithms/server_step.h"
#include "common/model/parameters.h"
#include "common/plan/strategy.h"
#include "tests/algorithms/answers.h"
#include "tests/data/plans.h"

namespace consilium {
namespace {

using testing::AbsorbSomething;
using testing::AnswerOf;
using testing::SmallTrainPlan;
using testing::Something;
using testing::Zeros;
using Vec = std::vector<double>;

constexpr std::size_t kParameters = 5;
const std::string kDeclared = "standardize = \"declared\"\nimpute = \"constant\"\n";

Plan PlanOf(const std::string& strategy, const std::string& more = "", const std::string& evaluation = "") {
  return SmallTrainPlan(kDeclared, "algorithm = \"" + strategy + "\"\n" + more, evaluation);
}

// Blocks for one training round: the delta times the weight, the weight, and what the strategy has beyond.
RawContribution Round(const Vec& delta, double weight, std::vector<Vec> further = {}) {
  RawContribution out{{delta, {weight}}};
  for (double& v : out.blocks[0]) v *= weight;
  for (Vec& block : further) out.blocks.push_back(std::move(block));
  return out;
}

void Take(Algorithm* algorithm, const RawContribution& a, const RawContribution& b) {
  const Query query = algorithm->Next(2)->query;
  ASSERT_EQ(query.kind, "train");
  const auto absorbed = algorithm->Absorb(query, AnswerOf(query, a, b));
  ASSERT_TRUE(absorbed.has_value()) << absorbed.error().what;
}

// As float32, which is what hospitals receive.
Vec Sent(Vec values) {
  for (double& v : values) v = static_cast<double>(static_cast<float>(v));
  return values;
}

TEST(Strategies, EachWalksThePlanAndEveryHospitalKnowsItsQueries) {
  for (const std::string& strategy : StrategyNames()) {
    const Plan plan = PlanOf(strategy, "", "every = 2\n");
    auto algorithm = *MakeAlgorithm(plan);
    std::string kinds;
    while (const auto step = algorithm->Next(2)) {
      kinds += step->query.kind[0];
      if (step->query.kind == "train") {
        const auto read = ReadTrainQuery(plan, step->query);
        ASSERT_TRUE(read.has_value()) << strategy << ": " << read.error().what;
        EXPECT_EQ(step->inputs.size(), 1 + read->further.size());
        EXPECT_EQ(step->inputs.size(), step->query.params["inputs"].AsObject().size());
      }
      AbsorbSomething(algorithm.get());
    }
    EXPECT_EQ(kinds, "ttete") << strategy;
    EXPECT_TRUE(algorithm->ModelFile().has_value());
  }
}

TEST(Strategies, FedProxAveragesAndTellsHospitalsItsMu) {
  auto prox = *MakeAlgorithm(PlanOf("fedprox", "mu = 0.25\n")), plain = *MakeAlgorithm(PlanOf("fedavg"));
  EXPECT_EQ(prox->Next(2)->query.params["mu"].AsDouble(), 0.25);
  for (auto* algorithm : {prox.get(), plain.get()})
    Take(algorithm, Round({1, 0, 0, 0, 2}, 0.25), Round({-1, 1, 0, 0, 0}, 0.75));
  EXPECT_EQ(prox->Save().vectors, plain->Save().vectors);
}

TEST(Strategies, AdaptiveServersStepWithTheAverage) {
  using StepFunction = decltype(&AdamStep);
  const std::vector<std::pair<std::string, StepFunction>> servers = {
      {"fedadam", AdamStep}, {"fedyogi", YogiStep}, {"fedadagrad", AdagradStep}};
  for (const auto& [strategy, step] : servers) {
    const std::string beta2 = strategy == "fedadagrad" ? "" : "beta2 = 0.75\n";
    const Plan plan = PlanOf(strategy, "server_learning_rate = 0.5\nbeta1 = 0.5\ntau = 0.125\n" + beta2);
    auto algorithm = *MakeAlgorithm(plan);
    const AdaptiveRates rates{0.5, 0.5, 0.75, 0.125};
    Vec m(kParameters), v(kParameters), x(kParameters);
    for (const double scale : {1.0, -0.5, 0.25}) {
      // Averages that are exact in the ring: (1 * 1 + 3 * 3) / 4 of the scale, and so on.
      Take(algorithm.get(), Round({scale, 0, 0, 0, 2 * scale}, 0.25), Round({3 * scale, scale, 0, 0, 0}, 0.75));
      step(rates, Vec{2.5 * scale, 0.75 * scale, 0, 0, 0.5 * scale}, m, v, x);
      x = Sent(x);
      const auto vectors = algorithm->Save().vectors;
      EXPECT_EQ(vectors.at("global"), x) << strategy;
      EXPECT_EQ(vectors.at("m"), m) << strategy;
      EXPECT_EQ(vectors.at("v"), v) << strategy;
      if (algorithm->Next(2)->query.kind != "train") break;
    }
  }
}

TEST(Strategies, ScaffoldKeepsTheSumsOfAllThatWereEverCounted) {
  const Plan plan = PlanOf("scaffold", "local_steps = 10\nlearning_rate = 0.5\nserver_learning_rate = 0.5\n");
  auto algorithm = *MakeAlgorithm(plan);
  const Step first = *algorithm->Next(2);
  EXPECT_EQ(first.inputs[1], ParameterBlob(Vec(kParameters))) << "c is 0 at first";
  EXPECT_EQ(first.query.params["inputs"]["control"].AsString(), BlobRoot(first.inputs[1]).Hex());
  // Two newcomers of weight 1/4 and 3/4 with c_1 = (1, ..), c_2 = (3, ..).
  Take(algorithm.get(), Round({1, 0, 0, 0, 0}, 0.25, {{0.25, 0, 0, 0, 0}, {0.25}}),
       Round({1, 0, 0, 0, 0}, 0.75, {{2.25, 0, 0, 0, 0}, {0.75}}));
  auto vectors = algorithm->Save().vectors;
  EXPECT_EQ(vectors.at("global")[0], 0.5) << "the server's rate";
  EXPECT_EQ(vectors.at("control")[0], 2.5);
  EXPECT_EQ(ParseParameterBlob(algorithm->Next(2)->inputs[1], LayoutOf(ModelOf(plan))), vectors.at("control"));
  // The second moves to c_2 = -1; the first is away, and keeps its part: c = (1/4 * 1 + 3/4 * -1) / 1.
  const Query query = algorithm->Next(2)->query;
  RawContribution second = Round({0, 0, 0, 0, 0}, 0.75, {{-3, 0, 0, 0, 0}, {0}});
  ASSERT_TRUE(algorithm->Absorb(query, *Answer::Create(query, {2}, *Encode(query, second, nullptr))));
  vectors = algorithm->Save().vectors;
  EXPECT_EQ(vectors.at("control_weight"), Vec{1});
  EXPECT_EQ(vectors.at("control")[0], -0.5);
}

TEST(Strategies, TheBoundOfAControlVariateIsTheGradientOfALargestUpdate) {
  EXPECT_DOUBLE_EQ(ControlBound(PlanOf("scaffold", "local_steps = 10\nlearning_rate = 0.5\nupdate_bound = 8\n")), 1.6);
  EXPECT_DOUBLE_EQ(ControlBound(PlanOf("scaffold", "local_epochs = 4\nlearning_rate = 0.5\nupdate_bound = 8\n")), 4);
  const Query query = (*MakeAlgorithm(PlanOf("scaffold", "local_epochs = 4\nlearning_rate = 0.5\n")))->Next(3)->query;
  EXPECT_DOUBLE_EQ(query.Find("control")->bound, 8) << "a change is at most twice the bound";
  EXPECT_EQ(query.Find("control_weight")->bound, 1);
}

TEST(Strategies, ACycleVisitsEachSeatOnceInAnOrderOfItsOwn) {
  std::set<Vec> orders;
  for (const std::uint32_t seats : {2U, 3U, 7U}) {
    for (std::uint32_t cycle = 0; cycle < 20; ++cycle) {
      std::set<std::uint32_t> visited;
      Vec order;
      for (std::uint32_t i = 0; i < seats; ++i) {
        const std::uint32_t turn = TurnOf(1, cycle * seats + i + 1, seats);
        EXPECT_LT(turn, seats);
        visited.insert(turn);
        order.push_back(turn);
      }
      EXPECT_EQ(visited.size(), seats);
      if (seats == 7) orders.insert(order);
    }
  }
  EXPECT_GT(orders.size(), 15U) << "cycles are shuffled anew";
  EXPECT_NE(TurnOf(1, 1, 7) * 7 + TurnOf(1, 2, 7), TurnOf(5, 1, 7) * 7 + TurnOf(5, 2, 7)) << "by the seed";
}

TEST(Strategies, ACyclicRoundThatLostItsHospitalPassesWithoutAStep) {
  auto algorithm = *MakeAlgorithm(PlanOf("cyclic"));
  const Query query = algorithm->Next(2)->query;
  EXPECT_EQ(query.params["seats"].AsInteger(), 2);
  EXPECT_EQ(query.params["turn"].AsInteger(), TurnOf(1, 1, 2));
  Take(algorithm.get(), Round({0.5, 0, 0, 0, 0}, 0.25), Zeros(query));
  EXPECT_EQ(algorithm->Save().vectors.at("global")[0], 0.5) << "the visited hospital's model, whatever its weight";
  Take(algorithm.get(), Zeros(query), Zeros(query));
  EXPECT_EQ(algorithm->Save().vectors.at("global")[0], 0.5);
  EXPECT_EQ(algorithm->failure(), Algorithm::Failure::kNone);
}

TEST(Strategies, ARestoredRunIsTheSameRunFromEveryStep) {
  for (const std::string& strategy : StrategyNames()) {
    const Plan plan = PlanOf(strategy, "early_stopping = \"brier\"\npatience = 2\n", "every = 1\n");
    auto whole = *MakeAlgorithm(plan);
    std::vector<AlgorithmState> states;
    while (whole->Next(2)) {
      states.push_back(whole->Save());
      AbsorbSomething(whole.get());
    }
    for (const AlgorithmState& state : states) {
      auto restored = *RestoreAlgorithm(plan, state);
      EXPECT_EQ(restored->Save(), state);
      while (restored->Next(2)) AbsorbSomething(restored.get());
      EXPECT_EQ(restored->Save(), whole->Save()) << strategy << " from step " << state.step;
      EXPECT_EQ(*restored->ModelFile(), *whole->ModelFile());
    }
  }
}

TEST(Strategies, AStateOfAnotherStrategyIsCorrupt) {
  for (const std::string& strategy : StrategyNames()) {
    auto algorithm = *MakeAlgorithm(PlanOf(strategy));
    AbsorbSomething(algorithm.get());
    const bool plain = MakeStrategy(PlanOf(strategy))->Keeps(kParameters).empty();
    const auto other = RestoreAlgorithm(PlanOf(plain ? "fedadam" : "fedavg"), algorithm->Save());
    ASSERT_FALSE(other.has_value()) << strategy;
    EXPECT_EQ(other.error().code, Code::kCorrupt);
    AlgorithmState cut = algorithm->Save();
    cut.vectors.begin()->second.push_back(0);
    EXPECT_FALSE(RestoreAlgorithm(PlanOf(strategy), cut).has_value());
  }
}

TEST(Strategies, AStepThatRunsOutOfNumbersEndsTheTrainingWithTheModelBefore) {
  for (const char* strategy : {"fedadam", "fedyogi", "fedadagrad"}) {
    const Plan plan = PlanOf(strategy, "server_learning_rate = 1000\ntau = 1e-12\n");
    AlgorithmState state = (*MakeAlgorithm(plan))->Save();
    state.vectors["m"][0] = 1e300;  // Finite, and so is everything else.
    auto algorithm = *RestoreAlgorithm(plan, state);
    Take(algorithm.get(), Round(Vec(kParameters), 0.5), Round(Vec(kParameters), 0.5));
    EXPECT_EQ(algorithm->failure(), Algorithm::Failure::kDiverged) << strategy;
    EXPECT_EQ(CanonicalJson(algorithm->Results()["diverged"]), R"({"round":1,"why":"model"})");
    EXPECT_EQ(algorithm->Save().vectors, state.vectors);
    EXPECT_FALSE(algorithm->Next(2).has_value());
  }
}

TEST(Strategies, AnExplodedLossEndsTheTraining) {
  const Plan plan = PlanOf("fedavg", "", "every = 1\n");
  const auto evaluate = [&](double log_loss) {
    auto algorithm = *MakeAlgorithm(plan);
    AbsorbSomething(algorithm.get());
    const Query query = algorithm->Next(2)->query;
    RawContribution raw = Something(query, 1);
    for (std::size_t b = 0; b + 1 < query.blocks.size(); ++b) {
      if (query.blocks[b].name == "rows") raw.blocks[b] = {100};
      if (query.blocks[b].name == "log_loss") raw.blocks[b] = {100 * log_loss};
    }
    EXPECT_TRUE(algorithm->Absorb(query, AnswerOf(query, raw, raw)).has_value());
    return algorithm;
  };
  EXPECT_EQ(evaluate(2)->failure(), Algorithm::Failure::kNone);
  const auto exploded = evaluate(4);
  EXPECT_EQ(exploded->failure(), Algorithm::Failure::kDiverged);
  EXPECT_EQ(CanonicalJson(exploded->Results()["diverged"]), R"({"round":1,"why":"loss"})");
  EXPECT_FALSE(exploded->Next(2).has_value());
}

// ---- early stopping ----

// Runs a plan whose evaluations have these log losses (negative: too few hospitals to be shown).
std::unique_ptr<Algorithm> Evaluated(const Plan& plan, const Vec& losses) {
  auto algorithm = *MakeAlgorithm(plan);
  std::size_t at = 0;
  while (const auto step = algorithm->Next(2)) {
    const Query& query = step->query;
    if (query.kind == "train") {
      Take(algorithm.get(), Round({1, 0, 0, 0, 0}, 0.5), Round({1, 0, 0, 0, 0}, 0.5));
      continue;
    }
    EXPECT_LT(at, losses.size()) << "trained on after it should have stopped";
    const double loss = losses.at(at++);
    RawContribution raw = Zeros(query);
    for (std::size_t b = 0; b + 1 < query.blocks.size(); ++b) {
      if (query.blocks[b].name == "present") raw.blocks[b] = {loss < 0 ? 0.0 : 1.0};
      if (query.blocks[b].name == "rows") raw.blocks[b] = {64};
      if (query.blocks[b].name == "positives") raw.blocks[b] = {32};
      if (query.blocks[b].name == "log_loss") raw.blocks[b] = {64 * std::max(loss, 0.0)};
    }
    EXPECT_TRUE(algorithm->Absorb(query, AnswerOf(query, raw, raw)).has_value());
  }
  EXPECT_EQ(at, losses.size());
  return algorithm;
}

Plan StoppingPlan(const std::string& more = "") {
  return SmallTrainPlan(kDeclared, "early_stopping = \"log_loss\"\npatience = 2\n" + more, "every = 1\n");
}

TEST(EarlyStopping, StopsAfterPatienceAndKeepsTheBestModel) {
  const Plan plan = [] {
    Plan longer = StoppingPlan();
    longer.rounds = 9;
    longer.maximum_attempts = 60;
    return *ParsePlan(Canonical(longer));
  }();
  const auto algorithm = Evaluated(plan, {1, 0.5, 0.75, 0.625});
  const Value state = algorithm->Results()["early_stopping"];
  EXPECT_EQ(state["round"].AsInteger(), 2);
  EXPECT_EQ(state["best"].AsDouble(), 0.5);
  EXPECT_TRUE(state["stopped"].AsBool());
  EXPECT_LT(algorithm->Save().step, algorithm->TotalSteps());
  EXPECT_EQ(algorithm->Save().vectors.at("global")[0], 2) << "the model of round 2, not of round 4";
  EXPECT_EQ(algorithm->Results()["evaluation"]["log_loss"].AsDouble(), 0.5) << "and its figures";
  EXPECT_EQ(ReadSafetensors(*algorithm->ModelFile())->metadata.at("rounds"), "2");
  EXPECT_EQ(algorithm->Results()["rounds"].AsArray().size(), 4U);
}

// Hospitals' own figures are asked for once, of the model that the training ended with.
TEST(EarlyStopping, OwnFiguresAreOfTheFinalModelAndAskedForOnce) {
  const Plan plan = [] {
    Plan longer = StoppingPlan();
    longer.rounds = 9;
    longer.maximum_attempts = 60;
    longer.per_hospital = "released";
    return *ParsePlan(Canonical(longer));
  }();
  auto algorithm = *MakeAlgorithm(plan);
  for (const double loss : {1.0, 0.5, 0.75, 0.625}) {
    Take(algorithm.get(), Round({1, 0, 0, 0, 0}, 0.5), Round({1, 0, 0, 0, 0}, 0.5));
    const Query query = algorithm->Next(2)->query;
    EXPECT_EQ(query.release, ReleaseTo::kSum);
    RawContribution raw = Zeros(query);
    raw.blocks[0] = {1};
    raw.blocks[1] = {64};
    raw.blocks[2] = {32};
    raw.blocks[5] = {64 * loss};
    ASSERT_TRUE(algorithm->Absorb(query, AnswerOf(query, raw, raw)).has_value());
    algorithm = *RestoreAlgorithm(plan, algorithm->Save());
  }
  EXPECT_TRUE(algorithm->Results()["early_stopping"]["stopped"].AsBool());
  const Step own = *algorithm->Next(2);
  EXPECT_EQ(own.query.release, ReleaseTo::kHospital);
  EXPECT_EQ(own.query.params["round"].AsInteger(), 4);
  EXPECT_EQ(algorithm->Save().step + 1, TotalSums(plan, 4)) << "it is the sum that hospitals expect there";
  EXPECT_TRUE(ReadOwnFiguresQuery(plan, own.query).has_value());
  EXPECT_EQ(algorithm->Save().vectors.at("global")[0], 2) << "the best model, that of round 2";
  EXPECT_EQ(own.inputs, std::vector<Bytes>{ParameterBlob(algorithm->Save().vectors.at("global"))});
  AbsorbSomething(algorithm.get());
  EXPECT_TRUE(algorithm->Results().Has("released"));
  EXPECT_FALSE(algorithm->Next(2).has_value());
  EXPECT_FALSE((*RestoreAlgorithm(plan, algorithm->Save()))->Next(2).has_value()) << "and never again";
  EXPECT_EQ(algorithm->Save().vectors.at("global")[0], 2);
}

TEST(EarlyStopping, TheBestModelIsKeptWhenTheRoundsRunOutToo) {
  const auto algorithm = Evaluated(StoppingPlan(), {0.5, 0.75, 0.25});
  EXPECT_EQ(algorithm->Save().vectors.at("global")[0], 3);
  const auto worse = Evaluated(StoppingPlan(), {0.75, 0.25, 0.5});
  EXPECT_EQ(worse->Save().vectors.at("global")[0], 2);
  EXPECT_FALSE(worse->Results()["early_stopping"]["stopped"].AsBool());
}

TEST(EarlyStopping, TheLastModelStaysWhenThePlanSaysSo) {
  const auto algorithm = Evaluated(StoppingPlan("restore_best = false\n"), {0.25, 0.5, 0.5});
  EXPECT_EQ(algorithm->Save().vectors.at("global")[0], 3);
  EXPECT_FALSE(algorithm->Save().vectors.contains("best"));
  EXPECT_TRUE(algorithm->Results()["early_stopping"]["stopped"].AsBool());
}

TEST(EarlyStopping, AGainOfMinDeltaIsNone) {
  const auto algorithm = Evaluated(StoppingPlan("min_delta = 0.25\n"), {1, 0.75, 0.8125});
  EXPECT_EQ(algorithm->Results()["early_stopping"]["round"].AsInteger(), 1);
  EXPECT_TRUE(algorithm->Results()["early_stopping"]["stopped"].AsBool());
}

TEST(EarlyStopping, AWithheldEvaluationDoesNotCount) {
  const auto algorithm = Evaluated(StoppingPlan(), {0.5, -1, -1});
  const Value state = algorithm->Results()["early_stopping"];
  EXPECT_EQ(state["waited"].AsInteger(), 0);
  EXPECT_FALSE(state["stopped"].AsBool());
  const auto none = Evaluated(StoppingPlan(), {-1, -1, -1});
  EXPECT_FALSE(none->Results().Has("early_stopping"));
  EXPECT_EQ(none->Save().vectors.at("global")[0], 3);
}

TEST(EarlyStopping, MetricsThatRiseAreBetterWhenTheyRise) {
  const Plan plan = SmallTrainPlan(kDeclared, "early_stopping = \"accuracy\"\npatience = 1\n", "every = 1\n");
  auto algorithm = *MakeAlgorithm(plan);
  for (const double correct : {32.0, 48.0, 40.0}) {
    Take(algorithm.get(), Round({1, 0, 0, 0, 0}, 0.5), Round({1, 0, 0, 0, 0}, 0.5));
    const Query query = algorithm->Next(2)->query;
    RawContribution raw = Zeros(query);
    raw.blocks[0] = {1};
    raw.blocks[1] = {64};
    raw.blocks[2] = {32};
    raw.blocks[3] = {correct};
    ASSERT_TRUE(algorithm->Absorb(query, AnswerOf(query, raw, raw)).has_value());
  }
  EXPECT_FALSE(algorithm->Next(2).has_value());
  EXPECT_EQ(algorithm->Results()["early_stopping"]["round"].AsInteger(), 2);
  EXPECT_EQ(algorithm->Save().vectors.at("global")[0], 2);
}

TEST(EarlyStopping, KnowsWhichMetricsAreErrors) {
  const auto best = [](const std::string& metric, double first, double second) {
    Plan plan = SmallTrainPlan(kDeclared);
    plan.early_stopping = metric;
    Value results;
    Vectors vectors{{"global", {1}}};
    const EarlyStopping stopping(plan);
    stopping.Absorb(Value().Set("round", 1).Set(metric, first), &results, &vectors);
    stopping.Absorb(Value().Set("round", 2).Set(metric, second), &results, &vectors);
    return EarlyStopping::BestRound(results);
  };
  for (const char* rises : {"auroc", "accuracy", "balanced_accuracy", "r2", "c_index"}) {
    EXPECT_EQ(best(rises, 0.5, 0.75), 2U) << rises;
    EXPECT_EQ(best(rises, 0.75, 0.5), 1U) << rises;
  }
  for (const char* falls : {"brier", "log_loss", "rmse", "mae"}) EXPECT_EQ(best(falls, 0.75, 0.5), 2U) << falls;
}

// ---- what hospitals refuse ----

Digest AnyRoot() {
  Digest root;
  for (auto& byte : root.bytes) byte = *rc::gen::arbitrary<std::uint8_t>();
  return root;
}

Query AnyTrainQuery(const Plan& plan, std::uint32_t hospitals) {
  std::map<std::string, Digest> further;
  for (const std::string& name : MakeStrategy(plan)->Sends()) further[name] = AnyRoot();
  const auto round = *rc::gen::inRange<std::uint32_t>(1, plan.rounds + 1);
  return TrainQuery(plan, round, AnyRoot(), MakePreprocessing(plan, {}), hospitals, further);
}

RC_GTEST_PROP(Strategies, AnyChangedParamOrBlockIsRefused, ()) {
  const std::string strategy = *rc::gen::elementOf(StrategyNames());
  const Plan plan = PlanOf(strategy);
  const auto hospitals = *rc::gen::inRange<std::uint32_t>(2, 200);
  const Query good = AnyTrainQuery(plan, hospitals);
  RC_ASSERT(ReadTrainQuery(plan, good).has_value());
  Query bad = good;
  if (*rc::gen::arbitrary<bool>()) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : good.params.AsObject()) keys.push_back(key);
    const std::string key = *rc::gen::elementOf(keys);
    Value::Object changed = good.params.AsObject();
    if (key != "inputs" && key != "round" && *rc::gen::arbitrary<bool>()) {
      changed.erase(key);
    } else if (key == "round") {
      changed[key] = static_cast<std::int64_t>(plan.rounds) + 1;
    } else if (key == "inputs") {
      changed[key] = Value(good.params["inputs"]).Set("more", AnyRoot().Hex());
    } else {
      changed[key] = 123456789;
    }
    bad.params = std::move(changed);
  } else {
    const auto at = *rc::gen::inRange<std::size_t>(0, good.blocks.size());
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
        bad.blocks[at].length += 1;
        break;
      case 1:
        bad.blocks[at].bound *= 2;
        break;
      case 2:
        bad.blocks[at].scale_log2 += 5;  // One more could be another number of hospitals.
        break;
      case 3:
        bad.blocks[at].sigma = 1;
        break;
      case 4:
        bad.blocks.erase(bad.blocks.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      default:
        bad.blocks.insert(bad.blocks.begin(), bad.blocks[at]);
    }
  }
  const auto read = ReadTrainQuery(plan, bad);
  RC_ASSERT(!read.has_value());
  RC_ASSERT(read.error().code == Code::kProtocol);
}

TEST(Strategies, AQueryOfAnotherStrategyIsRefused) {
  // What a hospital computes for these is the same; the coordinator's step differs.
  const std::set<std::string> alike = {"fedavg", "fedadam", "fedyogi", "fedadagrad"};
  for (const std::string& strategy : StrategyNames()) {
    const Query query = (*MakeAlgorithm(PlanOf(strategy)))->Next(3)->query;
    for (const std::string& other : StrategyNames()) {
      const bool same = other == strategy || (alike.contains(other) && alike.contains(strategy));
      EXPECT_EQ(ReadTrainQuery(PlanOf(other), query).has_value(), same) << strategy << " at a hospital of " << other;
    }
  }
}

TEST(Strategies, ATurnThatTheSeedDoesNotGiveIsRefused) {
  const Plan plan = PlanOf("cyclic");
  const Query good = (*MakeAlgorithm(plan))->Next(3)->query;
  ASSERT_TRUE(ReadTrainQuery(plan, good).has_value());
  for (std::int64_t turn = 0; turn < 4; ++turn) {
    Query query = good;
    query.params.Set("turn", turn);
    EXPECT_EQ(ReadTrainQuery(plan, query).has_value(), turn == good.params["turn"].AsInteger());
  }
  Query query = (*MakeAlgorithm(plan))->Next(3)->query;
  query.params.Set("seats", 100).Set("turn", TurnOf(1, 1, 100));
  EXPECT_FALSE(ReadTrainQuery(plan, query).has_value()) << "the scales are those of three hospitals";
}

}  // namespace
}  // namespace consilium
