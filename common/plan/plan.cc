// Reading plans: TOML with defaults, and canonical bytes without any freedom.
#include "common/plan/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "common/plan/strategy.h"

namespace consilium {
namespace {

constexpr std::size_t kMaxPlanBytes = 1 << 20, kMaxClasses = 256, kMaxFeatures = 1024, kMaxDescribed = 512,
                      kMaxModelInputs = 1 << 20;
constexpr std::uint32_t kMaxRounds = 100'000, kMaxAttempts = 10'000'000;

std::uint32_t Small(Reader& r, const std::string& key, std::uint32_t least, std::uint32_t most,
                    std::uint32_t fallback) {
  return static_cast<std::uint32_t>(r.Integer(key, least, most, fallback));
}

std::string Plain(Reader& r, const std::string& key, std::size_t most) {
  std::string text = r.String(key);
  if (!IsPlainText(text, most))
    r.Refuse(key, fmt::format("must be at most {} bytes without line breaks and control characters", most));
  return text;
}

std::vector<std::string> WithNone(std::vector<std::string> names) {
  names.insert(names.begin(), "none");
  return names;
}

// Reads one plan; every function is one section. `read_file` is null for canonical bytes, which hold their schema.
class PlanReader {
 public:
  PlanReader(const Value& root, std::string_view file, const FileReader* read_file)
      : root_(root), file_(file), read_file_(read_file) {}

  Result<Plan> Read() {
    TRY(Sections());
    TRY(Study());
    TRY(plan_.task == Plan::Task::kTrain ? TrainData() : DescribeData());
    if (plan_.task == Plan::Task::kTrain) {
      TRY(Preprocessing());
      TRY(Training());
      TRY(Evaluation());
    }
    TRY(Privacy());
    TRY(Aggregation());
    TRY(Attempts());
    return std::move(plan_);
  }

 private:
  Reader Section(const std::string& name) { return Reader(root_[name], file_, name); }

  Status Sections() {
    Reader r(root_, file_, "");
    for (const char* name :
         {"study", "data", "preprocessing", "model", "training", "privacy", "aggregation", "evaluation", "describe"})
      r.Take(name);
    TRY(r.Finish());
    const bool describe = r.Has("describe"), train = r.Has("training");
    if (describe == train) {
      return Fail(Code::kInvalid,
                  file_ + (train ? ": [training] and [describe] are both there; a plan is one study, write two plans"
                                 : ": neither [training] nor [describe] is there; write one, it makes the task"));
    }
    plan_.task = describe ? Plan::Task::kDescribe : Plan::Task::kTrain;
    for (const char* name : {"preprocessing", "model", "evaluation"}) {
      if (describe && r.Has(name)) r.Refuse(name, "has no meaning beside [describe]; take it out");
    }
    return r.Finish();
  }

  Status Study() {
    Reader r = Section("study");
    plan_.run = Small(r, "run", 1, 1'000'000, plan_.run);
    plan_.name = Plain(r, "name", 128);
    if (plan_.name.contains('/')) r.Refuse("name", "must not have a '/': commands and addresses name the study by it");
    plan_.purpose = Plain(r, "purpose", 2048);
    plan_.researcher = Plain(r, "researcher", 256);
    plan_.minimum_hospitals = Small(r, "minimum_hospitals", 2, 10'000, plan_.minimum_hospitals);
    plan_.minimum_patients = Small(r, "minimum_patients", 1, 1'000'000'000, plan_.minimum_patients);
    const bool describe = plan_.task == Plan::Task::kDescribe;
    plan_.rounds = Small(r, "rounds", 1, describe ? 1 : kMaxRounds, plan_.rounds);
    r.Take("maximum_attempts");  // Read last, when the number of sums is known.
    plan_.round_deadline =
        r.ReadDuration("round_deadline", std::chrono::seconds(1), std::chrono::hours(24), plan_.round_deadline);
    return r.Finish();
  }

  Status ReadSchema(Reader& r) {
    const Value* schema = r.Take("schema");
    if (schema == nullptr)
      r.Refuse("schema", "is required and not there; write the schema's file, like \"schema.toml\"");
    if (schema != nullptr && schema->IsObject()) {
      plan_.schema = TRY(SchemaFromValue(*schema, file_));
    } else if (schema != nullptr && schema->IsString() && read_file_ != nullptr) {
      const Result<std::string> text = (*read_file_)(schema->AsString());
      if (text) {
        plan_.schema = TRY(ParseSchema(*text, schema->AsString()));
      } else {
        r.Refuse("schema", text.error().what);
      }
    } else {
      r.Refuse("schema", read_file_ != nullptr ? "must be a file's name in quotes" : "must be an object");
    }
    if (!r.ok()) return r.Finish();  // What follows compares with the schema.
    return {};
  }

  [[nodiscard]] std::vector<std::string> ColumnNames() const {
    std::vector<std::string> names;
    names.reserve(plan_.schema.columns.size());
    for (const Column& column : plan_.schema.columns) names.push_back(column.name);
    return names;
  }

  // The declared column, or a refusal that names the nearest.
  const Column* Declared(Reader& r, const std::string& key, const std::string& name) {
    const Column* column = plan_.schema.Find(name);
    if (column != nullptr) return column;
    const std::string near = Nearest(name, ColumnNames());
    r.Refuse(key, fmt::format("{} is no column of the schema{}", Quoted(name),
                              near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
    return nullptr;
  }

  void RefuseSpecial(Reader& r, const std::string& key, const std::string& name) {
    if (name == plan_.schema.patient_id)
      r.Refuse(key, fmt::format("'{}' is the patient id, which is nobody's figure", name));
    if (name == plan_.schema.split_column) r.Refuse(key, fmt::format("'{}' is the split column", name));
  }

  void CheckLabel(Reader& r) {
    const Column* label = Declared(r, "label", plan_.label);
    if (label == nullptr) return;
    RefuseSpecial(r, "label", plan_.label);
    if (label->type == Column::Type::kText || label->type == Column::Type::kTensor) {
      r.Refuse(
          "label",
          fmt::format("'{}' is no label; declare it with type = \"label\", with positive and negative or classes, "
                      "with type = \"category\" to predict one of its levels, or with type = \"number\" to predict "
                      "a number",
                      plan_.label));
    }
    const std::size_t classes = ClassesOf(plan_).size();
    if (LabelOf(plan_) == LabelKind::kClasses && (classes < 2 || classes > kMaxClasses))
      r.Refuse("label", fmt::format("'{}' has {} classes; a label has 2 to {}", plan_.label, classes, kMaxClasses));
  }

  // With a time the label is the event: positive where it happened, negative where nothing more is known.
  void CheckTime(Reader& r) {
    const Column* time = Declared(r, "time", plan_.time);
    if (time == nullptr || !r.ok()) return;
    RefuseSpecial(r, "time", plan_.time);
    if (time->type != Column::Type::kNumber)
      r.Refuse("time", fmt::format("'{}' is no number; declare it with type = \"number\"", plan_.time));
    const Column& label = *plan_.schema.Find(plan_.label);
    if (label.type != Column::Type::kLabel || !label.classes.empty())
      r.Refuse("time",
               fmt::format("stands beside a label that is no event; declare '{}' with type = \"label\", positive where "
                           "the event happened, or take time out",
                           plan_.label));
  }

  void CheckFeatures(Reader& r) {
    std::set<std::string> seen;
    if (plan_.features.empty()) r.Refuse("features", "must name at least one column");
    if (plan_.features.size() > kMaxFeatures) r.Refuse("features", fmt::format("more than {} features", kMaxFeatures));
    for (const std::string& name : plan_.features) {
      if (!r.ok()) return;
      const Column* column = Declared(r, "features", name);
      if (name == plan_.label)
        r.Refuse("features", fmt::format("'{}' is the label; a model that reads the answer learns nothing", name));
      if (!plan_.time.empty() && name == plan_.time)
        r.Refuse("features", fmt::format("'{}' is the time of the event; a model that reads it learns nothing", name));
      RefuseSpecial(r, "features", name);
      if (column != nullptr && (column->type == Column::Type::kLabel || column->type == Column::Type::kText))
        r.Refuse("features", fmt::format("'{}' is neither a number nor a category nor a tensor", name));
      if (!seen.insert(name).second) r.Refuse("features", fmt::format("'{}' is there twice", name));
    }
    if (const std::size_t count = DesignWidth(plan_); count > kMaxModelInputs) {
      r.Refuse("features", fmt::format("make {} model inputs, more than {}", count, kMaxModelInputs));
    }
  }

  Status TrainData() {
    Reader r = Section("data");
    plan_.dataset = Plain(r, "dataset", 64);
    TRY(ReadSchema(r));
    plan_.label = r.String("label");
    plan_.time = r.String("time", "");
    plan_.features = r.Strings("features");
    plan_.use_split_column = r.Choice("split", {"fraction", "column"}, "fraction") == "column";
    if (r.ok()) {
      CheckLabel(r);
      if (!plan_.time.empty()) CheckTime(r);
      CheckFeatures(r);
    }
    if (plan_.use_split_column) {
      if (plan_.schema.split_column.empty()) r.Refuse("split", "\"column\" needs a [split] section in the schema");
      plan_.test_fraction = r.Number("test_fraction", 0, 1, 0);
      if (plan_.test_fraction != 0) r.Refuse("test_fraction", "has no meaning with split = \"column\"; take it out");
    } else {
      plan_.test_fraction = r.Number("test_fraction", 0.01, 0.9, plan_.test_fraction);
    }
    return r.Finish();
  }

  Status DescribeData() {
    Reader data = Section("data");
    plan_.dataset = Plain(data, "dataset", 64);
    TRY(ReadSchema(data));
    for (const char* key : {"label", "time", "features", "split", "test_fraction"}) {
      data.Take(key);
      if (data.Has(key)) data.Refuse(key, "has no meaning beside [describe]; its columns stand in [describe] columns");
    }
    TRY(data.Finish());
    Reader r = Section("describe");
    plan_.describe_columns = r.Strings("columns");
    plan_.describe_bins = Small(r, "bins", 2, 1 << 20, plan_.describe_bins);
    if (plan_.describe_columns.empty()) r.Refuse("columns", "must name at least one column");
    if (plan_.describe_columns.size() > kMaxDescribed)
      r.Refuse("columns", fmt::format("more than {} columns", kMaxDescribed));
    std::set<std::string> seen;
    for (const std::string& name : plan_.describe_columns) {
      if (!r.ok()) break;
      const Column* column = Declared(r, "columns", name);
      RefuseSpecial(r, "columns", name);
      if (column != nullptr && column->type == Column::Type::kText)
        r.Refuse("columns", fmt::format("'{}' is text, which has no summary", name));
      if (!seen.insert(name).second) r.Refuse("columns", fmt::format("'{}' is there twice", name));
    }
    return r.Finish();
  }

  Status Preprocessing() {
    Reader r = Section("preprocessing");
    plan_.impute = r.Choice("impute", {"mean", "constant"}, plan_.impute);
    plan_.standardize = r.Choice("standardize", {"federated", "site", "declared", "none"}, plan_.standardize);
    TRY(r.Finish());
    return Model();
  }

  Status Model() {
    Reader r = Section("model");
    ReadModelKeys(r, LabelOf(plan_), &plan_.model);
    if (plan_.model.kind == ModelSpec::Kind::kPoisson && plan_.schema.Find(plan_.label)->minimum < 0)
      r.Refuse("kind",
               fmt::format("\"poisson\" predicts counts, and '{}' may be below 0; write \"linear\"", plan_.label));
    if (r.ok()) {
      if (const Status fits = CheckModel(ModelOf(plan_)); !fits) r.Refuse("hidden", fits.error().what);
    }
    return r.Finish();
  }

  // The numbers that the chosen strategy knows; one that only others know is an error.
  void StrategyNumbers(Reader& r) {
    const std::vector<StrategyKey> own = KeysOf(plan_.algorithm);
    for (const StrategyKey& key : own) plan_.*key.field = r.Number(key.name, key.least, key.most, key.fallback);
    for (const StrategyKey& key : StrategyKeys()) {
      r.Take(key.name);
      if (!r.Has(key.name) || std::ranges::find(own, key.name, &StrategyKey::name) != own.end()) continue;
      r.Refuse(key.name, fmt::format("is no key of algorithm = \"{}\"; it belongs to {}; take it out, or write one of "
                                     "those as the algorithm",
                                     plan_.algorithm, KnownTo(key.name)));
    }
    const bool bare =
        root_["privacy"]["mode"].AsString() == "none" && root_["aggregation"]["profile"].AsString() == "visible";
    if (ShowsSingleHospitals(plan_) && !bare) {
      r.Refuse("algorithm",
               fmt::format("\"{}\" shows one hospital's model at each step, which no sum hides: it runs only with "
                           "privacy.mode \"none\" and aggregation.profile \"visible\", for generated or public data; "
                           "write another algorithm, or those two, knowing what they do not protect",
                           plan_.algorithm));
    }
  }

  void EarlyStopping(Reader& r) {
    plan_.early_stopping = r.Choice("early_stopping", WithNone(MetricsFor(LabelOf(plan_))), "none");
    if (plan_.early_stopping == "none") {
      for (const char* key : {"patience", "min_delta", "restore_best"}) {
        r.Take(key);
        if (r.Has(key))
          r.Refuse(key, "has no meaning without early_stopping; take it out, or write early_stopping = \"log_loss\"");
      }
      return;
    }
    plan_.patience = Small(r, "patience", 1, kMaxRounds, plan_.patience);
    plan_.min_delta = r.Number("min_delta", 0, 1000, plan_.min_delta);
    plan_.restore_best = r.Bool("restore_best", plan_.restore_best);
  }

  Status Training() {
    Reader r = Section("training");
    plan_.algorithm = r.Choice("algorithm", StrategyNames(), plan_.algorithm);
    StrategyNumbers(r);
    EarlyStopping(r);
    plan_.local_steps = Small(r, "local_steps", 0, 1'000'000, 0);
    plan_.local_epochs = Small(r, "local_epochs", 0, 10'000, plan_.local_steps == 0 ? 1 : 0);
    if (plan_.local_epochs != 0 && plan_.local_steps != 0)
      r.Refuse("local_steps", "stands beside local_epochs; write one of them");
    if (plan_.local_epochs == 0 && plan_.local_steps == 0)
      r.Refuse("local_epochs", "is 0 and so is local_steps; one of them must be at least 1");
    plan_.batch_size = Small(r, "batch_size", 1, 1'000'000, plan_.batch_size);
    const auto classes = static_cast<std::uint32_t>(ClassesOf(plan_).size());
    ReadLearningKeys(r, plan_.model, LabelOf(plan_), std::max(2U, classes), plan_.rounds, &plan_.learning);
    if (KeepsMemory(plan_) && plan_.learning.optimizer.kind != OptimizerSpec::Kind::kSgd) {
      r.Refuse("optimizer", fmt::format("\"{}\" does not go with algorithm = \"{}\", whose corrections are of plain "
                                        "gradient steps; write \"sgd\"",
                                        NameOf(plan_.learning.optimizer.kind), plan_.algorithm));
    }
    plan_.seed = static_cast<std::uint64_t>(r.Integer("seed", 0, (std::int64_t{1} << 53) - 1, 1));
    plan_.update_bound = r.Number("update_bound", 1e-6, 1e6, plan_.update_bound);
    plan_.weight_cap = Small(r, "weight_cap", 1, 1'000'000'000, plan_.weight_cap);
    plan_.reproducible = r.Bool("reproducible", plan_.reproducible);
    return r.Finish();
  }

  Status Evaluation() {
    const std::vector<std::string> known = MetricsFor(LabelOf(plan_));
    Reader r = Section("evaluation");
    plan_.metrics = r.Strings("metrics", known);
    std::set<std::string> seen;
    if (plan_.metrics.empty()) r.Refuse("metrics", "must name at least one");
    for (const std::string& metric : plan_.metrics) {
      if (std::ranges::find(known, metric) == known.end()) {
        const std::string near = Nearest(metric, known);
        r.Refuse("metrics",
                 fmt::format("{} is no metric of this label{}; there are {}", Quoted(metric),
                             near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near), fmt::join(known, ", ")));
      }
      if (!seen.insert(metric).second) r.Refuse("metrics", fmt::format("'{}' is there twice", metric));
    }
    plan_.evaluate_every = Small(r, "every", 0, kMaxRounds, 0);
    if (plan_.evaluate_every > plan_.rounds)
      r.Refuse("every", fmt::format("is more than the {} rounds; write 0 for the end alone", plan_.rounds));
    if (plan_.early_stopping != "none") {
      if (plan_.evaluate_every == 0)
        r.Refuse("every", "is 0, but early_stopping watches evaluations during training; write for example every = 1");
      if (!seen.contains(plan_.early_stopping))
        r.Refuse("metrics", fmt::format("must name '{}', which early_stopping watches", plan_.early_stopping));
    }
    r.Take("subgroups");
    if (r.Has("subgroups")) r.Refuse("subgroups", "this version evaluates no subgroups yet; take it out");
    plan_.per_hospital = r.Choice("per_hospital", {"local", "released"}, plan_.per_hospital);
    if (plan_.per_hospital == "released" && LabelOf(plan_) != LabelKind::kBinary)
      r.Refuse("per_hospital",
               "\"released\" is for labels that are yes or no; write \"local\", which keeps the figures");
    return r.Finish();
  }

  // A refusal at a key's place: the plan is well written, this version cannot honour it.
  Status NotYet(const std::string& section, const std::string& key, const std::string& value) {
    const Value::Place place = root_[section][key].place;
    const std::string at = place.line > 0 ? fmt::format("{}:{}:{}", file_, place.line, place.column) : file_;
    return Fail(Code::kRefused, fmt::format("{}: [{}] {} = \"{}\" is not there yet: this version runs only "
                                            "privacy.mode \"none\" with aggregation.profile \"visible\". "
                                            "The plan is refused as it is and nothing was weakened; write those two, "
                                            "knowing what they do not protect, or wait",
                                            at, section, key, value));
  }

  Status Privacy() {
    Reader r = Section("privacy");
    const std::string mode = r.Choice("mode", {"none", "local", "distributed", "hospital"});
    for (const char* key : {"epsilon", "delta", "clip", "noise_multiplier"}) {
      r.Take(key);
      if (mode == "none" && r.Has(key))
        r.Refuse(key, fmt::format("{} has no meaning with mode none; take it out, or write another mode", key));
    }
    TRY(r.Finish());
    if (mode != "none") return NotYet("privacy", "mode", mode);
    plan_.privacy = Plan::Privacy::kNone;
    return {};
  }

  Status Aggregation() {
    Reader r = Section("aggregation");
    const std::string profile = r.Choice("profile", {"secure", "visible"});
    plan_.rule = r.Choice("rule", {"mean"}, plan_.rule);
    plan_.dropouts = r.Choice("dropouts", {"restart", "recover"}, "recover") == "restart" ? Plan::Dropouts::kRestart
                                                                                          : Plan::Dropouts::kRecover;
    plan_.tolerated_dropouts = Small(r, "tolerated_dropouts", 0, 10'000, plan_.tolerated_dropouts);
    plan_.colluders = Small(r, "colluders", 1, 10'000, plan_.colluders);
    TRY(r.Finish());
    if (profile != "visible") return NotYet("aggregation", "profile", profile);
    plan_.profile = Plan::Profile::kVisible;
    return {};
  }

  Status Attempts() {
    Reader r = Section("study");
    const std::uint32_t sums = TotalSums(plan_);
    plan_.maximum_attempts = Small(r, "maximum_attempts", 1, kMaxAttempts, 2 * sums + 20);
    if (r.ok() && plan_.maximum_attempts < sums) {
      r.Refuse("maximum_attempts", fmt::format("is below the {} sums that this plan needs when nothing fails", sums));
    }
    for (const auto& [key, member] : root_["study"].AsObject()) r.Take(key);  // The others were read before.
    return r.Finish();
  }

  const Value& root_;
  const std::string file_;
  const FileReader* read_file_;
  Plan plan_;
};

}  // namespace

Result<Plan> ParsePlanToml(std::string_view toml, std::string_view name, const FileReader& read_file) {
  const Value root = TRY(ParseToml(toml, name));
  Plan plan = TRY(PlanReader(root, name, &read_file).Read());
  if (const std::size_t bytes = Canonical(plan).size(); bytes > kMaxPlanBytes) {
    return Fail(Code::kInvalid, fmt::format("{}: the plan with its schema is {} bytes, over the limit of {}", name,
                                            bytes, kMaxPlanBytes));
  }
  return plan;
}

Result<Plan> ParsePlan(ByteView canonical) {
  const Value root = TRY(ParseJson(Text(canonical), {.bytes = kMaxPlanBytes}));
  Plan plan = TRY(PlanReader(root, "plan", nullptr).Read());
  if (!std::ranges::equal(Canonical(plan), canonical)) {
    return Fail(Code::kInvalid, "plan: not in canonical form; one study has exactly one sequence of bytes");
  }
  return plan;
}

}  // namespace consilium
