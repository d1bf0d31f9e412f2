// train: one round of local training; the change of the model times the hospital's weight, and the weight. Where
// training diverges, both are 0.
#include <fmt/format.h>

#include <algorithm>

#include "common/plan/strategy.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/control.h"
#include "hospital_node/training/design.h"
#include "hospital_node/training/table_rows.h"

namespace consilium::node {
namespace {

double WeightOf(const Plan& plan, const Table& table, const Rows& rows) {
  const auto patients = static_cast<double>(PatientsIn(table, rows.train)), cap = static_cast<double>(plan.weight_cap);
  return std::min(patients, cap) / cap;
}

RawContribution Zeros(const Query& query) {
  RawContribution out;
  for (const Block& block : query.blocks) {
    if (block.name != kCountBlock) out.blocks.emplace_back(block.length, 0.0);
  }
  return out;
}

}  // namespace

Result<std::vector<double>> ParametersFrom(const Plan& plan, const Digest& root, const Given& given) {
  const auto found = given.inputs.find(root);
  if (found == given.inputs.end() || BlobRoot(found->second) != root)
    return Fail(Code::kProtocol, "parameters that the query names are absent or differ from their root");
  auto parameters = ParseParameterBlob(found->second, LayoutOf(ModelOf(plan)));
  if (!parameters) return Fail(Code::kProtocol, parameters.error().what);
  return std::move(*parameters);
}

Preprocessing LocalPreprocessing(const Plan& plan, const Table& table, const Rows& rows, const ModelRequest& request) {
  if (plan.standardize != "site") return request.preprocessing;
  return SiteScaled(plan, table, rows.train, request.preprocessing);
}

Recipe RoundRecipe(const Plan& plan, std::uint32_t round, const Digest& model) {
  Recipe out;
  out.model = ModelOf(plan);
  out.loss = plan.learning.loss;
  out.optimizer = plan.learning.optimizer;
  out.optimizer.learning_rate = RateAt(out.optimizer.schedule, out.optimizer.learning_rate, round > 0 ? round - 1 : 0);
  out.optimizer.schedule = {};  // Its ticks are rounds: within one the rate stays.
  out.precision = plan.learning.precision;
  out.training.epochs = plan.local_epochs;
  out.training.steps = plan.local_steps;
  out.training.batch_size = plan.batch_size;
  out.training.shuffle_key =
      Fields("consilium/shuffle").AddText(std::to_string(plan.seed)).Add(round).Add(model).Hash();
  out.kernels = plan.reproducible ? Kernels::kReproducible : Kernels::kFastest;
  return out;
}

Result<RawContribution> ComputeTrain(const Plan& plan, const Table& table, const Query& query, const Given& given) {
  const ModelRequest request = TRY(ReadTrainQuery(plan, query));
  if (ShowsSingleHospitals(plan)) {
    if (SeatsOf(query) != given.seats)
      return Fail(Code::kProtocol, "the query's seats are not as many as the hospitals that are invited");
    if (query.params["turn"].AsInteger() != given.seat) return Zeros(query);
  }
  const std::vector<double> start = TRY(ParametersFrom(plan, request.model, given));
  Hooks<double> hooks;
  if (plan.algorithm == "fedprox") hooks = {.proximal_mu = plan.mu, .anchor = start, .correction = {}};
  std::vector<double> mean, correction;
  Control control;
  if (KeepsMemory(plan)) {
    mean = TRY(ParametersFrom(plan, request.further.at("control"), given));
    control = TRY(ReadControl(given.memory, start.size()));
    correction = control.Correction(mean);
    hooks.correction = correction;
  }
  const Rows rows = TRY(SplitRows(plan, table));
  const Preprocessing preprocessing = LocalPreprocessing(plan, table, rows, request);
  const Recipe recipe = RoundRecipe(plan, request.round, request.model);
  TrainingRun run;
  const auto trained = FitRows(recipe, {{plan, table, rows.train, preprocessing}}, start, hooks, &run);
  if (!trained) return Zeros(query);  // Diverged; what the hospital remembers stays.
  const double weight = WeightOf(plan, table, rows);
  RawContribution out;
  out.blocks = {std::vector<double>(start.size()), {weight}};
  for (std::size_t j = 0; j < start.size(); ++j) out.blocks[0][j] = ((*trained)[j] - start[j]) * weight;
  if (!KeepsMemory(plan)) return out;
  const ControlChange change = control.Move(plan, query, run.rates, mean, start, *trained, weight);
  out.blocks.push_back(change.sum);
  out.blocks.push_back({change.weight});
  out.memory = Encode(control);
  return out;
}

Result<RawContribution> ComputeQuery(const Plan& plan, const Table& table, const Query& query, const Given& given) {
  if (query.kind == "describe") return ComputeDescribe(plan, table, query);
  if (query.kind == "train") return ComputeTrain(plan, table, query, given);
  if (query.kind == "evaluate" && query.release == ReleaseTo::kHospital)
    return ComputeOwnFigures(plan, table, query, given);
  if (query.kind == "evaluate") return ComputeEvaluate(plan, table, query, given);
  return Fail(Code::kProtocol, fmt::format("this build answers no query of kind \"{}\"", query.kind));
}

}  // namespace consilium::node
