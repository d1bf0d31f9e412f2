// See cox_trace.h.
#include "tests/golden/cox_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>

#include "common/model/random.h"

namespace consilium::golden {
namespace {

constexpr int kCentres = 3, kFeatures = 39, kRounds = 4, kSteps = 20, kBatch = 8;
using Floats = std::vector<float>;

struct Patient {
  Floats x;
  float event, time;
};
using Centres = std::vector<std::vector<Patient>>;

// An age, and columns of 0 and 1; times with ties.
Centres WriteData(const std::filesystem::path& folder, PublicRandom* random) {
  std::ofstream data(folder / "brca.csv"), split(folder / "train_test_split.csv");
  data << "pid";
  for (int j = 0; j < kFeatures; ++j) data << ",f" << j;
  data << ",E,T\n";
  split << "pid,fold,fold2\n";
  Centres out(kCentres);
  for (int i = 0; i < 120; ++i) {
    const int centre = i % 4;  // The fourth is the test fold.
    Patient patient;
    for (int j = 0; j < kFeatures; ++j)
      patient.x.push_back(j == 0                    ? std::floor(30 + 50 * static_cast<float>(random->Uniform()))
                          : random->Uniform() < 0.3 ? 1
                                                    : 0);
    patient.event = random->Uniform() < 0.4 ? 1 : 0;
    patient.time = std::floor(60 * static_cast<float>(random->Uniform()));
    data << "P" << i;
    for (const float v : patient.x) data << "," << v;
    data << "," << patient.event << "," << patient.time << "\n";
    split << "P" << i << "," << (centre == 3 ? "test,test_0" : fmt::format("train,train_{}", centre)) << "\n";
    if (centre < 3) out[static_cast<std::size_t>(centre)].push_back(patient);
  }
  return out;
}

// d(mean of event (log sum of the risk set - score)) by every pair, then by the weights.
Floats Gradient(const std::vector<Patient>& rows, const std::vector<std::uint32_t>& batch, const Floats& w) {
  std::vector<std::uint32_t> order = batch;
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return rows[a].time > rows[b].time; });
  Floats scores, slopes(order.size()), out(w.size());
  for (const std::uint32_t row : order)
    scores.push_back(std::inner_product(rows[row].x.begin(), rows[row].x.end(), w.begin(), w.back()));
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (rows[order[i]].event == 0) continue;
    const float most = *std::max_element(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    float sum = 0;
    for (std::size_t j = 0; j <= i; ++j) sum += std::exp(scores[j] - most);
    for (std::size_t j = 0; j <= i; ++j) slopes[j] += std::exp(scores[j] - most) / sum;
    slopes[i] -= 1;
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    const float slope = slopes[i] / static_cast<float>(order.size());
    for (std::size_t j = 0; j + 1 < w.size(); ++j) out[j] += slope * rows[order[i]].x[j];
    out.back() += slope;
  }
  return out;
}

struct Settings {
  const char* name;
  float rate, server_rate, mu;
};
constexpr float kBeta1 = 0.9F, kBeta2 = 0.999F, kTau = 1e-8F;

struct State {
  Floats w, m, v, mean_control;
  std::vector<Floats> control;
};

void Serve(const Settings& s, const Floats& average, State* at) {
  const std::string name = s.name;
  for (std::size_t j = 0; j < average.size(); ++j) {
    const float a = average[j], square = a * a;
    if (!name.starts_with("FedA") && name != "FedYogi") {
      at->w[j] += s.server_rate * a;
      continue;
    }
    if (name == "FedAvg") {
      at->w[j] += a;
      continue;
    }
    at->m[j] = kBeta1 * at->m[j] + (1 - kBeta1) * a;
    if (name == "FedAdam") at->v[j] = kBeta2 * at->v[j] + (1 - kBeta2) * square;
    if (name == "FedAdagrad") at->v[j] += square;
    if (name == "FedYogi") {
      const float sign = at->v[j] > square ? 1 : at->v[j] < square ? -1 : 0;
      at->v[j] -= (1 - kBeta2) * square * sign;
    }
    at->w[j] += s.server_rate * at->m[j] / (std::sqrt(at->v[j]) + kTau);
  }
}

Value Weights(const Floats& w) {
  Value out{Value::Array{}};
  for (const float v : w) out.Push(static_cast<double>(v));
  return out;
}

using Batches = std::vector<std::vector<std::vector<std::uint32_t>>>;

Value RunStrategy(const Settings& s, const Centres& centres, const Floats& start, const Batches& batches) {
  State at{start, Floats(start.size()), Floats(start.size()), Floats(start.size()), {}};
  at.control.assign(centres.size(), Floats(start.size()));
  float total = 0;
  for (const auto& rows : centres) total += static_cast<float>(rows.size());
  Value after{Value::Array{}};
  for (int round = 0; round < kRounds; ++round) {
    Floats average(start.size()), next_mean(start.size());
    for (std::size_t i = 0; i < centres.size(); ++i) {
      Floats y = at.w;
      for (int step = 0; step < kSteps; ++step) {
        const Floats g = Gradient(centres[i], batches[i][static_cast<std::size_t>(round * kSteps + step)], y);
        for (std::size_t j = 0; j < y.size(); ++j) {
          const float correction = at.mean_control[j] - at.control[i][j];
          y[j] -= s.rate * (g[j] + s.mu * (y[j] - at.w[j]) + correction);
        }
      }
      const float share = static_cast<float>(centres[i].size()) / total;
      for (std::size_t j = 0; j < y.size(); ++j) {
        average[j] += share * (y[j] - at.w[j]);
        if (std::string(s.name) == "Scaffold")
          at.control[i][j] += (at.w[j] - y[j]) / (kSteps * s.rate) - at.mean_control[j];
        next_mean[j] += share * at.control[i][j];
      }
    }
    at.mean_control = next_mean;
    Serve(s, average, &at);
    after.Push(Weights(at.w));
  }
  Value hyper = Value().Set("learning_rate", static_cast<double>(s.rate)).Set("optimizer_class", "torch.optim.SGD");
  hyper.Set("server_learning_rate", static_cast<double>(s.server_rate)).Set("mu", static_cast<double>(s.mu));
  hyper.Set("beta1", 0.9).Set("beta2", 0.999).Set("tau", 1e-8);
  Value weight{Value::Array{}};
  weight.Push(Weights({start.begin(), start.end() - 1}));
  Value all{Value::Array{}};
  for (const auto& of_centre : batches) {
    Value list{Value::Array{}};
    for (const auto& batch : of_centre) list.Push(Value(Value::Array(batch.begin(), batch.end())));
    all.Push(std::move(list));
  }
  return Value()
      .Set("hyper", std::move(hyper))
      .Set("rounds", kRounds)
      .Set("num_updates", kSteps)
      .Set("batch_size", kBatch)
      .Set("init", Value().Set("fc.weight", std::move(weight)).Set("fc.bias", Weights({start.back()})))
      .Set("batches", std::move(all))
      .Set("weights_after_round", std::move(after));
}

}  // namespace

Value MakeCoxTrace(const std::filesystem::path& folder) {
  PublicRandom random(std::uint64_t{4});
  const Centres centres = WriteData(folder, &random);
  Floats start;
  for (int j = 0; j <= kFeatures; ++j) start.push_back(static_cast<float>(random.Uniform() - 0.5) * 0.02F);
  Batches batches(centres.size());
  Value sizes{Value::Array{}};
  for (std::size_t i = 0; i < centres.size(); ++i) {
    sizes.Push(centres[i].size());
    for (int step = 0; step < kRounds * kSteps; ++step) {
      auto& batch = batches[i].emplace_back();
      const std::size_t size = step % 5 == 4 ? 3 : kBatch;  // An epoch's last batch is smaller.
      while (batch.size() < size) {
        const auto row = static_cast<std::uint32_t>(random.Uniform() * static_cast<double>(centres[i].size()));
        if (std::ranges::find(batch, row) == batch.end()) batch.push_back(row);
      }
    }
  }
  Value strategies;
  for (const Settings& s :
       {Settings{"FedAvg", 0.01F, 1, 0}, Settings{"FedProx", 0.01F, 1, 0.1F}, Settings{"Scaffold", 0.01F, 1, 0},
        Settings{"FedAdam", 0.01F, 0.1F, 0}, Settings{"FedYogi", 0.01F, 0.1F, 0}, Settings{"FedAdagrad", 0.01F, 1, 0}})
    strategies.Set(s.name, RunStrategy(s, centres, start, batches));
  return Value()
      .Set("dataset", "fed_tcga_brca")
      .Set("seed", 4)
      .Set("n_train", std::move(sizes))
      .Set("strategies", std::move(strategies));
}

}  // namespace consilium::golden
