// Encoding holds: rounding is half to even, what cannot be represented is clipped and counted, sums are exact.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "common/privacy/encode.h"

namespace consilium {
namespace {

Query OneBlock(Ring ring, std::uint64_t length, double bound, std::uint32_t hospitals) {
  Query q;
  q.round = 1;
  q.kind = "train";
  q.params = Value::Object{};
  q.ring = ring;
  q.Append("v", length, Role::kDelta, bound, hospitals);
  q.Finish();
  return q;
}
std::vector<std::int64_t> Encoded(const Query& q, std::vector<double> values, EncodeReport* report) {
  const Result<Bytes> words = Encode(q, {{std::move(values)}}, report);
  EXPECT_TRUE(words.has_value()) << words.error().what;
  return Answer::Create(q, {7}, *words)->Integers("v");
}

TEST(Encode, RoundsHalfToEven) {
  for (const Ring ring : {Ring::kU32, Ring::kU64}) {
    Query q = OneBlock(ring, 8, 1000, 4);
    q.blocks[0].scale_log2 = 0;
    EncodeReport report;
    EXPECT_EQ(Encoded(q, {0.5, 1.5, 2.5, -0.5, -1.5, 2.4999, -1000, 1000}, &report),
              (std::vector<std::int64_t>{0, 2, 2, 0, -2, 2, -1000, 1000}));
    EXPECT_EQ(report.saturated, 0U);
    q.blocks[0].scale_log2 = 3;
    EXPECT_EQ(Encoded(q, {0.0625, 0.1875, 1, -1, 0.125, 0, 0, 0}, &report),
              (std::vector<std::int64_t>{0, 2, 8, -8, 1, 0, 0, 0}));
    q.blocks[0].scale_log2 = -3;
    EXPECT_EQ(Encoded(q, {4, 12, 20, -4, 1000, 0, 0, 0}, &report),
              (std::vector<std::int64_t>{0, 2, 2, 0, 125, 0, 0, 0}));
  }
}

TEST(Encode, ClipsAndCounts) {
  for (const Ring ring : {Ring::kU32, Ring::kU64}) {
    Query q = OneBlock(ring, 6, 8, 4);
    q.blocks[0].scale_log2 = 1;
    EncodeReport report;
    const double inf = std::numeric_limits<double>::infinity();
    EXPECT_EQ(Encoded(q, {9, -1e300, std::nan(""), inf, -inf, 8}, &report),
              (std::vector<std::int64_t>{16, -16, 0, 0, 0, 16}));
    EXPECT_EQ(report.saturated, 2U);
    EXPECT_EQ(report.not_finite, 3U);
  }
}

TEST(Encode, RefusesWhatDoesNotFit) {
  Query q = OneBlock(Ring::kU64, 2, 8, 4);
  EncodeReport report;
  for (const RawContribution& raw :
       {RawContribution{}, RawContribution{{{1}}}, RawContribution{{{1, 2, 3}}}, RawContribution{{{1, 2}, {1}}}}) {
    const Result<Bytes> words = Encode(q, raw, &report);
    ASSERT_FALSE(words.has_value());
    EXPECT_EQ(words.error().code, Code::kInvalid);
  }
  q.blocks[0].scale_log2 = 62;
  EXPECT_FALSE(Encode(q, {{{1, 2}}}, &report).has_value());
  q = OneBlock(Ring::kU64, 2, 8, 4);
  q.blocks.pop_back();
  EXPECT_FALSE(Encode(q, {{{1, 2}}}, &report).has_value());
}

TEST(AddWords, CarriesNothingBetweenWords) {
  Bytes a(40, 0xff), b(40, 0);
  for (std::size_t i = 0; i < 40; i += 4) b[i] = 1;
  Bytes sum = a;
  AddWords(Ring::kU32, sum, b);
  EXPECT_EQ(sum, Bytes(40, 0));
  sum = a;
  AddWords(Ring::kU64, sum, b);
  EXPECT_EQ(Bytes(sum.begin(), sum.begin() + 8), (Bytes{0, 0, 0, 0, 1, 0, 0, 0}));
  EXPECT_EQ(Bytes(sum.end() - 8, sum.end()), (Bytes{0, 0, 0, 0, 1, 0, 0, 0}));
}

TEST(AddWordsDeathTest, SizesMustFit) {
  Bytes a(12), b(8);
  EXPECT_DEATH(AddWords(Ring::kU32, a, b), "size");
  b.resize(12);
  EXPECT_DEATH(AddWords(Ring::kU64, a, b), "size");
}

// The whole way: encode at each of n hospitals, add, decode. Off by at most half a unit a hospital, saturated or not.
RC_GTEST_PROP(Encode, TheSumIsTheSumOfTheContributions, ()) {
  const Ring ring = *rc::gen::element(Ring::kU32, Ring::kU64);
  const auto hospitals = static_cast<std::uint32_t>(*rc::gen::inRange(1, 12));
  const auto length = static_cast<std::uint64_t>(*rc::gen::inRange(1, 40));
  const double bound = std::ldexp(1.0, *rc::gen::inRange(-20, 60)) * 1.1;
  const Query q = OneBlock(ring, length, bound, hospitals);
  Bytes shifted(q.WireBytes() + 1), sum(q.WireBytes());  // An odd address asks for no alignment.
  std::vector<long double> expected(length);
  std::vector<std::uint32_t> survivors;
  for (std::uint32_t h = 0; h < hospitals; ++h) {
    RawContribution raw{{std::vector<double>(length)}};
    for (std::size_t i = 0; i < length; ++i) {
      raw.blocks[0][i] = *rc::gen::inRange(-1100, 1101) / 1000.0 * bound;
      expected[i] += std::clamp(raw.blocks[0][i], -bound, bound);
    }
    const Bytes words = *Encode(q, raw, nullptr);
    std::copy(words.begin(), words.end(), shifted.begin() + 1);
    AddWords(ring, sum, ByteView(shifted).subspan(1));
    survivors.push_back(h);
  }
  const Result<Answer> answer = Answer::Create(q, survivors, sum);
  RC_ASSERT(answer.has_value());
  const std::vector<double> values = answer->Values("v");
  const long double slack = hospitals * (0.5L * std::ldexp(1.0L, -q.blocks[0].scale_log2) + bound * 0x1p-50L);
  for (std::size_t i = 0; i < length; ++i) RC_ASSERT(std::fabs(values[i] - expected[i]) <= slack);
}

}  // namespace
}  // namespace consilium
