#include "cli/studies.h"

#include "cli/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <thread>

#include "common/base/files.h"
#include "common/onnx/onnx.h"
#include "common/settings/terminal.h"

namespace consilium::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxPlan = 1 << 20;
constexpr std::size_t kMaxModel = std::size_t{1} << 31;

std::string Number(const Value& value, int digits = 4) {
  if (!value.IsNumber()) return "-";
  return value.IsInteger() ? std::to_string(value.AsInteger()) : fmt::format("{:.{}g}", value.AsDouble(), digits);
}

// A file of the study, when it has one.
Result<std::string> Fetch(const Api& api, const std::string& path, const fs::path& target) {
  auto body = api.Body(path);
  if (!body && body.error().code == Code::kNotFound) return std::string();
  if (!body) return std::unexpected(body.error());
  TRY(WriteFileAtomic(target, View(*body)));
  return target.string();
}

// The model beside its safetensors file, with the plan's preprocessing in it. The plan must be the one with the study's
// id.
Result<std::string> ConvertModel(const Api& api, const std::string& study, const std::string& model,
                                 const fs::path& target) {
  if (model.empty()) return std::string();
  const std::string text = TRY(api.Body("/v1/studies/" + study + "/plan"));
  const Plan plan = TRY(ParsePlan(View(text)));
  if (plan.id().Hex() != study)
    return Fail(Code::kProtocol, "the coordinator sent another plan than the study's; do not trust what it sends");
  const Bytes file = TRY(ReadFile(model, kMaxModel));
  const ModelFile read = TRY(ReadSafetensors(file));
  const Bytes onnx = TRY(WriteOnnx(plan, read));
  TRY(WriteFileAtomic(target, onnx));
  return target.string();
}

std::string DateTime() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char text[32];
  localtime_r(&now, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%d-%H%M%S", &parts);
  return text;
}

}  // namespace

Result<fs::path> ResultsFolder(const std::string& wanted, const std::string& kind, const std::string& option) {
  fs::path out = wanted.empty() ? fs::path(kind) / DateTime() : fs::path(wanted);
  std::error_code error;
  if (fs::exists(out, error) && !fs::is_empty(out, error))
    return Fail(Code::kInvalid, fmt::format("{} is not empty; give a new folder with {}", out.string(), option));
  fs::create_directories(out / "logs", error);
  if (error) return Fail(Code::kIo, fmt::format("cannot make {}: {}", out.string(), error.message()));
  return out;
}

Result<Plan> ReadPlan(const fs::path& path) {
  const Bytes text = TRY(ReadFile(path, kMaxPlan));
  const fs::path folder = path.parent_path();
  const FileReader beside = [&](const std::string& name) -> Result<std::string> {
    const Bytes bytes = TRY(ReadFile(folder / name, kMaxPlan));
    return std::string(Text(bytes));
  };
  return ParsePlanToml(Text(text), path.string(), beside);
}

Error AtPlan(const fs::path& path, Error error) {
  constexpr std::string_view kKey = "minimum_hospitals";
  if (!error.what.starts_with(fmt::format("[study] {} ", kKey))) return error;
  const auto bytes = ReadFile(path, kMaxPlan);
  const std::string_view text = bytes ? Text(*bytes) : std::string_view();
  const std::size_t at = text.find(kKey);
  std::string line;  // Of a value that the plan does not write out there is none.
  if (at != std::string_view::npos)
    line = fmt::format("{}:", std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n') + 1);
  error.what = fmt::format("{}:{} {}", path.string(), line, error.what);
  return error;
}

Status CheckMembers(const Api& api, const Plan& plan, const fs::path& path) {
  const Value answer = TRY(api.Get("/v1/hospitals"));
  std::size_t members = 0;
  for (const Value& hospital : answer["hospitals"].AsArray())
    members += hospital["state"].AsString() == "member" ? 1 : 0;
  if (members >= plan.minimum_hospitals) return {};
  return std::unexpected(AtPlan(path, {Code::kInvalid, TooFewMembers(plan, members)}));
}

Result<Submitted> Submit(const Api& api, const Plan& plan) {
  const Value answer = TRY(api.Post("/v1/studies", Value().Set("plan", Base64(Canonical(plan)))));
  if (answer["study"].AsString() != plan.id().Hex()) {
    return Fail(Code::kProtocol,
                "the coordinator gave the plan another id than its hash; nothing is submitted that you know of");
  }
  return Submitted{answer["study"].AsString(), answer["name"].AsString(), answer["created"].AsBool()};
}

std::string AurocText(const Value& evaluation) {
  if (evaluation["withheld"].AsBool()) return "withheld: too few hospitals had enough patients to be evaluated on";
  if (!evaluation["auroc_low"].IsNumber()) return "not defined: all these patients are of one class";
  return fmt::format("between {:.4f} and {:.4f}", evaluation["auroc_low"].AsDouble(),
                     evaluation["auroc_high"].AsDouble());
}

Measure MeasureOf(const Value& evaluation) {
  if (evaluation.Has("rmse")) return {"rmse", "RMSE", true};
  if (evaluation.Has("balanced_accuracy")) return {"balanced_accuracy", "balanced accuracy"};
  if (evaluation.Has("c_index")) return {"c_index", "concordance index"};
  return {"auroc", "AUROC"};
}

std::string EvaluationText(const Value& evaluation) {
  const bool ranks = MeasureOf(evaluation).key == "auroc";
  std::string out = ranks ? "AUROC " + AurocText(evaluation) : "rows " + Number(evaluation["rows"]);
  for (const char* name : {"accuracy", "balanced_accuracy", "brier", "log_loss", "rmse", "mae", "r2", "c_index"}) {
    if (evaluation[name].IsNumber()) out += fmt::format(", {} {:.4f}", name, evaluation[name].AsDouble());
  }
  return out;
}

std::string NoRanking(const Value& evaluation) {
  constexpr double kWide = 0.1;
  if (evaluation["auroc_high"].AsDouble() - evaluation["auroc_low"].AsDouble() < kWide) return "";
  return "The bracket is wide because most patients have the same score: this model ranks nobody. A training that "
         "diverges ends\nlike this; look for 'not_finite' in the hospitals' logs, and try a smaller learning_rate.\n";
}

bool IsComplete(const Value& study) { return study["phase"].AsString() == "complete"; }
bool IsOver(const Value& study) {
  const std::string& phase = study["phase"].AsString();
  return phase == "complete" || phase == "aborted" || phase == "failed";
}

// kRefused when so many hospitals said no that the study cannot start unless one of them thinks again.
Status CheckCanStart(const Value& study) {
  if (study["phase"].AsString() != "awaiting consent") return {};
  std::int64_t possible = 0;
  std::string refused;
  for (const Value& h : study["hospitals"].AsArray()) {
    if (h["verdict"].AsString() != "rejected") {
      ++possible;
    } else {
      refused += (refused.empty() ? "" : ", ") + Printable(h["name"].AsString());
    }
  }
  if (refused.empty() || possible >= study["minimum_hospitals"].AsInteger()) return {};
  return Fail(Code::kRefused,
              fmt::format("rejected by {0}: fewer than the {1} hospitals that {2} needs are left; ask them, or end it: "
                          "consilium study abort {2}",
                          refused, study["minimum_hospitals"].AsInteger(), Printable(study["name"].AsString())));
}

Result<Value> Follow(const Api& api, const std::string& study, Duration interval, Duration patience,
                     const std::function<void(const Value&)>& see, const std::function<bool()>& stop) {
  Instant last_answer = BootClock::now();
  while (true) {
    auto state = api.Get("/v1/studies/" + UrlEncode(study));
    if (state) {
      last_answer = BootClock::now();
      see(*state);
      if (IsOver(*state) || stop()) return *state;
      TRY(CheckCanStart(*state));
    } else if (state.error().code != Code::kUnreachable || BootClock::now() - last_answer > patience) {
      return state;
    }
    if (stop()) return Fail(Code::kUnreachable, "interrupted");
    std::this_thread::sleep_for(interval);
  }
}

Result<Files> Download(const Api& api, const std::string& study, const fs::path& directory) {
  const std::string base = "/v1/studies/" + UrlEncode(study);
  const Value state = TRY(api.Get(base));
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return Fail(Code::kIo, fmt::format("cannot make {}: {}", directory.string(), error.message()));
  Files files;
  files.model = TRY(Fetch(api, base + "/model", directory / "model.safetensors"));
  files.onnx = TRY(ConvertModel(api, state["study"].AsString(), files.model, directory / "model.onnx"));
  files.report = TRY(Fetch(api, base + "/report", directory / "report.md"));
  files.audit = TRY(Fetch(api, "/v1/audit/export?study=" + state["study"].AsString(), directory / "audit.jsonl"));
  files.results = (directory / "results.json").string();
  TRY(WriteFileAtomic(files.results, View(PrettyJson(state) + "\n")));
  files.html = (directory / "report.html").string();
  TRY(WriteFileAtomic(files.html, View(HtmlReport(state, {}))));
  return files;
}

std::string ReleasedTable(const Value& results) {
  const Value& released = results["released"];
  if (!released.IsArray()) return "";
  std::vector<std::vector<std::string>> rows = {
      {"hospital", "rows", "AUROC", "ties wrong", "ties right", "accuracy", "brier", "log_loss"}};
  for (const Value& h : released.AsArray()) {
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(Printable(h["name"].AsString()));
    if (!h["released"].AsBool()) {
      row.emplace_back("not released");
      row.resize(rows.front().size());
      continue;
    }
    for (const char* key : {"rows", "auroc", "auroc_low", "auroc_high", "accuracy", "brier", "log_loss"})
      row.push_back(h[key].IsNumber() ? Number(h[key]) : "not defined");
  }
  return "each hospital's own figures, of the final model on its held-out patients\n" + FormatTable(rows);
}

// Why a column's counts may not add up to the rows.
constexpr std::string_view kWithheld =
    "A hospital with values of fewer patients than the plan's minimum says nothing of that column, not even how many "
    "are\nmissing; a column of fewer hospitals than the plan's minimum has no figures.\n";

std::string DescribeTable(const Value& results) {
  const Value& describe = results["describe"];
  if (!describe.IsObject()) return "";
  std::vector<std::vector<std::string>> rows = {
      {"column", "unit", "count", "missing", "mean", "sd", "25 %", "median", "75 %", "counts", "from"}};
  bool withheld = false;
  for (const Value& column : describe["columns"].AsArray()) {
    withheld = withheld || column["from_k"].AsInteger() < column["of_n"].AsInteger();
    std::string levels;
    for (const Value& level : column["levels"].AsArray()) {
      levels += fmt::format("{}{}: {}", levels.empty() ? "" : ", ", Printable(level["level"].AsString()),
                            Number(level["count"]));
    }
    if (column.Has("positive")) levels = fmt::format("positive: {}", Number(column["positive"]));
    rows.push_back({Printable(column["name"].AsString()), Printable(column["unit"].AsString()), Number(column["count"]),
                    Number(column["missing"]), Number(column["mean"]), Number(column["sd"], 3), Number(column["q25"]),
                    Number(column["median"]), Number(column["q75"]), levels,
                    fmt::format("{} of {}", Number(column["from_k"]), Number(column["of_n"]))});
  }
  return fmt::format("{} rows of {} patients, from {} of {} hospitals\n{}{}", Number(describe["rows"]),
                     Number(describe["patients"]), Number(describe["hospitals"]), Number(describe["of"]),
                     FormatTable(rows), withheld ? kWithheld : "");
}

}  // namespace consilium::cli
