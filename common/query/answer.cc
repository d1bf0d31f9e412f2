// Answers: the exact sum, checked against its query, and its values.
#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "common/base/check.h"
#include "common/query/query.h"

namespace consilium {
namespace {

static_assert(std::endian::native == std::endian::little, "ring words are read as they lie");

// Calls out(i, word) for each coordinate of the block in that vector of the answer, the word as a signed number.
template <class Out>
void EachWord(const Query& query, const Block& block, const Bytes& words, std::size_t vector, Out out) {
  const std::size_t offset = vector * query.Coordinates() + query.OffsetOf(block.name);
  const auto each = [&]<class Word>(Word /*kind*/) {
    const std::uint8_t* at = words.data() + offset * sizeof(Word);
    for (std::size_t i = 0; i < block.length; ++i) {
      Word word = 0;
      std::memcpy(&word, at + i * sizeof(Word), sizeof(Word));
      out(i, std::int64_t{word});
    }
  };
  if (query.ring == Ring::kU32) {
    each(std::int32_t{});
  } else {
    each(std::int64_t{});
  }
}

const Block& Existing(const Query& query, std::string_view name) {
  const Block* block = query.Find(name);
  CHECK(block != nullptr);  // The caller names a block of its own query.
  return *block;
}

}  // namespace

Digest AnswerDigest(const Digest& query_hash, const std::vector<std::uint32_t>& survivors, const Digest& root) {
  return Fields("consilium/answer").Add(query_hash).Add(HashSet(survivors)).Add(root).Hash();
}

Result<Answer> Answer::Create(const Query& query, std::vector<std::uint32_t> survivors, Bytes words) {
  if (words.size() != query.AnswerBytes(survivors.size())) {
    return Fail(Code::kProtocol, fmt::format("the answer has {} bytes where its query has {}", words.size(),
                                             query.AnswerBytes(survivors.size())));
  }
  if (query.blocks.empty() || query.blocks.back().name != kCountBlock || query.blocks.back().length != 1) {
    return Fail(Code::kProtocol, "the answer's query does not end in the block that counts");
  }
  for (std::size_t i = 1; i < survivors.size(); ++i) {
    if (survivors[i - 1] >= survivors[i]) return Fail(Code::kProtocol, "the answer's survivors do not ascend");
  }
  Answer answer;
  answer.query_ = query;
  answer.survivors_ = std::move(survivors);
  answer.words_ = std::move(words);
  if (answer.survivors_.empty()) return Fail(Code::kProtocol, "the answer names no survivor");
  const std::size_t named = answer.survivors_.size() / answer.vectors();  // By each vector: all of them, or its own.
  for (std::size_t vector = 0; vector < answer.vectors(); ++vector) {
    const std::int64_t counted = answer.Integers(kCountBlock, vector).front();
    if (counted == static_cast<std::int64_t>(named)) continue;
    return Fail(Code::kProtocol, fmt::format("the answer counts {} contributors where {} are named", counted, named));
  }
  answer.digest_ = AnswerDigest(HashOf(query), answer.survivors_, BlobRoot(answer.words_));
  return answer;
}

std::vector<double> Answer::Values(std::string_view block, std::size_t vector) const {
  CHECK(vector < vectors());
  const Block& found = Existing(query_, block);
  const double unit = std::ldexp(1.0, -found.scale_log2);
  std::vector<double> out(found.length);
  EachWord(query_, found, words_, vector,
           [&](std::size_t i, std::int64_t word) { out[i] = static_cast<double>(word) * unit; });
  return out;
}
std::vector<std::int64_t> Answer::Integers(std::string_view block, std::size_t vector) const {
  CHECK(vector < vectors());
  const Block& found = Existing(query_, block);
  std::vector<std::int64_t> out(found.length);
  EachWord(query_, found, words_, vector, [&](std::size_t i, std::int64_t word) { out[i] = word; });
  return out;
}
double Answer::Value1(std::string_view block, std::size_t vector) const {
  CHECK(Existing(query_, block).length == 1);
  return Values(block, vector).front();
}
double Answer::NoiseVariance(std::string_view block) const {
  const Block& found = Existing(query_, block);
  const double sigma = std::ldexp(static_cast<double>(found.sigma), -found.scale_log2);
  const std::size_t contributors = survivors_.size() / vectors();
  return static_cast<double>(contributors) * sigma * sigma;
}

}  // namespace consilium
