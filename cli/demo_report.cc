#include "cli/demo_report.h"

#include <fmt/format.h>

#include "common/settings/terminal.h"
#include "common/wire/records.h"

namespace consilium::cli {
namespace {

std::string Auroc(const Value& metrics) {
  return metrics["auroc"].IsNumber() ? fmt::format("{:.3f}", metrics["auroc"].AsDouble()) : "not defined";
}

// cli.md's three figures of one model at one hospital.
Value Three(const Value& metrics) {
  Value out;
  for (const char* name : {"auroc", "accuracy", "brier"}) out.Set(name, metrics[name]);
  return out;
}

double RoundsPerSecond(const Value& study) {
  const double seconds = study["seconds"].AsDouble();
  return seconds > 0 ? study["rounds"].AsDouble() / seconds : 0;
}

}  // namespace

Result<Query> LastTrainQuery(const Stored& node, const std::string& study) {
  const auto found = node.state.find({"study", study});
  if (found == node.state.end()) return Fail(Code::kNotFound, "the node keeps nothing of the study");
  const ParticipantRecord record = TRY(DecodeParticipantRecord(found->second));
  return ParseQuery(record.last_query);
}

std::string DemoTable(const DemoFigures& figures) {
  std::vector<std::vector<std::string>> rows = {{"hospital", "patients", "held out", "local", "federated", "pooled"}};
  double local = 0, federated = 0, pooled = 0;
  int better = 0, compared = 0;
  for (std::size_t i = 0; i < figures.hospitals.size(); ++i) {
    const Value& own = figures.own[i];
    const Value& central = figures.pooled["hospitals"].AsArray().at(i)["pooled"];
    rows.push_back({figures.hospitals[i], CanonicalJson(own["patients"]), CanonicalJson(own["test_patients"]),
                    Auroc(own["local"]), Auroc(own["federated"]), Auroc(central)});
    if (!own["local"]["auroc"].IsNumber() || !own["federated"]["auroc"].IsNumber() || !central["auroc"].IsNumber())
      continue;
    ++compared;
    better += own["federated"]["auroc"].AsDouble() > own["local"]["auroc"].AsDouble() ? 1 : 0;
    local += own["local"]["auroc"].AsDouble();
    federated += own["federated"]["auroc"].AsDouble();
    pooled += central["auroc"].AsDouble();
  }
  if (compared > 0) {
    rows.push_back({"mean", "", "", fmt::format("{:.3f}", local / compared),
                    fmt::format("{:.3f}", federated / compared), fmt::format("{:.3f}", pooled / compared)});
  }
  const Value& evaluation = figures.study["results"]["evaluation"];
  std::string out = fmt::format(
      "AUROC on each hospital's own held-out patients, of three models: trained at that hospital alone "
      "(local), by the\n"
      "federation (federated), and on all patients in one place, which only a {} can do (pooled):\n\n{}",
      figures.what, FormatTable(rows));
  if (compared < static_cast<int>(figures.hospitals.size()))
    out += "(not defined: the patients held out there are of one class only.)\n";
  out += fmt::format(
      "\nThe federated model is better than the local one at {} of {} hospitals. Asked as a federated query, its AUROC "
      "over all\n"
      "held-out patients together is {}.\n",
      better, compared, AurocText(evaluation));
  out +=
      fmt::format("{} rounds in {:.2f} s ({:.0f} rounds a second), {} attempts; the whole {} took {:.1f} s.\n",
                  figures.study["rounds"].AsInteger(), figures.study["seconds"].AsDouble(),
                  RoundsPerSecond(figures.study), figures.study["attempt"].AsInteger(), figures.what, figures.seconds);
  return out;
}

Value Comparison(const DemoFigures& figures) {
  Value out = Value(Value::Array());
  for (std::size_t i = 0; i < figures.hospitals.size(); ++i) {
    const Value& own = figures.own[i];
    out.Push(Value()
                 .Set("name", figures.hospitals[i])
                 .Set("patients", own["patients"])
                 .Set("local", own["local"]["auroc"])
                 .Set("federated", own["federated"]["auroc"])
                 .Set("pooled", figures.pooled["hospitals"].AsArray().at(i)["pooled"]["auroc"]));
  }
  return out;
}

Value DemoJson(const DemoFigures& figures) {
  const Value& s = figures.study;
  Value hospitals = Value(Value::Array());
  for (std::size_t i = 0; i < figures.own.size(); ++i) {
    const Value& own = figures.own[i];
    hospitals.Push(Value()
                       .Set("name", figures.hospitals[i])
                       .Set("patients", own["patients"])
                       .Set("epsilon_spent", Value())  // Nothing bounds it in mode none.
                       .Set("local", Three(own["local"]))
                       .Set("federated", Three(own["federated"]))
                       .Set("pooled", Three(figures.pooled["hospitals"].AsArray().at(i)["pooled"])));
  }
  Value out;
  out.Set("study", Value()
                       .Set("id", s["study"])
                       .Set("rounds", s["rounds"])
                       .Set("attempts", s["attempt"])
                       .Set("seconds", s["seconds"])
                       .Set("rounds_per_second", RoundsPerSecond(s)));
  out.Set("profile", "visible").Set("warning", s["warning"]);
  out.Set("privacy", Value().Set("mode", "none").Set("epsilon", Value()).Set("delta", Value()));
  out.Set("evaluation", s["results"]["evaluation"])
      .Set("model_sha256", s["model_sha256"])
      .Set("seconds", figures.seconds);
  out.Set("hospitals", hospitals);
  return out.Set(
      "files",
      Value().Set("model", figures.files.model).Set("report", figures.files.report).Set("audit", figures.files.audit));
}

}  // namespace consilium::cli
