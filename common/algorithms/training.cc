#include "common/algorithms/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/algorithms/derive.h"
#include "common/algorithms/early_stopping.h"
#include "common/algorithms/evaluation.h"
#include "common/algorithms/own_figures.h"
#include "common/algorithms/strategy.h"
#include "common/base/check.h"
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
void RoundAsSent(std::vector<double>* values) {
  for (double& v : *values) v = static_cast<double>(static_cast<float>(v));
}

bool AllFinite(const Vectors& vectors) {
  return std::ranges::all_of(vectors, [](const auto& named) {
    return std::ranges::all_of(named.second, [](double v) { return std::isfinite(v); });
  });
}

double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(squares);
}

class Training : public Algorithm {
 public:
  explicit Training(const Plan& plan)
      : plan_(plan),
        strategy_(MakeStrategy(plan)),
        stopping_(plan_),
        stops_(Itinerary(plan)),
        layout_(LayoutOf(ModelOf(plan))) {
    state_.results = Value().Set("rounds", Value::Array{}).Set("evaluations", Value::Array{});
    for (const auto& [name, length] : Lengths()) state_.vectors[name].assign(length, 0.0);
    state_.vectors["global"] = InitialParameters(ModelOf(plan), plan.seed);
    if (stops_.front().kind != Kind::kMoments) SetPreprocessing(MakePreprocessing(plan_, {}));
  }

  Status Restore(const AlgorithmState& state) {
    const bool ready = state.step > 0 || stops_.front().kind != Kind::kMoments;
    const std::size_t columns = ready ? DesignSources(plan_).size() : 0,
                      scaled = plan_.standardize == "site" ? 0 : columns;
    std::map<std::string, std::size_t> expected = Lengths();
    expected.insert({{"impute", columns}, {"mean", scaled}, {"sd", scaled}});
    if (plan_.restore_best && EarlyStopping::BestRound(state.results) > 0) expected["best"] = expected["global"];
    bool fits = state.step <= stops_.size() && state.results.Has("rounds") && state.results.Has("evaluations") &&
                AllFinite(state.vectors);
    for (const auto& [name, length] : expected) {
      const auto found = state.vectors.find(name);  // An empty vector may have been left out of the stored state.
      fits = fits && (found == state.vectors.end() ? 0 : found->second.size()) == length;
    }
    for (const auto& [name, values] : state.vectors) fits = fits && expected.contains(name);
    if (!fits) return Fail(Code::kCorrupt, "the saved state does not belong to this plan's training");
    state_ = state;
    if (!Trained() && state_.step >= stops_.size())
      return Fail(Code::kCorrupt, "the saved state of this plan's training has no end");
    for (const char* name : {"impute", "mean", "sd"}) {
      if (ready) state_.vectors[name];
    }
    return {};
  }

  [[nodiscard]] std::optional<Step> Next(std::uint32_t hospitals) const override {
    const std::optional<Stop> stop = Current();
    if (!stop) return std::nullopt;
    Step step;
    if (stop->kind == Kind::kMoments) {
      step.query = DescribeQuery(plan_, DescribeRequestOf(plan_), hospitals);
    } else {
      const Digest model = Send("global", &step);
      if (stop->kind == Kind::kTrain) {
        std::map<std::string, Digest> further;
        for (const std::string& name : strategy_->Sends()) further[name] = Send(name, &step);
        step.query = TrainQuery(plan_, stop->round, model, CurrentPreprocessing(), hospitals, further);
      } else {
        const auto build = stop->kind == Kind::kEvaluate ? EvaluateQuery : OwnFiguresQuery;
        step.query = build(plan_, stop->round, model, CurrentPreprocessing(), hospitals);
      }
    }
    step.query.bases = state_.bases;
    return step;
  }

  Status Absorb(const Query& query, const Answer& answer) override {
    if (Status fits = CheckFits(query); !fits) return fits;
    const Stop stop = *Current();
    switch (stop.kind) {
      case Kind::kMoments:
        AbsorbMoments(answer);
        break;
      case Kind::kTrain:
        AbsorbRound(stop.round, answer);
        break;
      case Kind::kEvaluate:
        AbsorbEvaluation(stop.round, answer);
        // Before anything is asked of the final model.
        if (Trained()) stopping_.Finish(&state_.results, &state_.vectors);
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
  [[nodiscard]] Failure failure() const override {
    if (state_.results.Has("diverged")) return Failure::kDiverged;
    return state_.results.Has("single_class") ? Failure::kSingleClass : Failure::kNone;
  }
  [[nodiscard]] std::uint32_t TotalSteps() const override { return static_cast<std::uint32_t>(stops_.size()); }
  [[nodiscard]] Value Results() const override { return state_.results; }

  [[nodiscard]] std::optional<Bytes> ModelFile() const override {
    const std::size_t rounds = state_.results["rounds"].AsArray().size();
    if (rounds == 0) return std::nullopt;
    const bool best = Trained() && state_.vectors.contains("best");
    Value columns{Value::Array{}}, layout{Value::Array{}};
    for (const std::string& name : DesignColumns(plan_)) columns.Push(name);
    for (const Tensor& tensor : layout_)
      layout.Push(
          Value().Set("name", tensor.name).Set("shape", Value(Value::Array(tensor.shape.begin(), tensor.shape.end()))));
    const std::map<std::string, std::string> metadata = {
        {"plan", plan_.id().Hex()},
        {"name", plan_.name},
        {"model", CanonicalJson(ToValue(plan_.model))},
        {"label", plan_.label},
        {"rounds", std::to_string(best ? EarlyStopping::BestRound(state_.results) : rounds)},
        {"layout", CanonicalJson(layout)},
        {"design_columns", CanonicalJson(columns)},
        {"standardize", plan_.standardize},
        {"preprocessing", CanonicalJson(ToValue(CurrentPreprocessing()))},
        {"warning", Warning(plan_)},
    };
    return WriteSafetensors(layout_, state_.vectors.at("global"), metadata);
  }

 private:
  // The vectors that are there from the first step to the last.
  [[nodiscard]] std::map<std::string, std::size_t> Lengths() const {
    auto lengths = strategy_->Keeps(SizeOf(layout_));
    lengths["global"] = SizeOf(layout_);
    return lengths;
  }

  // The round of the last evaluation; 0 before the first.
  [[nodiscard]] std::uint32_t EvaluatedRound() const {
    const Value::Array& evaluations = state_.results["evaluations"].AsArray();
    return evaluations.empty() ? 0 : static_cast<std::uint32_t>(evaluations.back()["round"].AsInteger());
  }

  // Whether the model is the final one: all rounds are done and evaluated, or early stopping has seen enough.
  [[nodiscard]] bool Trained() const {
    return EarlyStopping::Stopped(state_.results) || EvaluatedRound() == plan_.rounds;
  }

  // What is asked next; nullopt once the study is over. Early stopping leaves out what is between it and the end.
  [[nodiscard]] std::optional<Stop> Current() const {
    if (failure() != Failure::kNone) return std::nullopt;
    if (!Trained()) return stops_[state_.step];
    if (!ReleasesOwnFigures(plan_) || state_.results.Has("released")) return std::nullopt;
    return Stop{Kind::kOwnFigures, EvaluatedRound()};
  }

  // The vector as hospitals receive it becomes an input of the step.
  Digest Send(const std::string& name, Step* step) const {
    step->inputs.push_back(ParameterBlob(state_.vectors.at(name)));
    return BlobRoot(step->inputs.back());
  }

  // The query must be the one that Next gives, for whatever number of hospitals.
  [[nodiscard]] Status CheckFits(const Query& query) const {
    const std::optional<Step> expected = Next(SeatsOf(query));
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
    Value labels = Value().Set("rows", summary.count);
    if (LabelOf(plan_) != LabelKind::kClasses) {
      state_.results.Set("labels", labels.Set("positives", summary.positive));
      return NoteClasses(summary.count, summary.positive);
    }
    const std::vector<std::string> names = ClassesOf(plan_);
    Value classes{Value::Array{}};
    for (std::size_t i = 0; i < names.size(); ++i) {
      classes.Push(Value().Set("class", names[i]).Set("count", summary.levels[i]));
      if (summary.count > 0 && summary.levels[i] == summary.count) state_.results.Set("single_class", names[i]);
    }
    state_.results.Set("labels", labels.Set("classes", std::move(classes)));
  }

  // Where the label is an event that happened to everybody, there is something to learn: when.
  void NoteClasses(std::int64_t rows, std::int64_t positives) {
    if (rows > 0 && positives == 0) state_.results.Set("single_class", "negative");
    if (rows > 0 && positives == rows && LabelOf(plan_) == LabelKind::kBinary)
      state_.results.Set("single_class", "positive");
  }

  void AbsorbRound(std::uint32_t round, const Answer& answer) {
    const double weight = answer.Value1("weight");
    Vectors moved = state_.vectors;
    if (weight > 0) {
      std::vector<double> average = answer.Values("delta");
      for (double& v : average) v /= weight;
      strategy_->Move(average, answer, &moved);
      RoundAsSent(&moved.at("global"));
      for (const std::string& name : strategy_->Sends()) RoundAsSent(&moved.at(name));
    } else if (!strategy_->Visits()) {
      return Diverged(round, "local");
    }
    if (!AllFinite(moved)) return Diverged(round, "model");
    Value entry;
    entry.Set("round", round).Set("hospitals", answer.survivors().size());
    entry.Set("weight", Number(weight * plan_.weight_cap));
    entry.Set("update_norm", Number(Distance(moved.at("global"), state_.vectors.at("global"))));
    Append("rounds", std::move(entry));
    state_.vectors = std::move(moved);
  }

  void AbsorbEvaluation(std::uint32_t round, const Answer& answer) {
    const Value entry = EvaluationOf(plan_, round, answer);
    Append("evaluations", entry);
    Value whole = WithCurves(plan_, entry, answer);
    // Where both classes are known to be trained on, held-out patients of one class leave the AUROC undefined, no more.
    if (!state_.results.Has("labels") && LabelOf(plan_) == LabelKind::kBinary)
      NoteClasses(entry["rows"].AsInteger(), entry["positives"].AsInteger());
    for (const Value& one : whole["classes"].AsArray()) {
      const bool only = !state_.results.Has("labels") && entry["rows"].AsInteger() > 0 && one["rows"] == entry["rows"];
      if (only) state_.results.Set("single_class", one["class"]);
    }
    stopping_.Absorb(whole, &state_.results, &state_.vectors);
    state_.results.Set("evaluation", std::move(whole));
    // A coin of k sides has log k, which is below the number of k's bits.
    const auto bits = static_cast<int>(std::bit_width(ClassesOf(plan_).size()));
    if (entry["log_loss"].AsDouble() > kExplodedLoss + std::max(0, bits - 2)) Diverged(round, "loss");
  }

  void Diverged(std::uint32_t round, const char* why) {
    state_.results.Set("diverged", Value().Set("round", round).Set("why", why));
  }

  void Append(const char* list, Value entry) {
    Value::Array entries = state_.results[list].AsArray();
    entries.push_back(std::move(entry));
    state_.results.Set(list, std::move(entries));
  }

  const Plan plan_;
  std::unique_ptr<Strategy> strategy_;
  EarlyStopping stopping_;
  std::vector<Stop> stops_;
  Layout layout_;
  AlgorithmState state_;
};

}  // namespace

Result<std::unique_ptr<Algorithm>> MakeTraining(const Plan& plan, const AlgorithmState* state) {
  CHECK(plan.rounds >= 1 && !DesignSources(plan).empty());  // A parsed training plan has both.
  auto out = std::make_unique<Training>(plan);
  if (state != nullptr) {
    if (Status restored = out->Restore(*state); !restored) return std::unexpected(restored.error());
  }
  return out;
}

}  // namespace consilium
