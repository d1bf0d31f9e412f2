// Federated averaging (McMahan et al. 2017), weighted by patients: x += average.
#include "common/algorithms/server_step.h"
#include "common/algorithms/strategy.h"

namespace consilium {
namespace {

class FedAvg : public Strategy {
 public:
  void Move(std::span<const double> average, const Answer& /*answer*/, Vectors* vectors) const override {
    AverageStep(1, average, vectors->at("global"));
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeFedAvg(const Plan& /*plan*/) { return std::make_unique<FedAvg>(); }

}  // namespace consilium
