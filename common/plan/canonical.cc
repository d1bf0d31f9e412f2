// A plan's canonical form, its id, and what follows from it.
#include <fmt/format.h>

#include <algorithm>

#include "common/plan/strategy.h"

namespace consilium {
namespace {

Value ListOf(const std::vector<std::string>& texts) { return Value(Value::Array(texts.begin(), texts.end())); }

const char* Name(Plan::Privacy mode) {
  switch (mode) {
    case Plan::Privacy::kNone:
      return "none";
    case Plan::Privacy::kLocal:
      return "local";
    case Plan::Privacy::kDistributed:
      return "distributed";
    case Plan::Privacy::kHospital:
      break;
  }
  return "hospital";
}

Value StudyOf(const Plan& plan) {
  return Value()
      .Set("run", plan.run)
      .Set("name", plan.name)
      .Set("purpose", plan.purpose)
      .Set("researcher", plan.researcher)
      .Set("minimum_hospitals", plan.minimum_hospitals)
      .Set("minimum_patients", plan.minimum_patients)
      .Set("rounds", plan.rounds)
      .Set("maximum_attempts", plan.maximum_attempts)
      .Set("round_deadline", DurationText(plan.round_deadline));
}

Value DataOf(const Plan& plan) {
  Value data = Value().Set("dataset", plan.dataset).Set("schema", ToValue(plan.schema));
  if (plan.task == Plan::Task::kDescribe) return data;
  if (!plan.time.empty()) data.Set("time", plan.time);
  return data.Set("label", plan.label)
      .Set("features", ListOf(plan.features))
      .Set("split", plan.use_split_column ? "column" : "fraction")
      .Set("test_fraction", plan.use_split_column ? 0.0 : plan.test_fraction);
}

// Of the strategies' own keys only those that the chosen one knows; of early stopping's only what is asked for.
Value TrainingOf(const Plan& plan) {
  Value training;
  for (const StrategyKey& key : KeysOf(plan.algorithm)) training.Set(key.name, plan.*key.field);
  if (plan.early_stopping != "none") {
    training.Set("early_stopping", plan.early_stopping)
        .Set("patience", plan.patience)
        .Set("min_delta", plan.min_delta)
        .Set("restore_best", plan.restore_best);
  }
  AppendTo(&training, plan.learning);
  return training.Set("algorithm", plan.algorithm)
      .Set("local_epochs", plan.local_epochs)
      .Set("local_steps", plan.local_steps)
      .Set("batch_size", plan.batch_size)
      .Set("seed", plan.seed)
      .Set("update_bound", plan.update_bound)
      .Set("weight_cap", plan.weight_cap)
      .Set("reproducible", plan.reproducible);
}

Value AggregationOf(const Plan& plan) {
  return Value()
      .Set("profile", plan.profile == Plan::Profile::kSecure ? "secure" : "visible")
      .Set("rule", plan.rule)
      .Set("dropouts", plan.dropouts == Plan::Dropouts::kRestart ? "restart" : "recover")
      .Set("tolerated_dropouts", plan.tolerated_dropouts)
      .Set("colluders", plan.colluders);
}

}  // namespace

Bytes Canonical(const Plan& plan) {
  Value value = Value()
                    .Set("study", StudyOf(plan))
                    .Set("data", DataOf(plan))
                    .Set("privacy", Value().Set("mode", Name(plan.privacy)))
                    .Set("aggregation", AggregationOf(plan));
  if (plan.task == Plan::Task::kDescribe) {
    value.Set("describe", Value().Set("columns", ListOf(plan.describe_columns)).Set("bins", plan.describe_bins));
  } else {
    value.Set("preprocessing", Value().Set("impute", plan.impute).Set("standardize", plan.standardize))
        .Set("model", ToValue(plan.model))
        .Set("training", TrainingOf(plan))
        .Set("evaluation", Value()
                               .Set("metrics", ListOf(plan.metrics))
                               .Set("every", plan.evaluate_every)
                               .Set("per_hospital", plan.per_hospital));
  }
  return ToBytes(View(CanonicalJson(value)));
}

StudyId Plan::id() const { return StudyId{Blake2b(Canonical(*this)).bytes}; }

bool NeedsMoments(const Plan& plan) {
  const bool scale = plan.standardize == "federated", impute = plan.impute == "mean";
  if (plan.task != Plan::Task::kTrain) return false;
  return std::any_of(plan.features.begin(), plan.features.end(), [&](const std::string& name) {
    const Column* column = plan.schema.Find(name);
    if (column == nullptr) return false;  // No element of a tensor is missing: nothing is imputed there.
    return column->type == Column::Type::kNumber ? scale || impute : column->type == Column::Type::kTensor && scale;
  });
}

bool ReleasesOwnFigures(const Plan& plan) { return plan.task == Plan::Task::kTrain && plan.per_hospital == "released"; }

std::uint32_t TotalSums(const Plan& plan) { return TotalSums(plan, plan.rounds); }

std::uint32_t TotalSums(const Plan& plan, std::uint32_t rounds) {
  if (plan.task == Plan::Task::kDescribe) return 1;
  const std::uint32_t moments = NeedsMoments(plan) ? 1 : 0;
  const std::uint32_t every = plan.evaluate_every;
  const std::uint32_t evaluations = every == 0 ? 1 : rounds / every + (rounds % every == 0 ? 0 : 1);
  return moments + rounds + evaluations + (ReleasesOwnFigures(plan) ? 1 : 0);
}

// The first evaluation is the best so far; `patience` more, none of them better, end the training.
bool CanEndAfter(const Plan& plan, std::uint32_t rounds) {
  if (rounds == plan.rounds) return true;
  const std::uint32_t every = plan.evaluate_every;
  if (plan.early_stopping == "none" || every == 0 || rounds > plan.rounds || rounds % every != 0) return false;
  return rounds / every > plan.patience;
}

LabelKind LabelOf(const Plan& plan) {
  if (!plan.time.empty()) return LabelKind::kSurvival;
  const Column* label = plan.schema.Find(plan.label);
  if (label != nullptr && label->type == Column::Type::kNumber) return LabelKind::kNumber;
  const bool classes = label != nullptr && (label->type == Column::Type::kCategory || !label->classes.empty());
  return classes ? LabelKind::kClasses : LabelKind::kBinary;
}

std::vector<std::string> ClassesOf(const Plan& plan) {
  if (LabelOf(plan) != LabelKind::kClasses) return {};
  const Column& label = *plan.schema.Find(plan.label);
  return label.type == Column::Type::kCategory ? label.levels : label.classes;
}

std::vector<std::string> MetricsFor(LabelKind label) {
  switch (label) {
    case LabelKind::kNumber:
      return {"rmse", "mae", "r2"};
    case LabelKind::kClasses:
      return {"accuracy", "balanced_accuracy", "log_loss"};
    case LabelKind::kSurvival:
      return {"c_index"};
    case LabelKind::kBinary:
      break;
  }
  return {"auroc", "accuracy", "brier", "log_loss"};
}

ModelSpec ModelOf(const Plan& plan) {
  return {.kind = plan.model.kind,
          .inputs = static_cast<std::uint32_t>(DesignWidth(plan)),
          .outputs = std::max(1U, static_cast<std::uint32_t>(ClassesOf(plan).size())),
          .hidden = plan.model.hidden,
          .activation = plan.model.activation,
          .dropout = plan.model.dropout,
          .layer_norm = plan.model.layer_norm,
          .initialisation = plan.model.initialisation};
}

std::vector<std::string> DesignColumns(const Plan& plan) {
  std::vector<std::string> out;
  for (const std::string& name : plan.features) {
    const Column* column = plan.schema.Find(name);
    if (column == nullptr) continue;  // Only in a plan made by hand; the parser refuses it.
    if (column->type == Column::Type::kNumber || column->type == Column::Type::kTensor) out.push_back(name);
    for (std::size_t i = 1; i < column->levels.size(); ++i)
      out.push_back(fmt::format("{}={}", name, column->levels[i]));
  }
  return out;
}

std::size_t DesignWidth(const Plan& plan) {
  std::size_t out = 0;
  for (const std::string& name : plan.features) {
    const Column* column = plan.schema.Find(name);
    if (column == nullptr) continue;
    out += column->type == Column::Type::kCategory ? column->levels.size() - 1 : column->Elements();
  }
  return out;
}

}  // namespace consilium
