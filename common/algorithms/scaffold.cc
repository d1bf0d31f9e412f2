// SCAFFOLD (Karimireddy et al. 2020, algorithm 1, option II). Each hospital keeps a control variate c_i, its mean
// gradient of the round that last counted it, and adds c - c_i to each of its gradients; c is their mean over all
// hospitals by patients, whoever is here today. c_i is the hospital's memory of the study and never leaves: a round
// sums
//
//   delta, weight    as FedAvg
//   control          how w_i c_i changed        control_weight   how w_i changed (a newcomer's begins at 0)
//
// so that control_sum = sum_i w_i c_i and control_weight = sum_i w_i hold for all hospitals that were ever counted: one
// that is away keeps its part, and its c_i does not move.
//
// The bound of c follows from update_bound: c_i is at most the mean gradient of a local run that moves a coordinate by
// update_bound, so |c_i| <= update_bound / (steps * learning_rate), with the fewest steps that the plan allows (one an
// epoch); hospitals clip to it. With weights up to 1 its change is at most twice that.
#include "common/algorithms/derive.h"
#include "common/algorithms/server_step.h"
#include "common/algorithms/strategy.h"

namespace consilium {
namespace {

class Scaffold : public Strategy {
 public:
  explicit Scaffold(const Plan& plan)
      : parameters_(SizeOf(LayoutOf(ModelOf(plan)))), rate_(plan.server_learning_rate), bound_(ControlBound(plan)) {}

  [[nodiscard]] std::map<std::string, std::size_t> Keeps(std::size_t parameters) const override {
    return {{"control", parameters}, {"control_sum", parameters}, {"control_weight", 1}};
  }
  [[nodiscard]] std::vector<std::string> Sends() const override { return {"control"}; }

  void Ask(std::uint32_t /*round*/, std::uint32_t hospitals, Query* query) const override {
    query->Append("control", parameters_, Role::kStatistic, 2 * bound_, hospitals);
    query->Append("control_weight", 1, Role::kWeight, 1, hospitals);
  }

  void Move(std::span<const double> average, const Answer& answer, Vectors* vectors) const override {
    AverageStep(rate_, average, vectors->at("global"));
    std::vector<double>& sum = vectors->at("control_sum");
    double& weight = vectors->at("control_weight").front();
    AverageStep(1, answer.Values("control"), sum);
    weight += answer.Value1("control_weight");
    MeanControl(sum, weight, vectors->at("control"));
  }

 private:
  std::size_t parameters_;
  double rate_, bound_;
};

}  // namespace

double ControlBound(const Plan& plan) {
  const double steps = plan.local_steps != 0 ? plan.local_steps : plan.local_epochs;
  return plan.update_bound / (steps * plan.learning.optimizer.learning_rate);
}

std::unique_ptr<Strategy> MakeScaffold(const Plan& plan) { return std::make_unique<Scaffold>(plan); }

}  // namespace consilium
