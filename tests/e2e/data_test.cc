// Tables and plans as they come: what is odd but right is read, what is wrong is named with file, line and mend, and a
// cohort without both classes never passes for a trained one.
#include <algorithm>

#include "coordinator/daemon.h"
#include "tests/data/archives.h"
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

namespace fs = std::filesystem;

bool Contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == separator) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

// Gives every patient of hospital i this value in one column, and registers the table anew.
ProgramOutput Overwrite(Federation& federation, int i, const std::string& column, const std::string& value) {
  std::vector<std::string> lines =
      Split(ReadText(federation.root() / "data" / Federation::Name(i) / "patients.csv"), '\n');
  const std::vector<std::string> names = Split(lines.front(), ',');
  const auto at = static_cast<std::size_t>(std::ranges::find(names, column) - names.begin());
  EXPECT_LT(at, names.size()) << column;
  std::string csv = lines.front() + "\n";
  for (std::size_t line = 1; line < lines.size(); ++line) {
    std::vector<std::string> fields = Split(lines[line], ',');
    if (fields.size() != names.size()) continue;
    fields[at] = value;
    for (std::size_t f = 0; f < fields.size(); ++f) csv += (f == 0 ? "" : ",") + fields[f];
    csv += "\n";
  }
  const fs::path file = federation.root() / (Federation::Name(i) + "-" + column + ".csv");
  WriteText(file, csv);
  const ProgramOutput added = federation.Node(
      i, {"data", "add", "DIR", "cohort", "--csv", file, "--schema", federation.root() / "data" / "schema.toml"});
  EXPECT_EQ(added.status, 0) << added.err;
  return added;
}

class Tables : public ::testing::Test {
 protected:
  ProgramOutput Check(const std::string& text) {
    WriteText(csv_, text);
    return federation_.Node(
        0, {"data", "check", "DIR", "other", "--csv", csv_, "--schema", federation_.root() / "data" / "schema.toml"});
  }
  Federation federation_;
  const fs::path csv_ = federation_.root() / "table.csv";
  const std::string good_ = ReadText(federation_.root() / "data" / "hospital-a" / "patients.csv");
  const std::string head_ = good_.substr(0, good_.find('\n') + 1);
};

TEST_F(Tables, AByteOrderMarkCrlfAndQuotedLineBreaksAreRead) {
  std::string text = "\xEF\xBB\xBFnote," + head_;
  for (int i = 0; i < 12; ++i) {
    const std::string row =
        "\"seen\r\ntwice\",p" + std::to_string(i) + ",60,1,130,240,0,150,0,1.0,2,0," + std::to_string(i % 2) + "\n";
    text += row;
  }
  std::string crlf;
  for (const char c : text) crlf += c == '\n' && !crlf.ends_with('\r') ? "\r\n" : std::string(1, c);
  const ProgramOutput read = Check(crlf);
  EXPECT_EQ(read.status, 0) << read.err;
  EXPECT_TRUE(Contains(read.out, "12 rows, 12 patients")) << read.out;
}

TEST_F(Tables, EachFaultIsTwoWithFileAndLine) {
  const std::string row = "p1,60,1,130,240,0,150,0,1.0,2,0,1\n";
  std::string doubled = head_;
  doubled.insert(doubled.size() - 1, ",age");
  const struct {
    const char* what;
    std::string text, says;
  } cases[] = {
      {"a heading twice", doubled + "p1,60,1,130,240,0,150,0,1.0,2,0,1,60\n",
       "table.csv:1: column \"age\" is there twice"},
      {"NaN", head_ + row + "p2,nan,1,130,240,0,150,0,1.0,2,0,1\n", "table.csv:3: column \"age\": text where a number"},
      {"Inf", head_ + "p2,60,1,Inf,240,0,150,0,1.0,2,0,1\n", "table.csv:2: column \"trestbps\": text where a number"},
      {"-Infinity", head_ + "p2,60,1,-Infinity,240,0,150,0,1.0,2,0,1\n", "table.csv:2: column \"trestbps\": text"},
      {"beyond a double", head_ + "p2,1e999,1,130,240,0,150,0,1.0,2,0,1\n", "table.csv:2: column \"age\": text"},
      {"ten million characters", head_ + "p1,60,1," + std::string(10'000'000, '1') + ",240,0,150,0,1.0,2,0,1\n",
       "table.csv:2: a field longer than 1 MiB"},
      {"ten million quoted ones",
       head_ + row + "p2,60,1,\"" + std::string(10'000'000, '\n') + "\",240,0,150,0,1.0,2,0,1\n",
       "a field longer than 1 MiB"},
  };
  for (const auto& c : cases) {
    const ProgramOutput refused = Check(c.text);
    EXPECT_EQ(refused.status, 2) << c.what << ": " << refused.err.substr(0, 300);
    EXPECT_TRUE(Contains(refused.err, c.says)) << c.what << ": " << refused.err.substr(0, 300);
    EXPECT_LT(refused.err.size(), 4096U) << c.what << ": what is wrong is not printed at length";
    EXPECT_TRUE(refused.out.empty()) << c.what;
  }
}

constexpr const char* kXrays = R"([file]
pattern = "xrays-*.npz"
parts = ["train", "test"]
[split]
column = "part"
train = ["train"]
test = ["test"]
[columns.image]
type = "tensor"
array = "images"
shape = [16, 16]
minimum = 0
maximum = 255
[columns.sick]
type = "label"
array = "labels"
positive = ["1"]
negative = ["0"]
)";

// A hospital's images: the sick ones are brighter in the middle.
std::string Images(int hospital, int rows) {
  std::string pixels, labels;
  for (int i = 0; i < rows; ++i) {
    const bool sick = (i + hospital) % 3 == 0;
    labels += sick ? '\1' : '\0';
    for (int at = 0; at < 256; ++at) {
      const bool middle = at / 16 > 5 && at / 16 < 10;
      pixels += static_cast<char>((hospital * 31 + i * 17 + at * 7) % 64 + (sick && middle ? 90 : 20));
    }
  }
  const std::string n = std::to_string(rows);
  const std::string images = testing::Npy("|u1", "(" + n + ", 16, 16)", pixels),
                    column = testing::Npy("|u1", "(" + n + ", 1)", labels);
  return testing::Zip({{"train_images.npy", images},
                       {"train_labels.npy", column},
                       {"test_images.npy", images},
                       {"test_labels.npy", column}});
}

TEST(Arrays, AStudyOfImagesRunsFromNpzFiles) {
  Federation federation;
  const fs::path schema = federation.root() / "data" / "xrays.toml";
  WriteText(schema, kXrays);
  for (int i = 0; i < kHospitals; ++i) {
    const fs::path file = federation.root() / ("xrays-" + std::to_string(i) + ".npz");
    WriteText(file, Images(i, 60));
    const ProgramOutput added = federation.Node(i, {"data", "add", "DIR", "xrays", "--npz", file, "--schema", schema});
    ASSERT_EQ(added.status, 0) << added.err;
    EXPECT_TRUE(Contains(added.out, "xrays: 120 rows, 120 patients, 1 file(s)")) << added.out;
    EXPECT_TRUE(Contains(added.out, "tensor 16 x 16")) << added.out;
    EXPECT_TRUE(Contains(added.out, "positive: 40, negative: 80")) << added.out;
    EXPECT_EQ(federation.Node(i, {"data", "add", "DIR", "xrays", "--npz", file}).status, 0) << "its schema is known";
  }
  EXPECT_TRUE(Contains(federation.Node(0, {"data", "list", "DIR"}).out, "xrays-0.npz"));
  federation.StartAll();
  const fs::path plan = federation.root() / "data" / "xrays-plan.toml";
  WriteText(plan,
            "[study]\nname = 'xrays'\npurpose = 'p'\nresearcher = 'r'\nminimum_hospitals = 3\nrounds = 4\n[data]\n"
            "dataset = 'xrays'\nschema = 'xrays.toml'\nlabel = 'sick'\nfeatures = ['image']\nsplit = 'column'\n"
            "[training]\nlearning_rate = 0.05\n[privacy]\nmode = 'none'\n[aggregation]\nprofile = 'visible'\n");
  const ProgramOutput summary = federation.Cli({"study", "check", plan});
  EXPECT_TRUE(Contains(summary.out, "image: an image of 16 x 16 numbers from 0 to 255")) << summary.out << summary.err;
  const Value submitted = federation.CliJson({"study", "submit", plan});
  const std::string study = submitted["study"].AsString();
  federation.ApproveAll(study);
  const Value end = federation.WaitEnd(study);
  EXPECT_EQ(end["phase"].AsString(), "complete") << CanonicalJson(end);
  EXPECT_GT(end["results"]["evaluation"]["auroc"].AsDouble(), 0.95);

  const Value simulated =
      federation.CliJson({"simulate", plan, "--data", federation.root(), "--out", federation.root() / "simulated"});
  EXPECT_EQ(simulated["study"]["id"].AsString(), study);
  EXPECT_EQ(simulated["model_sha256"].AsString(), end["model_sha256"].AsString());
}

TEST_F(Tables, WrongSourcesAreTwoAndSayWhatIsRight) {
  const fs::path schema = federation_.root() / "data" / "xrays.toml", npz = federation_.root() / "x.npz";
  WriteText(schema, kXrays);
  WriteText(npz, Images(0, 12));
  const auto add = [&](const std::vector<std::string>& source) {
    std::vector<std::string> words = {"data", "add", "DIR", "xrays", "--schema", schema.string()};
    words.insert(words.end(), source.begin(), source.end());
    return federation_.Node(0, words);
  };
  EXPECT_EQ(add({}).status, 2) << "no source";
  EXPECT_EQ(add({"--npz", npz, "--csv", csv_}).status, 2) << "two sources";
  EXPECT_EQ(add({"--npz", federation_.root() / "absent.npz"}).status, 5);
  const ProgramOutput pairs = add({"--idx", npz, npz});
  EXPECT_EQ(pairs.status, 2);
  EXPECT_TRUE(Contains(pairs.err, "2 idx files were given, and 4 are needed")) << pairs.err;
  WriteText(csv_, good_);
  EXPECT_TRUE(Contains(add({"--csv", csv_}).err, "which no CSV file holds"));
  WriteText(npz, Images(0, 12).substr(0, 1000));
  const ProgramOutput cut = add({"--npz", npz});
  EXPECT_EQ(cut.status, 2);
  EXPECT_TRUE(Contains(cut.err, "x.npz: at byte 1000: no zip directory ends here; the file was cut off")) << cut.err;
  const ProgramOutput unknown = federation_.Node(0, {"data", "add", "DIR", "xrays", "--npz", npz});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_TRUE(Contains(unknown.err, "is a new data set and needs --schema FILE")) << unknown.err;
}

TEST(Spool, ALargeTableIsKeptInTheNodesDirectoryUntilItIsRemoved) {
  Federation federation;
  const fs::path schema = federation.root() / "data" / "xrays.toml", npz = federation.root() / "x.npz";
  const fs::path spool = federation.node(0) / "spool";
  std::string text = kXrays;
  text.replace(text.find("[16, 16]"), 8, "[1024, 1024]");
  WriteText(schema, text);
  const std::string images = testing::Npy("|u1", "(40, 1024, 1024)", std::string(40 << 20, '\1'));
  const std::string labels = testing::Npy("|u1", "(40,)", std::string(40, '\1'));
  WriteText(npz, testing::Zip({{"train_images.npy", images},
                               {"train_labels.npy", labels},
                               {"test_images.npy", images},
                               {"test_labels.npy", labels}}));
  const auto kept = [&] { return std::distance(fs::directory_iterator(spool), fs::directory_iterator()); };
  const ProgramOutput added = federation.Node(0, {"data", "add", "DIR", "xrays", "--npz", npz, "--schema", schema});
  ASSERT_EQ(added.status, 0) << added.err;
  EXPECT_EQ(kept(), 1) << "80 MiB";
  EXPECT_TRUE(Contains(added.out, "the node keeps their rows (84 MB) in its own folder")) << added.out;
  EXPECT_EQ(fs::status(spool).permissions() & fs::perms::mask, fs::perms::owner_all);
  EXPECT_EQ(federation.Node(0, {"data", "check", "DIR", "other", "--npz", npz, "--schema", schema}).status, 0);
  EXPECT_EQ(kept(), 1) << "what was only checked is not kept, and what is registered is";
  EXPECT_EQ(federation.Node(0, {"data", "remove", "DIR", "xrays"}).status, 0);
  EXPECT_EQ(kept(), 0);
}

TEST(Classes, ASingleOneAtOneHospitalIsAWarningThereAndTheStudyGoesOn) {
  Federation federation;
  const ProgramOutput added = Overwrite(federation, 0, "disease", "0");
  EXPECT_TRUE(Contains(added.out, "all \"disease\" are negative: this hospital can train with others")) << added.out;
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 2});
  federation.ApproveAll(study);
  const Value end = federation.WaitEnd(study);
  EXPECT_EQ(end["phase"].AsString(), "complete");
  EXPECT_EQ(end["last_answer"]["survivors"].AsArray().size(), 3U) << "it trains with the others";
  EXPECT_TRUE(end["results"]["evaluation"]["auroc"].IsNumber());
  EXPECT_TRUE(Contains(ReadText(federation.root() / "hospital-a.log"), "single_class"));
  EXPECT_FALSE(Contains(ReadText(federation.root() / "hospital-b.log"), "single_class"));
  ASSERT_TRUE(WaitUntil([&] { return Contains(federation.Node(0, {"results", "DIR"}).out, "accuracy"); }));
  const std::string own = federation.Node(0, {"results", "DIR"}).out;
  EXPECT_TRUE(Contains(own, "auroc not defined")) << own;
  ASSERT_TRUE(WaitUntil([&] { return Contains(federation.Node(1, {"results", "DIR"}).out, "accuracy"); }));
  EXPECT_FALSE(Contains(federation.Node(1, {"results", "DIR"}).out, "not defined"));
}

TEST(Classes, ASingleOneInTheWholeCohortEndsTheStudyWithItsReason) {
  Federation federation;
  for (int i = 0; i < kHospitals; ++i) Overwrite(federation, i, "disease", "0");
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 4});
  federation.ApproveAll(study);
  const ProgramOutput watched = federation.Cli({"study", "watch", study});
  EXPECT_EQ(watched.status, 1) << watched.out;
  EXPECT_TRUE(Contains(watched.out, "single_class")) << watched.out;
  EXPECT_TRUE(Contains(watched.out, "is negative: there is nothing to learn")) << watched.out;
  EXPECT_TRUE(Contains(watched.out, "[study] run = 2")) << watched.out;
  const Value end = federation.Study(study);
  EXPECT_EQ(end["phase"].AsString(), "failed");
  EXPECT_EQ(end["releases"].AsInteger(), 1) << "found before anything was trained";
  const fs::path out = federation.root() / "results";
  ASSERT_EQ(federation.Cli({"study", "download", study, "--out", out}).status, 0);
  EXPECT_TRUE(Contains(ReadText(out / "report.md"), "nothing to learn"));
  EXPECT_TRUE(Contains(ReadText(out / "report.html"), "nothing to learn"));
  EXPECT_TRUE(WaitUntil([&] {
    return federation.NodeJson(0, {"plan", "list", "DIR"})["plans"].AsArray()[0]["phase"].AsString() == "failed";
  }));
}

TEST(Classes, WithoutASumBeforeTheTrainingTheEvaluationFindsASingleOne) {
  Federation federation;
  for (int i = 0; i < kHospitals; ++i) Overwrite(federation, i, "disease", "1");
  federation.StartAll();
  std::string plan = PlanText({.rounds = 1});
  for (const auto& [from, to] :
       {std::pair<std::string, std::string>{"standardize = \"federated\"", "standardize = \"declared\""},
        {"impute = \"mean\"", "impute = \"constant\""}}) {
    const auto at = plan.find(from);
    ASSERT_NE(at, std::string::npos) << plan;
    plan.replace(at, from.size(), to);
  }
  const std::string study = federation.CliJson({"study", "submit", federation.WritePlan(plan)})["study"].AsString();
  federation.ApproveAll(study);
  const Value end = federation.WaitEnd(study);
  EXPECT_EQ(end["phase"].AsString(), "failed");
  EXPECT_EQ(end["reason"].AsString(), "single_class");
  EXPECT_EQ(end["releases"].AsInteger(), 2) << "one round and its evaluation";
  EXPECT_TRUE(Contains(federation.Cli({"study", "show", study}).out, "AUROC not defined"));
}

TEST(Classes, AColumnWithoutAnyValueIsAWarningAndALabelWithoutOneNoStudy) {
  Federation federation;
  EXPECT_TRUE(Contains(Overwrite(federation, 0, "chol", "").out, "column \"chol\" is missing in every row"));
  for (int i = 1; i < kHospitals; ++i) Overwrite(federation, i, "chol", "");
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 2});
  federation.ApproveAll(study);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");

  EXPECT_TRUE(Contains(Overwrite(federation, 0, "disease", "").out, "column \"disease\" is missing in every row"));
  const std::string other = federation.Submit({.name = "other", .rounds = 2});
  const HttpClient control = HttpClient::Unix(federation.node(0) / "control.sock");
  ASSERT_TRUE(WaitUntil([&] { return control.Get("/v1/plans/" + other).value_or(HttpReply{}).status == 200; }));
  const ProgramOutput refused = federation.Node(0, {"plan", "approve", "DIR", other});
  EXPECT_EQ(refused.status, 3) << refused.err;
  EXPECT_TRUE(Contains(refused.err, "has 0 patients to train on")) << refused.err;
}

TEST(Plans, ThatAskForMoreHospitalsThanThereAreAreTwo) {
  Federation federation;
  std::string text = PlanText({});
  const auto at = text.find("minimum_hospitals = 3");
  ASSERT_NE(at, std::string::npos);
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  const fs::path plan = federation.WritePlan(text.replace(at, 21, "minimum_hospitals = 4"));
  const ProgramOutput alone = federation.Cli({"study", "check", plan});
  EXPECT_EQ(alone.status, 0) << "a plan can be checked without a coordinator: " << alone.err;
  EXPECT_TRUE(Contains(alone.err, "was not looked at")) << alone.err;

  federation.StartCoordinator();
  for (const char* command : {"check", "submit"}) {
    const ProgramOutput refused = federation.Cli({"study", command, plan});
    EXPECT_EQ(refused.status, 2) << command << ": " << refused.err;
    EXPECT_TRUE(Contains(refused.err, "plan.toml:" + std::to_string(line) +
                                          ": [study] minimum_hospitals is 4, and the "
                                          "federation has 3 hospitals"))
        << refused.err;
    EXPECT_TRUE(Contains(refused.err, "consilium invite")) << refused.err;
  }
  EXPECT_TRUE(federation.CliJson({"study", "list"})["studies"].AsArray().empty());
  const fs::path right = federation.WritePlan(PlanText({}));
  EXPECT_EQ(federation.Cli({"study", "check", right}).status, 0);
  EXPECT_EQ(federation.Cli({"study", "submit", right}).status, 0);
}

// A parser that reads without a limit, or descends without one, needs far more than these programs get here.
TEST(Plans, OfAHundredMegabytesOrWithoutBottomAreTwoInLittleMemory) {
  Federation federation;
  const fs::path plan = federation.WritePlan(PlanText({}));
  const std::string good = ReadText(plan);
  const auto check = [&](const std::string& text) {
    WriteText(plan, text);
    return *RunProgram(
        {"/bin/sh", "-c",
         "ulimit -v 250000; ulimit -s 1024; exec " + Binary("consilium") + " study check " + plan.string()},
        "", kPatience, {"XDG_CONFIG_HOME=" + (federation.root() / "none").string()});
  };
  ASSERT_EQ(check(good).status, 0) << check(good).err;
  constexpr int kDeep = 200'000;
  std::string dotted = "a", tables, inner;
  for (int i = 0; i < kDeep; ++i) dotted += ".a";
  for (int i = 0; i < kDeep; ++i) tables += "{a=";
  const struct {
    const char* what;
    std::string text, says;
  } cases[] = {{"100 MB", good + std::string(100'000'000, '#'), "plan.toml has 1000"},
               {"arrays", good + "\nx = " + std::string(kDeep, '['), "plan.toml:"},
               {"tables", good + "\nx = " + tables, "plan.toml:"},
               {"keys", good + "\n" + dotted + " = 1\n", "plan.toml:"},
               {"headings", good + "\n[" + dotted + "]\n", "plan.toml:"}};
  for (const auto& c : cases) {
    const ProgramOutput refused = check(c.text);
    EXPECT_EQ(refused.status, 2) << c.what << ": " << refused.err.substr(0, 300);
    EXPECT_TRUE(Contains(refused.err, c.says)) << c.what << ": " << refused.err.substr(0, 300);
    EXPECT_LT(refused.err.size(), 4096U) << c.what;
  }
}

TEST(Plans, WithoutBottomHarmNoCoordinator) {
  Federation federation;
  federation.StartCoordinator();
  const auto endpoints = coordinator::ReadEndpoints(federation.coordinator());
  const std::string token = ReadText(coordinator::AdminTokenFile(federation.coordinator()));
  const auto api = cli::HttpApi::Open({endpoints->http, token.substr(0, token.find('\n')), ""});
  ASSERT_TRUE(api.has_value());
  for (const std::string& plan :
       {std::string(500'000, '['), "{\"a\":" + std::string(500'000, '['), std::string(700'000, '{')}) {
    const auto answer = api->Post("/v1/studies", Value().Set("plan", Base64(View(plan))));
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code, Code::kInvalid) << answer.error().what;
  }
  EXPECT_EQ(federation.Cli({"status"}).status, 0) << "it runs on";
}

}  // namespace
}  // namespace consilium::e2e
