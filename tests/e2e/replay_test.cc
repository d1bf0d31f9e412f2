// The same study through real processes and as a replay in this one, through the same encoding and the same algorithm:
// the same model to the last bit. What the ring's rounding costs against plain doubles, and its bound, is in
// tests/learning/strategies_test.cc.
#include "common/model/parameters.h"
#include "tests/e2e/federation.h"
#include "tests/learning/federation.h"

namespace consilium::e2e {
namespace {

std::unique_ptr<testing::Federation> InProcess(const Federation& federation, const PlanOptions& options) {
  auto out = std::make_unique<testing::Federation>();
  const std::string schema = ReadText(federation.root() / "data" / "schema.toml");
  out->plan = testing::PlanFromText(PlanText(options), schema);
  for (int i = 0; i < federation.hospitals(); ++i)
    out->hospitals.push_back({Federation::Name(i), federation.root() / "data" / Federation::Name(i), schema});
  return out;
}

// What the audit log says of each answer: who was invited and who is in it.
struct Answered {
  std::size_t cohort = 0;
  std::vector<std::uint32_t> survivors;
};
std::vector<Answered> AnswersOf(Federation& federation, const std::string& study) {
  std::map<std::int64_t, std::size_t> cohorts;
  std::vector<Answered> out;
  for (const Value& row : federation.CoordinatorAudit()) {
    if (row["study"].AsString() != study) continue;
    if (row["event"].AsString() == "attempt") cohorts[row["attempt"].AsInteger()] = row["cohort"].AsArray().size();
    if (row["event"].AsString() != "answer") continue;
    Answered& answered = out.emplace_back();
    answered.cohort = cohorts.at(row["attempt"].AsInteger());
    for (const Value& number : row["survivors"].AsArray())
      answered.survivors.push_back(static_cast<std::uint32_t>(number.AsInteger()));
  }
  return out;
}

// The study again, with the same hospitals in each answer.
Bytes Replayed(testing::Federation& replay, const std::vector<Answered>& answers) {
  auto algorithm = *MakeAlgorithm(replay.plan);
  for (const Answered& answered : answers) {
    Step step = *algorithm->Next(static_cast<std::uint32_t>(answered.cohort));
    step.query.plan = replay.plan.id();
    step.query.round = algorithm->Save().step + 1;
    const auto answer = replay.Ask(step, answered.survivors);
    EXPECT_TRUE(answer.has_value());
    EXPECT_TRUE(algorithm->Absorb(step.query, *answer).has_value());
  }
  EXPECT_FALSE(algorithm->Next(2).has_value());
  return *algorithm->ModelFile();
}

Bytes Downloaded(Federation& federation, const std::string& study) {
  const auto folder = federation.root() / ("results-" + study.substr(0, 8));
  EXPECT_EQ(federation.Cli({"study", "download", study, "--out", folder}).status, 0);
  const std::string text = ReadText(folder / "model.safetensors");
  return {text.begin(), text.end()};
}

TEST(Replay, FiveProcessesGiveTheReplaysModel) {
  Federation federation({.hospitals = 5});
  federation.StartAll();
  const std::vector<std::pair<std::string, std::string>> strategies = {
      {"fedavg", "algorithm = \"fedavg\"\n"},
      {"fedadam", "algorithm = \"fedadam\"\nserver_learning_rate = 0.05\n"},
      {"scaffold", "algorithm = \"scaffold\"\n"}};
  for (const auto& [name, lines] : strategies) {
    const PlanOptions options{.name = name, .rounds = 8, .minimum_hospitals = 5, .strategy = lines};
    const std::string study = federation.Submit(options);
    federation.ApproveAll(study);
    ASSERT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete") << name;
    const auto replay = InProcess(federation, options);
    EXPECT_EQ(Replayed(*replay, AnswersOf(federation, study)), Downloaded(federation, study)) << name;
  }
}

// A network in float, with everything that draws numbers: initial weights, dropout, the order of rows.
TEST(Replay, ANetworkTrainsThroughProcessesAsInTheReplay) {
  Federation federation;
  federation.StartAll();
  const PlanOptions options{
      .name = "network",
      .rounds = 12,
      .strategy = "algorithm = \"fedavg\"\noptimizer = \"adam\"\nclip_norm = 5\nschedule = \"cosine\"\nwarm_up = 2\n",
      .learning_rate = "0.01",
      .model = "kind = \"mlp\"\nhidden = [16, 8]\nactivation = \"gelu\"\ndropout = 0.1\nlayer_norm = true\n"};
  const std::string study = federation.Submit(options);
  federation.ApproveAll(study);
  ASSERT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  const auto replay = InProcess(federation, options);
  const Bytes model = Downloaded(federation, study);
  EXPECT_EQ(Replayed(*replay, AnswersOf(federation, study)), model);
  const auto file = ReadSafetensors(model);
  ASSERT_TRUE(file.has_value()) << file.error().what;
  EXPECT_EQ(file->layout, LayoutOf(ModelOf(replay->plan)));
  EXPECT_EQ(file->layout.front().name, "layer0.weight");
  const Value evaluation = federation.Study(study)["results"]["evaluation"];
  EXPECT_GT(evaluation["auroc_low"].AsDouble(), 0.65);
}

// Killed and back: it remembers what counts, and nothing that does not, so the model is the replay's.
TEST(Replay, ScaffoldGoesOnWithAHospitalThatWasKilled) {
  Federation federation;
  federation.StartAll();
  const PlanOptions options{.name = "scaffold",
                            .rounds = 30,
                            .local_epochs = 100,
                            .minimum_hospitals = 2,
                            .strategy = "algorithm = \"scaffold\"\n"};
  const std::string study = federation.Submit(options);
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 4));
  federation.KillNode(1);
  const auto without = [&] {
    const Value survivors = federation.Study(study)["last_answer"]["survivors"];
    return survivors.AsArray().size() == 2;
  };
  ASSERT_TRUE(WaitUntil(without)) << "the others go on";
  federation.StartNode(1);
  ASSERT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  const std::vector<Answered> answers = AnswersOf(federation, study);
  const auto whole = [](const Answered& answered) { return answered.survivors.size() == 3; };
  ASSERT_TRUE(whole(answers.back())) << "it is back before the end";
  ASSERT_FALSE(std::ranges::all_of(answers, whole));
  const auto replay = InProcess(federation, options);
  EXPECT_EQ(Replayed(*replay, answers), Downloaded(federation, study));
  federation.ExpectOneAnswerPerRound(study);
}

}  // namespace
}  // namespace consilium::e2e
