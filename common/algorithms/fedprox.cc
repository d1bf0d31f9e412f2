// FedProx (Li et al. 2020, algorithm 2): each hospital minimises its own loss plus mu/2 ||w - x||^2, where x is the
// model that it received. The coordinator averages as FedAvg does.
#include "common/algorithms/derive.h"
#include "common/algorithms/server_step.h"
#include "common/algorithms/strategy.h"

namespace consilium {
namespace {

class FedProx : public Strategy {
 public:
  explicit FedProx(double mu) : mu_(mu) {}

  void Ask(std::uint32_t /*round*/, std::uint32_t /*hospitals*/, Query* query) const override {
    query->params.Set("mu", Number(mu_));
  }

  void Move(std::span<const double> average, const Answer& /*answer*/, Vectors* vectors) const override {
    AverageStep(1, average, vectors->at("global"));
  }

 private:
  double mu_;
};

}  // namespace

std::unique_ptr<Strategy> MakeFedProx(const Plan& plan) { return std::make_unique<FedProx>(plan.mu); }

}  // namespace consilium
