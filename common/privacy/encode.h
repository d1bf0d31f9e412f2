// Real values into ring words: the bound, the scale, and what could not be represented.
#pragma once

#include <optional>
#include <vector>

#include "common/query/query.h"

namespace consilium {

// One contribution before the gate: one vector of natural values per block of the query, the contributors block left
// out.
struct RawContribution {
  std::vector<std::vector<double>> blocks;
  // What the hospital is to remember of the study when this contribution counts; never sent. nullopt: what it does now.
  std::optional<Bytes> memory = std::nullopt;
};

struct EncodeReport {
  std::uint64_t saturated = 0;   // Values beyond their block's bound, clipped to it.
  std::uint64_t not_finite = 0;  // NaN and Inf, sent as 0.
};

// Ring bytes, little-endian, blocks in order, then the contributors coordinate 1. Mode none: x = round-half-even(v *
// 2^k) after saturation at +-bound; deterministic. kInvalid when the block lengths do not fit the query.
Result<Bytes> Encode(const Query& query, const RawContribution& raw, EncodeReport* report);

// sum += addend modulo the ring, word by word; sizes are equal multiples of the word.
void AddWords(Ring ring, std::span<std::uint8_t> sum, ByteView addend);

}  // namespace consilium
