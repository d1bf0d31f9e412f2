// train: one round of local training; the change of the model times the hospital's weight, and the weight. Where
// training diverges, both are 0.
#include <fmt/format.h>

#include <algorithm>

#include "hospital_node/queries/queries.h"
#include "hospital_node/training/design.h"
#include "hospital_node/training/table_rows.h"

namespace consilium::node {

Result<std::vector<double>> ModelFrom(const Plan& plan, const ModelRequest& request, const Inputs& inputs) {
  const auto found = inputs.find(request.model);
  if (found == inputs.end() || BlobRoot(found->second) != request.model)
    return Fail(Code::kProtocol, "the query's model is absent or differs from its root");
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
  out.loss = UsualLoss(out.model);
  out.optimizer.learning_rate = plan.learning_rate;
  out.optimizer.l2 = plan.l2;
  out.training.epochs = plan.local_epochs;
  out.training.steps = plan.local_steps;
  out.training.batch_size = plan.batch_size;
  out.training.shuffle_key =
      Fields("consilium/shuffle").AddText(std::to_string(plan.seed)).Add(round).Add(model).Hash();
  out.kernels = plan.reproducible ? Kernels::kReproducible : Kernels::kFastest;
  return out;
}

Result<RawContribution> ComputeTrain(const Plan& plan, const Table& table, const Query& query, const Inputs& inputs) {
  const ModelRequest request = TRY(ReadTrainQuery(plan, query));
  const std::vector<double> start = TRY(ModelFrom(plan, request, inputs));
  const Rows rows = TRY(SplitRows(plan, table));
  const Preprocessing preprocessing = LocalPreprocessing(plan, table, rows, request);
  const Recipe recipe = RoundRecipe(plan, request.round, request.model);
  const auto trained = FitRows(recipe, {{plan, table, rows.train, preprocessing}}, start);
  const auto patients = static_cast<double>(PatientsIn(table, rows.train)), cap = static_cast<double>(plan.weight_cap);
  const double weight = trained ? std::min(patients, cap) / cap : 0;
  RawContribution out;
  out.blocks.emplace_back(start.size(), 0.0);
  for (std::size_t j = 0; trained && j < start.size(); ++j) out.blocks[0][j] = ((*trained)[j] - start[j]) * weight;
  out.blocks.push_back({weight});
  return out;
}

Result<RawContribution> ComputeQuery(const Plan& plan, const Table& table, const Query& query, const Inputs& inputs) {
  if (query.kind == "describe") return ComputeDescribe(plan, table, query);
  if (query.kind == "train") return ComputeTrain(plan, table, query, inputs);
  if (query.kind == "evaluate" && query.release == ReleaseTo::kHospital)
    return ComputeOwnFigures(plan, table, query, inputs);
  if (query.kind == "evaluate") return ComputeEvaluate(plan, table, query, inputs);
  return Fail(Code::kProtocol, fmt::format("this build answers no query of kind \"{}\"", query.kind));
}

}  // namespace consilium::node
