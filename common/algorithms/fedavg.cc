// Federated averaging. The walk through the answers:
//
//   [moments] -> round 1 -> ... -> round r -> [evaluation] -> ... -> round R -> evaluation -> [own figures]
//
// moments when the preprocessing needs them; an evaluation every `evaluate_every` rounds and at the end; each
// hospital's own figures where the plan releases them.
//
// A cohort of a single class: the moments' sum counts the labels of the training rows, too, so the walk ends before the
// first round. Without moments the first evaluation ends it, by the labels of the test rows. Either way the figure is
// one sum over at least the plan's minimum of hospitals, each with at least its minimum of patients; where fewer
// answer, nothing is concluded. That one hospital has a single class only that hospital learns.
#include "common/algorithms/fedavg.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "common/algorithms/derive.h"
#include "common/algorithms/own_figures.h"
#include "common/base/check.h"
#include "common/model/metrics.h"
#include "common/model/parameters.h"

namespace consilium {
namespace {

enum class Kind : std::uint8_t { kMoments, kTrain, kEvaluate, kOwnFigures };
struct Stop {
  Kind kind;
  std::uint32_t round;
};

std::vector<Stop> Itinerary(const Plan& plan) {
  std::vector<Stop> out;
  if (!MomentColumns(plan).empty()) out.push_back({Kind::kMoments, 0});
  for (std::uint32_t round = 1; round <= plan.rounds; ++round) {
    out.push_back({Kind::kTrain, round});
    const bool due = plan.evaluate_every > 0 && round % plan.evaluate_every == 0;
    if (due || round == plan.rounds) out.push_back({Kind::kEvaluate, round});
  }
  if (ReleasesOwnFigures(plan)) out.push_back({Kind::kOwnFigures, plan.rounds});
  return out;
}

// What hospitals receive is float32; the coordinator goes on from the very same numbers.
double AsSent(double v) { return static_cast<double>(static_cast<float>(v)); }

bool AllFinite(const std::vector<double>& values) {
  for (const double v : values) {
    if (!std::isfinite(v)) return false;
  }
  return true;
}

Value ShareOf(double part, double whole) { return whole > 0 ? Number(part / whole) : Value(); }

class FedAvg : public Algorithm {
 public:
  explicit FedAvg(const Plan& plan) : plan_(plan), stops_(Itinerary(plan)), layout_(LayoutOf(ModelOf(plan))) {
    state_.results = Value().Set("rounds", Value::Array{}).Set("evaluations", Value::Array{});
    state_.vectors["global"] = InitialParameters(ModelOf(plan), plan.seed);
    if (stops_.front().kind != Kind::kMoments) SetPreprocessing(MakePreprocessing(plan_, {}));
  }

  Status Restore(const AlgorithmState& state) {
    const Status foreign = Fail(Code::kCorrupt, "the saved state does not belong to this plan's training");
    const auto vector = [&](const char* name) {
      const auto found = state.vectors.find(name);
      return found == state.vectors.end() ? std::vector<double>() : found->second;
    };
    const bool ready = state.step > 0 || stops_.front().kind != Kind::kMoments;
    const std::size_t columns = ready ? DesignSources(plan_).size() : 0,
                      scaled = plan_.standardize == "site" ? 0 : columns;
    if (state.step > stops_.size() || !state.results.Has("rounds") || !state.results.Has("evaluations")) return foreign;
    if (vector("global").size() != SizeOf(layout_) || vector("impute").size() != columns) return foreign;
    if (vector("mean").size() != scaled || vector("sd").size() != scaled) return foreign;
    for (const auto& [name, values] : state.vectors) {
      if (!AllFinite(values)) return foreign;
    }
    state_ = state;
    for (const char* name : {"impute", "mean", "sd"}) {
      if (ready) state_.vectors[name];  // An empty vector may have been left out of the stored state.
    }
    return {};
  }

  [[nodiscard]] std::optional<Step> Next(std::uint32_t hospitals) const override {
    if (state_.step == stops_.size() || SingleClass()) return std::nullopt;
    const Stop& stop = stops_[state_.step];
    Step step;
    if (stop.kind == Kind::kMoments) {
      step.query = DescribeQuery(plan_, DescribeRequestOf(plan_), hospitals);
    } else {
      step.inputs.push_back(ParameterBlob(state_.vectors.at("global")));
      const auto build = stop.kind == Kind::kTrain      ? TrainQuery
                         : stop.kind == Kind::kEvaluate ? EvaluateQuery
                                                        : OwnFiguresQuery;
      step.query = build(plan_, stop.round, BlobRoot(step.inputs.front()), CurrentPreprocessing(), hospitals);
    }
    step.query.bases = state_.bases;
    return step;
  }

  Status Absorb(const Query& query, const Answer& answer) override {
    if (Status fits = CheckFits(query); !fits) return fits;
    const Stop& stop = stops_[state_.step];
    switch (stop.kind) {
      case Kind::kMoments:
        AbsorbMoments(answer);
        break;
      case Kind::kTrain:
        AbsorbRound(stop.round, answer);
        break;
      case Kind::kEvaluate:
        AbsorbEvaluation(stop.round, answer);
        break;
      case Kind::kOwnFigures:
        state_.results.Set("released", OwnFigures(plan_, answer));
        break;
    }
    state_.bases = {answer.digest()};
    ++state_.step;
    return {};
  }

  [[nodiscard]] AlgorithmState Save() const override { return state_; }
  [[nodiscard]] bool SingleClass() const override { return state_.results.Has("single_class"); }
  [[nodiscard]] std::uint32_t TotalSteps() const override { return static_cast<std::uint32_t>(stops_.size()); }
  [[nodiscard]] Value Results() const override { return state_.results; }

  [[nodiscard]] std::optional<Bytes> ModelFile() const override {
    const std::size_t rounds = state_.results["rounds"].AsArray().size();
    if (rounds == 0) return std::nullopt;
    Value columns{Value::Array{}}, layout{Value::Array{}};
    for (const std::string& name : DesignColumns(plan_)) columns.Push(name);
    for (const Tensor& tensor : layout_)
      layout.Push(
          Value().Set("name", tensor.name).Set("shape", Value(Value::Array(tensor.shape.begin(), tensor.shape.end()))));
    const std::map<std::string, std::string> metadata = {
        {"plan", plan_.id().Hex()},
        {"name", plan_.name},
        {"model", plan_.model},
        {"label", plan_.label},
        {"rounds", std::to_string(rounds)},
        {"layout", CanonicalJson(layout)},
        {"design_columns", CanonicalJson(columns)},
        {"standardize", plan_.standardize},
        {"preprocessing", CanonicalJson(ToValue(CurrentPreprocessing()))},
        {"warning", Warning(plan_)},
    };
    return WriteSafetensors(layout_, state_.vectors.at("global"), metadata);
  }

 private:
  // The query must be the one that Next gives, for whatever number of hospitals.
  [[nodiscard]] Status CheckFits(const Query& query) const {
    const std::optional<Step> expected = Next(1);
    if (!expected) return Fail(Code::kProtocol, "the training is complete; no further answer belongs to it");
    if (query.kind != expected->query.kind || query.params != expected->query.params ||
        query.release != expected->query.release || query.bases != expected->query.bases) {
      return Fail(Code::kProtocol, "the answer belongs to another query");
    }
    if (query.kind == "describe") {
      const auto read = ReadDescribeQuery(plan_, query);
      return read ? Status{} : std::unexpected(read.error());
    }
    const auto read = query.kind == "train"                   ? ReadTrainQuery(plan_, query)
                      : query.release == ReleaseTo::kHospital ? ReadOwnFiguresQuery(plan_, query)
                                                              : ReadEvaluateQuery(plan_, query);
    return read ? Status{} : std::unexpected(read.error());
  }

  [[nodiscard]] Preprocessing CurrentPreprocessing() const {
    return {state_.vectors.at("impute"), state_.vectors.at("mean"), state_.vectors.at("sd")};
  }

  void SetPreprocessing(const Preprocessing& preprocessing) {
    state_.vectors["impute"] = preprocessing.impute;
    state_.vectors["mean"] = preprocessing.mean;
    state_.vectors["sd"] = preprocessing.sd;
    Value columns{Value::Array{}};
    for (const std::string& name : DesignColumns(plan_)) columns.Push(name);
    Value shown = ToValue(preprocessing);
    shown.Set("columns", std::move(columns)).Set("standardize", plan_.standardize);
    state_.results.Set("preprocessing", std::move(shown));
  }

  void AbsorbMoments(const Answer& answer) {
    std::map<std::string, Moments> moments;
    for (const ColumnSummary& summary : Summarise(plan_, DescribeRequestOf(plan_), answer)) {
      if (summary.mean) moments[summary.column->name] = {*summary.mean, summary.sd.value_or(0)};
      if (summary.column->name != plan_.label || !summary.shown) continue;
      NoteLabels(summary);
    }
    SetPreprocessing(MakePreprocessing(plan_, moments));
  }

  void NoteLabels(const ColumnSummary& summary) {
    const std::vector<std::string>& names = summary.column->classes;
    Value labels = Value().Set("rows", summary.count);
    if (names.empty()) {
      state_.results.Set("labels", labels.Set("positives", summary.positive));
      return NoteClasses(summary.count, summary.positive);
    }
    Value classes{Value::Array{}};
    for (std::size_t i = 0; i < names.size(); ++i) {
      classes.Push(Value().Set("class", names[i]).Set("count", summary.levels[i]));
      if (summary.count > 0 && summary.levels[i] == summary.count) state_.results.Set("single_class", names[i]);
    }
    state_.results.Set("labels", labels.Set("classes", std::move(classes)));
  }

  void NoteClasses(std::int64_t rows, std::int64_t positives) {
    if (rows > 0 && positives == 0) state_.results.Set("single_class", "negative");
    if (rows > 0 && positives == rows) state_.results.Set("single_class", "positive");
  }

  // global += sum_i w_i delta_i / sum_i w_i
  void AbsorbRound(std::uint32_t round, const Answer& answer) {
    const std::vector<double> deltas = answer.Values("delta");
    const double weight = answer.Value1("weight");
    std::vector<double>& global = state_.vectors["global"];
    double squares = 0;
    for (std::size_t i = 0; weight > 0 && i < global.size(); ++i) {
      const double before = global[i];
      global[i] = AsSent(before + deltas[i] / weight);
      squares += (global[i] - before) * (global[i] - before);
    }
    Value entry;
    entry.Set("round", round).Set("hospitals", answer.survivors().size());
    entry.Set("weight", Number(weight * plan_.weight_cap)).Set("update_norm", Number(std::sqrt(squares)));
    Append("rounds", std::move(entry));
  }

  void AbsorbEvaluation(std::uint32_t round, const Answer& answer) {
    const double rows = answer.Value1("rows"), positives = answer.Value1("positives");
    const auto whole = [&](const char* block) {
      std::vector<std::int64_t> out;
      for (const double v : answer.Values(block)) out.push_back(static_cast<std::int64_t>(v));
      return out;
    };
    Value entry;
    const double present = answer.Value1("present");
    entry.Set("round", round).Set("hospitals", Number(present)).Set("of", answer.survivors().size());
    if (present < plan_.minimum_hospitals) {  // As for columns of a description: nearly one hospital's own figures.
      entry.Set("rows", Value()).Set("auroc", Value()).Set("withheld", true);
      state_.results.Set("evaluation", entry);
      return Append("evaluations", std::move(entry));
    }
    const auto positive = whole("hist_positive"), negative = whole("hist_negative");
    BinaryMetrics metrics;
    AurocFromHistogram(positive, negative, &metrics);
    const auto auroc = [&](double v) { return metrics.auroc_defined ? Number(v) : Value(); };
    entry.Set("rows", Number(rows)).Set("positives", Number(positives));
    entry.Set("auroc", auroc(metrics.auroc))
        .Set("auroc_low", auroc(metrics.auroc_low))
        .Set("auroc_high", auroc(metrics.auroc_high));
    entry.Set("accuracy", ShareOf(answer.Value1("correct"), rows)).Set("brier", ShareOf(answer.Value1("brier"), rows));
    entry.Set("log_loss", ShareOf(answer.Value1("log_loss"), rows));
    Append("evaluations", entry);
    // Where both classes are known to be trained on, held-out patients of one class leave the AUROC undefined, no more.
    if (!state_.results.Has("labels"))
      NoteClasses(static_cast<std::int64_t>(rows), static_cast<std::int64_t>(positives));
    entry.Set("roc", RocCurve(positive, negative)).Set("calibration", Calibration(plan_, positive, negative));
    state_.results.Set("evaluation", std::move(entry));
  }

  // (false positive rate, true positive rate) at 101 thresholds, from "all" to "none"; empty with a single class.
  static Value RocCurve(const std::vector<std::int64_t>& positive, const std::vector<std::int64_t>& negative) {
    constexpr std::size_t kSteps = 100;
    const auto total = [](const auto& counts) {
      return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    };
    const auto positives = total(positive), negatives = total(negative);
    Value out{Value::Array{}};
    if (positives == 0 || negatives == 0) return out;
    std::int64_t below_positive = 0, below_negative = 0;
    std::size_t bin = 0;
    for (std::size_t step = 0; step <= kSteps; ++step) {
      for (; bin < positive.size() * step / kSteps; ++bin) {
        below_positive += positive[bin];
        below_negative += negative[bin];
      }
      Value point{Value::Array{}};
      point.Push(ShareOf(static_cast<double>(negatives - below_negative), static_cast<double>(negatives)));
      point.Push(ShareOf(static_cast<double>(positives - below_positive), static_cast<double>(positives)));
      out.Push(std::move(point));
    }
    return out;
  }

  void Append(const char* list, Value entry) {
    Value::Array entries = state_.results[list].AsArray();
    entries.push_back(std::move(entry));
    state_.results.Set(list, std::move(entries));
  }

  Plan plan_;
  std::vector<Stop> stops_;
  Layout layout_;
  AlgorithmState state_;
};

}  // namespace

Result<std::unique_ptr<Algorithm>> MakeFedAvg(const Plan& plan, const AlgorithmState* state) {
  CHECK(plan.rounds >= 1 && !DesignSources(plan).empty());  // A parsed training plan has both.
  auto out = std::make_unique<FedAvg>(plan);
  if (state != nullptr) {
    if (Status restored = out->Restore(*state); !restored) return std::unexpected(restored.error());
  }
  return out;
}

}  // namespace consilium
