// The training strategies that a plan can name, which keys of [training] belong to which, and their names in words.
#pragma once

#include <string>
#include <vector>

#include "common/plan/plan.h"

namespace consilium {

const std::vector<std::string>& StrategyNames();  // As [training] algorithm has them.

// A number of [training] that only some strategies know.
struct StrategyKey {
  std::string name;
  double Plan::* field;
  double least, most, fallback;
  std::vector<std::string> strategies;
};
// A key may have several rows, with one default each; no two rows of a key share a strategy.
const std::vector<StrategyKey>& StrategyKeys();
std::vector<StrategyKey> KeysOf(const std::string& strategy);
// "fedadam, fedyogi": all strategies that know the key.
std::string KnownTo(const std::string& key);

std::string TitleOf(const Plan& plan);        // "FedProx"
std::string ExplanationOf(const Plan& plan);  // One sentence for a hospital's board, without a full stop.

// Whether a hospital keeps a memory of this study between rounds of training (never sent; schemas/storage.capnp).
bool KeepsMemory(const Plan& plan);
// Whether each round of training sums the change of a single hospital, so that the sum is that hospital's own figure.
bool ShowsSingleHospitals(const Plan& plan);

}  // namespace consilium
