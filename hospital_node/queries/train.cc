// train: one round of local SGD; the change of the model times the hospital's weight, and the weight. A hospital whose
// training gives no finite model takes part with weight 0.
#include <fmt/format.h>

#include <algorithm>

#include "common/model/parameters.h"
#include "common/plan/strategy.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/control.h"
#include "hospital_node/training/design.h"

namespace consilium::node {
namespace {

struct LocalRound {
  Vector start, trained;
  SgdOptions options;
  double weight = 0;
};

double WeightOf(const Plan& plan, const Table& table, const Rows& rows) {
  const auto patients = static_cast<double>(PatientsIn(table, rows.train)), cap = static_cast<double>(plan.weight_cap);
  return std::min(patients, cap) / cap;
}

RawContribution Changes(const LocalRound& round) {
  const double weight = round.trained.allFinite() ? round.weight : 0;
  RawContribution out;
  out.blocks.emplace_back();
  for (Eigen::Index j = 0; j < round.start.size(); ++j)
    out.blocks.back().push_back((round.trained[j] - round.start[j]) * weight);
  out.blocks.push_back({weight});
  return out;
}

RawContribution Zeros(const Query& query) {
  RawContribution out;
  for (const Block& block : query.blocks) {
    if (block.name != kCountBlock) out.blocks.emplace_back(block.length, 0.0);
  }
  return out;
}

}  // namespace

Result<Vector> ParametersFrom(const Plan& plan, const Digest& root, const Given& given) {
  const auto found = given.inputs.find(root);
  if (found == given.inputs.end() || BlobRoot(found->second) != root)
    return Fail(Code::kProtocol, "parameters that the query names are absent or differ from their root");
  const auto parameters = ParseParameterBlob(found->second, LogisticLayout(DesignSources(plan).size()));
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
  if (plan.algorithm == "fedprox") out.mu = plan.mu;
  out.shuffle_key = Fields("consilium/shuffle").AddText(std::to_string(plan.seed)).Add(round).Add(model).Hash();
  return out;
}

Result<RawContribution> ComputeTrain(const Plan& plan, const Table& table, const Query& query, const Given& given) {
  const ModelRequest request = TRY(ReadTrainQuery(plan, query));
  if (ShowsSingleHospitals(plan)) {
    if (SeatsOf(query) != given.seats)
      return Fail(Code::kProtocol, "the query's seats are not as many as the hospitals that are invited");
    if (query.params["turn"].AsInteger() != given.seat) return Zeros(query);
  }
  LocalRound round;
  round.start = TRY(ParametersFrom(plan, request.model, given));
  round.options = RoundOptions(plan, request.round, request.model);
  const Rows rows = TRY(SplitRows(plan, table));
  const Design design = BuildDesign(plan, table, rows.train, LocalPreprocessing(plan, table, rows, request));
  round.weight = WeightOf(plan, table, rows);
  if (!KeepsMemory(plan)) {
    round.trained = TrainLogistic(design.x, design.y, round.start, round.options);
    return Changes(round);
  }
  const Vector mean = TRY(ParametersFrom(plan, request.further.at("control"), given));
  Control control = TRY(ReadControl(given.memory, round.start.size()));
  round.options.correction = control.Correction(mean);
  round.trained = TrainLogistic(design.x, design.y, round.start, round.options);
  RawContribution out = Changes(round);
  const ControlChange change = control.Move(plan, query, StepsOf(round.options, design.x.rows()), mean, round.start,
                                            round.trained, round.weight);
  out.blocks.push_back(change.sum);
  out.blocks.push_back({change.weight});
  out.memory = Encode(control);
  return out;
}

Result<RawContribution> ComputeQuery(const Plan& plan, const Table& table, const Query& query, const Given& given) {
  if (query.kind == "describe") return ComputeDescribe(plan, table, query);
  if (query.kind == "train") return ComputeTrain(plan, table, query, given);
  if (query.kind == "evaluate") return ComputeEvaluate(plan, table, query, given);
  return Fail(Code::kProtocol, fmt::format("this build answers no query of kind \"{}\"", query.kind));
}

}  // namespace consilium::node
