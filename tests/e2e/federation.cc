#include "tests/e2e/federation.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "cli/demo_data.h"
#include "common/base/check.h"
#include "common/crypto/keys.h"
#include "common/crypto/secret.h"
#include "coordinator/daemon.h"

namespace consilium::e2e {
namespace {

namespace fs = std::filesystem;

class CryptoEnvironment : public ::testing::Environment {
  void SetUp() override { ASSERT_TRUE(StartCrypto().has_value()); }
};
const auto* const kCrypto = ::testing::AddGlobalTestEnvironment(new CryptoEnvironment);

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << "the generated plan has no '" << from << "'";
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

fs::path TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "consilium-e2e-XXXXXX").string();
  EXPECT_NE(mkdtemp(name.data()), nullptr);
  return name;
}

demo::DemoStudy Cohort(int hospitals = kHospitals) {
  demo::DemoStudy study;
  study.hospitals = static_cast<std::uint32_t>(hospitals);
  return study;
}

// Patients with numbers alone: as small as data can be for answers as large as one likes.
void WriteNumbers(const fs::path& folder, const Founding& founding) {
  std::string schema =
      "[file]\npattern = \"*.csv\"\n\n[patient]\nid = \"patient\"\n\n[columns.patient]\ntype = \"text\"\n";
  std::string head = "patient";
  for (int c = 0; c < founding.columns; ++c) {
    head += ",x" + std::to_string(c);
    schema += "\n[columns.x" + std::to_string(c) + "]\ntype = \"number\"\nminimum = 0\nmaximum = 1000\n";
  }
  for (int i = 0; i < founding.hospitals; ++i) {
    std::string csv = head + "\n";
    for (int row = 0; row < 12; ++row) {
      csv += Federation::Name(i) + "-" + std::to_string(row);
      for (int c = 0; c < founding.columns; ++c) csv += "," + std::to_string((i * 389 + row * 83 + c * 37) % 1000);
      csv += "\n";
    }
    fs::create_directories(folder / Federation::Name(i));
    WriteText(folder / Federation::Name(i) / "patients.csv", csv);
  }
  WriteText(folder / "schema.toml", schema);
}

// Founds a federation by the public commands: what every test copies.
class Template {
 public:
  static const Template& Get(const Founding& founding) {
    static std::map<Founding, std::unique_ptr<Template>> made;
    auto& one = made[founding];
    if (one == nullptr) one.reset(new Template(founding));
    return *one;
  }
  [[nodiscard]] const fs::path& root() const { return root_; }
  ~Template() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

 private:
  explicit Template(const Founding& founding) : root_(TemporaryFolder()) {
    if (founding.columns > 0) {
      WriteNumbers(root_ / "data", founding);
    } else {
      EXPECT_TRUE(demo::WriteDemoData((root_ / "data").string(), Cohort(founding.hospitals), 5).has_value());
    }
    const fs::path coordinator = root_ / "coordinator";
    const std::string listen = "tcp://127.0.0.1:" + std::to_string(FreePort());
    Must({Binary("consilium-coordinator"), "init", coordinator, "--federation", "test network", "--listen", listen,
          "--http", "127.0.0.1:" + std::to_string(FreePort())});
    auto daemon = Process::Start({.argv = {Binary("consilium-coordinator"), "run", coordinator},
                                  .input = "",
                                  .out = {},
                                  .err = root_ / "coordinator.log",
                                  .environment = {}});
    EXPECT_TRUE(WaitUntil([&] { return coordinator::ReadEndpoints(coordinator).has_value(); }));
    const std::string url = coordinator::ReadEndpoints(coordinator)->http;
    const std::vector<std::string> environment = {"XDG_CONFIG_HOME=" + (root_ / "config").string()};
    Must({Binary("consilium"), "login", url, "--token-file", coordinator::AdminTokenFile(coordinator), "--officer-key",
          coordinator::OfficerKeyFile(coordinator)},
         "", environment);
    std::vector<std::string> confirm = {Binary("consilium"), "hospital", "confirm", "--yes"};
    for (int i = 0; i < founding.hospitals; ++i) {
      const std::string name = Federation::Name(i);
      const std::string token = Must({Binary("consilium"), "invite", name}, "", environment).out;
      Must({Binary("consilium-node"), "join", root_ / name}, token);
      confirm.push_back(name);
      Must({Binary("consilium-node"), "data", "add", root_ / name, "cohort", "--csv", root_ / "data" / name, "--schema",
            root_ / "data" / "schema.toml"});
    }
    Must(confirm, "", environment);  // All at once, while the founding officer decides.
    EXPECT_EQ(daemon->Stop(), 0);
    Cheapen();
  }
  // The founding was at full cost. From here on key files open at the lowest: daemons start hundreds of times, and most
  // of what that takes would be the passphrase's hash.
  void Cheapen() const {
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      const fs::path keys = entry.path().parent_path();
      if (!entry.is_regular_file() || keys.filename() != "keys" || entry.path().filename() == "passphrase") continue;
      const auto passphrase = Passphrase(keys.parent_path(), false);
      ASSERT_TRUE(passphrase.has_value()) << passphrase.error().what;
      const auto secret = LoadSecret(entry.path(), passphrase->view());
      ASSERT_TRUE(secret.has_value()) << secret.error().what;
      const Status saved = SaveSecret(entry.path(), secret->view(), passphrase->view(), {.passes = 1, .memory_kib = 8});
      ASSERT_TRUE(saved.has_value()) << saved.error().what;
    }
  }
  static ProgramOutput Must(const std::vector<std::string>& argv, const std::string& input = "",
                            const std::vector<std::string>& environment = {}) {
    auto output = RunProgram(argv, input, kPatience, environment);
    EXPECT_TRUE(output && output->status == 0)
        << argv[0] << " " << argv[1] << ": " << (output ? output->err : output.error().what);
    return output.value_or(ProgramOutput{});
  }
  fs::path root_;
};

std::vector<Value> RowsOf(const Result<std::string>& text) {
  EXPECT_TRUE(text.has_value()) << text.error().what;
  std::vector<Value> rows;
  std::istringstream in(text.value_or(""));
  for (std::string line; std::getline(in, line);) {
    const auto parsed = ParseJson(line);
    EXPECT_TRUE(parsed.has_value());
    if (parsed && parsed->Has("row")) rows.push_back((*parsed)["row"]);
  }
  return rows;
}

}  // namespace

int FreePort() {
  static int tried = 0;
  for (int i = tried; i < 200; ++i) {
    tried = i + 1;
    const int port =
        12000 + static_cast<int>((static_cast<unsigned>(getpid()) * 37U + static_cast<unsigned>(i) * 101U) % 15000U);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    const bool free = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    if (free) return port;
  }
  ADD_FAILURE() << "no free port";
  return 0;
}

bool WaitUntil(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::string Binary(const std::string& name) { return std::string(CONSILIUM_BIN_DIR) + "/" + name; }

std::string ReadText(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}
void WriteText(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string PlanText(const PlanOptions& options) {
  demo::DemoStudy study = Cohort();
  study.rounds = options.rounds;
  std::string text = options.describe ? demo::DescribePlan(study) : demo::TrainPlan(study);
  text = Replaced(text, options.describe ? "demo-describe" : "demo-train", options.name);
  text = Replaced(text, "minimum_hospitals = 2", "minimum_hospitals = " + std::to_string(options.minimum_hospitals));
  text = Replaced(
      text, "tolerated_dropouts = 1",
      "tolerated_dropouts = " + std::to_string(std::max(0, kHospitals - static_cast<int>(options.minimum_hospitals))));
  if (options.describe) return text;
  if (options.released) text = Replaced(text, "[evaluation]\n", "[evaluation]\nper_hospital = \"released\"\n");
  text = Replaced(text, "round_deadline = \"30s\"", "round_deadline = \"" + options.round_deadline + "\"");
  text = Replaced(text, "kind = \"logistic\"\n", options.model);
  text = Replaced(text, "learning_rate = 0.1", "learning_rate = " + options.learning_rate);
  text = Replaced(text, "algorithm = \"fedavg\"\n", options.strategy);
  return Replaced(text, "local_epochs = 2", "local_epochs = " + std::to_string(options.local_epochs));
}

std::string NumbersPlan(const std::string& name, const Founding& founding, int bins) {
  std::string columns;
  for (int c = 0; c < founding.columns; ++c) columns += (c == 0 ? "\"x" : ", \"x") + std::to_string(c) + "\"";
  return "[study]\nname = \"" + name +
         "\"\npurpose = \"Large answers.\"\nresearcher = \"Test\"\nminimum_patients = 10\nround_deadline = "
         "\"1h\"\nminimum_hospitals = " +
         std::to_string(founding.hospitals) +
         "\n[data]\ndataset = \"cohort\"\nschema = \"schema.toml\"\n[describe]\ncolumns = [" + columns +
         "]\nbins = " + std::to_string(bins) +
         "\n[privacy]\nmode = \"none\"\n[aggregation]\nprofile = \"visible\"\ntolerated_dropouts = 0\n";
}

Federation::Federation(const Founding& founding) : founding_(founding), root_(TemporaryFolder()) {
  const fs::path source = Template::Get(founding).root();
  for (const auto& entry : fs::directory_iterator(source)) {
    if (entry.path().filename() != "data")
      fs::copy(entry.path(), root_ / entry.path().filename(), fs::copy_options::recursive);
  }
  fs::create_directory_symlink(source / "data", root_ / "data");
}

Federation::~Federation() {
  node_processes_.clear();
  coordinator_process_.reset();
  if (::testing::Test::HasFailure()) {
    std::fprintf(stderr, "logs are in %s\n", root_.c_str());
    return;
  }
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

fs::path Federation::node(int i) const { return root_ / Name(i); }

namespace {
Process Started(const Launch& launch, std::vector<std::string> argv, const fs::path& log) {
  argv.insert(argv.begin(), launch.prefix.begin(), launch.prefix.end());
  auto started =
      Process::Start({.argv = std::move(argv), .input = "", .out = {}, .err = log, .environment = launch.environment});
  CHECK(started.has_value());
  return std::move(*started);
}
}  // namespace

void Federation::LaunchCoordinator(const Launch& launch) {
  coordinator_process_.reset();
  coordinator_process_.emplace(
      Started(launch, {Binary("consilium-coordinator"), "run", coordinator()}, root_ / "coordinator.log"));
}

void Federation::LaunchNode(int i, const Launch& launch) {
  node_processes_.erase(i);
  node_processes_.emplace(i, Started(launch, {Binary("consilium-node"), "run", node(i)}, root_ / (Name(i) + ".log")));
}

bool Federation::CoordinatorAnswers() {
  const std::string token = ReadText(coordinator::AdminTokenFile(coordinator()));
  const auto endpoints = coordinator::ReadEndpoints(coordinator());
  if (!endpoints) return false;
  auto api = cli::HttpApi::Open({endpoints->http, token.substr(0, token.find('\n')), ""});
  if (!api || !api->Get("/v1/status")) return false;
  api_.emplace(std::move(*api));
  return true;
}

bool Federation::NodeAnswers(int i) { return HttpClient::Unix(node(i) / "control.sock").Get("/v1/status").has_value(); }

void Federation::StartCoordinator(const Launch& launch) {
  LaunchCoordinator(launch);
  ASSERT_TRUE(WaitUntil([&] { return CoordinatorAnswers() || !coordinator_process_->Running(); }));
  ASSERT_TRUE(coordinator_process_->Running()) << ReadText(root_ / "coordinator.log");
}

void Federation::StartNode(int i, const Launch& launch) {
  LaunchNode(i, launch);
  ASSERT_TRUE(WaitUntil([&] { return NodeAnswers(i) || !node_process(i).Running(); }));
  ASSERT_TRUE(node_process(i).Running()) << ReadText(root_ / (Name(i) + ".log"));
}

void Federation::StartAll(const Launch& launch) {
  StartCoordinator(launch);
  for (int i = 0; i < hospitals(); ++i) LaunchNode(i, launch);
  ASSERT_TRUE(WaitAllOnline());
}

void Federation::KillCoordinator() { coordinator_process_->Kill(); }
void Federation::KillNode(int i) { node_process(i).Kill(); }

void Federation::SetPolicy(int i, const std::string& line) {
  const fs::path file = node(i) / "node.toml";
  WriteText(file, Replaced(ReadText(file), "[policy]\n", "[policy]\n" + line + "\n"));
}

void Federation::SetEndpoint(int i, int port) {
  const fs::path file = node(i) / "node.toml";
  const std::string before = "tcp://127.0.0.1:" + std::to_string(HospitalPort());
  WriteText(file, Replaced(ReadText(file), before, "tcp://127.0.0.1:" + std::to_string(port)));
}

int Federation::HospitalPort() {
  const auto endpoints = coordinator::ReadEndpoints(coordinator());
  EXPECT_TRUE(endpoints.has_value());
  return endpoints ? std::stoi(endpoints->hospitals.substr(endpoints->hospitals.rfind(':') + 1)) : 0;
}

bool Federation::WaitOnline(int i, bool online) {
  return WaitUntil([&] {
    const auto answer = api_->Get("/v1/hospitals");
    return answer && answer.value()["hospitals"].AsArray().at(static_cast<std::size_t>(i))["online"].AsBool() == online;
  });
}
bool Federation::WaitAllOnline() {
  for (int i = 0; i < hospitals(); ++i) {
    if (!WaitOnline(i)) return false;
  }
  return true;
}

ProgramOutput Federation::Cli(std::vector<std::string> args, const std::string& input) {
  std::vector<std::string> environment = {"XDG_CONFIG_HOME=" + (root_ / "config").string()};
  if (const auto endpoints = coordinator::ReadEndpoints(coordinator()))
    environment.push_back("CONSILIUM_COORDINATOR=" + endpoints->http);
  args.insert(args.begin(), Binary("consilium"));
  auto output = RunProgram(args, input, kPatience, environment);
  EXPECT_TRUE(output.has_value()) << output.error().what;
  return output.value_or(ProgramOutput{});
}

Value Federation::CliJson(std::vector<std::string> args) {
  args.emplace_back("--json");
  const ProgramOutput output = Cli(args);
  EXPECT_EQ(output.status, 0) << output.err;
  const auto value = ParseJson(output.out, {.bytes = 16 << 20});
  EXPECT_TRUE(value.has_value()) << output.out;
  return value.value_or(Value());
}

ProgramOutput Federation::Node(int i, std::vector<std::string> args, const std::string& input) {
  for (std::string& word : args) {
    if (word == "DIR") word = node(i).string();
  }
  args.insert(args.begin(), Binary("consilium-node"));
  auto output = RunProgram(args, input, kPatience);
  EXPECT_TRUE(output.has_value()) << output.error().what;
  return output.value_or(ProgramOutput{});
}

Value Federation::NodeJson(int i, std::vector<std::string> args) {
  args.emplace_back("--json");
  const ProgramOutput output = Node(i, args);
  EXPECT_EQ(output.status, 0) << output.err;
  return ParseJson(output.out).value_or(Value());
}

fs::path Federation::WritePlan(const std::string& text) {
  static int count = 0;
  const fs::path folder = root_ / ("plan-" + std::to_string(++count));
  fs::create_directory(folder);
  fs::copy_file(root_ / "data" / "schema.toml", folder / "schema.toml");
  WriteText(folder / "plan.toml", text);
  return folder / "plan.toml";
}

fs::path Federation::WriteLargePlan(const std::string& name, int minimum) {
  std::string text = NumbersPlan(name, founding_, 4);
  text = Replaced(text, "minimum_hospitals = " + std::to_string(hospitals()),
                  "minimum_hospitals = " + std::to_string(minimum));
  text = Replaced(text, "tolerated_dropouts = 0", "tolerated_dropouts = " + std::to_string(hospitals() - minimum));
  const fs::path plan = WritePlan(text);
  const fs::path file = plan.parent_path() / "schema.toml";
  std::string schema;
  std::istringstream lines(ReadText(file));
  for (std::string line; std::getline(lines, line);) {
    schema += line + "\n";
    if (line == "type = \"number\"") schema += "meaning = \"" + std::string(200, 'm') + "\"\n";
  }
  WriteText(file, schema);
  return plan;
}

std::string Federation::Submit(const PlanOptions& options) {
  return CliJson({"study", "submit", WritePlan(PlanText(options))})["study"].AsString();
}

void Federation::Approve(int i, const std::string& study) {
  const HttpClient control = HttpClient::Unix(node(i) / "control.sock");
  ASSERT_TRUE(WaitUntil([&] {
    const auto reply = control.Get("/v1/plans/" + study);
    return reply && reply->status == 200;
  })) << "the plan did not reach "
      << Name(i);
  const Value answer = NodeJson(i, {"plan", "approve", "DIR", study, "--officer", "officer-1"});
  EXPECT_EQ(answer["consent"].AsString(), "approved");
}
void Federation::ApproveAll(const std::string& study) {
  for (int i = 0; i < hospitals(); ++i) Approve(i, study);
}

Value Federation::Study(const std::string& study) {
  if (!api_) return {};
  return api_->Get("/v1/studies/" + study).value_or(Value());
}

bool Federation::WaitReleases(const std::string& study, int least) {
  return WaitUntil([&] { return Study(study)["releases"].AsInteger() >= least; });
}

Value Federation::WaitEnd(const std::string& study, std::chrono::milliseconds limit) {
  Value last;
  EXPECT_TRUE(WaitUntil(
      [&] {
        last = Study(study);
        const std::string& phase = last["phase"].AsString();
        return phase == "complete" || phase == "failed" || phase == "aborted";
      },
      limit))
      << "the study did not end: " << last["phase"].AsString() << ", " << last["releases"].AsInteger() << " answers";
  return last;
}

std::vector<Value> Federation::CoordinatorAudit() { return RowsOf(api_->Body("/v1/audit/export")); }
std::vector<Value> Federation::NodeAudit(int i) {
  const auto reply = HttpClient::Unix(node(i) / "control.sock").Get("/v1/audit/export");
  EXPECT_TRUE(reply.has_value()) << reply.error().what;
  return reply ? RowsOf(BodyOf(*reply)) : std::vector<Value>();
}

void Federation::ExpectOneAnswerPerRound(const std::string& study) {
  const Value state = Study(study);
  std::map<std::int64_t, int> answers;                  // By round.
  std::map<std::int64_t, std::set<std::int64_t>> used;  // Hospital number -> attempts that an answer used.
  for (const Value& row : CoordinatorAudit()) {
    if (row["event"].AsString() != "answer" || row["study"].AsString() != study) continue;
    ++answers[row["round"].AsInteger()];
    for (const Value& number : row["survivors"].AsArray()) used[number.AsInteger()].insert(row["attempt"].AsInteger());
  }
  EXPECT_EQ(static_cast<std::int64_t>(answers.size()), state["releases"].AsInteger());
  for (const auto& [round, count] : answers) EXPECT_EQ(count, 1) << "round " << round;

  for (int i = 0; i < hospitals(); ++i) {
    std::map<std::int64_t, int> committed;  // By attempt.
    for (const Value& row : NodeAudit(i)) {
      if (row["event"].AsString() == "committed" && row["study"].AsString() == study)
        ++committed[row["attempt"].AsInteger()];
    }
    for (const auto& [attempt, count] : committed) EXPECT_EQ(count, 1) << Name(i) << ", attempt " << attempt;
    for (std::int64_t attempt : used[i + 1])
      EXPECT_TRUE(committed.contains(attempt)) << Name(i) << " did not commit attempt " << attempt;
    for (const Value& account : NodeJson(i, {"budget", "DIR"})["studies"].AsArray()) {
      if (account["study"].AsString() != study) continue;
      EXPECT_EQ(account["committed"].AsInteger(), static_cast<std::int64_t>(committed.size())) << Name(i);
    }
    EXPECT_EQ(Cli({"audit", "verify", node(i)}).status, 0);
  }
  EXPECT_EQ(Cli({"audit", "verify", coordinator()}).status, 0);
}

std::string UndisturbedModel(const PlanOptions& options) {
  static std::map<std::string, std::string> known;
  std::string& model = known[PlanText(options)];
  if (!model.empty()) return model;
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit(options);
  federation.ApproveAll(study);
  const Value end = federation.WaitEnd(study);
  EXPECT_EQ(end["phase"].AsString(), "complete");
  model = end["model_sha256"].AsString();
  EXPECT_EQ(model.size(), 64U);
  return model;
}

}  // namespace consilium::e2e
