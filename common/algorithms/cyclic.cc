// Cyclic weight transfer (Chang et al. 2018), a baseline: the model visits one hospital a round. There is no second
// path for it: each round is a sum over the whole cohort, to which the hospital whose turn it is gives its delta and
// weight, and every other one zeros with weight 0. That sum is one hospital's own figure, so a plan may ask for it only
// in mode none with the visible profile, and its summary says so.
//
// The order: seats are the places in the cohort, ascending by roster number. Before each cycle they are shuffled by
// H(seed, cycle, size of the cohort), and round r visits the next one. A hospital that is away has no seat, so the turn
// goes to one that is here; one that is lost between invitation and upload skips its visit: that round's weight is 0,
// and the model stays.
#include <numeric>

#include "common/algorithms/derive.h"
#include "common/algorithms/server_step.h"
#include "common/algorithms/strategy.h"
#include "common/base/check.h"

namespace consilium {
namespace {

class Cyclic : public Strategy {
 public:
  explicit Cyclic(std::uint64_t seed) : seed_(seed) {}

  void Ask(std::uint32_t round, std::uint32_t hospitals, Query* query) const override {
    query->params.Set("seats", hospitals).Set("turn", TurnOf(seed_, round, hospitals));
  }

  [[nodiscard]] bool Visits() const override { return true; }

  void Move(std::span<const double> average, const Answer& /*answer*/, Vectors* vectors) const override {
    AverageStep(1, average, vectors->at("global"));
  }

 private:
  std::uint64_t seed_;
};

}  // namespace

std::uint32_t TurnOf(std::uint64_t seed, std::uint32_t round, std::uint32_t seats) {
  CHECK(round >= 1 && seats >= 1);
  const std::uint32_t cycle = (round - 1) / seats;
  std::vector<std::uint32_t> order(seats);
  std::iota(order.begin(), order.end(), 0U);
  for (std::uint32_t i = seats; i > 1; --i) {  // A public shuffle; the bias of 2^-64 does not matter.
    const Digest draw = Fields("consilium/cycle").AddText(std::to_string(seed)).Add(cycle).Add(seats).Add(i).Hash();
    std::uint64_t word = 0;
    for (int byte = 0; byte < 8; ++byte) word = word << 8 | draw.bytes[static_cast<std::size_t>(byte)];
    std::swap(order[i - 1], order[word % i]);
  }
  return order[(round - 1) % seats];
}

std::unique_ptr<Strategy> MakeCyclic(const Plan& plan) { return std::make_unique<Cyclic>(plan.seed); }

}  // namespace consilium
