// The study's report for people: Markdown, the warning first.
#include <fmt/format.h>

#include <ctime>

#include "coordinator/core.h"

namespace consilium::coordinator {
namespace {

// A plan's words as Markdown shows them: neither HTML, nor links, nor another cell.
std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\`*_{}[]<>()#+!|~&").contains(c)) out.push_back('\\');
    out.push_back(c == '\n' ? ' ' : c);
  }
  return out;
}

std::string Date(std::int64_t wall_ms) {
  const std::time_t seconds = wall_ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc);
  return text;
}

std::string Number(const Value& value) {
  if (value.IsNull()) return "-";
  if (value.IsInteger()) return std::to_string(value.AsInteger());
  return fmt::format("{:.6g}", value.AsDouble());
}

std::string Levels(const Value& column) {
  std::string out;
  for (const Value& level : column["levels"].AsArray()) {
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", Escaped(level["level"].AsString()), Number(level["count"]));
  }
  return out;
}

std::string DescribeTable(const Value& describe) {
  std::string out = fmt::format("Rows {}, patients {}, from {} of {} hospitals.\n\n", Number(describe["rows"]),
                                Number(describe["patients"]), Number(describe["hospitals"]), Number(describe["of"]));
  out += "| column | unit | count | missing | mean | sd | 25 % | median | 75 % | levels | from k of n |\n";
  out += "|---|---|---|---|---|---|---|---|---|---|---|\n";
  bool withheld = false;
  for (const Value& column : describe["columns"].AsArray()) {
    withheld = withheld || column["from_k"].AsInteger() < column["of_n"].AsInteger();
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} of {} |\n",
                       Escaped(column["name"].AsString()), Escaped(column["unit"].AsString()), Number(column["count"]),
                       Number(column["missing"]), Number(column["mean"]), Number(column["sd"]), Number(column["q25"]),
                       Number(column["median"]), Number(column["q75"]), Levels(column), Number(column["from_k"]),
                       Number(column["of_n"]));
  }
  if (withheld) {
    out +=
        "\nA hospital with values of fewer patients than the plan's minimum says nothing of that column, not even how "
        "many are missing; a column of fewer hospitals than the plan's minimum has no figures.\n";
  }
  return out;
}

std::string EvaluationTable(const Value& evaluation) {
  std::string out = "| figure | pooled over the hospitals' test patients |\n|---|---|\n";
  if (evaluation["withheld"].AsBool()) return "Too few hospitals had enough patients to be evaluated on.\n";
  out += evaluation["auroc_low"].IsNumber()
             ? fmt::format("| AUROC | between {} (ties wrong) and {} (ties right) |\n", Number(evaluation["auroc_low"]),
                           Number(evaluation["auroc_high"]))
             : "| AUROC | not defined: all these patients are of one class |\n";
  for (const char* name : {"accuracy", "brier", "log_loss", "rows", "positives", "hospitals"}) {
    out += fmt::format("| {} | {} |\n", name, Number(evaluation[name]));
  }
  return out;
}

std::string Fixed(const Value& value) {
  return value.IsNumber() ? fmt::format("{:.4f}", value.AsDouble()) : std::string("-");
}

// Under their names, as plan and policies have it; one that withheld reads so, never as 0.
std::string ReleasedTable(const Value& released) {
  std::string out = "| hospital | patients' rows | AUROC (ties wrong to ties right) | accuracy | Brier | log loss |\n";
  out += "|---|---|---|---|---|---|\n";
  std::string calibration;
  for (const Value& h : released.AsArray()) {
    const std::string name = Escaped(h["name"].AsString());
    if (!h["released"].AsBool()) {
      out += fmt::format("| {} | not released | not released | not released | not released | not released |\n", name);
      continue;
    }
    const std::string auroc = h["auroc_low"].IsNumber() ? fmt::format("{} [{}, {}]", Fixed(h["auroc"]),
                                                                      Fixed(h["auroc_low"]), Fixed(h["auroc_high"]))
                                                        : "not defined";
    out += fmt::format("| {} | {} | {} | {} | {} | {} |\n", name, Number(h["rows"]), auroc, Fixed(h["accuracy"]),
                       Fixed(h["brier"]), Fixed(h["log_loss"]));
    for (const Value& range : h["calibration"].AsArray()) {
      if (range["rows"].IsNumber())
        calibration += fmt::format("| {} | {} | {} | {} |\n", name, Number(range["rows"]), Fixed(range["score"]),
                                   Fixed(range["positive"]));
    }
  }
  out +=
      "\nA hospital reads \"not released\" where its own policy keeps its figures, or too few of its patients are held "
      "out; which of the two is not said.\n";
  if (calibration.empty()) return out;
  return out + "\n| hospital | patients' rows | mean predicted probability | observed share |\n|---|---|---|---|\n" +
         calibration;
}

}  // namespace

Value NamedResults(const Study& study, const RosterChain& chain) {
  Value results = study.algorithm().Results();
  if (!results.Has("released")) return results;
  Value named{Value::Array{}};
  for (Value entry : results["released"].AsArray()) {
    const Member* member = chain.current().ByNumber(static_cast<std::uint32_t>(entry["hospital"].AsInteger()));
    named.Push(entry.Set("name", member == nullptr ? std::string() : member->name));
  }
  return results.Set("released", std::move(named));
}

std::string WhyEnded(const Study& study) {
  if (study.record().reason != Reason::kSingleClass) return "";
  const Plan& plan = study.plan();
  return fmt::format(
      "every labelled patient of the hospitals together is {}: there is nothing to learn and nobody to rank. Compare "
      "[columns.{}] positive and negative in the schema with the hospitals' tables (each types: consilium-node data "
      "check), then submit the plan again with [study] run = {}",
      study.algorithm().Results()["single_class"].AsString(), plan.label, plan.run + 1);
}

std::string Report(const Study& study, const RosterChain& chain) {
  const Roster& roster = chain.current();
  const Plan& plan = study.plan();
  const StudyRecord& record = study.record();
  std::string out = fmt::format("# {}\n\n", Escaped(plan.name));
  if (const std::string warning = Warning(plan); !warning.empty()) out += fmt::format("**{}**\n\n", warning);
  if (const std::string notice = DemoNotice(chain); !notice.empty()) out += fmt::format("**{}**\n\n", notice);
  out += fmt::format("| | |\n|---|---|\n| study | `{}` |\n| federation | {} |\n| purpose | {} |\n| researcher | {} |\n",
                     study.id().Hex(), Escaped(roster.federation), Escaped(plan.purpose), Escaped(plan.researcher));
  out += fmt::format("| state | {}{}{} |\n", Name(record.phase), record.reason == Reason::kNone ? "" : ": ",
                     record.reason == Reason::kNone ? "" : Name(record.reason));
  out += fmt::format("| submitted | {} |\n", Date(record.submitted_ms));
  if (record.ended_ms > 0) out += fmt::format("| ended | {} |\n", Date(record.ended_ms));
  out += fmt::format("| answers | {} of {} |\n| attempts | {} |\n\n", record.releases, study.algorithm().TotalSteps(),
                     record.attempts);
  out += "## Hospitals\n\n| hospital | consent | last sum |\n|---|---|---|\n";
  for (const Member& member : roster.members) {
    const auto verdict = record.verdicts.find(member.number);
    const auto absence = study.absences().find(member.number);
    const std::string_view consent = member.revoked                     ? "revoked"
                                     : verdict == record.verdicts.end() ? "pending"
                                     : verdict->second.approved         ? "approved"
                                                                        : "rejected";
    const std::string last = absence == study.absences().end()
                                 ? (consent == "approved" && record.releases > 0 ? "in it" : "-")
                                 : fmt::format("left out: {}", Name(absence->second.reason));
    out += fmt::format("| {} | {} | {} |\n", member.name, consent, last);
  }
  const Value results = NamedResults(study, chain);
  if (const std::string why = WhyEnded(study); !why.empty()) out += fmt::format("\n**{}**\n", Escaped(why));
  if (results.Has("describe")) out += "\n## Federated description\n\n" + DescribeTable(results["describe"]);
  if (results.Has("evaluation")) out += "\n## Evaluation\n\n" + EvaluationTable(results["evaluation"]);
  if (results.Has("released")) out += "\n## Each hospital's own figures\n\n" + ReleasedTable(results["released"]);
  out += "\n## Plan\n\n```\n" + Summary(plan) + "\n```\n";
  return out;
}

}  // namespace consilium::coordinator
