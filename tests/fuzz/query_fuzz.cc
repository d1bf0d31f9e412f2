// Any bytes as a query: an error, or a query with exactly these bytes for which a contribution can be encoded and
// answered.
#include "common/base/check.h"
#include "common/privacy/encode.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  const ByteView bytes(data, size);
  const Result<Query> query = ParseQuery(bytes);
  if (!query) return 0;
  CHECK(std::ranges::equal(Canonical(*query), bytes));
  constexpr std::uint64_t kSmall = 1 << 12;
  if (query->Coordinates() > kSmall) return 0;
  RawContribution raw;
  for (const Block& block : query->blocks) raw.blocks.emplace_back(block.length, 2 * block.bound);
  raw.blocks.pop_back();
  EncodeReport report;
  const Result<Bytes> words = Encode(*query, raw, &report);
  CHECK(words.has_value() && report.saturated == query->Coordinates() - 1);
  const Result<Answer> answer = Answer::Create(*query, {0}, *words);
  CHECK(answer.has_value());
  for (const Block& block : query->blocks) CHECK(answer->Values(block.name).front() >= 0);
  return 0;
}
