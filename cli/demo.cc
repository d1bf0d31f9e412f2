// `consilium demo`: founds a federation of real processes, describes and trains, shows what came of it, stops
// everything.
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <optional>

#include "cli/commands.h"
#include "cli/demo_report.h"
#include "cli/html_report.h"
#include "cli/local_federation.h"
#include "cli/watch.h"
#include "common/base/files.h"
#include "common/storage/database.h"
#include "hospital_node/commands.h"
#include "hospital_node/workbench.h"

namespace consilium::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxModel = 256 << 20;

// The daemons' directories: kept beside the results, or in a temporary folder that goes with this object. Unix sockets
// have short paths, so the temporary one is near the root.
class StateFolder {
 public:
  static Result<StateFolder> Make(const fs::path& kept) {
    if (!kept.empty()) {
      TRY(EnsurePrivateDirectory(kept));
      return StateFolder(kept, false);
    }
    std::error_code ignored;
    std::string name = (fs::temp_directory_path(ignored) / "consilium-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
      return Fail(Code::kIo, fmt::format("cannot make a temporary folder {}; set TMPDIR", name));
    return StateFolder(name, true);
  }
  StateFolder(StateFolder&& other) noexcept
      : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, false)) {}
  StateFolder& operator=(StateFolder&&) = delete;
  ~StateFolder() {
    std::error_code ignored;
    if (temporary_) fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  StateFolder(fs::path path, bool temporary) : path_(std::move(path)), temporary_(temporary) {}
  fs::path path_;
  bool temporary_;
};

class Demo {
 public:
  Demo(const Context& context, const DemoOptions& options) : terminal_(context.terminal), options_(options) {}

  Result<DemoFigures> Run() {
    const Instant begin = BootClock::now();
    out_ = TRY(ResultsFolder(options_.directory, "demo", "--dir"));
    const Cohort cohort =
        TRY(options_.data.empty() ? GeneratedCohort(out_ / "data", options_.hospitals, options_.rounds)
                                  : OwnCohort(out_ / "data", options_.data, options_.schema, options_.rounds));
    const Plan describe = TRY(ReadPlan(cohort.describe_plan));
    const Plan train = TRY(ReadPlan(cohort.train_plan));
    terminal_.Say(Warning(train) + "\n");

    const StateFolder state = TRY(StateFolder::Make(options_.keep ? out_ / "state" : fs::path()));
    LocalFederation federation(state.path(), out_ / "logs", Interrupted);
    TRY(federation.StartCoordinator("demo"));
    TRY(federation.AddHospitals(cohort));
    SayFounded(cohort, federation);

    const Value described = TRY(RunStudy(&federation, describe));
    terminal_.Say("Federated table 1, of which each hospital gave only sums:\n\n" +
                  DescribeTable(described["results"]) + "\n");
    TRY(Download(federation.api(), described["study"].AsString(), out_ / "describe"));

    DemoFigures figures;
    figures.study = TRY(RunStudy(&federation, train));
    const std::string study = figures.study["study"].AsString();
    figures.files = TRY(Download(federation.api(), study, out_));
    TRY(Gather(federation, cohort, study, &figures));
    TRY(federation.Stop());
    TRY(ComparePooled(federation, cohort, train, study, &figures));
    TRY(WriteFileAtomic(figures.files.html, View(HtmlReport(figures.study, Comparison(figures)))));
    figures.seconds = std::chrono::duration<double>(BootClock::now() - begin).count();
    return figures;
  }

  [[nodiscard]] const fs::path& out() const { return out_; }

 private:
  void SayFounded(const Cohort& cohort, const LocalFederation& federation) const {
    std::vector<std::vector<std::string>> rows = {{"hospital", "its keys' fingerprint", "its data"}};
    for (std::size_t i = 0; i < cohort.hospitals.size(); ++i) {
      const std::string near = fs::proximate(cohort.hospitals[i].data).string();
      rows.push_back({cohort.hospitals[i].name, federation.words()[i],
                      near.starts_with("..") ? cohort.hospitals[i].data.string() : near});
    }
    terminal_.Say(
        fmt::format("A coordinator and {} hospitals run here as processes of their own, over encrypted sockets:\n\n{}",
                    cohort.hospitals.size(), FormatTable(rows)));
    const auto status = federation.api().Get("/v1/status");
    if (status && !(*status)["notice"].AsString().empty()) terminal_.Say(Printable((*status)["notice"].AsString()));
  }

  Result<Value> RunStudy(LocalFederation* federation, const Plan& plan) {
    const Submitted submitted = TRY(Submit(federation->api(), plan));
    TRY(federation->Approve(submitted.study));
    WatchView view(terminal_, false, false);
    Value last = TRY(Follow(
        federation->api(), submitted.study, std::chrono::milliseconds(50), std::chrono::seconds(10),
        [&](const Value& state) { view.See(state); }, Interrupted));
    if (Interrupted()) return Fail(Code::kIo, "interrupted");
    if (IsComplete(last)) return last;
    return Fail(Code::kIo, fmt::format("the study {} ended as {} ({}); see the logs in {}", plan.name,
                                       last["phase"].AsString(), last["reason"].AsString(), (out_ / "logs").string()));
  }

  // Each hospital's own figures are ready a moment after the study's end.
  Status Gather(const LocalFederation& federation, const Cohort& cohort, const std::string& study,
                DemoFigures* figures) {
    const Instant until = BootClock::now() + std::chrono::seconds(30);
    for (const CohortHospital& hospital : cohort.hospitals) {
      figures->hospitals.push_back(hospital.name);
      while (true) {
        const auto answer = federation.AskNode(hospital.name, "/v1/results?study=" + study);
        if (answer && answer.value()["results"].AsArray().size() == 1) {
          figures->own.push_back(answer.value()["results"].AsArray().front()["results"]);
          break;
        }
        if (Interrupted() || BootClock::now() > until) {
          return Fail(Code::kIo,
                      fmt::format("{} gave no results; see the logs in {}", hospital.name, (out_ / "logs").string()));
        }
        usleep(10'000);
      }
    }
    return {};
  }

  Status ComparePooled(const LocalFederation& federation, const Cohort& cohort, const Plan& plan,
                       const std::string& study, DemoFigures* figures) {
    const auto database = TRY(Database::Open(federation.NodeDirectory(cohort.hospitals.front().name) / "database"));
    const Stored stored = TRY(database->Load());
    const Query query = TRY(LastTrainQuery(stored, study));
    const Bytes model = TRY(ReadFile(figures->files.model, kMaxModel));
    std::vector<node::DataSetSpec> specs;
    specs.reserve(cohort.hospitals.size());
    for (const CohortHospital& hospital : cohort.hospitals)
      specs.push_back(TRY(node::SpecOf({.name = hospital.name, .csv = hospital.data, .schema = cohort.schema})));
    figures->pooled = TRY(node::PooledResults(plan, specs, query, model));
    return {};
  }

  const Terminal& terminal_;
  const DemoOptions& options_;
  fs::path out_;
};

}  // namespace

int DemoCommand(const Context& context, const DemoOptions& options) {
  CatchInterrupts();
  Demo demo(context, options);
  const auto figures = demo.Run();
  if (Interrupted()) {
    context.terminal.Note("consilium: interrupted; every process of the demo was stopped");
    return kInterruptedStatus;
  }
  if (!figures) return context.terminal.Fail(figures.error());
  context.terminal.Document(DemoJson(*figures));
  context.terminal.Say(DemoTable(*figures));
  context.terminal.Say(fmt::format(
      "Per-hospital figures never leave a hospital. The demo could gather them because it owns all the directories.\n"
      "{}\n\nIn {}: model.safetensors, model.onnx, report.html, report.md, results.json, audit.jsonl, describe/, "
      "data/, logs/\n"
      "Verify the log: consilium audit verify {}",
      figures->study["warning"].AsString(), demo.out().string(), figures->files.audit));
  return 0;
}

}  // namespace consilium::cli
