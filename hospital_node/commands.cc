#include "hospital_node/commands.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <iostream>
#include <iterator>
#include <sstream>

#include "common/base/files.h"
#include "common/plan/schema.h"
#include "hospital_node/daemon.h"
#include "hospital_node/data/cell.h"
#include "hospital_node/data/infer.h"
#include "hospital_node/data/spec.h"
#include "hospital_node/data/table.h"
#include "hospital_node/doctor.h"

namespace consilium::node {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSchema = std::size_t{256} * 1024, kMaxIds = std::size_t{1} << 20;

std::string Short(const Value& study) { return study.AsString().substr(0, 12); }
std::string Text(const Value& value) { return Printable(value.AsString()); }

std::string Date(const Value& ms) {
  const std::time_t seconds = static_cast<std::time_t>(ms.AsInteger() / 1000);
  std::tm parts{};
  char text[32];
  localtime_r(&seconds, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);
  return text;
}

std::string Number(const Value& value) { return value.IsNumber() ? CanonicalJson(value) : "-"; }

// Runs one request and shows its answer: the document under --json, `show`'s text otherwise.
template <class Show>
int Run(const Terminal& terminal, const Result<Value>& answer, const Show& show) {
  if (!answer) return terminal.Fail(answer.error());
  terminal.Document(*answer);
  if (!terminal.json()) terminal.Say(show(*answer));
  return 0;
}

std::string ReportText(const std::string& name, const Value& report) {
  std::vector<std::vector<std::string>> table = {
      {"column", "type", "missing", "smallest", "largest", "mean", "counts"}};
  for (const Value& column : report["columns"].AsArray()) {
    std::string type = Text(column["type"]), counts;
    for (const Value& axis : column["shape"].AsArray()) type += (type == "tensor" ? " " : " x ") + Number(axis);
    for (const char* kind : {"level", "class"}) {
      for (const Value& one : column[kind == std::string_view("level") ? "levels" : "classes"].AsArray())
        counts += fmt::format("{}{}: {}", counts.empty() ? "" : ", ", Text(one[kind]), Number(one["count"]));
    }
    if (column.Has("positive"))
      counts = fmt::format("positive: {}, negative: {}", Number(column["positive"]), Number(column["negative"]));
    const std::string mean = column["mean"].IsNumber() ? fmt::format("{:.6g}", column["mean"].AsDouble()) : "-";
    table.push_back({Text(column["name"]), type, Number(column["missing"]), Number(column["minimum"]),
                     Number(column["maximum"]), mean, counts});
  }
  std::string out = fmt::format(
      "{}: {} rows, {} patients, {} file(s)\n", name, Number(report["rows"]), Number(report["patients"]),
      report["files"].IsArray() ? std::to_string(report["files"].AsArray().size()) : Number(report["files"]));
  out += FormatTable(table);
  for (const Value& warning : report["warnings"].AsArray()) out += "warning: " + Text(warning) + "\n";
  return out;
}

// A large table's copy is told, not hidden.
std::string Kept(const Value& report) {
  const double bytes = report["kept_bytes"].AsDouble();
  if (bytes == 0) return "";
  return fmt::format(
      " They are larger than memory should hold: the node keeps their rows ({:.0f} MB) in its own folder\n"
      "\"spool\", until the data set is removed.",
      bytes / 1e6);
}

// What the plans of listed studies do not protect, a line a study.
std::string Warnings(const Value& studies) {
  std::string out;
  for (const Value& study : studies.AsArray()) {
    if (!study["warning"].AsString().empty())
      out += fmt::format("{}: {}\n", Short(study["study"]), Text(study["warning"]));
  }
  return out;
}

// That one officer alone decides, where it is so.
std::string Notice(const Value& answer) {
  const std::string notice = Text(answer["notice"]);
  return notice.empty() ? notice : notice + "\n";
}

// Of a plan that asks for the figures of single hospitals: which of both happens here, and how to change it.
std::string OwnFiguresText(const Value& answer, const std::string& directory) {
  const std::string own = answer["own_figures"].AsString();
  if (own == "allowed") {
    return "THIS HOSPITAL'S OWN FIGURES WILL BE RELEASED under its name to everybody in the study, when enough "
           "patients "
           "are held\nback (release_own_figures = true in node.toml). To keep them here: set it to false and restart "
           "the node.\n";
  }
  if (own == "released") return "THIS HOSPITAL'S OWN FIGURES WERE RELEASED under its name to everybody in the study.\n";
  if (own != "withheld") return "";
  return fmt::format(
      "This hospital's own figures WILL NOT BE RELEASED; it takes part in everything else, and the report says \"not "
      "released\".\nTo release them: release_own_figures = true in {}/node.toml, restart the node, approve the plan "
      "(again).\n",
      directory);
}

// The id of the plan that `wanted` names; the node resolves names and prefixes itself.
Result<std::string> ChoosePlan(const std::string& directory, const std::string& wanted) {
  if (!wanted.empty()) return UrlEncode(wanted);
  const Value plans = TRY(Ask(directory, "GET", "/v1/plans"));
  std::vector<std::string> pending;
  for (const Value& plan : plans["plans"].AsArray()) {
    if (plan["consent"].AsString() == "pending") pending.push_back(plan["study"].AsString());
  }
  if (pending.size() == 1) return pending.front();
  return Fail(Code::kNotFound, fmt::format("{} plans wait for consent; name one: consilium-node plan list {}",
                                           pending.size(), directory));
}

std::string UserName() {
  const passwd* entry = getpwuid(geteuid());
  return entry == nullptr ? "officer" : entry->pw_name;
}

Result<fs::path> Existing(const std::string& path, const char* what) {
  std::error_code error;
  fs::path out = fs::canonical(path, error);
  if (!error) return out;
  return Fail(Code::kNotFound, fmt::format("{} is not there ({}); give {}", path, error.message(), what));
}

// The schema under which a data set is registered: what is read again need not be described again.
Result<std::string> RegisteredSchema(const std::string& directory, const std::string& name) {
  const Value answer = TRY(Ask(directory, "GET", "/v1/datasets"));
  for (const Value& set : answer["datasets"].AsArray()) {
    if (set["name"].AsString() == name) return set["schema"].AsString();
  }
  return Fail(Code::kInvalid, fmt::format("\"{}\" is a new data set and needs --schema FILE; for a draft of one: "
                                          "consilium-node data infer FILE... > FILE",
                                          name));
}

std::string MetricsLine(const Value& metrics) {
  std::string out;
  for (const auto& [name, value] : metrics.AsObject()) {
    if (name == "auroc" && !value.IsNumber())
      out += fmt::format("{}auroc not defined (held out are patients of one class, or none)", out.empty() ? "" : ", ");
    if (value.IsNumber()) out += fmt::format("{}{} {:.4g}", out.empty() ? "" : ", ", Printable(name), value.AsDouble());
  }
  return out;
}

Result<DataSetSpec> SpecWith(const DataOptions& options, const std::string& text, const std::string& name) {
  Schema schema = TRY(ParseSchema(text, name));
  if (!options.csv.empty()) {
    DataSetSpec spec = TRY(SpecOf(options.name, options.csv, std::move(schema)));
    std::error_code ignored;
    if (fs::is_directory(options.csv, ignored)) spec.schema = text;  // As it was written, with its comments.
    return spec;
  }
  DataSetSpec spec{options.name, "", text};
  spec.format = options.npz.empty() ? Format::kIdx : Format::kNpz;
  std::vector<std::string> files = options.idx;
  if (!options.npz.empty()) files = {options.npz};
  for (const std::string& file : files) spec.files.push_back(TRY(Existing(file, "a file")).string());
  return spec;
}

}  // namespace

Result<DataSetSpec> SpecOf(const DataOptions& options) {
  const Bytes text = TRY(ReadFile(options.schema, kMaxSchema));
  return SpecWith(options, std::string(consilium::Text(text)), options.schema);
}

Result<DataSetSpec> SpecOf(const std::string& name, const std::string& source, Schema schema) {
  const fs::path path = TRY(Existing(source, "a CSV file or a folder of them with --csv"));
  if (path.extension() == ".npz") {
    DataSetSpec spec{name, "", SchemaToml(schema)};
    spec.format = Format::kNpz;
    spec.files = {path.string()};
    return spec;
  }
  if (fs::is_directory(path)) return DataSetSpec{name, path.string(), SchemaToml(schema)};
  schema.pattern.clear();
  for (char c : path.filename().string())
    schema.pattern += std::string(std::strchr("*?[\\", c) == nullptr ? "" : "\\") + c;
  return DataSetSpec{name, path.parent_path().string(), SchemaToml(schema)};
}

Value RegistrationOf(const DataSetSpec& spec) {
  return Value()
      .Set("name", spec.name)
      .Set("format", std::string(NameOf(spec.format)))
      .Set("folder", spec.folder)
      .Set("files", Value(Value::Array(spec.files.begin(), spec.files.end())))
      .Set("schema", spec.schema);
}

// What a locked ledger means, and the two ways on.
std::string LockText(const Value& why, const std::string& directory) {
  return fmt::format(
      "The ledger is locked: {}.\n"
      "Nothing is computed here, and no plan can be approved, until an officer has decided:\n"
      "  * When there is a newer copy of {}, stop the node and put that back whole: then nothing is lost.\n"
      "  * When there is none: consilium-node budget {} unlock --officer NAME\n"
      "    The rows then stand as they are. Attempts that are reserved now count as used for good; what studies used "
      "that "
      "began\n    and ended in missing rows is not counted any more: ask the coordinator for its audit log.",
      Text(why), directory, directory);
}

int JoinCommand(const Terminal& terminal, const std::string& directory, const std::string& token_file) {
  const auto token = ReadSecretLine(token_file, "the token that `consilium invite` printed");
  if (!token) return terminal.Fail(token.error());
  const auto joined = Join(directory, *token);
  if (!joined) return terminal.Fail(joined.error());
  terminal.Document(Value()
                        .Set("name", joined->name)
                        .Set("coordinator", joined->endpoint)
                        .Set("fingerprint", joined->words)
                        .Set("directory", directory));
  terminal.Say(fmt::format(R"({0} is enrolled at {1}. Its keys' fingerprint:

    {2}

The federation's officer must now type: consilium hospital confirm {0}
and see these eight words; compare them by telephone, not by mail. Then:
  consilium-node run {3}
  consilium-node data add {3} NAME --csv PATH --schema FILE)",
                           joined->name, joined->endpoint, joined->words, directory));
  return 0;
}

int StatusCommand(const Terminal& terminal, const std::string& directory) {
  return Run(terminal, Ask(directory, "GET", "/v1/status"), [&](const Value& s) {
    const std::string link = s["connected"].AsBool() ? "connected" : fmt::format("not connected ({})", Text(s["link"]));
    const std::string standing = Text(s["standing"]) == "member" ? "" : ", " + Text(s["standing"]);
    std::string out =
        fmt::format("{}{}: {}, {}{}; roster {}, ledger {} rows, {} running job(s)\n", Notice(s), Text(s["name"]), link,
                    s["number"].IsNumber() ? "hospital number " + Number(s["number"]) : "no number yet", standing,
                    Number(s["roster"]["seq"]), Number(s["ledger"]["seq"]), Number(s["jobs"]));
    if (!s["ledger"]["locked"].AsString().empty()) {
      out += fmt::format("The ledger is locked: {}. See: consilium-node budget {}\n", Text(s["ledger"]["locked"]),
                         directory);
    }
    if (s["studies"].AsArray().empty()) return out;
    std::vector<std::vector<std::string>> table = {{"study", "name", "consent", "phase", "stage", "answers"}};
    for (const Value& study : s["studies"].AsArray()) {
      table.push_back({Short(study["study"]), Text(study["name"]), Text(study["consent"]), Text(study["phase"]),
                       Text(study["stage"]), Number(study["releases"])});
    }
    return out + FormatTable(table) + Warnings(s["studies"]);
  });
}

int DataCommand(const Terminal& terminal, const std::string& directory, const DataOptions& options, bool check_only) {
  const auto spec = [&]() -> Result<DataSetSpec> {
    if (!options.schema.empty()) return SpecOf(options);
    return SpecWith(options, TRY(RegisteredSchema(directory, options.name)), "the registered schema");
  }();
  if (!spec) return terminal.Fail(spec.error());
  const auto answer = Ask(directory, "POST", check_only ? "/v1/datasets/check" : "/v1/datasets", RegistrationOf(*spec));
  return Run(terminal, answer, [&](const Value& report) {
    return ReportText(options.name, report) + (check_only ? "Nothing was registered and nothing left this machine."
                                                          : "Registered; the data stay where they are." + Kept(report));
  });
}

int DataInferCommand(const Terminal& terminal, const std::vector<std::string>& files) {
  const auto schema = InferSchema(files);
  if (!schema) return terminal.Fail(schema.error());
  terminal.Document(Value().Set("schema", *schema));
  terminal.Say(*schema);
  return 0;
}

int DataExcludeCommand(const Terminal& terminal, const std::string& directory, const std::string& name,
                       const std::string& ids) {
  const auto answer = [&]() -> Result<Value> {
    std::string text;
    if (ids.empty()) {
      text.assign(std::istreambuf_iterator<char>(std::cin), {});
    } else {
      const Bytes bytes = TRY(ReadFile(ids, kMaxIds));
      text = consilium::Text(bytes);
    }
    Value marks{Value::Array{}};
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (!Trim(line).empty()) marks.Push(PatientMark(Trim(line)));  // Only the hash goes further.
    }
    if (marks.AsArray().empty()) return Fail(Code::kInvalid, "no patient's id was given; write one a line");
    return Ask(directory, "POST", "/v1/datasets/exclude", Value().Set("name", name).Set("marks", std::move(marks)));
  }();
  return Run(terminal, answer, [&](const Value& report) {
    return fmt::format(
        "{}: {} patients are left. Those who withdrew are out from the next attempt on; what they "
        "contributed to before stays as it is.",
        name, Number(report["patients"]));
  });
}

int DataRemoveCommand(const Terminal& terminal, const std::string& directory, const std::string& name) {
  return Run(terminal, Ask(directory, "POST", "/v1/datasets/remove", Value().Set("name", name)),
             [&](const Value&) { return fmt::format("{} is registered no more; its files were not touched.", name); });
}

int DataListCommand(const Terminal& terminal, const std::string& directory) {
  return Run(terminal, Ask(directory, "GET", "/v1/datasets"), [&](const Value& answer) {
    if (answer["datasets"].AsArray().empty()) {
      return fmt::format("no data sets; type: consilium-node data add {} NAME --csv PATH --schema FILE", directory);
    }
    std::vector<std::vector<std::string>> table = {{"name", "patients", "rows", "added", "format", "where"}};
    for (const Value& set : answer["datasets"].AsArray()) {
      std::string where = Text(set["folder"]);
      for (const Value& file : set["files"].AsArray()) where += (where.empty() ? "" : " ") + Text(file);
      table.push_back({Text(set["name"]), Number(set["patients"]), Number(set["rows"]), Date(set["added_ms"]),
                       Text(set["format"]), where});
    }
    return FormatTable(table);
  });
}

int PlanListCommand(const Terminal& terminal, const std::string& directory) {
  return Run(terminal, Ask(directory, "GET", "/v1/plans"), [](const Value& answer) {
    if (answer["plans"].AsArray().empty()) return std::string("no plans have been offered to this hospital");
    std::vector<std::vector<std::string>> table = {{"study", "name", "task", "consent", "phase"}};
    for (const Value& plan : answer["plans"].AsArray()) {
      table.push_back(
          {Short(plan["study"]), Text(plan["name"]), Text(plan["task"]), Text(plan["consent"]), Text(plan["phase"])});
    }
    return Notice(answer) + FormatTable(table) + Warnings(answer["plans"]);
  });
}

int PlanShowCommand(const Terminal& terminal, const std::string& directory, const std::string& plan) {
  const auto study = ChoosePlan(directory, plan);
  if (!study) return terminal.Fail(study.error());
  return Run(terminal, Ask(directory, "GET", "/v1/plans/" + *study), [&](const Value& answer) {
    std::string out =
        fmt::format("{}Study {}\nConsent here: {}\n\n{}\nThe hospitals that would take part now:\n", Notice(answer),
                    Text(answer["study"]), Text(answer["consent"]), PrintableLines(answer["summary"].AsString()));
    for (const Value& member : answer["members"].AsArray()) {
      out += fmt::format("  {}: {}\n", Text(member["name"]), Text(member["fingerprint"]));
    }
    if (const std::string own = OwnFiguresText(answer, directory); !own.empty()) out += "\n" + own;
    return out +
           fmt::format("\nTo decide: consilium-node plan approve|reject {} {}", directory, Short(answer["study"]));
  });
}

int PlanDecideCommand(const Terminal& terminal, const std::string& directory, const std::string& plan,
                      const std::string& officer, bool approve) {
  const auto study = ChoosePlan(directory, plan);
  if (!study) return terminal.Fail(study.error());
  const Value body = Value().Set("officer", officer.empty() ? UserName() : officer);
  const auto answer =
      Ask(directory, "POST", fmt::format("/v1/plans/{}/{}", *study, approve ? "approve" : "reject"), body);
  return Run(terminal, answer, [&](const Value& a) {
    const std::string own = OwnFiguresText(a, directory);
    return fmt::format("{}: {}{}{}", Text(a["study"]), Text(a["consent"]), own.empty() ? "" : "\n", own);
  });
}

int ResultsCommand(const Terminal& terminal, const std::string& directory, const std::string& study) {
  const std::string query = study.empty() ? "" : "?study=" + UrlEncode(study);
  return Run(terminal, Ask(directory, "GET", "/v1/results" + query), [](const Value& answer) {
    if (answer["results"].AsArray().empty()) return std::string("no finished study has results here yet");
    std::string out = Notice(answer);
    bool released = false;
    for (const Value& entry : answer["results"].AsArray()) {
      const Value& results = entry["results"];
      out += fmt::format("{} {}: {} patients, {} held out for testing\n", Short(entry["study"]), Text(entry["name"]),
                         Number(results["patients"]), Number(results["test_patients"]));
      for (const char* kind : {"local", "federated"}) {
        if (results.Has(kind)) out += fmt::format("  {:<10} {}\n", kind, MetricsLine(results[kind]));
      }
      if (entry["own_figures"].AsString() != "released") continue;
      released = true;
      out += "  The federated model's figures were released under this hospital's name, as plan and policy let them.\n";
    }
    return out + Warnings(answer["results"]) +
           (released ? "All other figures stay at this hospital." : "These figures stay at this hospital.");
  });
}

int BudgetCommand(const Terminal& terminal, const std::string& directory) {
  return Run(terminal, Ask(directory, "GET", "/v1/budget"), [&](const Value& answer) {
    std::vector<std::vector<std::string>> table = {
        {"study", "name", "mechanism", "reserved", "committed", "released", "in doubt"}};
    for (const Value& study : answer["studies"].AsArray()) {
      table.push_back({Short(study["study"]), Text(study["name"]), Text(study["mechanism"]), Number(study["reserved"]),
                       Number(study["committed"]), Number(study["released"]),
                       study["in_doubt"].AsBool() ? "yes" : "no"});
    }
    std::string out = Notice(answer);
    if (!answer["locked"].AsString().empty()) out += LockText(answer["locked"], directory) + "\n\n";
    return out + fmt::format("The ledger has {} rows; its head is {}.\n{}{}", Number(answer["rows"]),
                             Text(answer["head"]), FormatTable(table), Warnings(answer["studies"]));
  });
}

int UnlockCommand(const Terminal& terminal, const std::string& directory, const std::string& officer, bool yes) {
  const auto answer = [&]() -> Result<Value> {
    const Value budget = TRY(Ask(directory, "GET", "/v1/budget"));
    if (budget["locked"].AsString().empty())
      return Fail(Code::kConflict, "the ledger is not locked; there is nothing to unlock");
    if (!yes) {
      terminal.Note(LockText(budget["locked"], directory));
      if (!terminal.AskYes("Let the rows stand as they are?"))
        return Fail(Code::kRefused, "the ledger stays locked; add --yes when nobody can be asked");
    }
    return Ask(directory, "POST", "/v1/budget/unlock", Value().Set("officer", officer.empty() ? UserName() : officer));
  }();
  return Run(terminal, answer, [&](const Value&) {
    return fmt::format(
        "The ledger is unlocked; what may be missing of it counts as used. Look: consilium-node budget "
        "{}",
        directory);
  });
}

}  // namespace consilium::node
