// Rules by which the patients of one data set become those of many simulated hospitals. All give every patient to one
// hospital, and each hospital as many as the next: of P patients and H hospitals P/H, rounded either way (shards:K: K
// shards of P/(HK)). The same seed gives the same split on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace consilium::cli {

struct SplitRule {
  // kIid: at random. kShards: by label, cut into shards, `shards` of them at random to a hospital (McMahan et al.
  // 2017). kDirichlet: the mix of labels of each hospital is drawn from Dirichlet(alpha * the mix of all) (Hsu et al.
  // 2019).
  enum class Kind : std::uint8_t { kIid, kShards, kDirichlet };
  Kind kind = Kind::kIid;
  std::uint32_t shards = 0;
  double alpha = 0;
};

// "iid", "shards:K", "dirichlet:ALPHA".
Result<SplitRule> ParseSplitRule(std::string_view text);

// What the rules go by: a value for each patient, NaN where there is none. Those without one are a label of their own.
struct PatientLabels {
  std::vector<double> values;
  bool continuous = false;  // Shards are then quantiles, and dirichlet's labels the ten tenths.
};

// The hospital of each patient, from 0. kInvalid when there are too few patients.
Result<std::vector<std::uint32_t>> SplitPatients(const SplitRule& rule, const PatientLabels& labels,
                                                 std::uint32_t hospitals, std::uint64_t seed);

}  // namespace consilium::cli
