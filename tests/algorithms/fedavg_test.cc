// FedAvg: the weighted mean of what came, in the plan's order, the same after any restart.
#include <gtest/gtest.h>

#include <cmath>

#include "common/algorithms/algorithm.h"
#include "common/algorithms/derive.h"
#include "common/model/spec.h"
#include "common/privacy/encode.h"
#include "tests/data/plans.h"

namespace consilium {
namespace {

using testing::SmallTrainPlan;

// The answer when two hospitals send these blocks.
Answer AnswerOf(const Query& query, const RawContribution& a, const RawContribution& b) {
  Bytes sum = *Encode(query, a, nullptr);
  if (query.release == ReleaseTo::kHospital) {
    const Bytes second = *Encode(query, b, nullptr);
    sum.insert(sum.end(), second.begin(), second.end());
    return *Answer::Create(query, {1, 2}, sum);
  }
  AddWords(query.ring, sum, *Encode(query, b, nullptr));
  return *Answer::Create(query, {1, 2}, sum);
}

RawContribution Zeros(const Query& query) {
  RawContribution out;
  for (const Block& block : query.blocks) {
    if (block.name != kCountBlock) out.blocks.emplace_back(block.length, 0.0);
  }
  return out;
}

// Something in every block that a hospital could have sent.
RawContribution Something(const Query& query, double salt) {
  RawContribution out = Zeros(query);
  for (std::size_t b = 0; b < out.blocks.size(); ++b) {
    for (std::size_t i = 0; i < out.blocks[b].size(); ++i) {
      const double v = std::abs(std::sin(salt + static_cast<double>(b) + 3.0 * static_cast<double>(i)));
      out.blocks[b][i] = query.blocks[b].role == Role::kCount     ? std::round(50 * v)
                         : query.blocks[b].role == Role::kPresent ? 1
                                                                  : v / 2;
    }
  }
  return out;
}

void AbsorbSomething(Algorithm* algorithm) {
  const Step step = *algorithm->Next(2);
  const auto salt = static_cast<double>(algorithm->Save().step);
  const auto absorbed = algorithm->Absorb(
      step.query, AnswerOf(step.query, Something(step.query, salt), Something(step.query, salt + 0.5)));
  ASSERT_TRUE(absorbed.has_value()) << absorbed.error().what;
}

TEST(FedAvg, WalksMomentsRoundsAndEvaluations) {
  const auto walk = [](const Plan& plan) {
    auto algorithm = *MakeAlgorithm(plan);
    std::string kinds;
    while (const auto step = algorithm->Next(2)) {
      kinds += step->query.kind[0];
      AbsorbSomething(algorithm.get());
    }
    EXPECT_EQ(kinds.size(), algorithm->TotalSteps());
    EXPECT_EQ(algorithm->TotalSteps(), TotalSums(plan));
    return kinds;
  };
  EXPECT_EQ(walk(SmallTrainPlan()), "dttte");
  EXPECT_EQ(walk(SmallTrainPlan("", "", "every = 2\n")), "dttete");
  EXPECT_EQ(walk(SmallTrainPlan("", "", "every = 1\n")), "dtetete");
  EXPECT_EQ(walk(SmallTrainPlan("standardize = \"declared\"\nimpute = \"constant\"\n")), "ttte");
  EXPECT_EQ(walk(SmallTrainPlan("standardize = \"site\"\n")), "dttte");
  EXPECT_EQ(walk(SmallTrainPlan("", "", "per_hospital = \"released\"\n")), "dtttee");
}

TEST(FedAvg, AddsTheMeanOfDeltasByWeight) {
  auto algorithm = *MakeAlgorithm(SmallTrainPlan("standardize = \"none\"\nimpute = \"constant\"\n"));
  EXPECT_FALSE(algorithm->ModelFile().has_value()) << "no model before the first round";
  const Step step = *algorithm->Next(2);
  EXPECT_EQ(step.inputs, std::vector<Bytes>{ParameterBlob(std::vector<double>(5, 0.0))});
  EXPECT_EQ(step.query.params["inputs"]["model"].AsString(), BlobRoot(step.inputs.front()).Hex());
  RawContribution a = Zeros(step.query), b = a;
  a.blocks[0] = {0.25, 0, 0, 0, 0.5};  // delta * weight; the delta was 1, 0, 0, 0, 2.
  a.blocks[1] = {0.25};
  b.blocks[0] = {-0.75, 0.75, 0, 0, 0};  // -1, 1, 0, 0, 0
  b.blocks[1] = {0.75};
  ASSERT_TRUE(algorithm->Absorb(step.query, AnswerOf(step.query, a, b)).has_value());
  EXPECT_EQ(algorithm->Save().vectors.at("global"), (std::vector<double>{-0.5, 0.75, 0, 0, 0.5}));
  const Value round = algorithm->Results()["rounds"].AsArray().front();
  EXPECT_EQ(round["hospitals"].AsInteger(), 2);
  EXPECT_EQ(round["weight"].AsDouble(), 100);
  EXPECT_TRUE(algorithm->ModelFile().has_value());
}

TEST(FedAvg, WithoutAnyWeightTheModelStays) {
  auto algorithm = *MakeAlgorithm(SmallTrainPlan("standardize = \"none\"\nimpute = \"constant\"\n"));
  AbsorbSomething(algorithm.get());
  const auto before = algorithm->Save().vectors.at("global");
  const Step step = *algorithm->Next(2);
  ASSERT_TRUE(algorithm->Absorb(step.query, AnswerOf(step.query, Zeros(step.query), Zeros(step.query))).has_value());
  EXPECT_EQ(algorithm->Save().vectors.at("global"), before);
}

// Two hospitals with 30 labelled training rows each, of which so many are positive; `shown` of them say so.
RawContribution Labels(const Query& query, double positives, bool shown = true) {
  RawContribution out = Zeros(query);
  for (std::size_t b = 0; b < out.blocks.size() && shown; ++b) {
    const std::string& name = query.blocks[b].name;
    if (name == "present" || name.ends_with("/present")) out.blocks[b] = {1};
    if (name == "rows" || name == "patients" || name.ends_with("/count")) out.blocks[b] = {30};
    if (name == "sick/positive" || name == "positives") out.blocks[b] = {positives};
  }
  return out;
}

TEST(FedAvg, ACohortOfASingleClassEndsBeforeTheFirstRound) {
  for (const auto& [a, b, only] : {std::tuple<double, double, std::string>{0, 0, "negative"},
                                   {30, 30, "positive"},
                                   {0, 30, ""},
                                   {0, 1, ""},
                                   {29, 30, ""}}) {
    auto algorithm = *MakeAlgorithm(SmallTrainPlan());
    const Step step = *algorithm->Next(2);
    ASSERT_TRUE(algorithm->Absorb(step.query, AnswerOf(step.query, Labels(step.query, a), Labels(step.query, b))));
    EXPECT_EQ(algorithm->Results()["single_class"].AsString(), only);
    EXPECT_EQ(algorithm->SingleClass(), !only.empty());
    EXPECT_EQ(algorithm->Next(2).has_value(), only.empty());
    const auto restored = *RestoreAlgorithm(SmallTrainPlan(), algorithm->Save());
    EXPECT_EQ(restored->SingleClass(), !only.empty());
    EXPECT_EQ(restored->Next(2).has_value(), only.empty());
  }
}

TEST(FedAvg, NothingIsConcludedFromTheLabelsOfFewerHospitalsThanTheMinimum) {
  auto algorithm = *MakeAlgorithm(SmallTrainPlan());
  const Step step = *algorithm->Next(2);
  const Answer answer = AnswerOf(step.query, Labels(step.query, 0), Labels(step.query, 0, false));
  ASSERT_TRUE(algorithm->Absorb(step.query, answer));
  EXPECT_FALSE(algorithm->SingleClass());
  EXPECT_FALSE(algorithm->Results().Has("labels"));
}

TEST(FedAvg, WithoutMomentsTheEvaluationTellsASingleClass) {
  const auto end = [](const std::string& preprocessing, double trained, double held_out) {
    auto algorithm = *MakeAlgorithm(SmallTrainPlan(preprocessing));
    while (const auto step = algorithm->Next(2)) {
      const double positives = step->query.kind == "describe" ? trained : held_out;
      const RawContribution one = Labels(step->query, positives);
      EXPECT_TRUE(algorithm->Absorb(step->query, AnswerOf(step->query, one, one)));
    }
    EXPECT_TRUE(algorithm->Results()["evaluation"]["auroc"].IsNull());
    return algorithm->Results()["single_class"].AsString();
  };
  const std::string declared = "standardize = \"declared\"\nimpute = \"constant\"\n";
  EXPECT_EQ(end(declared, 0, 0), "negative");
  EXPECT_EQ(end(declared, 0, 30), "positive");
  EXPECT_EQ(end("", 15, 0), "") << "both classes were trained on: the AUROC is not defined, and that is all";
}

TEST(FedAvg, TheModelIsWhatHospitalsReceive) {
  auto algorithm = *MakeAlgorithm(SmallTrainPlan());
  for (int i = 0; i < 3; ++i) AbsorbSomething(algorithm.get());
  const Step step = *algorithm->Next(2);
  const Layout layout = LayoutOf({.inputs = 4});
  EXPECT_EQ(*ParseParameterBlob(step.inputs.front(), layout), algorithm->Save().vectors.at("global"));
  EXPECT_EQ(ReadSafetensors(*algorithm->ModelFile())->parameters, algorithm->Save().vectors.at("global"));
}

TEST(FedAvg, ARestoredRunIsTheSameRunFromEveryStep) {
  const Plan plan = SmallTrainPlan("", "", "every = 1\n");
  auto whole = *MakeAlgorithm(plan);
  std::vector<AlgorithmState> states;
  std::vector<Query> queries;
  while (const auto step = whole->Next(2)) {
    states.push_back(whole->Save());
    queries.push_back(step->query);
    AbsorbSomething(whole.get());
  }
  for (std::size_t i = 0; i < states.size(); ++i) {
    auto restored = *RestoreAlgorithm(plan, states[i]);
    EXPECT_EQ(restored->Save(), states[i]);
    EXPECT_EQ(restored->Next(2)->query, queries[i]);
    while (restored->Next(2)) AbsorbSomething(restored.get());
    EXPECT_EQ(restored->Save(), whole->Save());
    EXPECT_EQ(*restored->ModelFile(), *whole->ModelFile());
  }
  EXPECT_FALSE((*RestoreAlgorithm(plan, whole->Save()))->Next(2).has_value());
}

TEST(FedAvg, TheStateSurvivesJson) {
  auto algorithm = *MakeAlgorithm(SmallTrainPlan("", "", "per_hospital = \"released\"\n"));
  while (algorithm->Next(2)) AbsorbSomething(algorithm.get());
  const Value results = algorithm->Results();
  EXPECT_EQ(*ParseJson(CanonicalJson(results)), results);
}

TEST(FedAvg, AStateOfAnotherPlanIsCorrupt) {
  auto algorithm = *MakeAlgorithm(SmallTrainPlan());
  for (int i = 0; i < 2; ++i) AbsorbSomething(algorithm.get());
  const AlgorithmState good = algorithm->Save();
  const auto corrupt = [&](const auto& change) {
    AlgorithmState state = good;
    change(state);
    const auto restored = RestoreAlgorithm(SmallTrainPlan(), state);
    return !restored.has_value() && restored.error().code == Code::kCorrupt;
  };
  EXPECT_TRUE(corrupt([](AlgorithmState& s) { s.step = 100; }));
  EXPECT_TRUE(corrupt([](AlgorithmState& s) { s.vectors["global"].pop_back(); }));
  EXPECT_TRUE(corrupt([](AlgorithmState& s) { s.vectors.erase("impute"); }));
  EXPECT_TRUE(corrupt([](AlgorithmState& s) { s.vectors["sd"][0] = std::nan(""); }));
  EXPECT_TRUE(corrupt([](AlgorithmState& s) { s.results = Value(); }));
}

TEST(FedAvg, AnAnswerToAnotherQueryIsRefused) {
  auto algorithm = *MakeAlgorithm(SmallTrainPlan());
  const Query moments = algorithm->Next(2)->query;
  const Answer answer = AnswerOf(moments, Something(moments, 1), Something(moments, 2));
  ASSERT_TRUE(algorithm->Absorb(moments, answer).has_value());
  const AlgorithmState before = algorithm->Save();
  const auto again = algorithm->Absorb(moments, answer);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, Code::kProtocol);
  Query stale = algorithm->Next(2)->query;
  stale.bases.clear();
  EXPECT_FALSE(algorithm->Absorb(stale, AnswerOf(stale, Zeros(stale), Zeros(stale))).has_value());
  EXPECT_EQ(algorithm->Save(), before) << "a refused answer leaves no trace";
}

// The last answer holds the figures of each hospital that lets them out; who withholds is named and has none.
TEST(FedAvg, OwnFiguresAreThoseOfEachHospital) {
  Plan plan = SmallTrainPlan("", "", "per_hospital = \"released\"\n");
  plan.minimum_patients = 4;
  auto algorithm = *MakeAlgorithm(plan);
  while (algorithm->Next(2)->query.release == ReleaseTo::kSum) AbsorbSomething(algorithm.get());
  const Step step = *algorithm->Next(2);
  EXPECT_EQ(step.inputs, std::vector<Bytes>{ParameterBlob(algorithm->Save().vectors.at("global"))});
  RawContribution own = Zeros(step.query);
  own.blocks[0] = {1};
  own.blocks[1] = {1.5};
  own.blocks[2] = {5};
  own.blocks[3][99] = 1;   // A positive just below 0.5: wrong.
  own.blocks[3][150] = 4;  // Right; one of the negatives has the same score.
  own.blocks[4][0] = 4;
  own.blocks[4][150] = 1;
  const auto sends = [&](const RawContribution& a, const RawContribution& b) {
    auto copy = *RestoreAlgorithm(plan, algorithm->Save());
    EXPECT_TRUE(copy->Absorb(step.query, AnswerOf(step.query, a, b)).has_value());
    EXPECT_FALSE(copy->Next(2).has_value());
    return copy->Results()["released"].AsArray();
  };
  const Value::Array released = sends(own, Zeros(step.query));
  ASSERT_EQ(released.size(), 2U);
  const Value& first = released[0];
  EXPECT_EQ(first["hospital"].AsInteger(), 1);
  EXPECT_TRUE(first["released"].AsBool());
  EXPECT_EQ(first["rows"].AsInteger(), 10);
  EXPECT_EQ(first["positives"].AsInteger(), 5);
  EXPECT_DOUBLE_EQ(first["accuracy"].AsDouble(), 0.8);
  EXPECT_DOUBLE_EQ(first["brier"].AsDouble(), 0.15);
  EXPECT_DOUBLE_EQ(first["log_loss"].AsDouble(), 0.5);
  EXPECT_DOUBLE_EQ(first["auroc_low"].AsDouble(), 20.0 / 25);   // Of 25 pairs 20 are right for certain ...
  EXPECT_DOUBLE_EQ(first["auroc_high"].AsDouble(), 24.0 / 25);  // ... and 4 have one score.
  EXPECT_DOUBLE_EQ(first["auroc"].AsDouble(), 22.0 / 25);
  EXPECT_EQ(first["calibration"].AsArray()[0]["rows"].AsInteger(), 4);
  EXPECT_TRUE(first["calibration"].AsArray()[4]["rows"].IsNull()) << "one row is below the minimum";
  EXPECT_DOUBLE_EQ(first["calibration"].AsArray()[7]["positive"].AsDouble(), 0.8);
  EXPECT_EQ(CanonicalJson(released[1]), R"({"hospital":2,"released":false})") << "nothing reads 0";

  RawContribution few = own, none = own, alike = own;
  few.blocks[4][0] = 0;
  few.blocks[3][150] = 0;
  none.blocks[3][99] = -1;
  alike.blocks[3].assign(200, 0);
  alike.blocks[4][0] = 9;
  const Value::Array odd = sends(few, none);
  EXPECT_FALSE(odd[0]["released"].AsBool()) << "fewer rows than the minimum of patients, whatever it says";
  EXPECT_FALSE(odd[1]["released"].AsBool()) << "no rows give such counts";
  const Value single = sends(alike, own)[0];
  EXPECT_TRUE(single["released"].AsBool());
  EXPECT_TRUE(single["auroc"].IsNull() && single["positives"].IsNull());
}

TEST(FedAvg, NextDependsOnPlanAndAnswersOnly) {
  auto a = *MakeAlgorithm(SmallTrainPlan()), b = *MakeAlgorithm(SmallTrainPlan());
  while (a->Next(2)) {
    EXPECT_EQ(a->Next(2)->query, b->Next(2)->query);
    const Query small = a->Next(2)->query, large = a->Next(50)->query;
    EXPECT_EQ(small.params, large.params);
    EXPECT_NE(small.blocks, large.blocks) << "the number of hospitals fixes the scales";
    AbsorbSomething(a.get());
    AbsorbSomething(b.get());
  }
}

TEST(FedAvg, ModelFileSaysWhereItComesFrom) {
  const Plan plan = SmallTrainPlan();
  auto algorithm = *MakeAlgorithm(plan);
  for (int i = 0; i < 3; ++i) AbsorbSomething(algorithm.get());
  const ModelFile file = *ReadSafetensors(*algorithm->ModelFile());
  EXPECT_EQ(file.layout, LayoutOf({.inputs = 4}));
  EXPECT_EQ(file.metadata.at("plan"), plan.id().Hex());
  EXPECT_EQ(file.metadata.at("rounds"), "2");
  EXPECT_EQ(file.metadata.at("design_columns"), R"(["age","grade=2","grade=3","dose"])");
  EXPECT_EQ(file.metadata.at("warning"), Warning(plan));
  EXPECT_TRUE(PreprocessingFromValue(plan, *ParseJson(file.metadata.at("preprocessing"))).has_value());
}

}  // namespace
}  // namespace consilium
