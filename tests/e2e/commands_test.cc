// What scripts rely on: exit codes, one document on stdout, messages that name the place and the mend.
#include <csignal>

#include "common/base/files.h"
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

namespace fs = std::filesystem;

std::string With(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(Commands, WrongUsageIsTwo) {
  for (const char* program : {"consilium", "consilium-node", "consilium-coordinator"}) {
    for (const std::vector<std::string>& args : {std::vector<std::string>{}, {"--no-such-flag"}, {"nonsense"}}) {
      std::vector<std::string> argv = {Binary(program)};
      argv.insert(argv.end(), args.begin(), args.end());
      EXPECT_EQ(RunProgram(argv)->status, 2) << program;
    }
    const auto help = RunProgram({Binary(program), "--help"});
    EXPECT_EQ(help->status, 0);
    EXPECT_NE(help->out.find("Example"), std::string::npos);
  }
}

TEST(Commands, WithoutACoordinatorIsFour) {
  Federation federation;  // Nothing runs.
  const ProgramOutput output = federation.Cli({"status"});
  EXPECT_EQ(output.status, 4) << output.err;
  EXPECT_TRUE(output.out.empty());
  const auto never = RunProgram({Binary("consilium"), "status"}, "", kPatience,
                                {"XDG_CONFIG_HOME=" + (federation.root() / "none").string(), "CONSILIUM_COORDINATOR="});
  EXPECT_EQ(never->status, 4);
  EXPECT_NE(never->err.find("consilium login"), std::string::npos);
}

TEST(Commands, WhatIsNotThereIsFive) {
  Federation federation;
  federation.StartCoordinator();
  EXPECT_EQ(federation.Cli({"study", "show", "nothing"}).status, 5);
  EXPECT_EQ(federation.Cli({"study", "watch", "nothing"}).status, 5);
  EXPECT_EQ(federation.Cli({"hospital", "confirm", "hospital-x", "--yes"}).status, 5);
  EXPECT_EQ(federation.Cli({"study", "check", federation.root() / "no-plan.toml"}).status, 5);
}

TEST(Commands, AWrongPlanIsTwoAndNamesTheLineAndTheNearestKey) {
  Federation federation;
  const std::string good = PlanText({});
  const auto check = [&](const std::string& text) {
    return federation.Cli({"study", "check", federation.WritePlan(text)});
  };
  EXPECT_EQ(check(good).status, 0);
  const ProgramOutput unknown = check(With(good, "batch_size", "batch_sise"));
  EXPECT_EQ(unknown.status, 2);
  EXPECT_NE(unknown.err.find("batch_size"), std::string::npos) << unknown.err;
  EXPECT_NE(unknown.err.find("plan.toml:"), std::string::npos) << unknown.err;
  EXPECT_EQ(check(With(good, "learning_rate = 0.1", "learning_rate = -1")).status, 2);
  EXPECT_EQ(check(With(good, "\"trestbps\"", "\"no_such_column\"")).status, 2);
  EXPECT_EQ(check(With(good, "label = \"disease\"", "label = \"age\"")).status, 2);
  EXPECT_EQ(check("this is no TOML").status, 2);
  // What this version cannot protect it does not pretend to.
  EXPECT_EQ(check(With(good, "mode = \"none\"", "mode = \"distributed\"\nepsilon = 2")).status, 3);
  EXPECT_EQ(check(With(good, "profile = \"visible\"", "profile = \"secure\"")).status, 3);

  const Value document = federation.CliJson({"study", "check", federation.WritePlan(good)});
  EXPECT_EQ(document["study"].AsString().size(), 64U);
  EXPECT_TRUE(document["plan"].IsObject());
  EXPECT_NE(document["summary"].AsString().find("NO DIFFERENTIAL PRIVACY"), std::string::npos);
}

// Wrong tables: each is named with file and line, nothing is registered, nothing leaves.
TEST(Commands, AWrongTableIsTwoAndNamesFileAndLine) {
  Federation federation;
  const std::string good = ReadText(federation.root() / "data" / "hospital-a" / "patients.csv");
  const std::string head = good.substr(0, good.find('\n') + 1);
  struct Case {
    const char* what;
    std::string text;
    bool has_line;
  };
  const std::string row = "p1,60,1,130,240,0,150,0,1.0,2,0,1\n";
  const std::vector<Case> cases = {
      {"wrong type", head + "p1,sixty,1,130,240,0,150,0,1.0,2,0,1\n", true},
      {"out of range", head + row + "p2,600,1,130,240,0,150,0,1.0,2,0,1\n", true},
      {"unknown category", head + "p1,60,1,130,240,0,150,0,1.0,9,0,1\n", true},
      {"ragged", head + row + "p2,60,1\n", true},
      {"unknown label", head + "p1,60,1,130,240,0,150,0,1.0,2,0,maybe\n", true},
      {"empty", "", false},
      {"only a heading", head, false},
      {"missing column", With(head, "chol,", "") + "p1,60,1,130,0,150,0,1.0,2,0,1\n", false},
  };
  const fs::path csv = federation.root() / "bad.csv";
  for (const Case& c : cases) {
    WriteText(csv, c.text);
    const ProgramOutput output = federation.Node(
        0, {"data", "check", "DIR", "other", "--csv", csv, "--schema", federation.root() / "data" / "schema.toml"});
    EXPECT_EQ(output.status, 2) << c.what << ": " << output.err;
    EXPECT_NE(output.err.find(c.has_line ? "bad.csv:" : "bad.csv"), std::string::npos) << c.what << ": " << output.err;
    EXPECT_TRUE(output.out.empty()) << c.what;
  }
  WriteText(csv, head + row + "p2,61,0,131,,0,151,1,0.5,3,1,0\n");
  const Value report = federation.NodeJson(
      0, {"data", "check", "DIR", "other", "--csv", csv, "--schema", federation.root() / "data" / "schema.toml"});
  EXPECT_EQ(report["rows"].AsInteger(), 2);
  EXPECT_EQ(federation.NodeJson(0, {"data", "list", "DIR"})["datasets"].AsArray().size(), 1U)
      << "a check registers nothing";
}

TEST(Commands, TooFewPatientsAreRefusedAtApproval) {
  Federation federation;
  const std::string good = ReadText(federation.root() / "data" / "hospital-a" / "patients.csv");
  std::size_t end = 0;
  for (int lines = 0; lines < 6; ++lines) end = good.find('\n', end) + 1;
  const fs::path few = federation.root() / "few.csv";
  WriteText(few, good.substr(0, end));
  federation.StartCoordinator();
  federation.StartNode(0);
  EXPECT_EQ(federation
                .Node(0, {"data", "add", "DIR", "cohort", "--csv", few, "--schema",
                          federation.root() / "data" / "schema.toml"})
                .status,
            0);
  const std::string study = federation.Submit({});
  const HttpClient control = HttpClient::Unix(federation.node(0) / "control.sock");
  ASSERT_TRUE(WaitUntil([&] { return control.Get("/v1/plans/" + study).value_or(HttpReply{}).status == 200; }));
  const ProgramOutput refused = federation.Node(0, {"plan", "approve", "DIR", study});
  EXPECT_EQ(refused.status, 3) << refused.err;
  EXPECT_EQ(federation.NodeJson(0, {"budget", "DIR"})["rows"].AsInteger(), 0);
}

TEST(Commands, JsonIsOneDocumentAndNothingElse) {
  Federation federation;
  federation.StartCoordinator();
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"status"}, {"hospital", "list"}, {"study", "list"}}) {
    EXPECT_TRUE(federation.CliJson(args).IsObject());
  }
  for (const std::vector<std::string>& args : {std::vector<std::string>{"status", "DIR"},
                                               {"data", "list", "DIR"},
                                               {"plan", "list", "DIR"},
                                               {"results", "DIR"},
                                               {"budget", "DIR"}}) {
    EXPECT_TRUE(federation.NodeJson(0, args).IsObject());
  }
}

TEST(Commands, TheDemoLeavesEverythingAndStopsEverything) {
  Federation federation;  // For its folder only.
  const fs::path out = federation.root() / "demo";
  const auto ran = RunProgram(
      {Binary("consilium"), "demo", "--hospitals", "3", "--rounds", "4", "--dir", out, "--json"}, "", kPatience);
  ASSERT_TRUE(ran.has_value()) << ran.error().what;
  ASSERT_EQ(ran->status, 0) << ran->err;
  const auto document = ParseJson(ran->out);
  ASSERT_TRUE(document.has_value()) << ran->out;
  EXPECT_EQ((*document)["study"]["rounds"].AsInteger(), 4);
  EXPECT_EQ((*document)["privacy"]["mode"].AsString(), "none");
  EXPECT_EQ((*document)["profile"].AsString(), "visible");
  ASSERT_EQ((*document)["hospitals"].AsArray().size(), 3U);
  for (const Value& hospital : (*document)["hospitals"].AsArray()) {
    for (const char* kind : {"local", "federated", "pooled"}) EXPECT_TRUE(hospital[kind].Has("auroc")) << kind;
  }
  for (const char* file : {"model", "report", "audit"})
    EXPECT_TRUE(fs::exists((*document)["files"][file].AsString())) << file;
  const std::string html = ReadText(out / "report.html");
  for (const char* part :
       {"NO DIFFERENTIAL PRIVACY", "Learning curve", "ROC over", "Calibration", "<td>hospital-c</td>"})
    EXPECT_NE(html.find(part), std::string::npos) << part;
  for (const char* part : {"<script", "http://", "https://", "src="})
    EXPECT_EQ(html.find(part), std::string::npos) << part;
  EXPECT_TRUE(fs::exists(out / "logs" / "coordinator.log"));
  EXPECT_FALSE(fs::exists(out / "state")) << "keys and databases are kept only with --keep";
}

TEST(Commands, AnInterruptedDemoLeavesNoProcessBehind) {
  Federation federation;  // For its folder only.
  const fs::path out = federation.root() / "demo";
  auto demo = Process::Start({.argv = {Binary("consilium"), "demo", "--keep", "--rounds", "2000", "--dir", out},
                              .input = "",
                              .out = {},
                              .err = federation.root() / "demo.log",
                              .environment = {}});
  ASSERT_TRUE(demo.has_value());
  ASSERT_TRUE(WaitUntil(
      [&] { return ReadText(federation.root() / "demo.log").find("demo-train: running, 2") != std::string::npos; }));
  demo->Signal(SIGINT);
  EXPECT_EQ(demo->Wait(kPatience), 130);
  for (const char* name : {"coordinator", "hospital-a", "hospital-d"}) {
    EXPECT_TRUE(DirectoryLock::Take(out / "state" / name).has_value()) << name << " still runs";
  }
}

TEST(Commands, AStudyIsPausedResumedAndItsEventsRead) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 150});
  EXPECT_EQ(federation.Cli({"study", "pause", study}).status, 1) << "nobody has approved it yet";
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 1));
  EXPECT_EQ(federation.CliJson({"study", "pause", study})["phase"].AsString(), "paused");
  // The attempt in flight may still end; then nothing follows.
  Value paused;
  ASSERT_TRUE(WaitUntil([&] {
    paused = federation.Study(study);
    return paused["attempt"].AsInteger() == paused["releases"].AsInteger();
  }));
  federation.KillCoordinator();
  federation.StartCoordinator();
  ASSERT_TRUE(federation.WaitAllOnline());
  EXPECT_EQ(federation.Study(study)["attempt"].AsInteger(), paused["attempt"].AsInteger());
  EXPECT_EQ(federation.CliJson({"study", "resume", study})["phase"].AsString(), "running");
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  const ProgramOutput logs = federation.Cli({"study", "logs", study});
  EXPECT_EQ(logs.status, 0);
  for (const char* event : {" submitted ", " verdict ", " paused", " resumed", " answer ", " complete "})
    EXPECT_NE(logs.out.find(event), std::string::npos) << event;
  EXPECT_EQ(logs.out.find(" founded"), std::string::npos) << "of no other matter";
}

TEST(Commands, AStudyThatTooManyRejectedIsNotWaitedFor) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({});
  ASSERT_TRUE(WaitUntil(
      [&] { return federation.Node(0, {"plan", "reject", "DIR", study, "--officer", "officer-1"}).status == 0; }));
  const ProgramOutput watched = federation.Cli({"study", "watch", study});
  EXPECT_EQ(watched.status, 3) << watched.err;
  EXPECT_NE(watched.err.find("rejected by hospital-a"), std::string::npos) << watched.err;
}

TEST(Commands, WhatCannotBeWrittenIsNotDone) {
  Federation federation;
  federation.StartCoordinator();
  federation.Cli({"status"});
  const auto full = RunProgram({"/bin/sh", "-c", Binary("consilium") + " status >/dev/full"}, "", kPatience,
                               {"XDG_CONFIG_HOME=" + (federation.root() / "config").string()});
  EXPECT_EQ(full->status, 1);
  EXPECT_NE(full->err.find("No space left"), std::string::npos) << full->err;
}

TEST(Commands, PatientsWhoWithdrewAreOutFromTheNextAttempt) {
  Federation federation;
  federation.StartAll();
  const Value before = federation.NodeJson(0, {"data", "list", "DIR"})["datasets"].AsArray()[0];
  const std::string name = before["name"].AsString();
  // The second line of the first hospital's table; its patient id stands in front.
  const fs::path folder = before["folder"].AsString();
  const std::string csv = ReadText(fs::directory_iterator(folder)->path());
  const std::size_t line = csv.find('\n') + 1;
  const std::string id = csv.substr(line, csv.find(',', line) - line);
  const ProgramOutput excluded = federation.Node(0, {"data", "exclude", "DIR", name}, id + "\n");
  ASSERT_EQ(excluded.status, 0) << excluded.err;
  const Value after = federation.NodeJson(0, {"data", "list", "DIR"})["datasets"].AsArray()[0];
  EXPECT_EQ(after["patients"].AsInteger(), before["patients"].AsInteger() - 1);
  EXPECT_EQ(after["excluded"].AsInteger(), 1);
  EXPECT_EQ(federation.Node(0, {"data", "exclude", "DIR", name}, id + "\n").status, 2) << "nobody new";
  for (const auto& entry : fs::directory_iterator(federation.node(0)))
    EXPECT_TRUE(!entry.is_regular_file() || ReadText(entry.path()).find(id) == std::string::npos) << entry.path();

  const std::string study = federation.Submit({.describe = true});
  federation.ApproveAll(study);
  const Value end = federation.WaitEnd(study);
  EXPECT_EQ(end["phase"].AsString(), "complete");
  std::int64_t patients = 0;
  for (int i = 0; i < kHospitals; ++i)
    patients += federation.NodeJson(i, {"data", "list", "DIR"})["datasets"].AsArray()[0]["patients"].AsInteger();
  EXPECT_EQ(end["results"]["describe"]["patients"].AsInteger(), patients);
  EXPECT_EQ(federation.Node(0, {"data", "remove", "DIR", name}).status, 0);
  EXPECT_EQ(federation.Node(0, {"data", "remove", "DIR", name}).status, 5);
}

// What a doctor says is bad.
std::map<std::string, std::string> Bad(const ProgramOutput& output, bool good) {
  EXPECT_EQ(output.status, good ? 0 : 1) << output.out << output.err;
  const Value document = ParseJson(output.out).value_or(Value());
  EXPECT_FALSE(document["checks"].AsArray().empty()) << output.out << output.err;
  std::map<std::string, std::string> bad;
  for (const Value& check : document["checks"].AsArray()) {
    if (!check["good"].AsBool()) bad[check["name"].AsString()] = check["text"].AsString();
  }
  return bad;
}

TEST(Commands, TheCoordinatorsDoctorNamesWhatIsWrongAndTheMend) {
  Federation federation;
  const fs::path directory = federation.coordinator();
  const std::string program = std::string(CONSILIUM_BIN_DIR) + "/consilium-coordinator";
  const auto examine = [&](bool good) {
    return Bad(RunProgram({program, "doctor", directory.string(), "--json"}).value_or(ProgramOutput{}), good);
  };
  EXPECT_TRUE(examine(true).empty()) << "at rest";
  federation.StartCoordinator();
  EXPECT_TRUE(examine(true).empty()) << "the daemon is asked";
  EXPECT_TRUE(Bad(federation.Cli({"doctor", "--json"}), true).empty());
  const std::string port = std::to_string(federation.HospitalPort());
  federation.KillCoordinator();
  EXPECT_NE(Bad(federation.Cli({"doctor", "--json"}), false)["port"].find("nothing listens"), std::string::npos);

  const fs::path toml = directory / "coordinator.toml";
  const std::string text = ReadText(toml);
  const auto listening = [&](const std::string& endpoint) {
    const auto begin = text.find("listen = \"") + 10;
    return text.substr(0, begin) + endpoint + text.substr(text.find('"', begin));
  };
  {
    Federation other;
    other.StartCoordinator();
    WriteText(toml, listening("tcp://127.0.0.1:" + std::to_string(other.HospitalPort())));
    EXPECT_NE(examine(false)["port"].find("another process listens there"), std::string::npos);
  }
  WriteText(toml, listening("tcp://no-such-host.invalid:" + port));
  EXPECT_NE(examine(false)["name"].find("DNS"), std::string::npos);
  WriteText(toml, text);
  EXPECT_TRUE(examine(true).empty());
  fs::permissions(directory / "admin.token", fs::perms::others_read, fs::perm_options::add);
  EXPECT_NE(examine(false)["keys"].find("chmod"), std::string::npos);
  fs::permissions(directory / "admin.token", fs::perms::others_read, fs::perm_options::remove);
  fs::last_write_time(directory / "database", fs::file_time_type::clock::now() + std::chrono::hours(48));
  EXPECT_NE(examine(false)["clock"].find("behind what was written"), std::string::npos);
}

TEST(Commands, ATokenIsNotSentToANameThatOnlyLooksLikeThisMachine) {
  Federation federation;
  for (const char* url : {"http://127.evil.invalid:7880", "http://localhost.invalid:7880", "http://[::2]:7880"}) {
    const ProgramOutput output = federation.Cli({"login", url}, "token\n");
    EXPECT_EQ(output.status, 3) << url << output.err;
    EXPECT_NE(output.err.find("another machine"), std::string::npos) << output.err;
  }
}

TEST(Commands, TheNodesDoctorNamesWhatIsWrongAndTheMend) {
  Federation federation;
  const auto examine = [&](bool good) { return Bad(federation.Node(0, {"doctor", "DIR", "--json"}), good); };
  EXPECT_NE(examine(false)["port"].find("is the coordinator running"), std::string::npos);
  federation.StartCoordinator();
  EXPECT_TRUE(examine(true).empty()) << "the handshake is tried without a daemon";
  federation.StartNode(0);
  ASSERT_TRUE(federation.WaitOnline(0));
  EXPECT_TRUE(examine(true).empty()) << "the daemon is asked";
  federation.KillNode(0);

  const fs::path toml = federation.node(0) / "node.toml";
  const std::string text = ReadText(toml);
  WriteText(toml, With(text, "127.0.0.1", "no-such-host.invalid"));
  EXPECT_NE(examine(false)["name"].find("DNS"), std::string::npos);
  std::string key = text;
  const auto at = key.find("server_key = \"") + 14;
  key.replace(at, 8, key.substr(at, 8) == "00000000" ? "11111111" : "00000000");
  WriteText(toml, key);
  EXPECT_NE(examine(false)["session"].find("server_key"), std::string::npos);
  WriteText(toml, text);
  fs::permissions(federation.node(0) / "keys" / "identity", fs::perms::others_read, fs::perm_options::add);
  EXPECT_NE(examine(false)["keys"].find("chmod"), std::string::npos);
}

}  // namespace
}  // namespace consilium::e2e
