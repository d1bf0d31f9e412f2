#include "common/algorithms/strategy.h"

#include "common/base/check.h"

namespace consilium {

std::unique_ptr<Strategy> MakeStrategy(const Plan& plan) {
  using Maker = std::unique_ptr<Strategy> (*)(const Plan&);
  static const std::map<std::string, Maker> kMakers = {
      {"fedavg", MakeFedAvg},         {"fedprox", MakeFedProx},   {"fedadam", MakeFedAdam}, {"fedyogi", MakeFedYogi},
      {"fedadagrad", MakeFedAdagrad}, {"scaffold", MakeScaffold}, {"cyclic", MakeCyclic},
  };
  const auto found = kMakers.find(plan.algorithm);
  CHECK(found != kMakers.end());  // A parsed plan names one of them.
  return found->second(plan);
}

}  // namespace consilium
