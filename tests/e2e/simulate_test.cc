// `consilium simulate`: a plan over files that all lie here gives the very model that real processes give.
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

namespace fs = std::filesystem;

TEST(Simulate, GivesTheModelOfRealProcesses) {
  Federation federation;
  federation.StartAll();
  const PlanOptions options{.rounds = 4};
  const std::string study = federation.Submit(options);
  federation.ApproveAll(study);
  const Value real = federation.WaitEnd(study);
  ASSERT_EQ(real["phase"].AsString(), "complete");

  const fs::path plan = federation.WritePlan(PlanText(options)), out = federation.root() / "simulated";
  for (const char* workers : {"1", "2"}) {
    const Value simulated = federation.CliJson(
        {"simulate", plan, "--data", federation.root() / "data", "--out", out / workers, "--workers", workers});
    EXPECT_EQ(simulated["study"]["id"].AsString(), study);
    EXPECT_EQ(simulated["model_sha256"].AsString(), real["model_sha256"].AsString());
    EXPECT_EQ(simulated["evaluation"], real["results"]["evaluation"]);
    ASSERT_EQ(simulated["hospitals"].AsArray().size(), std::size_t{kHospitals});
    for (int i = 0; i < kHospitals; ++i) {
      ASSERT_TRUE(
          WaitUntil([&] { return federation.NodeJson(i, {"results", "DIR"})["results"].AsArray().size() == 1; }));
      const Value own = federation.NodeJson(i, {"results", "DIR"})["results"].AsArray().at(0)["results"];
      const Value& here = simulated["hospitals"].AsArray().at(static_cast<std::size_t>(i));
      EXPECT_EQ(here["federated"]["auroc"], own["federated"]["auroc"]);
      EXPECT_EQ(here["local"]["auroc"], own["local"]["auroc"]);
      EXPECT_TRUE(here["pooled"]["auroc"].IsNumber());
    }
  }
  for (const char* model : {"model.safetensors", "model.onnx"})
    EXPECT_EQ(ReadText(out / "1" / model), ReadText(out / "2" / model)) << model;
  EXPECT_TRUE(federation.CliJson({"audit", "verify", out / "1" / "audit.jsonl"})["valid"].AsBool());
  EXPECT_NE(ReadText(out / "1" / "report.md").find("NO DIFFERENTIAL PRIVACY"), std::string::npos);
}

// Models of every kind of label, with what draws numbers: first weights, dropout, the order of rows.
TEST(Simulate, GivesTheModelsOfEveryKind) {
  Federation federation;
  federation.StartAll();
  const std::string strategy = "algorithm = \"fedavg\"\n";
  const PlanOptions network{.name = "network",
                            .rounds = 3,
                            .strategy = strategy + "optimizer = \"adamw\"\nschedule = \"cosine\"\nclip_norm = 5\n",
                            .learning_rate = "0.01",
                            .model = "kind = \"mlp\"\nhidden = [16, 8]\ndropout = 0.2\nlayer_norm = true\n"};
  const auto relabelled = [](PlanOptions options, const std::string& label, const std::string& lines) {
    std::string text = PlanText(options);
    const std::string old = "label = \"disease\"", feature = "\"" + label + "\", ";
    text.replace(text.find(old), old.size(), lines);
    return text.erase(text.find(feature), feature.size());
  };
  const std::vector<std::pair<std::string, std::string>> plans = {
      {"auroc", PlanText(network)},
      {"balanced_accuracy",
       relabelled({.name = "classes", .rounds = 2, .model = "kind = \"softmax\"\n"}, "sex", "label = \"sex\"")},
      {"c_index", relabelled({.name = "times", .rounds = 2, .model = "kind = \"cox\"\n"}, "thalach",
                             "label = \"disease\"\ntime = \"thalach\"")}};
  for (const auto& [metric, text] : plans) {
    const fs::path plan = federation.WritePlan(text), out = federation.root() / ("simulated-" + metric);
    const std::string study = federation.CliJson({"study", "submit", plan})["study"].AsString();
    federation.ApproveAll(study);
    const Value real = federation.WaitEnd(study);
    ASSERT_EQ(real["phase"].AsString(), "complete") << metric;
    const Value simulated = federation.CliJson({"simulate", plan, "--data", federation.root() / "data", "--out", out});
    EXPECT_EQ(simulated["study"]["id"].AsString(), study);
    EXPECT_EQ(simulated["model_sha256"].AsString(), real["model_sha256"].AsString()) << metric;
    EXPECT_EQ(simulated["evaluation"], real["results"]["evaluation"]);
    EXPECT_TRUE(real["results"]["evaluation"][metric].IsNumber()) << CanonicalJson(real["results"]["evaluation"]);
    EXPECT_TRUE(simulated["hospitals"].AsArray().at(0)["federated"][metric].IsNumber()) << metric;
    const std::string shown = federation.Cli({"study", "show", study}).out;
    EXPECT_NE(shown.find(metric == "auroc" ? "AUROC between" : metric + " 0."), std::string::npos) << shown;
    EXPECT_NE(ReadText(out / "report.md").find(metric == "auroc" ? "AUROC" : metric), std::string::npos) << metric;
  }
}

TEST(Simulate, DescribesTheHospitalsTogether) {
  Federation federation;
  const fs::path plan = federation.WritePlan(PlanText({.name = "table-one", .describe = true}));
  const ProgramOutput said = federation.Cli(
      {"simulate", plan, "--data", federation.root() / "data", "--out", federation.root() / "simulated"});
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_NE(said.out.find("trestbps"), std::string::npos) << said.out;
  EXPECT_NE(said.out.find("3 of 3"), std::string::npos) << said.out;
}

// Whoever simulates holds all data: what a plan asks for of single hospitals is shown.
TEST(Simulate, ReleasesTheFiguresThatAPlanAsksFor) {
  Federation federation;
  const fs::path plan = federation.WritePlan(PlanText({.rounds = 2, .released = true}));
  const fs::path out = federation.root() / "simulated";
  const ProgramOutput said = federation.Cli({"simulate", plan, "--data", federation.root() / "data", "--out", out});
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_NE(said.out.find("each hospital's own figures"), std::string::npos) << said.out;
  const Value results = ParseJson(ReadText(out / "results.json")).value_or(Value());
  const Value::Array& released = results["results"]["released"].AsArray();
  ASSERT_EQ(released.size(), std::size_t{kHospitals});
  for (const Value& hospital : released) {
    EXPECT_TRUE(hospital["released"].AsBool());
    EXPECT_LT(hospital["auroc_high"].AsDouble() - hospital["auroc_low"].AsDouble(), 0.02) << CanonicalJson(hospital);
  }
}

TEST(Simulate, SaysWhatIsWrongWithItsInput) {
  Federation federation;
  const fs::path data = federation.root() / "changed", plan = federation.WritePlan(PlanText({.rounds = 1}));
  fs::copy(federation.root() / "data", data, fs::copy_options::recursive);  // Others read those.
  const auto simulate = [&](const fs::path& plan_file, const fs::path& folder, const std::string& out) {
    return federation.Cli({"simulate", plan_file, "--data", folder, "--out", federation.root() / out});
  };
  ProgramOutput said = simulate(plan, federation.root() / "nowhere", "a");
  EXPECT_EQ(said.status, 5) << said.err;
  std::string four = PlanText({.minimum_hospitals = 3});
  const std::string three = "minimum_hospitals = 3";
  four.replace(four.find(three), three.size(), "minimum_hospitals = 4");
  said = simulate(federation.WritePlan(four), data, "b");
  EXPECT_EQ(said.status, 2);
  EXPECT_NE(said.err.find("minimum_hospitals is 4, and the federation has 3"), std::string::npos) << said.err;

  const fs::path plan_again = federation.WritePlan(PlanText({.rounds = 1}));
  EXPECT_EQ(simulate(plan_again, data, "c").status, 0);
  said = simulate(plan_again, data, "c");
  EXPECT_EQ(said.status, 2);
  EXPECT_NE(said.err.find("is not empty; give a new folder with --out"), std::string::npos) << said.err;

  const fs::path table = data / Federation::Name(1) / "patients.csv";
  std::string text = ReadText(table);
  text.insert(text.find('\n') + 1, "broken,row\n");
  WriteText(table, text);
  said = simulate(plan_again, data, "d");
  EXPECT_EQ(said.status, 2) << said.err;
  EXPECT_NE(said.err.find("at hospital-b: "), std::string::npos) << said.err;
  EXPECT_NE(said.err.find("patients.csv:2"), std::string::npos) << said.err;
}

}  // namespace
}  // namespace consilium::e2e
