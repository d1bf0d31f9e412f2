#include "common/algorithms/early_stopping.h"

#include <algorithm>

#include "common/algorithms/derive.h"

namespace consilium {

std::uint32_t EarlyStopping::BestRound(const Value& results) {
  return static_cast<std::uint32_t>(results["early_stopping"]["round"].AsInteger());
}

bool EarlyStopping::Improves(double metric, const Value& state) const {
  if (!state.Has("best")) return true;
  static const std::vector<std::string> kErrors = {"brier", "log_loss", "rmse", "mae"};  // The others rise.
  const bool falls = std::ranges::find(kErrors, plan_.early_stopping) != kErrors.end();
  const double gain = falls ? state["best"].AsDouble() - metric : metric - state["best"].AsDouble();
  return gain > plan_.min_delta;
}

void EarlyStopping::Absorb(const Value& evaluation, Value* results, Vectors* vectors) const {
  const Value& metric = evaluation[plan_.early_stopping];
  if (!on() || !metric.IsNumber()) return;
  Value state = (*results)["early_stopping"];
  if (Improves(metric.AsDouble(), state)) {
    state.Set("best", metric).Set("round", evaluation["round"]).Set("waited", 0).Set("evaluation", evaluation);
    if (plan_.restore_best) (*vectors)["best"] = vectors->at("global");
  } else {
    state.Set("waited", state["waited"].AsInteger() + 1);
  }
  state.Set("metric", plan_.early_stopping).Set("stopped", state["waited"].AsInteger() >= plan_.patience);
  results->Set("early_stopping", std::move(state));
}

void EarlyStopping::Finish(Value* results, Vectors* vectors) const {
  if (!on() || !plan_.restore_best || BestRound(*results) == 0) return;
  vectors->at("global") = vectors->at("best");
  results->Set("evaluation", (*results)["early_stopping"]["evaluation"]);
}

}  // namespace consilium
