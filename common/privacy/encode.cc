// Real values into ring words, and the sum of ring words.
#include "common/privacy/encode.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "common/base/check.h"

namespace consilium {
namespace {

static_assert(std::endian::native == std::endian::little, "ring words are written as they lie");

// A value that is not finite is 0 and counted; one beyond the bound is the bound and counted.
template <class Word>
void EncodeBlock(const Block& block, const std::vector<double>& values, std::uint8_t* out, EncodeReport* report) {
  const double unit = std::ldexp(1.0, block.scale_log2), bound = block.bound;
  std::uint64_t saturated = 0, not_finite = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    double v = values[i];
    if (!std::isfinite(v)) {
      ++not_finite;
      v = 0;
    } else if (std::fabs(v) > bound) {
      ++saturated;
      v = std::copysign(bound, v);
    }
    const auto word = static_cast<Word>(static_cast<std::int64_t>(std::rint(v * unit)));  // Half to even.
    std::memcpy(out + i * sizeof(Word), &word, sizeof(Word));
  }
  report->saturated += saturated;
  report->not_finite += not_finite;
}

template <class Word>
Bytes EncodeAll(const Query& query, const RawContribution& raw, EncodeReport* report) {
  Bytes out(query.WireBytes());
  std::uint8_t* at = out.data();
  for (std::size_t i = 0; i < raw.blocks.size(); ++i) {
    EncodeBlock<Word>(query.blocks[i], raw.blocks[i], at, report);
    at += raw.blocks[i].size() * sizeof(Word);
  }
  const Word one = 1;
  std::memcpy(at, &one, sizeof one);
  return out;
}

// 32 bytes at a time, loaded and stored by memcpy so that no alignment is asked.
template <class Word>
void Add(std::span<std::uint8_t> sum, ByteView addend) {
  using Lanes [[gnu::vector_size(32)]] = Word;
  std::size_t i = 0;
  for (; i + sizeof(Lanes) <= sum.size(); i += sizeof(Lanes)) {
    Lanes a, b;
    std::memcpy(&a, sum.data() + i, sizeof a);
    std::memcpy(&b, addend.data() + i, sizeof b);
    a += b;
    std::memcpy(sum.data() + i, &a, sizeof a);
  }
  for (; i < sum.size(); i += sizeof(Word)) {
    Word a = 0, b = 0;
    std::memcpy(&a, sum.data() + i, sizeof a);
    std::memcpy(&b, addend.data() + i, sizeof b);
    a += b;
    std::memcpy(sum.data() + i, &a, sizeof a);
  }
}

}  // namespace

Result<Bytes> Encode(const Query& query, const RawContribution& raw, EncodeReport* report) {
  if (query.blocks.empty() || query.blocks.back().name != kCountBlock || query.blocks.back().length != 1) {
    return Fail(Code::kInvalid, "the query does not end in the block that counts");
  }
  if (raw.blocks.size() + 1 != query.blocks.size()) {
    return Fail(Code::kInvalid, fmt::format("the contribution has {} blocks where the query has {}", raw.blocks.size(),
                                            query.blocks.size() - 1));
  }
  const double limit = std::ldexp(1.0, query.ring == Ring::kU32 ? 31 : 63);
  for (std::size_t i = 0; i < raw.blocks.size(); ++i) {
    const Block& block = query.blocks[i];
    if (raw.blocks[i].size() != block.length) {
      return Fail(Code::kInvalid, fmt::format("block {} has {} values where the query has {}", Quoted(block.name),
                                              raw.blocks[i].size(), block.length));
    }
    if (!(block.bound > 0 && std::rint(std::ldexp(block.bound, block.scale_log2)) < limit)) {
      return Fail(Code::kInvalid,
                  fmt::format("block {}: its bound at its scale is beyond the ring", Quoted(block.name)));
    }
  }
  EncodeReport unread;
  if (report == nullptr) report = &unread;
  *report = {};
  return query.ring == Ring::kU32 ? EncodeAll<std::uint32_t>(query, raw, report)
                                  : EncodeAll<std::uint64_t>(query, raw, report);
}

void AddWords(Ring ring, std::span<std::uint8_t> sum, ByteView addend) {
  CHECK(sum.size() == addend.size());
  CHECK(sum.size() % (ring == Ring::kU32 ? 4 : 8) == 0);
  if (ring == Ring::kU32) {
    Add<std::uint32_t>(sum, addend);
  } else {
    Add<std::uint64_t>(sum, addend);
  }
}

}  // namespace consilium
