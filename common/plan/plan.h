// The study plan: declarative, no code. TOML in, canonical JSON with every default written out, H of that is the study.
// A changed byte is another study and needs another approval.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/plan/recipe.h"
#include "common/plan/schema.h"
#include "common/query/query.h"

namespace consilium {

struct Plan {
  // Exactly one of [describe] and [training] is in the file; it makes the task.
  enum class Task : std::uint8_t { kDescribe, kTrain };
  enum class Privacy : std::uint8_t { kNone, kLocal, kDistributed, kHospital };
  enum class Profile : std::uint8_t { kSecure, kVisible };
  enum class Dropouts : std::uint8_t { kRestart, kRecover };
  Task task = Task::kTrain;

  // [study]
  std::uint32_t run = 1;
  std::string name, purpose, researcher;
  std::uint32_t minimum_hospitals = 2;  // n_min: below it there is no sum.
  std::uint32_t minimum_patients = 10;  // At each hospital, checked once, at approval.
  std::uint32_t rounds = 1;             // Describe: 1. Train: optimisation rounds (moments and evaluation come on top).
  std::uint32_t maximum_attempts =
      0;  // T_max over the whole study, retries included. Default in mode none: 2 * sums + 20.
  Duration round_deadline = std::chrono::seconds(60);

  // [data]
  std::string dataset;
  Schema schema;      // `schema = "FILE"` beside the plan is read and written out here.
  std::string label;  // Train only.
  std::string time;   // Survival: the column of times until the label's event, or until nothing more is known; else "".
  std::vector<std::string> features;  // Columns used; describe: [describe] columns.
  double test_fraction = 0.25;  // By keyed hash of the patient id; 0 when the schema has a split column that is used.
  bool use_split_column = false;

  // [preprocessing]
  std::string impute = "mean";  // "mean" (of the standardisation's moments) | "constant" (declared middle of the range)
  std::string standardize = "federated";  // "federated" | "site" | "declared" | "none"

  // [model]
  ModelKeys model;

  // [training]
  std::string algorithm = "fedavg";  // common/plan/strategy.h names them, and says whose the next five keys are.
  double mu = 0.01;                  // The local objective gets mu/2 ||w - w_global||^2.
  double server_learning_rate = 1;
  double beta1 = 0.9, beta2 = 0.999, tau = 1e-3;
  std::uint32_t local_epochs = 1;  // One of local_epochs and local_steps is not 0.
  std::uint32_t local_steps = 0;
  std::uint32_t batch_size = 32;
  LearningKeys learning;              // Loss, optimiser and its numbers, schedule, precision.
  std::uint64_t seed = 1;             // Only for what is public: initial weights, shuffling in mode none, the split.
  double update_bound = 8;            // Per coordinate of the delta in mode none.
  std::uint32_t weight_cap = 100000;  // n_cap: a hospital's weight is min(n_i, n_cap) / n_cap.
  bool reproducible = false;
  std::string early_stopping = "none";  // Or the metric of the pooled evaluation that is watched.
  std::uint32_t patience = 3;           // Evaluations in a row without an improvement; then training stops.
  double min_delta = 0;                 // An improvement is more than this.
  bool restore_best = true;             // The study's model is the best that was evaluated, not the last one.

  // [privacy]
  Privacy privacy = Privacy::kNone;
  // [aggregation]
  Profile profile = Profile::kSecure;
  std::string rule = "mean";
  Dropouts dropouts = Dropouts::kRecover;
  std::uint32_t tolerated_dropouts = 0;
  std::uint32_t colluders = 1;

  // [evaluation]
  std::vector<std::string> metrics;  // All that the label has, when the plan names none.
  std::uint32_t evaluate_every = 0;  // Rounds between pooled evaluations; 0: only at the end.
  // "local": a hospital's own figures stay there. "released": one more query, whose answer has those of each hospital
  // whose site policy lets them out, under its name.
  std::string per_hospital = "local";

  // [describe]
  std::vector<std::string> describe_columns;
  std::uint32_t describe_bins = 256;

  [[nodiscard]] StudyId id() const;
};

// Reads plan text. `read_file` resolves `schema = "FILE"` (a path relative to the plan). Messages name file, line and
// what is right. Combinations that this build cannot run (privacy.mode other than none, profile secure) are kRefused
// and say in plain words what is not there yet; nothing is silently weakened.
using FileReader = std::function<Result<std::string>(const std::string& path)>;
Result<Plan> ParsePlanToml(std::string_view toml, std::string_view name, const FileReader& read_file);
// Canonical bytes, and back. ParsePlan is what coordinator and nodes run on what they receive: it accepts only bytes
// that it would write itself (so that one study has one hash).
Bytes Canonical(const Plan& plan);
Result<Plan> ParsePlan(ByteView canonical);
// The summary that a hospital's board can read: who asks what of which columns, what leaves, who can see it, how many
// sums, and, in mode none and profile visible, in the first lines and in capitals that there is NO DIFFERENTIAL PRIVACY
// and that THE COORDINATOR SEES EACH HOSPITAL'S CONTRIBUTION; where the plan releases them, that THIS HOSPITAL'S OWN
// FIGURES leave under its name and who will see them.
std::string Summary(const Plan& plan);
// What is wrong with a plan that asks for more hospitals than the federation has.
std::string TooFewMembers(const Plan& plan, std::size_t members);
// The short form of the same warning for every screen, report and log header; "" when there is nothing to warn of.
std::string Warning(const Plan& plan);

// Whether training begins with a sum of counts, means and spreads: imputation or scale need them of some number.
bool NeedsMoments(const Plan& plan);
// Whether it asks for the figures of single hospitals, under their names.
bool ReleasesOwnFigures(const Plan& plan);
// How many sums the plan needs at most when nothing fails, with the query that releases hospitals' own figures:
// Algorithm::TotalSteps. Early stopping can save some.
std::uint32_t TotalSums(const Plan& plan);
// The same of a training that ends after so many rounds, and whether it can: they are all, or early stopping may have
// seen enough evaluations by then.
std::uint32_t TotalSums(const Plan& plan, std::uint32_t rounds);
bool CanEndAfter(const Plan& plan, std::uint32_t rounds);

// What the label's values are, and which metrics its predictions have.
LabelKind LabelOf(const Plan& plan);
std::vector<std::string> ClassesOf(const Plan& plan);  // Of kClasses, in order; else none.
std::vector<std::string> MetricsFor(LabelKind label);
// The model that the plan trains: its layout is that of every parameter blob of the study.
ModelSpec ModelOf(const Plan& plan);

// The design matrix's columns in order: a number is one column, a category one per level but the first ("cp=2"), and a
// tensor one entry that stands for all of its elements, which are scaled alike.
std::vector<std::string> DesignColumns(const Plan& plan);
// A model's inputs: the design columns, each element of a tensor for itself.
std::size_t DesignWidth(const Plan& plan);

}  // namespace consilium
