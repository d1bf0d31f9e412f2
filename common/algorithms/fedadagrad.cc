// FedAdagrad (Reddi et al. 2021, algorithm 2): the average of the changes is a gradient to Adagrad, without bias
// correction. Its moments start at zero.
#include "common/algorithms/server_step.h"
#include "common/algorithms/strategy.h"

namespace consilium {
namespace {

class FedAdagrad : public Strategy {
 public:
  explicit FedAdagrad(const Plan& plan) : rates_{plan.server_learning_rate, plan.beta1, plan.beta2, plan.tau} {}

  [[nodiscard]] std::map<std::string, std::size_t> Keeps(std::size_t parameters) const override {
    return {{"m", parameters}, {"v", parameters}};
  }

  void Move(std::span<const double> average, const Answer& /*answer*/, Vectors* vectors) const override {
    AdagradStep(rates_, average, vectors->at("m"), vectors->at("v"), vectors->at("global"));
  }

 private:
  AdaptiveRates rates_;
};

}  // namespace

std::unique_ptr<Strategy> MakeFedAdagrad(const Plan& plan) { return std::make_unique<FedAdagrad>(plan); }

}  // namespace consilium
