// train: one round of local SGD; the change of the model times the hospital's weight, and the weight.
#include <fmt/format.h>

#include <algorithm>

#include "common/model/parameters.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/design.h"

namespace consilium::node {

Result<Vector> ModelFrom(const Plan& plan, const ModelRequest& request, const Inputs& inputs) {
  const auto found = inputs.find(request.model);
  if (found == inputs.end() || BlobRoot(found->second) != request.model)
    return Fail(Code::kProtocol, "the query's model is absent or differs from its root");
  const auto parameters = ParseParameterBlob(found->second, LogisticLayout(DesignWidth(plan)));
  if (!parameters) return Fail(Code::kProtocol, parameters.error().what);
  return Vector(Eigen::Map<const Vector>(parameters->data(), static_cast<Eigen::Index>(parameters->size())));
}

Preprocessing LocalPreprocessing(const Plan& plan, const Table& table, const Rows& rows, const ModelRequest& request) {
  if (plan.standardize != "site") return request.preprocessing;
  return SiteScaled(plan, table, rows.train, request.preprocessing);
}

SgdOptions RoundOptions(const Plan& plan, std::uint32_t round, const Digest& model) {
  SgdOptions out;
  out.epochs = plan.local_epochs;
  out.steps = plan.local_steps;
  out.batch_size = plan.batch_size;
  out.learning_rate = plan.learning_rate;
  out.l2 = plan.l2;
  out.shuffle_key = Fields("consilium/shuffle").AddText(std::to_string(plan.seed)).Add(round).Add(model).Hash();
  return out;
}

Result<RawContribution> ComputeTrain(const Plan& plan, const Table& table, const Query& query, const Inputs& inputs) {
  const ModelRequest request = TRY(ReadTrainQuery(plan, query));
  const Vector start = TRY(ModelFrom(plan, request, inputs));
  const Rows rows = TRY(SplitRows(plan, table));
  const Design design = BuildDesign(plan, table, rows.train, LocalPreprocessing(plan, table, rows, request));
  const Vector trained = TrainLogistic(design.x, design.y, start, RoundOptions(plan, request.round, request.model));
  const auto patients = static_cast<double>(PatientsIn(table, rows.train)), cap = static_cast<double>(plan.weight_cap);
  const double weight = std::min(patients, cap) / cap;
  RawContribution out;
  out.blocks.emplace_back();
  for (Eigen::Index j = 0; j < start.size(); ++j) out.blocks.back().push_back((trained[j] - start[j]) * weight);
  out.blocks.push_back({weight});
  return out;
}

Result<RawContribution> ComputeQuery(const Plan& plan, const Table& table, const Query& query, const Inputs& inputs) {
  if (query.kind == "describe") return ComputeDescribe(plan, table, query);
  if (query.kind == "train") return ComputeTrain(plan, table, query, inputs);
  if (query.kind == "evaluate") return ComputeEvaluate(plan, table, query, inputs);
  return Fail(Code::kProtocol, fmt::format("this build answers no query of kind \"{}\"", query.kind));
}

}  // namespace consilium::node
