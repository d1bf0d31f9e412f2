// A researcher's work with one study: read a plan, submit, follow to its end, download.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "cli/session.h"
#include "common/plan/plan.h"

namespace consilium::cli {

// Reads a plan and the files that it names, which lie beside it.
Result<Plan> ReadPlan(const std::filesystem::path& path);

struct Submitted {
  std::string study, name;
  bool created = false;
};
Result<Submitted> Submit(const Api& api, const Plan& plan);

// A sentence when the model scores (nearly) all patients alike, as after a training that diverged; "" otherwise.
std::string NoRanking(const Value& evaluation);
// "between 0.81 and 0.82", or why there is no such figure.
std::string AurocText(const Value& evaluation);
// The figure by which models of the label's kind are compared.
struct Measure {
  std::string key, name;
  bool falls = false;  // The smaller the better.
};
Measure MeasureOf(const Value& evaluation);
// Every figure of it, in one line.
std::string EvaluationText(const Value& evaluation);
// kInvalid when the plan asks for more hospitals than the federation has; `path` is the plan's file.
Status CheckMembers(const Api& api, const Plan& plan, const std::filesystem::path& path);
// What the coordinator says of a plan's key, with the file and the line where the key stands.
Error AtPlan(const std::filesystem::path& path, Error error);
bool IsOver(const Value& study);  // Complete, aborted or failed.
bool IsComplete(const Value& study);
// Asks every `interval` until the study is over or `stop` says true; `see` gets every state. Gives up (kUnreachable)
// when the coordinator has not answered for `patience`.
Result<Value> Follow(const Api& api, const std::string& study, Duration interval, Duration patience,
                     const std::function<void(const Value&)>& see, const std::function<bool()>& stop);

// A new folder for results, with logs/ in it: `wanted`, or KIND/DATE-TIME when that is empty. kInvalid when it has
// content; `option` is what names it on the command line.
Result<std::filesystem::path> ResultsFolder(const std::string& wanted, const std::string& kind,
                                            const std::string& option);

// What `download` left; "" where the study has none. The model as safetensors and as ONNX.
struct Files {
  std::string model, onnx, report, html, audit, results;
};
Result<Files> Download(const Api& api, const std::string& study, const std::filesystem::path& directory);

// A described study's table 1 as text; "" when the results hold none.
std::string ReleasedTable(const Value& results);  // Of single hospitals, by name; "" where none were asked for.
std::string DescribeTable(const Value& results);

}  // namespace consilium::cli
