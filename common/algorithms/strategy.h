// A training strategy: what a round's query has beyond delta and weight, and how its answer moves the model. One small
// pure file each; what all share (moments, rounds, evaluations, early stopping, saving) is training.h.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/plan/plan.h"
#include "common/query/query.h"

namespace consilium {

using Vectors = std::map<std::string, std::vector<double>>;  // By name; "global" is the model.

class Strategy {
 public:
  virtual ~Strategy() = default;
  // Vectors that it keeps beside "global", with their lengths for a model of so many parameters. Zero at first.
  [[nodiscard]] virtual std::map<std::string, std::size_t> Keeps(std::size_t /*parameters*/) const { return {}; }
  // Those of them that hospitals receive: each is a blob of a model's layout, named in params["inputs"].
  [[nodiscard]] virtual std::vector<std::string> Sends() const { return {}; }
  // Appends the further params and blocks of a round's query, at the coordinator and, to compare, at the hospitals.
  virtual void Ask(std::uint32_t /*round*/, std::uint32_t /*hospitals*/, Query* /*query*/) const {}
  // Whether a round may pass without any weight: the one hospital that it visits was lost.
  [[nodiscard]] virtual bool Visits() const { return false; }
  // Moves "global" and what it keeps. `average` = sum_i w_i delta_i / sum_i w_i over the answer's survivors.
  virtual void Move(std::span<const double> average, const Answer& answer, Vectors* vectors) const = 0;
};

// The one that the plan names.
std::unique_ptr<Strategy> MakeStrategy(const Plan& plan);

// One file each.
std::unique_ptr<Strategy> MakeFedAvg(const Plan& plan);
std::unique_ptr<Strategy> MakeFedProx(const Plan& plan);
std::unique_ptr<Strategy> MakeFedAdam(const Plan& plan);
std::unique_ptr<Strategy> MakeFedYogi(const Plan& plan);
std::unique_ptr<Strategy> MakeFedAdagrad(const Plan& plan);
std::unique_ptr<Strategy> MakeScaffold(const Plan& plan);
std::unique_ptr<Strategy> MakeCyclic(const Plan& plan);

}  // namespace consilium
