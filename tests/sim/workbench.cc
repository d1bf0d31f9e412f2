// See workbench.h.
#include "tests/sim/workbench.h"

#include <algorithm>
#include <cmath>

#include "common/algorithms/derive.h"
#include "common/base/check.h"
#include "common/wire/messages.h"
#include "tests/sim/random.h"

namespace consilium::sim {
namespace {

double TameValue(const Block& block, Random& random) {
  switch (block.role) {
    case Role::kPresent:
      return 1;
    case Role::kCount:
      return std::floor(std::min(block.bound, 1000.0) * random.Unit());
    case Role::kWeight:
      return block.bound * (0.1 + 0.9 * random.Unit());
    case Role::kStatistic:  // A sum of losses, say, of which no model despairs.
      return std::min(block.bound, 1.0) * random.Unit();
    case Role::kDelta:
      return block.bound * 0.1 * (random.Unit() - 0.5);
  }
  return 0;
}

double WildValue(const Block& block, Random& random) {
  if (block.role == Role::kPresent) return random.PerMille(800) ? 1 : 0;
  if (random.PerMille(100)) return random.PerMille(500) ? block.bound : -block.bound;
  return block.bound * (2 * random.Unit() - 1);
}

}  // namespace

RawContribution TrueContribution(std::uint32_t hospital, const Query& query, bool wild, ByteView memory) {
  const Digest hash = memory.empty() ? HashOf(query) : Fields("sim/remembers").Add(HashOf(query)).Add(memory).Hash();
  std::uint64_t seed = hospital;
  for (int i = 0; i < 8; ++i) seed = seed * 257 + hash.bytes[static_cast<std::size_t>(i)];
  Random random(seed);
  RawContribution raw;
  for (const auto& block : query.blocks) {
    if (block.name == kCountBlock) continue;
    auto& values = raw.blocks.emplace_back(block.length);
    for (auto& value : values) value = wild ? WildValue(block, random) : TameValue(block, random);
  }
  return raw;
}

Bytes TrueMemory(std::uint32_t hospital, const Plan& plan, const Query& query, ByteView memory) {
  const Digest hash = Fields("sim/memory").Add(hospital).Add(HashOf(query)).Add(memory).Hash();
  Bytes out(hash.bytes.begin(), hash.bytes.end());
  constexpr std::size_t kLarge = kInlineBlob + 1000;
  if (plan.seed % 4 == 0) out.resize(kLarge, hash.bytes[0]);
  return out;
}

Bytes TrueVector(std::uint32_t hospital, const Query& query, bool wild, ByteView memory, bool withheld) {
  EncodeReport report;
  RawContribution raw = TrueContribution(hospital, query, wild, memory);
  for (auto& block : raw.blocks) {
    if (withheld) std::ranges::fill(block, 0.0);
  }
  auto words = Encode(query, raw, &report);
  CHECK(words.has_value());
  return std::move(*words);
}

Result<Value> FakeWorkbench::Check(const node::DataSetSpec& spec) const {
  Value report;
  report.Set("rows", 100)
      .Set("patients", 100)
      .Set("files", 1)
      .Set("columns", Value::Array{})
      .Set("warnings", Value::Array{});
  if (spec.folder.empty()) return Fail(Code::kInvalid, "no folder");
  return report;
}

Status FakeWorkbench::Preflight(const Plan& /*plan*/, const node::DataSetSpec& /*spec*/) const {
  if (unfit_) return Fail(Code::kRefused, "the data set does not fit the plan's schema");
  return {};
}

Result<RawContribution> FakeWorkbench::Compute(const Plan& plan, const node::DataSetSpec& /*spec*/, const Query& query,
                                               const node::Given& given) const {
  if (auto asked = on_compute_(plan, query, given); !asked) return std::unexpected(asked.error());
  RawContribution raw = TrueContribution(hospital_, query, wild_, given.memory);
  if (NeedsMemory(plan, query)) raw.memory = TrueMemory(hospital_, plan, query, given.memory);
  return raw;
}

Result<Value> FakeWorkbench::OwnResults(const Plan& /*plan*/, const node::DataSetSpec& /*spec*/,
                                        const Query& /*last_query*/, ByteView /*model*/) const {
  Value results;
  results.Set("patients", 100).Set("test_patients", 25);
  return results;
}

}  // namespace consilium::sim
