// A plan's canonical form, its id, and what follows from it.
#include <fmt/format.h>

#include <algorithm>

#include "common/plan/plan.h"

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
  return data.Set("label", plan.label)
      .Set("features", ListOf(plan.features))
      .Set("split", plan.use_split_column ? "column" : "fraction")
      .Set("test_fraction", plan.use_split_column ? 0.0 : plan.test_fraction);
}

Value TrainingOf(const Plan& plan) {
  return Value()
      .Set("algorithm", plan.algorithm)
      .Set("local_epochs", plan.local_epochs)
      .Set("local_steps", plan.local_steps)
      .Set("batch_size", plan.batch_size)
      .Set("learning_rate", plan.learning_rate)
      .Set("l2", plan.l2)
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
        .Set("model", Value().Set("kind", plan.model))
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

std::uint32_t TotalSums(const Plan& plan) {
  if (plan.task == Plan::Task::kDescribe) return 1;
  const std::uint32_t moments = NeedsMoments(plan) ? 1 : 0;
  const std::uint32_t every = plan.evaluate_every;
  const std::uint32_t evaluations = every == 0 ? 1 : plan.rounds / every + (plan.rounds % every == 0 ? 0 : 1);
  return moments + plan.rounds + evaluations + (ReleasesOwnFigures(plan) ? 1 : 0);
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
