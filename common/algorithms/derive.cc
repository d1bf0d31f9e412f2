// Queries from plans, and the hospitals' check that a query came from one.
#include "common/algorithms/derive.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"

namespace consilium {
namespace {

constexpr std::uint32_t kMostHospitals = 1 << 14;

Query Start(const char* kind, Ring ring, Value params) {
  Query query;
  query.kind = kind;
  query.params = std::move(params);
  query.ring = ring;
  return query;
}

void AppendColumn(const Column& column, std::uint32_t bins, std::uint32_t hospitals, Query* query) {
  const auto block = [&](const char* what, std::uint64_t length, Role role, double bound) {
    query->Append(column.name + "/" + what, length, role, bound, hospitals);
  };
  block("present", 1, Role::kPresent, 1);
  block("count", 1, Role::kCount, kRowCap);
  block("missing", 1, Role::kCount, kRowCap);
  if (column.type == Column::Type::kNumber) {
    block("sum", 1, Role::kStatistic, kRowCap);
    block("squares", 3, Role::kStatistic, kRowCap);
    if (bins > 0) block("hist", bins, Role::kCount, kRowCap);
  } else if (column.type == Column::Type::kCategory) {
    block("levels", column.levels.size(), Role::kCount, kRowCap);
  } else if (column.type == Column::Type::kTensor) {
    block("sum", 1, Role::kStatistic, kRowCap);
    block("squares", 1, Role::kStatistic, kRowCap);
  } else if (!column.classes.empty()) {
    block("classes", column.classes.size(), Role::kCount, kRowCap);
  } else if (column.type == Column::Type::kLabel) {
    block("positive", 1, Role::kCount, kRowCap);
  }
}

Value ModelParams(std::uint32_t round, const Digest& model, const Preprocessing& preprocessing) {
  return Value()
      .Set("round", round)
      .Set("inputs", Value().Set("model", model.Hex()))
      .Set("preprocessing", ToValue(preprocessing));
}

bool SameShape(const Query& query, const Query& expected) {
  if (query.kind != expected.kind || query.params != expected.params || query.ring != expected.ring ||
      query.release != expected.release)
    return false;
  return std::equal(query.blocks.begin(), query.blocks.end(), expected.blocks.begin(), expected.blocks.end(),
                    [](Block a, const Block& b) {
                      a.scale_log2 = b.scale_log2;
                      return a == b;
                    });
}

// The scales follow from the number of hospitals alone: some number at least the plan's minimum must give all of them;
// 1 where nothing is added up.
bool ScalesFit(const Plan& plan, const Query& query) {
  const bool sum = query.release == ReleaseTo::kSum;
  const std::uint32_t least = sum ? std::max(plan.minimum_hospitals, 1U) : 1, most = sum ? kMostHospitals : 1;
  for (std::uint32_t hospitals = least; hospitals <= most; ++hospitals) {
    const bool all = std::all_of(query.blocks.begin(), query.blocks.end(), [&](const Block& block) {
      return block.name == kCountBlock || block.scale_log2 == ScaleLog2(query.ring, block.bound, hospitals);
    });
    if (all) return true;
  }
  return false;
}

Status CheckDerived(const Plan& plan, const Query& query, const Query& expected) {
  if (SameShape(query, expected) && ScalesFit(plan, query)) return {};
  return Fail(Code::kProtocol,
              fmt::format("the plan does not lead to this {} query; coordinator and node may run different builds",
                          query.kind));
}

using ModelQuery = Query (*)(const Plan&, std::uint32_t, const Digest&, const Preprocessing&, std::uint32_t);

Result<ModelRequest> ReadModelQuery(const Plan& plan, const Query& query, ModelQuery build) {
  const std::int64_t round = query.params["round"].AsInteger();
  if (plan.task != Plan::Task::kTrain || round < 1 || round > plan.rounds)
    return Fail(Code::kProtocol, "a query for a round that the plan does not have");
  ModelRequest out;
  out.round = static_cast<std::uint32_t>(round);
  const auto root = Digest::FromHexText(query.params["inputs"]["model"].AsString());
  if (!root) return Fail(Code::kProtocol, "the query names no model");
  out.model = *root;
  out.preprocessing = TRY(PreprocessingFromValue(plan, query.params["preprocessing"]));
  const Query expected = build(plan, out.round, out.model, out.preprocessing, 1);
  if (Status derived = CheckDerived(plan, query, expected); !derived) return std::unexpected(derived.error());
  return out;
}

}  // namespace

ModelSpec ModelOf(const Plan& plan) {
  return {.kind = ModelSpec::Kind::kLogistic, .inputs = static_cast<std::uint32_t>(DesignWidth(plan))};
}

DescribeRequest DescribeRequestOf(const Plan& plan) {
  if (plan.task == Plan::Task::kDescribe) return {plan.describe_columns, plan.describe_bins, false};
  DescribeRequest out{MomentColumns(plan), 0, true};
  // With the label, so that a cohort of one class is found before it is trained on; the evaluation's sum says as much.
  if (!out.columns.empty()) out.columns.push_back(plan.label);
  return out;
}

Query DescribeQuery(const Plan& plan, const DescribeRequest& request, std::uint32_t hospitals) {
  Value columns{Value::Array{}};
  for (const std::string& name : request.columns) columns.Push(name);
  Query query = Start("describe", Ring::kU64,
                      Value()
                          .Set("columns", std::move(columns))
                          .Set("bins", request.bins)
                          .Set("rows", request.train_only ? "train" : "all"));
  query.Append("present", 1, Role::kPresent, 1, hospitals);
  query.Append("rows", 1, Role::kCount, kRowCap, hospitals);
  query.Append("patients", 1, Role::kCount, kRowCap, hospitals);
  for (const std::string& name : request.columns) {
    const Column* column = plan.schema.Find(name);
    CHECK(column != nullptr);  // A parsed plan has the columns it names.
    AppendColumn(*column, request.bins, hospitals, &query);
  }
  query.Finish();
  return query;
}

Query TrainQuery(const Plan& plan, std::uint32_t round, const Digest& model, const Preprocessing& preprocessing,
                 std::uint32_t hospitals) {
  Value params = ModelParams(round, model, preprocessing);
  params.Set("seed", plan.seed)
      .Set("local_epochs", plan.local_epochs)
      .Set("local_steps", plan.local_steps)
      .Set("batch_size", plan.batch_size)
      .Set("learning_rate", Number(plan.learning_rate))
      .Set("l2", Number(plan.l2))
      .Set("weight_cap", plan.weight_cap);
  Query query = Start("train", Ring::kU32, std::move(params));
  query.Append("delta", SizeOf(LayoutOf(ModelOf(plan))), Role::kDelta, plan.update_bound, hospitals);
  query.Append("weight", 1, Role::kWeight, 1, hospitals);
  query.Finish();
  return query;
}

Query EvaluateQuery(const Plan& /*plan*/, std::uint32_t round, const Digest& model, const Preprocessing& preprocessing,
                    std::uint32_t hospitals) {
  Value params = ModelParams(round, model, preprocessing);
  params.Set("bins", kScoreBins).Set("rows", "test");
  Query query = Start("evaluate", Ring::kU64, std::move(params));
  query.Append("present", 1, Role::kPresent, 1, hospitals);
  query.Append("rows", 1, Role::kCount, kRowCap, hospitals);
  query.Append("positives", 1, Role::kCount, kRowCap, hospitals);
  query.Append("correct", 1, Role::kCount, kRowCap, hospitals);
  query.Append("brier", 1, Role::kStatistic, kRowCap, hospitals);
  query.Append("log_loss", 1, Role::kStatistic, kRowCap * kLogLossCap, hospitals);
  query.Append("hist_positive", kScoreBins, Role::kCount, kRowCap, hospitals);
  query.Append("hist_negative", kScoreBins, Role::kCount, kRowCap, hospitals);
  query.Finish();
  return query;
}

Query OwnFiguresQuery(const Plan& /*plan*/, std::uint32_t round, const Digest& model,
                      const Preprocessing& preprocessing, std::uint32_t /*hospitals*/) {
  Value params = ModelParams(round, model, preprocessing);
  params.Set("bins", kOwnBins).Set("rows", "test");
  Query query = Start("evaluate", Ring::kU64, std::move(params));
  query.release = ReleaseTo::kHospital;
  query.Append("present", 1, Role::kPresent, 1, 1);
  query.Append("brier", 1, Role::kStatistic, kRowCap, 1);
  query.Append("log_loss", 1, Role::kStatistic, kRowCap * kLogLossCap, 1);
  query.Append("hist_positive", kOwnBins, Role::kCount, kRowCap, 1);
  query.Append("hist_negative", kOwnBins, Role::kCount, kRowCap, 1);
  query.Finish();
  return query;
}

Result<DescribeRequest> ReadDescribeQuery(const Plan& plan, const Query& query) {
  DescribeRequest request = DescribeRequestOf(plan);
  if (request.columns.empty()) return Fail(Code::kProtocol, "the plan asks for no description");
  if (Status derived = CheckDerived(plan, query, DescribeQuery(plan, request, 1)); !derived)
    return std::unexpected(derived.error());
  return request;
}

Result<ModelRequest> ReadTrainQuery(const Plan& plan, const Query& query) {
  return ReadModelQuery(plan, query, TrainQuery);
}

Result<ModelRequest> ReadEvaluateQuery(const Plan& plan, const Query& query) {
  return ReadModelQuery(plan, query, EvaluateQuery);
}

Result<ModelRequest> ReadOwnFiguresQuery(const Plan& plan, const Query& query) {
  if (!ReleasesOwnFigures(plan)) return Fail(Code::kProtocol, "the plan releases no figures of single hospitals");
  const ModelRequest request = TRY(ReadModelQuery(plan, query, OwnFiguresQuery));
  if (request.round != plan.rounds) return Fail(Code::kProtocol, "only the final model's figures are released");
  return request;
}

}  // namespace consilium
