// Contributions: what a hospital's table gives to each kind of query, and what it refuses.
#include "hospital_node/queries/queries.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "common/algorithms/own_figures.h"
#include "common/model/fit.h"
#include "common/model/metrics.h"
#include "common/plan/strategy.h"
#include "hospital_node/training/control.h"
#include "hospital_node/training/design.h"
#include "tests/data/archives.h"
#include "tests/data/scratch.h"
#include "tests/data/tables.h"

namespace consilium::node {
namespace {

using namespace std::string_literals;
using testing::kNone;
using testing::ManyPatients;
using testing::SmallDescribePlan;
using testing::SmallTable;
using testing::SmallTrainPlan;

double Sum(const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); }

// A model query with its model.
struct Asked {
  Query query;
  Given inputs;
};
Asked AskModel(const Plan& plan, const std::string& kind, const std::vector<double>& model,
               const Preprocessing& preprocessing) {
  const Bytes blob = ParameterBlob(model);
  const Digest root = BlobRoot(blob);
  return {
      kind == "train" ? TrainQuery(plan, 1, root, preprocessing, 3) : EvaluateQuery(plan, 1, root, preprocessing, 3),
      {.inputs = {{root, blob}}}};
}

TEST(DescribeQuery, CountsMissingSumsAndHistogram) {
  const Plan plan = SmallDescribePlan();
  const Table table =
      SmallTable({{"a", 0, 0, 1, 1}, {"a", 100, 0, 2, 1}, {"b", 50, 0, 0, 0}, {"c", kNone, 0, 2, kNone}});
  const Query query = DescribeQuery(plan, DescribeRequestOf(plan), 3);
  const auto raw = ComputeDescribe(plan, table, query);
  ASSERT_TRUE(raw.has_value()) << raw.error().what;
  const std::vector<std::vector<double>> expected = {
      {1}, {4}, {3},                                                // present, rows, patients
      {1}, {3}, {1}, {0},       {2, 0, 0}, {1, 0, 1, 1},            // age: u is -1, 1, 0
      {1}, {3}, {1}, {1, 2, 0}, {1},       {3},          {1}, {2},  // grade, sick
  };
  EXPECT_EQ(raw->blocks, expected);
  EXPECT_TRUE(Encode(query, *raw, nullptr).has_value()) << "the blocks fit the query";
}

TEST(DescribeQuery, TensorsHaveOneMeanAndSpreadAndClassesTheirCounts) {
  const std::string schema =
      "[columns.image]\ntype = 'tensor'\nshape = [2]\nminimum = 0\nmaximum = 200\n"
      "[columns.digit]\ntype = 'label'\nclasses = [0, 1, 2]\n";
  const Plan plan = testing::PlanFrom(
      "[study]\nname = 't'\npurpose = 'p'\nresearcher = 'r'\nminimum_patients = 1\n[data]\ndataset = 'd'\nschema = "
      "'s'\n"
      "[describe]\ncolumns = ['image', 'digit']\n" +
          std::string(testing::kUnprotected),
      schema);
  testing::Scratch scratch;
  scratch.Write("set.npz", testing::Zip({{"image.npy", testing::Npy("|u1", "(3, 2)", "\x00\x00\x64\xc8\x64\x64"s)},
                                         {"digit.npy", testing::Npy("|u1", "(3,)", "\2\0\2"s)}}));
  const Table table = *ReadNpz((scratch.path() / "set.npz").string(), plan.schema, {.memory_bytes = 2});
  const Query query = DescribeQuery(plan, DescribeRequestOf(plan), 3);
  const auto raw = ComputeDescribe(plan, table, query);
  ASSERT_TRUE(raw.has_value()) << raw.error().what;
  // Rows (0, 0), (100, 200), (100, 100) are u = (-1, -1), (0, 1), (0, 0).
  const std::vector<std::vector<double>> expected = {{1},    {3},   {3}, {1}, {3}, {0},
                                                     {-0.5}, {1.5}, {1}, {3}, {0}, {1, 0, 2}};
  EXPECT_EQ(raw->blocks, expected);
  const Bytes words = *Encode(query, *raw, nullptr);
  const std::vector<ColumnSummary> columns =
      Summarise(plan, DescribeRequestOf(plan), *Answer::Create(query, {1}, words));
  EXPECT_FALSE(columns[0].shown) << "one hospital alone is never shown";
}

TEST(DescribeQuery, AColumnWithFewerPatientsThanTheMinimumIsSuppressed) {
  const Plan plan = SmallDescribePlan(3);
  const Table table = SmallTable(
      {{"a", 10, 0, 1, 1}, {"a", 20, 0, 2, 1}, {"a", 30, 0, 2, 1}, {"b", 50, 0, 1, 0}, {"c", kNone, 0, 2, 1}});
  const auto raw = *ComputeDescribe(plan, table, DescribeQuery(plan, DescribeRequestOf(plan), 3));
  EXPECT_EQ(raw.blocks[0], std::vector<double>{1}) << "three patients in all";
  EXPECT_EQ(raw.blocks[3], std::vector<double>{0}) << "age of two patients only, for all their rows";
  for (std::size_t block = 4; block < 9; ++block) EXPECT_EQ(Sum(raw.blocks[block]), 0);
  EXPECT_EQ(raw.blocks[9], std::vector<double>{1}) << "grade of three";
}

TEST(DescribeQuery, ATableBelowTheMinimumContributesZerosOnly) {
  const Plan plan = SmallDescribePlan(5);
  const auto raw = *ComputeDescribe(plan, ManyPatients(4, 1), DescribeQuery(plan, DescribeRequestOf(plan), 3));
  for (const auto& block : raw.blocks) EXPECT_EQ(Sum(block), 0);
}

TEST(DescribeQuery, MomentsOfTrainingAreOfTheTrainingRows) {
  const Plan plan = SmallTrainPlan();
  const Table table = ManyPatients(100, 1);
  const auto raw = *ComputeDescribe(plan, table, DescribeQuery(plan, DescribeRequestOf(plan), 3));
  EXPECT_EQ(raw.blocks[1][0], static_cast<double>(SplitRows(plan, table)->train.size()));
}

TEST(TrainQuery, ContributesTheWeightedChangeOfLocalTraining) {
  const Plan plan = SmallTrainPlan();
  const Table table = ManyPatients(80, 1);
  const Preprocessing preprocessing = MakePreprocessing(plan, {{"age", {50, 20}}, {"dose", {0, 0.7}}});
  const Asked asked = AskModel(plan, "train", {0.5, 0, 0, 0.25, -0.5}, preprocessing);
  const auto raw = ComputeTrain(plan, table, asked.query, asked.inputs);
  ASSERT_TRUE(raw.has_value()) << raw.error().what;

  const Rows rows = *SplitRows(plan, table);
  const Design design = BuildDesign(plan, table, rows.train, preprocessing);
  const std::vector<double> start = {0.5, 0, 0, 0.25, -0.5};
  const std::vector<double> trained =
      *Fit(RoundRecipe(plan, 1, asked.inputs.inputs.begin()->first), design.x, design.Targets(), start);
  const double weight = static_cast<double>(rows.train.size()) / 100;
  EXPECT_EQ(raw->blocks[1], std::vector<double>{weight});
  for (std::size_t j = 0; j < 5; ++j) EXPECT_EQ(raw->blocks[0][j], (trained[j] - start[j]) * weight);
  EXPECT_NE(trained, start);
  EXPECT_EQ(ComputeTrain(plan, table, asked.query, asked.inputs)->blocks, raw->blocks)
      << "a repeated attempt computes the same bytes";
}

TEST(TrainQuery, WeighsPatientsAndCapsThem) {
  std::vector<testing::SmallRow> rows;
  for (int i = 0; i < 600; ++i)
    rows.push_back({"p" + std::to_string(i % 300), 50.0 + i % 7, 0, 1, i % 2 == 0 ? 1.0 : 0.0});
  const Plan plan = SmallTrainPlan();
  const Asked asked = AskModel(plan, "train", std::vector<double>(5, 0.0), MakePreprocessing(plan, {}));
  EXPECT_EQ(ComputeTrain(plan, SmallTable(rows), asked.query, asked.inputs)->blocks[1], std::vector<double>{1})
      << "about 150 patients, cap 100";
  rows.resize(300);
  for (int i = 0; i < 300; ++i) rows[static_cast<std::size_t>(i)].id = "p" + std::to_string(i % 60);
  const double weight = ComputeTrain(plan, SmallTable(rows), asked.query, asked.inputs)->blocks[1][0];
  EXPECT_LT(weight, 0.6) << "60 patients, however many rows";
}

TEST(TrainQuery, DivergenceGivesZeros) {
  Plan plan = SmallTrainPlan();
  plan.learning.optimizer.learning_rate = 100;
  plan.learning.optimizer.l2 = 1000;
  plan.local_epochs = 0;
  plan.local_steps = 1000;
  const Asked asked = AskModel(plan, "train", {1, 1, 1, 1, 1}, MakePreprocessing(plan, {}));
  const auto raw = *ComputeTrain(plan, ManyPatients(80, 1), asked.query, asked.inputs);
  EXPECT_EQ(raw.blocks, (std::vector<std::vector<double>>{{0, 0, 0, 0, 0}, {0}}));
}

TEST(TrainQuery, NobodyToTrainOnGivesZeros) {
  const Plan plan = SmallTrainPlan();
  const Asked asked = AskModel(plan, "train", {1, 1, 1, 1, 1}, MakePreprocessing(plan, {}));
  for (const Table& table : {SmallTable({{"a", 1, 0, 1, kNone}}), SmallTable({})}) {
    const auto raw = *ComputeTrain(plan, table, asked.query, asked.inputs);
    EXPECT_EQ(raw.blocks, (std::vector<std::vector<double>>{{0, 0, 0, 0, 0}, {0}}));
  }
}

TEST(TrainQuery, AColumnWithoutAnyValueIsItsDeclaredMiddle) {
  const Plan plan = SmallTrainPlan("standardize = \"site\"\n");
  std::vector<testing::SmallRow> without, middle;
  for (int i = 0; i < 80; ++i) {
    testing::SmallRow row{"p" + std::to_string(i), kNone, i % 3 - 1.0, 1 + i % 3, i % 2 == 0 ? 1.0 : 0.0};
    without.push_back(row);
    row.age = 50;
    middle.push_back(row);
  }
  const Asked asked = AskModel(plan, "train", std::vector<double>(5, 0.0), MakePreprocessing(plan, {}));
  const auto raw = *ComputeTrain(plan, SmallTable(without), asked.query, asked.inputs);
  EXPECT_EQ(raw.blocks[0][0], 0) << "(50 - 50) / 50: nothing is learnt from it";
  EXPECT_NE(raw.blocks[0][3], 0);
  EXPECT_EQ(raw.blocks, ComputeTrain(plan, SmallTable(middle), asked.query, asked.inputs)->blocks);
}

// The blocks of a first round of this strategy on this table, everything else as it is.
Result<RawContribution> FirstRound(const Plan& plan, const Table& table, Given given = {},
                                   const std::vector<double>& control = std::vector<double>(5, 0.0)) {
  const Bytes model = ParameterBlob({0.5, 0, 0, 0.25, -0.5}), sent = ParameterBlob(control);
  given.inputs = {{BlobRoot(model), model}, {BlobRoot(sent), sent}};
  std::map<std::string, Digest> further;
  if (KeepsMemory(plan)) further["control"] = BlobRoot(sent);
  const Query query = TrainQuery(plan, 1, BlobRoot(model), MakePreprocessing(plan, {}), given.seats, further);
  return ComputeTrain(plan, table, query, given);
}

const std::string kSteps = "local_steps = 6\nbatch_size = 1000\nlearning_rate = 0.5\nupdate_bound = 8\n";

// Full batches, so that a second way to compute it is a plain loop over gradients.
std::vector<double> ByHand(const Plan& plan, const Table& table, double mu, const std::vector<double>& correction) {
  const Design design = BuildDesign(plan, table, SplitRows(plan, table)->train, MakePreprocessing(plan, {}));
  const std::vector<double> start = {0.5, 0, 0, 0.25, -0.5};
  std::vector<double> w = start;
  for (int step = 0; step < 6; ++step) {
    std::vector<double> gradient(5, 0.0);
    for (Eigen::Index row = 0; row < design.x.rows(); ++row) {
      double z = w[4];
      for (Eigen::Index j = 0; j < 4; ++j) z += design.x(row, j) * w[static_cast<std::size_t>(j)];
      const double error = (1 / (1 + std::exp(-z)) - design.y[row]) / static_cast<double>(design.x.rows());
      for (Eigen::Index j = 0; j < 4; ++j) gradient[static_cast<std::size_t>(j)] += error * design.x(row, j);
      gradient[4] += error;
    }
    for (std::size_t j = 0; j < 5; ++j) w[j] -= 0.5 * (gradient[j] + mu * (w[j] - start[j]) + correction[j]);
  }
  for (std::size_t j = 0; j < 5; ++j) w[j] -= start[j];
  return w;
}

double Length(const std::vector<double>& v) {
  return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
}

TEST(TrainQuery, FedProxHoldsTheModelNearTheOneItReceived) {
  const Plan plan = SmallTrainPlan("", "algorithm = \"fedprox\"\nmu = 0.75\n" + kSteps);
  const Table table = ManyPatients(80, 1);
  const auto raw = FirstRound(plan, table, {.seats = 3});
  ASSERT_TRUE(raw.has_value()) << raw.error().what;
  const std::vector<double> none(5, 0.0), expected = ByHand(plan, table, 0.75, none);
  for (std::size_t j = 0; j < 5; ++j) EXPECT_NEAR(raw->blocks[0][j] / raw->blocks[1][0], expected[j], 1e-12);
  EXPECT_LT(Length(expected), Length(ByHand(plan, table, 0, none)));
}

TEST(TrainQuery, ScaffoldCorrectsItsGradientsAndRemembersTheirMean) {
  const Plan plan = SmallTrainPlan("", "algorithm = \"scaffold\"\n" + kSteps);
  const Table table = ManyPatients(80, 1);
  const auto first = FirstRound(plan, table, {.seats = 3});
  ASSERT_TRUE(first.has_value()) << first.error().what;
  const double weight = first->blocks[1][0];
  const std::vector<double> free = ByHand(plan, table, 0, std::vector<double>(5, 0.0));
  for (std::size_t j = 0; j < 5; ++j) {
    EXPECT_NEAR(first->blocks[0][j] / weight, free[j], 1e-12) << "no correction in the first round";
    EXPECT_NEAR(first->blocks[2][j], weight * -free[j] / (6 * 0.5), 1e-8) << "c_i is the mean gradient";
  }
  EXPECT_NEAR(first->blocks[3][0], weight, 1e-8) << "a newcomer";
  // The second round: c - c_i is added, and what is summed is the change.
  const std::vector<double> c = {0.25, -0.5, 0, 0, 0.125};
  const auto second = FirstRound(plan, table, {.memory = *first->memory, .seats = 3}, c);
  ASSERT_TRUE(second.has_value()) << second.error().what;
  const Control remembered = *ReadControl(*first->memory, 5);
  std::vector<double> correction(5);
  for (std::size_t j = 0; j < 5; ++j) correction[j] = c[j] - remembered.sum[j] / remembered.weight;
  const std::vector<double> corrected = ByHand(plan, table, 0, correction);
  for (std::size_t j = 0; j < 5; ++j) {
    EXPECT_NEAR(second->blocks[0][j] / weight, corrected[j], 1e-12);
    const double variate = -corrected[j] / 3 - correction[j];
    EXPECT_NEAR(remembered.sum[j] + second->blocks[2][j], weight * variate, 1e-8);
  }
  EXPECT_EQ(second->blocks[3][0], 0) << "as many patients as before";
  EXPECT_EQ(*FirstRound(plan, table, {.memory = *first->memory, .seats = 3}, c)->memory, *second->memory);
}

// What rounding costs one round the next one makes good: memory and sums are the same numbers for ever.
TEST(TrainQuery, TheMemoryIsExactlyTheSumOfWhatWasSent) {
  const Plan plan = SmallTrainPlan("", "algorithm = \"scaffold\"\n" + kSteps);
  Given given{.seats = 3};
  std::vector<double> sums(5, 0.0), control(5, 0.0);
  double weight = 0;
  for (int round = 0; round < 20; ++round) {
    const Table table = ManyPatients(60 + round, 1);  // Patients come and go.
    const auto raw = *FirstRound(plan, table, given, control);
    const Control remembered = *ReadControl(*raw.memory, 5);
    weight += raw.blocks[3][0];
    for (std::size_t j = 0; j < 5; ++j) sums[j] += raw.blocks[2][j];
    EXPECT_EQ(remembered.sum, sums);
    EXPECT_EQ(remembered.weight, weight);
    EXPECT_NEAR(weight, raw.blocks[1][0], 1e-9);
    given.memory = *raw.memory;
    control[0] = 0.01 * round;
  }
}

TEST(TrainQuery, ADivergedTrainingTakesPartWithoutWeightAndRemembersWhatItDid) {
  const Table table = ManyPatients(80, 1);
  for (const char* strategy : {"fedprox", "scaffold"}) {
    Plan plan = SmallTrainPlan("", "algorithm = \"" + std::string(strategy) + "\"\n" + kSteps);
    plan.learning.optimizer.learning_rate = 100;
    plan.learning.optimizer.l2 = 1000;
    plan.local_steps = 500;  // (1 - 100 * 1000)^500 is beyond any double.
    const Given given{.memory = KeepsMemory(plan) ? Encode(Control{{1, 2, 3, 4, 5}, 0.5}) : Bytes(), .seats = 3};
    const auto raw = FirstRound(plan, table, given);
    ASSERT_TRUE(raw.has_value()) << raw.error().what;
    EXPECT_EQ(raw->blocks[1], std::vector<double>{0}) << strategy;
    if (!KeepsMemory(plan)) continue;
    EXPECT_EQ(raw->blocks[2], std::vector<double>(5, 0.0));
    EXPECT_EQ(raw->blocks[3], std::vector<double>{0});
    EXPECT_FALSE(raw->memory.has_value()) << "it stays as it is";
  }
}

TEST(TrainQuery, AMemoryThatIsNotOneIsRefused) {
  const Plan plan = SmallTrainPlan("", "algorithm = \"scaffold\"\n" + kSteps);
  const Bytes good = Encode(Control{{1, 2, 3, 4, 5}, 0.5});
  const Bytes longer = Encode(Control{{1, 2, 3, 4, 5, 6}, 0.5}), negative = Encode(Control{{1, 2, 3, 4, 5}, -0.5});
  const Bytes wild = Encode(Control{{1, 2, std::nan(""), 4, 5}, 0.5});
  const Bytes cut(good.begin(), good.end() - 1);
  EXPECT_TRUE(FirstRound(plan, ManyPatients(80, 1), {.memory = good, .seats = 3}).has_value());
  for (const Bytes& memory : {longer, negative, wild, cut}) {
    const auto refused = FirstRound(plan, ManyPatients(80, 1), {.memory = memory, .seats = 3});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::kCorrupt);
    EXPECT_NE(refused.error().what.find("this hospital's memory"), std::string::npos);
  }
}

TEST(TrainQuery, InACycleOnlyTheHospitalWhoseTurnItIsGivesItsModel) {
  const Plan plan = SmallTrainPlan("", "algorithm = \"cyclic\"\n" + kSteps);
  const Table table = ManyPatients(80, 1);
  const std::uint32_t turn = TurnOf(plan.seed, 1, 3);
  for (std::uint32_t seat = 0; seat < 3; ++seat) {
    const auto raw = FirstRound(plan, table, {.seat = seat, .seats = 3});
    ASSERT_TRUE(raw.has_value()) << raw.error().what;
    EXPECT_EQ(raw->blocks[1][0] > 0, seat == turn);
    EXPECT_EQ(Sum(raw->blocks[0]) != 0, seat == turn);
  }
  const Bytes model = ParameterBlob({0.5, 0, 0, 0.25, -0.5});
  const Query query = TrainQuery(plan, 1, BlobRoot(model), MakePreprocessing(plan, {}), 3);
  const auto refused = ComputeTrain(plan, table, query, {.inputs = {{BlobRoot(model), model}}, .seats = 4});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kProtocol);
}

TEST(EvaluateQuery, SumsAreThoseOfTheMetrics) {
  const Plan plan = SmallTrainPlan();
  const Table table = ManyPatients(200, 2);
  const Preprocessing preprocessing = MakePreprocessing(plan, {{"age", {50, 20}}, {"dose", {0, 0.7}}});
  const Asked asked = AskModel(plan, "evaluate", {1, 0.25, 0, 1.5, 0.125}, preprocessing);
  const auto raw = ComputeEvaluate(plan, table, asked.query, asked.inputs);
  ASSERT_TRUE(raw.has_value()) << raw.error().what;
  const Design test = BuildDesign(plan, table, SplitRows(plan, table)->test, preprocessing);
  const BinaryMetrics exact =
      Evaluate(Predict(RoundRecipe(plan, 1, {}), test.x, {1, 0.25, 0, 1.5, 0.125}).col(0), test.y);
  const auto rows = static_cast<double>(exact.rows);
  EXPECT_EQ(raw->blocks[0][0], 1);
  EXPECT_EQ(raw->blocks[1][0], rows);
  EXPECT_EQ(raw->blocks[2][0], static_cast<double>(exact.positives));
  EXPECT_NEAR(raw->blocks[3][0] / rows, exact.accuracy, 1e-12);
  EXPECT_NEAR(raw->blocks[4][0] / rows, exact.brier, 1e-12);
  EXPECT_NEAR(raw->blocks[5][0] / rows, exact.log_loss, 1e-12);
  EXPECT_EQ(Sum(raw->blocks[6]), raw->blocks[2][0]);
  EXPECT_EQ(Sum(raw->blocks[6]) + Sum(raw->blocks[7]), rows);
}

TEST(EvaluateQuery, FewerTestPatientsThanTheMinimumAreSuppressed) {
  Plan plan = SmallTrainPlan();
  plan.minimum_patients = 1000;
  const Asked asked = AskModel(plan, "evaluate", std::vector<double>(5, 0.0), MakePreprocessing(plan, {}));
  const auto raw = ComputeEvaluate(plan, ManyPatients(200, 2), asked.query, asked.inputs);
  ASSERT_TRUE(raw.has_value());
  for (const auto& block : raw->blocks) EXPECT_EQ(Sum(block), 0);
}

// A number predicted: the sums give what the metrics give.
TEST(EvaluateQuery, SumsOfANumberAreThoseOfTheMetrics) {
  Plan plan = SmallTrainPlan();
  plan.label = "dose";
  plan.features = {"age", "grade"};
  plan.model.kind = ModelSpec::Kind::kLinear;
  plan.learning.loss.kind = LossSpec::Kind::kSquared;
  plan.metrics = MetricsFor(LabelKind::kNumber);
  const Table table = ManyPatients(200, 2);
  const Preprocessing preprocessing = MakePreprocessing(plan, {{"age", {50, 20}}});
  const std::vector<double> model = {0.25, -0.5, 0.125, 0.0625};
  const Asked asked = AskModel(plan, "evaluate", model, preprocessing);
  const auto raw = ComputeEvaluate(plan, table, asked.query, asked.inputs);
  ASSERT_TRUE(raw.has_value()) << raw.error().what;
  const Design test = BuildDesign(plan, table, SplitRows(plan, table)->test, preprocessing);
  const NumberMetrics exact = EvaluateNumbers(Predict(RoundRecipe(plan, 1, {}), test.x, model).col(0), test.y, -1, 1);
  EXPECT_TRUE(Encode(asked.query, *raw, nullptr).has_value()) << "the blocks fit the query";
  EXPECT_EQ(raw->blocks[1][0], static_cast<double>(exact.rows));
  EXPECT_NEAR(2 * std::sqrt(raw->blocks[2][0] / raw->blocks[1][0]), exact.rmse, 1e-12);
  EXPECT_NEAR(2 * raw->blocks[3][0] / raw->blocks[1][0], exact.mae, 1e-12);
}

// Classes and times: the counts are those of the metrics, a suppressed hospital has zeros.
TEST(EvaluateQuery, CountsOfClassesAndOfPairsAreThoseOfTheMetrics) {
  const Table table = ManyPatients(200, 2);
  Plan classes = SmallTrainPlan();
  classes.label = "grade";
  classes.features = {"age", "dose"};
  classes.model.kind = ModelSpec::Kind::kSoftmax;
  classes.learning.loss.kind = LossSpec::Kind::kCrossEntropy;
  Plan survival = SmallTrainPlan();
  survival.time = "dose";
  survival.features = {"age", "grade"};
  survival.model.kind = ModelSpec::Kind::kCox;
  survival.learning.loss.kind = LossSpec::Kind::kCox;
  const Preprocessing preprocessing = MakePreprocessing(classes, {{"age", {50, 20}}});
  const std::vector<double> model = {1, 0.5, -1, 0.25, 0.5, 0.125, 0.25, 0, -0.25};
  Asked asked = AskModel(classes, "evaluate", model, preprocessing);
  auto raw = ComputeEvaluate(classes, table, asked.query, asked.inputs);
  ASSERT_TRUE(raw.has_value()) << raw.error().what;
  EXPECT_TRUE(Encode(asked.query, *raw, nullptr).has_value()) << "the blocks fit the query";
  Design test = BuildDesign(classes, table, SplitRows(classes, table)->test, preprocessing);
  const ClassCounts counts = CountClasses(Predict(RoundRecipe(classes, 1, {}), test.x, model), test.y);
  EXPECT_EQ(raw->blocks[1][0], static_cast<double>(test.y.size()));
  EXPECT_EQ(raw->blocks[2][0], counts.log_loss);
  EXPECT_TRUE(std::ranges::equal(raw->blocks[3], counts.confusion));
  EXPECT_GT(SplitRows(classes, table)->unlabelled, 0U) << "a missing grade is no class";

  const Preprocessing other = MakePreprocessing(survival, {{"age", {50, 20}}});
  asked = AskModel(survival, "evaluate", {1, 0.5, -1, 0}, other);
  raw = ComputeEvaluate(survival, table, asked.query, asked.inputs);
  ASSERT_TRUE(raw.has_value()) << raw.error().what;
  EXPECT_TRUE(Encode(asked.query, *raw, nullptr).has_value());
  test = BuildDesign(survival, table, SplitRows(survival, table)->test, other);
  ASSERT_EQ(test.Targets().size(), 2 * static_cast<std::size_t>(test.y.size()));
  const PairCounts pairs =
      CountPairs(Predict(RoundRecipe(survival, 1, {}), test.x, {1, 0.5, -1, 0}).col(0), test.y, test.times);
  EXPECT_EQ(raw->blocks[2][0], static_cast<double>(pairs.events));
  EXPECT_EQ(raw->blocks[3][0], static_cast<double>(pairs.pairs));
  EXPECT_EQ(raw->blocks[4][0], static_cast<double>(pairs.concordant));
  for (Plan* plan : {&classes, &survival}) {
    plan->minimum_patients = 1000;
    asked = AskModel(*plan, "evaluate", plan == &classes ? model : std::vector<double>{1, 0.5, -1, 0},
                     plan == &classes ? preprocessing : other);
    raw = ComputeEvaluate(*plan, table, asked.query, asked.inputs);
    for (const auto& block : raw->blocks) EXPECT_EQ(Sum(block), 0);
  }
}

Asked AskOwn(const Plan& plan, const std::vector<double>& model, const Preprocessing& preprocessing) {
  const Bytes blob = ParameterBlob(model);
  const Digest root = BlobRoot(blob);
  return {OwnFiguresQuery(plan, plan.rounds, root, preprocessing, 3), {.inputs = {{root, blob}}}};
}

// 404 coordinates carry the very accuracy, Brier score and log loss, and an AUROC to within its bracket.
TEST(OwnFiguresQuery, CarriesTheMetricsOfTheHospital) {
  const Plan plan = SmallTrainPlan("", "", "per_hospital = \"released\"\n");
  const Table table = ManyPatients(400, 2);
  const Preprocessing preprocessing = MakePreprocessing(plan, {{"age", {50, 20}}, {"dose", {0, 0.7}}});
  const Asked asked = AskOwn(plan, {1, 0.25, 0, 1.5, 0.125}, preprocessing);
  const auto raw = ComputeQuery(plan, table, asked.query, asked.inputs);
  ASSERT_TRUE(raw.has_value()) << raw.error().what;
  const Design test = BuildDesign(plan, table, SplitRows(plan, table)->test, preprocessing);
  const BinaryMetrics exact =
      Evaluate(Predict(RoundRecipe(plan, 1, {}), test.x, {1, 0.25, 0, 1.5, 0.125}).col(0), test.y);
  const auto answer = Answer::Create(asked.query, {7}, *Encode(asked.query, *raw, nullptr));
  ASSERT_TRUE(answer.has_value());
  const Value own = OwnFigures(plan, *answer).AsArray().front();
  EXPECT_TRUE(own["released"].AsBool());
  EXPECT_EQ(own["rows"].AsInteger(), static_cast<std::int64_t>(exact.rows));
  EXPECT_DOUBLE_EQ(own["accuracy"].AsDouble(), exact.accuracy);
  EXPECT_NEAR(own["brier"].AsDouble(), exact.brier, 1e-9);
  EXPECT_NEAR(own["log_loss"].AsDouble(), exact.log_loss, 1e-9);
  EXPECT_LE(own["auroc_low"].AsDouble(), exact.auroc);
  EXPECT_GE(own["auroc_high"].AsDouble(), exact.auroc);
  EXPECT_LT(own["auroc_high"].AsDouble() - own["auroc_low"].AsDouble(), 0.02);
}

TEST(OwnFiguresQuery, ASuppressedHospitalSaysTheSameAsOneThatWithholds) {
  Plan plan = SmallTrainPlan("", "", "per_hospital = \"released\"\n");
  plan.minimum_patients = 1000;
  const Asked asked = AskOwn(plan, std::vector<double>(5, 0.0), MakePreprocessing(plan, {}));
  const auto raw = ComputeQuery(plan, ManyPatients(200, 2), asked.query, asked.inputs);
  ASSERT_TRUE(raw.has_value());
  const Bytes suppressed = *Encode(asked.query, *raw, nullptr);
  Bytes withheld(asked.query.WireBytes());
  withheld[withheld.size() - 8] = 1;
  EXPECT_EQ(suppressed, withheld);
}

TEST(OwnFiguresQuery, IsRefusedWhereThePlanDoesNotAsk) {
  const Plan plan = SmallTrainPlan();
  const Asked asked = AskOwn(plan, std::vector<double>(5, 0.0), MakePreprocessing(plan, {}));
  EXPECT_EQ(ComputeQuery(plan, ManyPatients(200, 2), asked.query, asked.inputs).error().code, Code::kProtocol);
}

TEST(Queries, AModelThatIsAbsentChangedOrOfAnotherSizeIsRefused) {
  const Plan plan = SmallTrainPlan();
  const Table table = ManyPatients(50, 1);
  Asked asked = AskModel(plan, "train", std::vector<double>(5, 0.0), MakePreprocessing(plan, {}));
  EXPECT_FALSE(ComputeQuery(plan, table, asked.query, {}).has_value());
  asked.inputs.inputs.begin()->second[0] ^= 1;
  EXPECT_FALSE(ComputeQuery(plan, table, asked.query, asked.inputs).has_value());
  const Asked longer = AskModel(plan, "train", std::vector<double>(6, 0.0), MakePreprocessing(plan, {}));
  const auto refused = ComputeQuery(plan, table, longer.query, longer.inputs);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kProtocol);
}

TEST(Queries, AnUnknownKindAndForeignBlocksAreRefused) {
  const Plan plan = SmallTrainPlan();
  Query query = DescribeQuery(plan, DescribeRequestOf(plan), 3);
  query.kind = "everything";
  EXPECT_EQ(ComputeQuery(plan, ManyPatients(50, 1), query, {}).error().code, Code::kProtocol);
  query = DescribeQuery(plan, DescribeRequestOf(plan), 3);
  query.blocks[1].bound *= 2;
  EXPECT_EQ(ComputeQuery(plan, ManyPatients(50, 1), query, {}).error().code, Code::kProtocol);
}

}  // namespace
}  // namespace consilium::node
