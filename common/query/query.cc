// Queries: building one, its scale, its canonical bytes and back.
#include "common/query/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "common/base/check.h"

namespace consilium {
namespace {

constexpr std::uint32_t kMaxHospitals = 1U << 20;
constexpr std::size_t kMaxBases = 64, kMaxNameBytes = 128;
const std::vector<std::string> kRings = {"u32", "u64"};
const std::vector<std::string> kReleases = {"sum", "hospital"};
const std::vector<std::string> kRoles = {"delta", "weight", "count", "statistic", "present"};
const std::vector<std::string> kNorms = {"l2", "per_coordinate"};

template <class E>
std::string NameOf(const std::vector<std::string>& names, E value) {
  return names.at(static_cast<std::size_t>(value));
}
template <class E>
E ReadEnum(Reader& reader, const std::string& key, const std::vector<std::string>& names) {
  const std::string name = reader.Choice(key, names);
  return static_cast<E>(std::find(names.begin(), names.end(), name) - names.begin());
}

int Bits(Ring ring) { return ring == Ring::kU32 ? 32 : 64; }
Block ContributorsBlock() { return {std::string(kCountBlock), 1, Role::kCount, 1.0, Norm::kPerCoordinate, 0, 0}; }

int BitLength(unsigned __int128 v) {
  const auto high = static_cast<std::uint64_t>(v >> 64);
  return high != 0 ? 64 + std::bit_width(high) : std::bit_width(static_cast<std::uint64_t>(v));
}

bool IsName(std::string_view name, std::size_t most) {
  return !name.empty() && name.size() <= most && std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}
// One contribution alone cannot wrap; ldexp by a power of two is exact.
bool FitsRing(Ring ring, double bound, int scale) { return std::ldexp(bound, scale) < std::ldexp(1.0, Bits(ring) - 1); }

Value ToValue(const Block& block) {
  return Value()
      .Set("name", block.name)
      .Set("length", block.length)
      .Set("role", NameOf(kRoles, block.role))
      .Set("bound", block.bound)
      .Set("norm", NameOf(kNorms, block.norm))
      .Set("scale_log2", block.scale_log2)
      .Set("sigma", block.sigma);
}

Result<Block> BlockFrom(const Value& value, Ring ring) {
  Reader r(value, "query", "blocks");
  Block block;
  block.name = r.String("name");
  block.length = static_cast<std::uint64_t>(r.Integer("length", 1, static_cast<std::int64_t>(kMaxCoordinates)));
  block.role = ReadEnum<Role>(r, "role", kRoles);
  block.bound = r.Number("bound", std::numeric_limits<double>::min(), kMaxBound);
  block.norm = ReadEnum<Norm>(r, "norm", kNorms);
  block.scale_log2 = static_cast<int>(r.Integer("scale_log2", kMinScaleLog2, kMaxScaleLog2));
  block.sigma = static_cast<std::uint64_t>(r.Integer("sigma", 0, (std::int64_t{1} << 53) - 1));
  if (!IsName(block.name, kMaxNameBytes)) r.Refuse("name", "must be 1 to 128 bytes without control characters");
  if (r.ok() && !FitsRing(ring, block.bound, block.scale_log2))
    r.Refuse("scale_log2", "one saturated value would wrap the ring");
  if (auto status = r.Finish(); !status) return std::unexpected(status.error());
  return block;
}

Status ReadBlocks(const Value& list, Query* query) {
  const Value::Array& values = list.AsArray();
  if (values.empty() || values.size() > kMaxBlocks) {
    return Fail(Code::kInvalid, fmt::format("query: blocks must be a list of 1 to {}", kMaxBlocks));
  }
  std::uint64_t total = 0;
  std::set<std::string> names;
  for (const Value& value : values) {
    query->blocks.push_back(TRY(BlockFrom(value, query->ring)));
    total += query->blocks.back().length;
    if (!names.insert(query->blocks.back().name).second) {
      return Fail(Code::kInvalid, "query: two blocks are named " + Quoted(query->blocks.back().name));
    }
  }
  const std::uint64_t most = query->release == ReleaseTo::kSum ? kMaxCoordinates : kMaxReleasedCoordinates;
  if (total > most) return Fail(Code::kInvalid, fmt::format("query: {} coordinates are more than {}", total, most));
  if (query->blocks.back() != ContributorsBlock()) {
    return Fail(Code::kInvalid, fmt::format("query: the last block must be '{}', which counts", kCountBlock));
  }
  return {};
}

Status ReadBases(const std::vector<std::string>& texts, Query* query) {
  if (texts.size() > kMaxBases) return Fail(Code::kInvalid, fmt::format("query: more than {} bases", kMaxBases));
  for (const std::string& text : texts) query->bases.push_back(TRY(Digest::FromHexText(text)));
  return {};
}

}  // namespace

int ScaleLog2(Ring ring, double bound, std::uint32_t hospitals) {
  CHECK(std::isfinite(bound) && bound > 0 && bound <= kMaxBound);
  CHECK(hospitals >= 1 && hospitals <= kMaxHospitals);
  // The largest k with hospitals * bound * 2^k <= room. bound = mantissa * 2^exponent, so everything is an integer.
  const std::uint64_t room = (std::uint64_t{1} << (Bits(ring) - 1)) - 1 - hospitals;
  int exponent = 0;
  const double fraction = std::frexp(bound, &exponent);
  const auto mantissa = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
  const unsigned __int128 load = static_cast<unsigned __int128>(hospitals) * mantissa;
  int shift = BitLength(room) - BitLength(load);
  const bool fits = shift >= 0 ? load << shift <= room : load <= static_cast<unsigned __int128>(room) << -shift;
  if (!fits) --shift;
  return std::min(shift - (exponent - 53), kMaxScaleLog2);
}

void Query::Append(std::string name, std::uint64_t length, Role role, double bound, std::uint32_t hospitals) {
  CHECK(IsName(name, kMaxNameBytes) && name != kCountBlock && Find(name) == nullptr);
  CHECK(length >= 1 && length < kMaxCoordinates - Coordinates());  // One place is left for the contributors.
  CHECK(blocks.size() + 1 < kMaxBlocks);
  blocks.push_back({std::move(name), length, role, bound, Norm::kPerCoordinate, ScaleLog2(ring, bound, hospitals), 0});
}

void Query::Finish() {
  CHECK(Find(kCountBlock) == nullptr);
  blocks.push_back(ContributorsBlock());
  CHECK(release == ReleaseTo::kSum || Coordinates() <= kMaxReleasedCoordinates);
}

std::uint64_t Query::Coordinates() const {
  std::uint64_t total = 0;
  for (const Block& block : blocks) total += block.length;
  return total;
}
std::uint64_t Query::WireBytes() const { return Coordinates() * (ring == Ring::kU32 ? 4 : 8); }
std::uint64_t Query::AnswerBytes(std::size_t hospitals) const {
  return release == ReleaseTo::kSum ? WireBytes() : WireBytes() * hospitals;
}

const Block* Query::Find(std::string_view name) const {
  const auto found = std::find_if(blocks.begin(), blocks.end(), [&](const Block& block) { return block.name == name; });
  return found == blocks.end() ? nullptr : &*found;
}
std::uint64_t Query::OffsetOf(std::string_view name) const {
  std::uint64_t offset = 0;
  for (const Block& block : blocks) {
    if (block.name == name) return offset;
    offset += block.length;
  }
  CHECK(false);  // The caller names a block of its own query.
  return 0;
}

Bytes Canonical(const Query& query) {
  Value::Array bases, blocks;
  for (const Digest& base : query.bases) bases.emplace_back(base.Hex());
  for (const Block& block : query.blocks) blocks.push_back(ToValue(block));
  const Value value = Value()
                          .Set("plan", query.plan.Hex())
                          .Set("round", query.round)
                          .Set("bases", std::move(bases))
                          .Set("kind", query.kind)
                          .Set("params", query.params)
                          .Set("ring", NameOf(kRings, query.ring))
                          .Set("release", NameOf(kReleases, query.release))
                          .Set("blocks", std::move(blocks));
  return ToBytes(View(CanonicalJson(value)));
}

Result<Query> ParseQuery(ByteView canonical) {
  const Value value = TRY(ParseJson(Text(canonical)));
  Reader r(value, "query", "");
  Query query;
  const std::string plan = r.String("plan");
  query.round = static_cast<std::uint32_t>(r.Integer("round", 1, std::numeric_limits<std::uint32_t>::max()));
  const std::vector<std::string> bases = r.Strings("bases");
  query.kind = r.String("kind");
  const Value* params = r.Take("params");
  query.ring = ReadEnum<Ring>(r, "ring", kRings);
  query.release = ReadEnum<ReleaseTo>(r, "release", kReleases);
  const Value* blocks = r.Take("blocks");
  if (!IsName(query.kind, 32)) r.Refuse("kind", "must be 1 to 32 bytes without control characters");
  if (params == nullptr || !params->IsObject()) r.Refuse("params", "must be an object");
  if (blocks == nullptr || !blocks->IsArray()) r.Refuse("blocks", "must be a list");
  if (auto status = r.Finish(); !status) return std::unexpected(status.error());
  query.plan = TRY(StudyId::FromHexText(plan));
  query.params = *params;
  if (auto status = ReadBases(bases, &query); !status) return std::unexpected(status.error());
  if (auto status = ReadBlocks(*blocks, &query); !status) return std::unexpected(status.error());
  if (!std::ranges::equal(Canonical(query), canonical)) return Fail(Code::kInvalid, "query: not in canonical form");
  return query;
}

Digest HashOf(const Query& query) { return Blake2b(Canonical(query)); }

}  // namespace consilium
