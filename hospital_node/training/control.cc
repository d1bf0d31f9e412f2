#include "hospital_node/training/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/algorithms/derive.h"
#include "common/algorithms/server_step.h"
#include "common/base/check.h"

namespace consilium::node {
namespace {

static_assert(std::endian::native == std::endian::little, "doubles are written as they lie");

// The nearest value that the block can carry.
double OnGrid(double v, const Block& block) {
  const double unit = std::ldexp(1.0, block.scale_log2);
  return std::rint(std::clamp(v, -block.bound, block.bound) * unit) / unit;
}

}  // namespace

std::vector<double> Control::Variate() const {
  std::vector<double> out(sum.size());
  MeanControl(sum, weight, out);
  return out;
}

std::vector<double> Control::Correction(const std::vector<double>& mean) const {
  std::vector<double> out(mean.size());
  ControlCorrection(Variate(), mean, out);
  return out;
}

ControlChange Control::Move(const Plan& plan, const Query& query, double rates, const std::vector<double>& mean,
                            const std::vector<double>& start, const std::vector<double>& trained, double new_weight) {
  ControlChange change{std::vector<double>(sum.size(), 0.0), 0};
  if (rates <= 0) return change;
  const Block *sums = query.Find("control"), *weights = query.Find("control_weight");
  CHECK(sums != nullptr && weights != nullptr);  // The query was derived from the plan.
  std::vector<double> variate = Variate();
  ControlStep(rates, mean, start, trained, variate);
  const double bound = ControlBound(plan);
  for (std::size_t j = 0; j < sum.size(); ++j) {
    change.sum[j] = OnGrid(new_weight * std::clamp(variate[j], -bound, bound) - sum[j], *sums);
    sum[j] += change.sum[j];
  }
  change.weight = OnGrid(new_weight - weight, *weights);
  weight += change.weight;
  return change;
}

Bytes Encode(const Control& control) {
  Bytes out(sizeof(double) * (1 + control.sum.size()));
  std::memcpy(out.data(), &control.weight, sizeof(double));
  std::memcpy(out.data() + sizeof(double), control.sum.data(), sizeof(double) * control.sum.size());
  return out;
}

Result<Control> ReadControl(ByteView memory, std::size_t count) {
  Control out{std::vector<double>(count, 0.0), 0};
  if (memory.empty()) return out;
  if (memory.size() != sizeof(double) * (1 + count)) {
    return Fail(Code::kCorrupt, fmt::format("this hospital's memory of the study has {} bytes where {} are needed",
                                            memory.size(), sizeof(double) * (1 + count)));
  }
  std::memcpy(&out.weight, memory.data(), sizeof(double));
  std::memcpy(out.sum.data(), memory.data() + sizeof(double), sizeof(double) * count);
  const bool finite =
      std::isfinite(out.weight) && std::ranges::all_of(out.sum, [](double v) { return std::isfinite(v); });
  if (!finite || out.weight < 0) return Fail(Code::kCorrupt, "this hospital's memory of the study holds no numbers");
  return out;
}

}  // namespace consilium::node
