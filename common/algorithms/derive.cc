// Queries from plans, and the hospitals' check that a query came from one.
#include "common/algorithms/derive.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/algorithms/strategy.h"
#include "common/base/check.h"
#include "common/plan/strategy.h"

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
      const int scale = block.name == kCountBlock ? 0 : ScaleLog2(query.ring, block.bound, hospitals);
      return block.scale_log2 == scale;
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

Result<Digest> InputOf(const Query& query, const std::string& name) {
  const auto root = Digest::FromHexText(query.params["inputs"][name].AsString());
  if (!root) return Fail(Code::kProtocol, fmt::format("the query names no {}", name));
  return *root;
}

// Round, model and preprocessing; whether the query is the plan's is seen by building it again.
Result<ModelRequest> ReadModelParams(const Plan& plan, const Query& query) {
  const std::int64_t round = query.params["round"].AsInteger();
  if (plan.task != Plan::Task::kTrain || round < 1 || round > plan.rounds)
    return Fail(Code::kProtocol, "a query for a round that the plan does not have");
  ModelRequest out;
  out.round = static_cast<std::uint32_t>(round);
  out.model = TRY(InputOf(query, "model"));
  out.preprocessing = TRY(PreprocessingFromValue(plan, query.params["preprocessing"]));
  return out;
}

}  // namespace

bool NeedsMemory(const Plan& plan, const Query& query) { return KeepsMemory(plan) && query.kind == "train"; }

std::uint32_t SeatsOf(const Query& query) {
  const std::int64_t seats = query.params["seats"].AsInteger();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(seats, 1, kMostHospitals));
}

DescribeRequest DescribeRequestOf(const Plan& plan) {
  if (plan.task == Plan::Task::kDescribe) return {plan.describe_columns, plan.describe_bins, false};
  DescribeRequest out{MomentColumns(plan), 0, true};
  // With the label, so that a cohort of one class is found before it is trained on; the evaluation's sum says as much.
  if (!out.columns.empty() && LabelOf(plan) != LabelKind::kNumber) out.columns.push_back(plan.label);
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
                 std::uint32_t hospitals, const std::map<std::string, Digest>& further) {
  Value params = ModelParams(round, model, preprocessing);
  Value inputs = params["inputs"];
  for (const auto& [name, root] : further) inputs.Set(name, root.Hex());
  params.Set("inputs", std::move(inputs));
  AppendTo(&params, plan.learning);
  params.Set("seed", plan.seed)
      .Set("model", ToValue(plan.model))
      .Set("local_epochs", plan.local_epochs)
      .Set("local_steps", plan.local_steps)
      .Set("batch_size", plan.batch_size)
      .Set("weight_cap", plan.weight_cap);
  Query query = Start("train", Ring::kU32, std::move(params));
  query.Append("delta", SizeOf(LayoutOf(ModelOf(plan))), Role::kDelta, plan.update_bound, hospitals);
  query.Append("weight", 1, Role::kWeight, 1, hospitals);
  MakeStrategy(plan)->Ask(round, hospitals, &query);
  query.Finish();
  return query;
}

Query EvaluateQuery(const Plan& plan, std::uint32_t round, const Digest& model, const Preprocessing& preprocessing,
                    std::uint32_t hospitals) {
  Value params = ModelParams(round, model, preprocessing);
  const LabelKind label = LabelOf(plan);
  params.Set("bins", label == LabelKind::kBinary ? kScoreBins : 0).Set("rows", "test");
  Query query = Start("evaluate", Ring::kU64, std::move(params));
  query.Append("present", 1, Role::kPresent, 1, hospitals);
  query.Append("rows", 1, Role::kCount, kRowCap, hospitals);
  const auto log_loss = [&] { query.Append("log_loss", 1, Role::kStatistic, kRowCap * kLogLossCap, hospitals); };
  const std::uint64_t classes = ClassesOf(plan).size();
  switch (label) {
    case LabelKind::kNumber:
      for (const char* block : {"squared_error", "absolute_error", "label", "label_squares"})
        query.Append(block, 1, Role::kStatistic, kRowCap, hospitals);
      break;
    case LabelKind::kClasses:
      log_loss();
      query.Append("confusion", classes * classes, Role::kCount, kRowCap, hospitals);
      break;
    case LabelKind::kSurvival:
      query.Append("events", 1, Role::kCount, kRowCap, hospitals);
      for (const char* block : {"pairs", "concordant", "tied"})
        query.Append(block, 1, Role::kCount, kPairCap, hospitals);
      break;
    case LabelKind::kBinary:
      query.Append("positives", 1, Role::kCount, kRowCap, hospitals);
      query.Append("correct", 1, Role::kCount, kRowCap, hospitals);
      query.Append("brier", 1, Role::kStatistic, kRowCap, hospitals);
      log_loss();
      query.Append("hist_positive", kScoreBins, Role::kCount, kRowCap, hospitals);
      query.Append("hist_negative", kScoreBins, Role::kCount, kRowCap, hospitals);
      break;
  }
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
  ModelRequest out = TRY(ReadModelParams(plan, query));
  for (const std::string& name : MakeStrategy(plan)->Sends()) out.further[name] = TRY(InputOf(query, name));
  const std::uint32_t seats = SeatsOf(query);
  const Query expected = TrainQuery(plan, out.round, out.model, out.preprocessing, seats, out.further);
  if (Status derived = CheckDerived(plan, query, expected); !derived) return std::unexpected(derived.error());
  if (query.params.Has("seats") && query.blocks != expected.blocks)
    return Fail(Code::kProtocol, "the query's scales are for another number of hospitals than its seats");
  return out;
}

Result<ModelRequest> ReadEvaluateQuery(const Plan& plan, const Query& query) {
  ModelRequest out = TRY(ReadModelParams(plan, query));
  const Query expected = EvaluateQuery(plan, out.round, out.model, out.preprocessing, 1);
  if (Status derived = CheckDerived(plan, query, expected); !derived) return std::unexpected(derived.error());
  return out;
}

Result<ModelRequest> ReadOwnFiguresQuery(const Plan& plan, const Query& query) {
  if (!ReleasesOwnFigures(plan)) return Fail(Code::kProtocol, "the plan releases no figures of single hospitals");
  ModelRequest out = TRY(ReadModelParams(plan, query));
  const Query expected = OwnFiguresQuery(plan, out.round, out.model, out.preprocessing, 1);
  if (Status derived = CheckDerived(plan, query, expected); !derived) return std::unexpected(derived.error());
  if (!CanEndAfter(plan, out.round)) return Fail(Code::kProtocol, "only the final model's figures are released");
  return out;
}

}  // namespace consilium
