// `consilium simulate`: one plan over data that all lie here, by the same cores and gate as a real federation.
#include <fmt/format.h>

#include <thread>

#include "cli/commands.h"
#include "cli/demo_cohort.h"
#include "cli/demo_report.h"
#include "cli/html_report.h"
#include "cli/simulation.h"
#include "cli/watch.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "hospital_node/commands.h"
#include "hospital_node/workbench.h"

namespace consilium::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxModel = std::size_t{1} << 31;
constexpr auto kBetweenLooks = std::chrono::milliseconds(100);

class Simulate {
 public:
  Simulate(const Context& context, const SimulateOptions& options) : terminal_(context.terminal), options_(options) {}

  Result<DemoFigures> Run() {
    const Instant begin = BootClock::now();
    figures_.what = "simulation";
    plan_ = TRY(ReadPlan(options_.plan));
    out_ = TRY(ResultsFolder(options_.directory, "simulation", "--out"));
    SetLogFile((out_ / "logs" / "simulation.log").string());
    const std::vector<SimulatedHospital> hospitals = TRY(Hospitals());
    terminal_.Say(fmt::format("{}\n{} hospitals, simulated in this process, which holds all their data\n",
                              Warning(plan_), hospitals.size()));
    workbench_ = std::make_unique<node::FileWorkbench>("", hospitals.size());
    const unsigned cores = std::max(std::thread::hardware_concurrency(), 1U);
    federation_ = TRY(Simulation::Found(hospitals, workbench_.get(), options_.workers == 0 ? cores : options_.workers));
    if (plan_.minimum_hospitals > hospitals.size())
      return std::unexpected(AtPlan(options_.plan, {Code::kInvalid, TooFewMembers(plan_, hospitals.size())}));
    const Submitted submitted = TRY(Submit(federation_->coordinator(), plan_));
    TRY(federation_->ApproveAll(submitted.study));
    const Instant trained_from = BootClock::now();
    TRY(Follow(submitted.study));
    // The federation's own clock stands still while it works; people want to know how long they waited.
    const double seconds = std::chrono::duration<double>(BootClock::now() - trained_from).count();
    figures_.study.Set("seconds", seconds);
    figures_.files = TRY(Download(federation_->coordinator(), submitted.study, out_));
    if (options_.compare && plan_.task == Plan::Task::kTrain) TRY(Compare(submitted.study, hospitals));
    figures_.seconds = std::chrono::duration<double>(BootClock::now() - begin).count();
    return std::move(figures_);
  }

  [[nodiscard]] const fs::path& out() const { return out_; }
  [[nodiscard]] const Plan& plan() const { return plan_; }

 private:
  Result<std::vector<SimulatedHospital>> Hospitals() {
    std::vector<SimulatedHospital> out;
    const std::vector<CohortHospital> all = TRY(FindHospitals(options_.data, plan_.schema.pattern));
    for (const CohortHospital& found : all) {
      out.push_back({found.name, TRY(node::SpecOf(plan_.dataset, found.data, plan_.schema))});
      figures_.hospitals.push_back(found.name);
    }
    return out;
  }

  Status Follow(const std::string& study) {
    const Api& api = federation_->coordinator();
    WatchView view(terminal_, false, false);
    Instant next_look = BootClock::now();
    Status failed;
    TRY(federation_->RunUntil([&] {
      if (Interrupted()) return true;
      if (BootClock::now() < next_look) return false;
      next_look = BootClock::now() + kBetweenLooks;
      auto state = api.Get("/v1/studies/" + study);
      if (!state) {
        failed = std::unexpected(state.error());
        return true;
      }
      view.See(*state);
      figures_.study = std::move(*state);
      return IsOver(figures_.study);
    }));
    TRY(failed);
    if (Interrupted()) return Fail(Code::kIo, "interrupted");
    if (IsComplete(figures_.study)) return {};
    return Fail(Code::kIo, fmt::format("the study ended as {} ({}) {}", figures_.study["phase"].AsString(),
                                       figures_.study["reason"].AsString(), figures_.study["trouble"].AsString()));
  }

  Status Compare(const std::string& study, const std::vector<SimulatedHospital>& hospitals) {
    std::vector<node::DataSetSpec> specs;
    for (std::size_t i = 0; i < hospitals.size(); ++i) {
      Value own;
      TRY(federation_->RunUntil([&] {
        const auto answer = federation_->hospital(i).Get("/v1/results?study=" + study);
        if (answer && answer.value()["results"].AsArray().size() == 1)
          own = answer.value()["results"].AsArray().front()["results"];
        return own.IsObject() || Interrupted();
      }));
      if (Interrupted()) return Fail(Code::kIo, "interrupted");
      figures_.own.push_back(std::move(own));
      specs.push_back(hospitals[i].data);
      specs.back().name = hospitals[i].name;
    }
    const Stored node = TRY(federation_->StateOf(0));
    const Query query = TRY(LastTrainQuery(node, study));
    const Bytes model = TRY(ReadFile(figures_.files.model, kMaxModel));
    figures_.pooled = TRY(node::PooledResults(plan_, specs, query, model));
    return WriteFileAtomic(figures_.files.html, View(HtmlReport(figures_.study, Comparison(figures_))));
  }

  const Terminal& terminal_;
  const SimulateOptions& options_;
  fs::path out_;
  Plan plan_;
  DemoFigures figures_;
  std::unique_ptr<node::Workbench> workbench_;  // Jobs use it until the federation is gone.
  std::unique_ptr<Simulation> federation_;
};

}  // namespace

int SimulateCommand(const Context& context, const SimulateOptions& options) {
  CatchInterrupts();
  Simulate simulate(context, options);
  const auto figures = simulate.Run();
  if (Interrupted()) {
    context.terminal.Note("consilium: interrupted; nothing is left of the simulation");
    return kInterruptedStatus;
  }
  if (!figures) return context.terminal.Fail(figures.error());
  const bool compared = !figures->own.empty();
  context.terminal.Document(DemoJson(*figures));
  if (simulate.plan().task == Plan::Task::kDescribe) {
    context.terminal.Say(DescribeTable(figures->study["results"]));
  } else if (compared) {
    context.terminal.Say(DemoTable(*figures));
  } else {
    const double seconds = figures->study["seconds"].AsDouble();
    context.terminal.Say(fmt::format("{} rounds in {:.2f} s; over all held-out patients: {}",
                                     figures->study["results"]["rounds"].AsArray().size(), seconds,
                                     EvaluationText(figures->study["results"]["evaluation"])));
  }
  if (const std::string released = ReleasedTable(figures->study["results"]); !released.empty())
    context.terminal.Say(released);
  context.terminal.Say(fmt::format("{}\n\nIn {}: {}report.html, report.md, results.json, audit.jsonl",
                                   figures->study["warning"].AsString(), simulate.out().string(),
                                   figures->files.model.empty() ? "" : "model.safetensors, model.onnx, "));
  return 0;
}

}  // namespace consilium::cli
