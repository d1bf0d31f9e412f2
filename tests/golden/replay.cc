// The replay: local training by common/model, server steps by common/algorithms.
#include "tests/golden/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "common/algorithms/server_step.h"
#include "common/model/fit.h"

namespace consilium::golden {
namespace {

namespace fs = std::filesystem;
using Vec = std::vector<double>;
using Rows = std::vector<Vec>;  // Features, then targets.

Result<std::vector<std::vector<std::string>>> ReadCsv(const fs::path& file) {
  std::ifstream in(file);
  if (!in) return Fail(Code::kNotFound, fmt::format("{} is not there", file.string()));
  std::vector<std::vector<std::string>> out;
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    std::istringstream cells(line);
    std::vector<std::string>& row = out.emplace_back();
    for (std::string cell; std::getline(cells, cell, ',');) row.push_back(cell);
    if (out.size() > 1 && row.size() != out[1].size())  // The header may have quoted commas.
      return Fail(Code::kInvalid, fmt::format("{}:{}: cut short", file.string(), out.size()));
  }
  if (out.size() < 2 || out.front().size() < 3) return Fail(Code::kInvalid, file.string() + " has no rows");
  return out;
}

Vec Numbers(const std::vector<std::string>& cells, std::size_t first) {
  Vec out;
  for (std::size_t i = first; i < cells.size(); ++i) out.push_back(std::stod(cells[i]));
  return out;
}

Centre MakeCentre(const Rows& rows, std::size_t targets) {
  Centre out;
  const std::size_t features = rows.front().size() - targets;
  out.x.resize(static_cast<Eigen::Index>(rows.size()), static_cast<Eigen::Index>(features));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto end = rows[i].begin() + static_cast<std::ptrdiff_t>(features);
    std::copy(rows[i].begin(), end, out.x.data() + i * features);
    out.y.insert(out.y.end(), end, rows[i].end());
  }
  return out;
}

void Normalise(Matrix* x) {
  const auto rows = static_cast<double>(x->rows());
  for (Eigen::Index j = 0; j < x->cols(); ++j) {
    const double mean = x->col(j).sum() / rows;
    const double sd = std::sqrt((x->col(j).array() - mean).square().sum() / (rows - 1));
    x->col(j) = (x->col(j).array() - mean) / (sd + 1e-9);
  }
}

// center,center_name,source_row,split,13 features,y
Result<std::vector<Centre>> ReadHeart(const fs::path& folder, std::size_t centres) {
  const auto table = TRY(ReadCsv(folder / "flamby_split_features.csv"));
  std::vector<Rows> rows(centres);
  for (std::size_t i = 1; i < table.size(); ++i) {
    const std::size_t centre = std::stoul(table[i][0]);
    if (centre >= centres) return Fail(Code::kInvalid, "the table has more centres than the trace");
    if (table[i][3] == "train") rows[centre].push_back(Numbers(table[i], 4));
  }
  std::vector<Centre> out;
  for (const Rows& of_centre : rows) {
    if (of_centre.empty()) return Fail(Code::kInvalid, "a centre of the trace has no rows");
    out.push_back(MakeCentre(of_centre, 1));
    Normalise(&out.back().x);
  }
  return out;
}

// brca.csv: pid, 39 features, event, time; train_test_split.csv: pid, fold, fold2 ("train_3": centre 3). A centre's
// rows stand in the order of brca.csv.
Result<std::vector<Centre>> ReadBrca(const fs::path& folder, std::size_t centres) {
  const auto table = TRY(ReadCsv(folder / "brca.csv")), split = TRY(ReadCsv(folder / "train_test_split.csv"));
  std::map<std::string, std::string> fold;
  for (const auto& row : split) fold[row[0]] = row[2];
  std::vector<Centre> out;
  for (std::size_t centre = 0; centre < centres; ++centre) {
    Rows rows;
    for (std::size_t i = 1; i < table.size(); ++i) {
      if (fold[table[i][0]] == fmt::format("train_{}", centre)) rows.push_back(Numbers(table[i], 1));
    }
    if (rows.empty()) return Fail(Code::kInvalid, "a centre of the trace has no rows");
    out.push_back(MakeCentre(rows, 2));
  }
  return out;
}

// "linear.weight", "fc.bias": the model's only layer, whatever its name.
Result<Vec> InitialWeights(const Value& init, std::size_t features) {
  Vec weight, bias = {0.0};
  for (const auto& [name, value] : init.AsObject()) {
    const Value& flat = value.AsArray().size() == 1 && value.AsArray()[0].IsArray() ? value.AsArray()[0] : value;
    if (!name.ends_with("weight") && !name.ends_with("bias")) return Fail(Code::kInvalid, "init holds '" + name + "'");
    Vec& out = name.ends_with("weight") ? weight : bias;
    out.clear();
    for (const Value& v : flat.AsArray()) out.push_back(v.AsDouble());
  }
  if (weight.size() != features || bias.size() != 1)
    return Fail(Code::kInvalid,
                fmt::format("init has {} weights where the data have {} columns", weight.size(), features));
  weight.push_back(bias[0]);
  return weight;
}

using Batches = std::vector<std::vector<std::uint32_t>>;

// The mini-batches of one centre, all rounds.
Result<Batches> ReadBatches(const Value& batches, std::size_t wanted, std::size_t rows) {
  if (batches.AsArray().size() != wanted)
    return Fail(Code::kInvalid, fmt::format("{} batches where {} are wanted", batches.AsArray().size(), wanted));
  Batches out;
  for (const Value& batch : batches.AsArray()) {
    std::vector<std::uint32_t>& numbers = out.emplace_back();
    for (const Value& row : batch.AsArray()) {
      if (!row.IsInteger() || row.AsInteger() < 0 || row.AsInteger() >= static_cast<std::int64_t>(rows))
        return Fail(Code::kInvalid, "a batch names a row that the centre does not have");
      numbers.push_back(static_cast<std::uint32_t>(row.AsInteger()));
    }
    if (numbers.empty()) return Fail(Code::kInvalid, "a batch is empty");
  }
  return out;
}

// One strategy under way.
class Run {
 public:
  Run(const std::string& strategy, const Value& trace, const Study& study)
      : strategy_(strategy),
        trace_(trace),
        study_(study),
        steps_(static_cast<std::size_t>(trace["num_updates"].AsInteger())),
        rate_(Number("learning_rate", 0)),
        adaptive_{Number("server_learning_rate", 1), Number("beta1", 0.9), Number("beta2", 0.999),
                  Number("tau", 1e-8)} {}

  Result<double> AllRounds() {
    TRY(Prepare());
    const auto& expected = trace_["weights_after_round"].AsArray();
    double worst = 0;
    for (std::size_t round = 0; round < expected.size(); ++round) {
      TRY(Round(round));
      const auto& weights = expected[round].AsArray();
      if (weights.size() != x_.size() && weights.size() + 1 != x_.size())
        return Fail(Code::kInvalid, "weights_after_round have another size than init");
      // A Cox model's bias moves nothing: all scores of a risk set shift alike, its gradient is 0, and in float32 the
      // rounding of 0, which an adaptive server step blows up to a whole step. Only the weights are compared there.
      const std::size_t compared =
          study_.model.kind == ModelSpec::Kind::kCox ? std::min(weights.size(), x_.size() - 1) : weights.size();
      for (std::size_t j = 0; j < compared; ++j) worst = std::max(worst, std::fabs(x_[j] - weights[j].AsDouble()));
    }
    return worst;
  }

 private:
  double Number(const char* key, double fallback) const {
    return trace_["hyper"].Has(key) ? trace_["hyper"][key].AsDouble() : fallback;
  }

  Status Prepare() {
    static const std::set<std::string> kKnown = {"FedAvg", "FedProx", "Scaffold", "FedAdam", "FedYogi", "FedAdagrad"};
    if (!kKnown.contains(strategy_)) return Fail(Code::kInvalid, strategy_ + " is no strategy that is replayed here");
    if (trace_["hyper"]["optimizer_class"].AsString() != "torch.optim.SGD")
      return Fail(Code::kInvalid, "hospitals train by torch.optim.SGD in these traces");
    const std::size_t rounds = trace_["weights_after_round"].AsArray().size();
    if (rounds == 0 || static_cast<std::int64_t>(rounds) != trace_["rounds"].AsInteger() || steps_ == 0)
      return Fail(Code::kInvalid, "rounds, num_updates and weights_after_round do not fit");
    if (trace_["batches"].AsArray().size() != study_.centres.size())
      return Fail(Code::kInvalid, "batches are of another number of centres");
    recipe_ = {.model = study_.model, .loss = UsualLoss(study_.model)};
    recipe_.optimizer.learning_rate = rate_;
    x_ = TRY(InitialWeights(trace_["init"], study_.model.inputs));
    for (std::size_t i = 0; i < study_.centres.size(); ++i) {
      const auto rows = static_cast<std::size_t>(study_.centres[i].x.rows());
      batches_.push_back(TRY(ReadBatches(trace_["batches"].AsArray()[i], rounds * steps_, rows)));
      for (const auto& batch : batches_.back())
        recipe_.training.batch_size = std::max(recipe_.training.batch_size, static_cast<std::uint32_t>(batch.size()));
      total_ += static_cast<double>(rows);
    }
    m_ = v_ = c_ = Vec(x_.size());
    controls_.assign(study_.centres.size(), c_);
    return CheckRecipe(recipe_);
  }

  Status Round(std::size_t round) {
    Vec average(x_.size()), sum(x_.size());
    for (std::size_t i = 0; i < study_.centres.size(); ++i) {
      const Vec y = TRY(TrainAt(i, round));
      if (strategy_ == "Scaffold") ControlStep(static_cast<double>(steps_), rate_, c_, x_, y, controls_[i]);
      const auto weight = static_cast<double>(study_.centres[i].x.rows());
      for (std::size_t j = 0; j < x_.size(); ++j) {
        average[j] += weight * (y[j] - x_[j]) / total_;
        sum[j] += weight * controls_[i][j];
      }
    }
    MeanControl(sum, total_, c_);
    if (strategy_ == "FedAdam") {
      AdamStep(adaptive_, average, m_, v_, x_);
    } else if (strategy_ == "FedYogi") {
      YogiStep(adaptive_, average, m_, v_, x_);
    } else if (strategy_ == "FedAdagrad") {
      AdagradStep(adaptive_, average, m_, v_, x_);
    } else {
      AverageStep(adaptive_.rate, average, x_);
    }
    return {};
  }

  Result<Vec> TrainAt(std::size_t i, std::size_t round) {
    const Centre& centre = study_.centres[i];
    MatrixSource<double> source(centre.x, centre.y);
    Trainer<double> trainer(recipe_, source.rows());
    Vec y = x_, correction(x_.size());
    Hooks<double> hooks;
    if (strategy_ == "FedProx") hooks = {Number("mu", 0), x_, {}};
    if (strategy_ == "Scaffold") {
      ControlCorrection(controls_[i], c_, correction);
      hooks.correction = correction;
    }
    TRY(trainer.RunBatches(source, std::span(batches_[i]).subspan(round * steps_, steps_), y, hooks));
    return y;
  }

  const std::string& strategy_;
  const Value& trace_;
  const Study& study_;
  std::size_t steps_;
  double rate_, total_ = 0;
  AdaptiveRates adaptive_;
  Recipe recipe_;
  std::vector<Batches> batches_;
  Vec x_, m_, v_, c_;
  std::vector<Vec> controls_;
};

}  // namespace

Result<Study> ReadStudy(const Value& trace, const fs::path& folder) {
  const std::string& dataset = trace["dataset"].AsString();
  const std::size_t centres = trace["n_train"].AsArray().size();
  Study out;
  if (dataset == "fed_heart_disease") {
    out.centres = TRY(ReadHeart(folder, centres));
    out.model.kind = ModelSpec::Kind::kLogistic;
    out.tolerance = 1e-5;
  } else if (dataset == "fed_tcga_brca") {
    out.centres = TRY(ReadBrca(folder, centres));
    out.model.kind = ModelSpec::Kind::kCox;
    out.tolerance = 1e-4;
  } else {
    return Fail(
        Code::kInvalid,
        fmt::format("\"dataset\" is '{}'; traces of fed_heart_disease and fed_tcga_brca are replayed", dataset));
  }
  for (std::size_t i = 0; i < centres; ++i) {
    if (out.centres[i].x.rows() != trace["n_train"].AsArray()[i].AsInteger())
      return Fail(Code::kInvalid, fmt::format("centre {} has {} training rows, and the trace's has another number", i,
                                              out.centres[i].x.rows()));
  }
  if (out.centres.empty()) return Fail(Code::kInvalid, "n_train names no centre");
  out.model.inputs = static_cast<std::uint32_t>(out.centres[0].x.cols());
  return out;
}

Result<double> Replay(const std::string& strategy, const Value& trace, const Study& study) {
  return Run(strategy, trace, study).AllRounds();
}

}  // namespace consilium::golden
