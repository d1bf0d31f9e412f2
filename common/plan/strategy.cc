#include "common/plan/strategy.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"

namespace consilium {
namespace {

struct Wording {
  std::string name, title, explanation;
};

const std::vector<Wording>& Wordings() {
  static const std::vector<Wording> kWordings = {
      {"fedavg", "FedAvg", "the model moves by the average of the hospitals' changes, by patients"},
      {"fedprox", "FedProx",
       "as FedAvg, and training at each hospital is held near the common model by a penalty on the distance to it"},
      {"fedadam", "FedAdam", "the average of the hospitals' changes is a gradient to Adam, which moves the model"},
      {"fedyogi", "FedYogi", "the average of the hospitals' changes is a gradient to Yogi, which moves the model"},
      {"fedadagrad", "FedAdagrad",
       "the average of the hospitals' changes is a gradient to Adagrad, which moves the model"},
      {"scaffold", "SCAFFOLD",
       "as FedAvg, and training is corrected for how each hospital's gradients differ from the average; for that the "
       "hospital keeps its mean gradient as a memory of the study, which stays here, and each sum has the change of "
       "it"},
      {"cyclic", "cyclic",
       "the model visits one hospital a round, in an order drawn from the seed; the others add zeros"},
  };
  return kWordings;
}

const Wording& WordingOf(const std::string& strategy) {
  const auto found = std::ranges::find(Wordings(), strategy, &Wording::name);
  CHECK(found != Wordings().end());  // A parsed plan names one of them.
  return *found;
}

}  // namespace

const std::vector<std::string>& StrategyNames() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> out;
    for (const Wording& text : Wordings()) out.push_back(text.name);
    return out;
  }();
  return kNames;
}

const std::vector<StrategyKey>& StrategyKeys() {
  static const std::vector<std::string> kAdaptive = {"fedadam", "fedyogi", "fedadagrad"};
  static const std::vector<StrategyKey> kKeys = {
      {"mu", &Plan::mu, 0, 1000, 0.01, {"fedprox"}},
      {"server_learning_rate", &Plan::server_learning_rate, 1e-6, 1000, 0.01, kAdaptive},
      {"server_learning_rate", &Plan::server_learning_rate, 1e-6, 1000, 1, {"scaffold"}},
      {"beta1", &Plan::beta1, 0, 0.999999, 0.9, kAdaptive},
      {"beta2", &Plan::beta2, 0, 0.999999, 0.999, {"fedadam", "fedyogi"}},
      {"tau", &Plan::tau, 1e-12, 1, 1e-3, kAdaptive},
  };
  return kKeys;
}

std::vector<StrategyKey> KeysOf(const std::string& strategy) {
  std::vector<StrategyKey> out;
  std::ranges::copy_if(StrategyKeys(), std::back_inserter(out), [&](const StrategyKey& key) {
    return std::ranges::find(key.strategies, strategy) != key.strategies.end();
  });
  return out;
}

std::string KnownTo(const std::string& key) {
  std::string out;
  for (const StrategyKey& row : StrategyKeys()) {
    if (row.name != key) continue;
    for (const std::string& strategy : row.strategies) out += (out.empty() ? "" : ", ") + strategy;
  }
  return out;
}

std::string TitleOf(const Plan& plan) { return WordingOf(plan.algorithm).title; }
std::string ExplanationOf(const Plan& plan) { return WordingOf(plan.algorithm).explanation; }

bool KeepsMemory(const Plan& plan) { return plan.task == Plan::Task::kTrain && plan.algorithm == "scaffold"; }
bool ShowsSingleHospitals(const Plan& plan) { return plan.task == Plan::Task::kTrain && plan.algorithm == "cyclic"; }

}  // namespace consilium
