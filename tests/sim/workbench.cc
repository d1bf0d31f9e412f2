// See workbench.h.
#include "tests/sim/workbench.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"
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
    case Role::kStatistic:
      return block.bound * random.Unit();
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

RawContribution TrueContribution(std::uint32_t hospital, const Query& query, bool wild) {
  const Digest hash = HashOf(query);
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

Bytes TrueVector(std::uint32_t hospital, const Query& query, bool wild, bool withheld) {
  EncodeReport report;
  RawContribution raw = TrueContribution(hospital, query, wild);
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
                                               const std::map<Digest, Bytes>& inputs) const {
  if (auto asked = on_compute_(plan, query, inputs); !asked) return std::unexpected(asked.error());
  return TrueContribution(hospital_, query, wild_);
}

Result<Value> FakeWorkbench::OwnResults(const Plan& /*plan*/, const node::DataSetSpec& /*spec*/,
                                        const Query& /*last_query*/, ByteView /*model*/) const {
  Value results;
  results.Set("patients", 100).Set("test_patients", 25);
  return results;
}

}  // namespace consilium::sim
