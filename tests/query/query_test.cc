// Queries hold: one query has one byte string, and no scale lets the saturated sum of all hospitals wrap.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "common/query/query.h"

namespace consilium {
namespace {

Query Sample() {
  Query q;
  q.plan.bytes.fill(0xab);
  q.round = 3;
  q.bases.emplace_back();
  q.kind = "train";
  q.params = Value().Set("rate", 0.1).Set("whole", 1.0).Set("inputs", Value().Set("global", std::string(64, '0')));
  q.Append("delta", 14, Role::kDelta, 8, 4);
  q.Append("weight", 1, Role::kWeight, 1, 4);
  q.Finish();
  return q;
}
Result<Query> Again(const std::string& text) { return ParseQuery(View(text)); }
std::string TextOf(const Query& q) { return std::string(Text(Canonical(q))); }
std::string Replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(Query, CanonicalBytesComeBack) {
  const Query q = Sample();
  const Result<Query> again = ParseQuery(Canonical(q));
  ASSERT_TRUE(again.has_value()) << again.error().what;
  EXPECT_EQ(*again, q);
  EXPECT_EQ(Canonical(*again), Canonical(q));
  EXPECT_EQ(HashOf(*again), HashOf(q));
  EXPECT_EQ(q.Coordinates(), 16U);
  EXPECT_EQ(q.WireBytes(), 128U);
  EXPECT_EQ(q.OffsetOf("weight"), 14U);
  EXPECT_EQ(q.Find("nothing"), nullptr);
}

TEST(Query, TheBytesAreTheseForEver) {
  Query q;
  q.round = 1;
  q.kind = "describe";
  q.params = Value::Object{};
  q.ring = Ring::kU32;
  q.Append("n", 2, Role::kCount, 100000, 3);
  q.Finish();
  EXPECT_EQ(
      TextOf(q),
      R"({"bases":[],"blocks":[{"bound":100000,"length":2,"name":"n","norm":"per_coordinate","role":"count","scale_log2":12,"sigma":0},)"
      R"({"bound":1,"length":1,"name":"contributors","norm":"per_coordinate","role":"count","scale_log2":0,"sigma":0}],)"
      R"("kind":"describe","params":{},"plan":"0000000000000000000000000000000000000000000000000000000000000000","release":"sum","ring":"u32","round":1})");
}

TEST(Query, OnlyItsOwnBytesAreAccepted) {
  const std::string text = TextOf(Sample());
  for (const auto& [what, by] :
       std::vector<std::pair<std::string, std::string>>{{"{\"bases\"", "{ \"bases\""},
                                                        {"\"round\":3", "\"round\":3.0"},
                                                        {"\"round\":3", "\"round\":0"},
                                                        {"\"round\":3", "\"round\":4294967296"},
                                                        {"\"round\":3", "\"round\":3,\"x\":1"},
                                                        {"abab", "ABAB"},
                                                        {"abab", "ab"},
                                                        {"\"bound\":8", "\"bound\":0"},
                                                        {"\"bound\":8", "\"bound\":-8"},
                                                        {"\"bound\":8", "\"bound\":1e+300"},
                                                        {"\"length\":14", "\"length\":0"},
                                                        {"\"length\":14", "\"length\":268435457"},
                                                        {"\"length\":14", "\"length\":268435455"},
                                                        {"\"u64\"", "\"u16\""},
                                                        {"\"u64\"", "\"u32\""},
                                                        {"\"sum\"", "\"all\""},
                                                        {"\"delta\"", "\"weight\""},
                                                        {"\"name\":\"delta\"", "\"name\":\"\""},
                                                        {"\"name\":\"delta\"", "\"name\":\"contributors\""},
                                                        {"\"name\":\"delta\"", "\"name\":\"a\\nb\""},
                                                        {"\"contributors\"", "\"contributor\""},
                                                        {"\"scale_log2\":0", "\"scale_log2\":1"},
                                                        {"\"sigma\":0", "\"sigma\":-1"},
                                                        {"\"train\"", "\"\""},
                                                        {"\"kind\":\"train\",", ""},
                                                        {"[\"00", "[\"0"},
                                                        {"\"params\":{", "\"params\":1,\"y\":{"}}) {
    const Result<Query> query = Again(Replaced(text, what, by));
    ASSERT_FALSE(query.has_value()) << what << " -> " << by;
    EXPECT_EQ(query.error().code, Code::kInvalid);
  }
  EXPECT_FALSE(Again(text + " "));
  EXPECT_FALSE(Again(""));
  EXPECT_FALSE(Again("[]"));
  EXPECT_FALSE(Again(std::string(2 << 20, ' ')));
}

TEST(Query, AHugeBoundSurvives) {
  for (const double bound : {9007199254740993.0, 1e18, 1.5e16, 1e21, 1e30, 1e200, 1e-200, 5e-320}) {
    Query q = Sample();
    q.blocks.pop_back();
    q.Append("big", 1, Role::kStatistic, bound, 100);
    q.Finish();
    const Result<Query> again = ParseQuery(Canonical(q));
    if (bound < 1e-300) {
      EXPECT_FALSE(again.has_value());  // Denormal bounds are nobody's unit.
      continue;
    }
    ASSERT_TRUE(again.has_value()) << bound << again.error().what;
    EXPECT_EQ(*again, q);
  }
}

TEST(ScaleLog2, IsTheFormula) {
  EXPECT_EQ(ScaleLog2(Ring::kU32, 1, 1), 30);
  EXPECT_EQ(ScaleLog2(Ring::kU32, 1, 4), 28);
  EXPECT_EQ(ScaleLog2(Ring::kU32, 8, 4), 25);
  EXPECT_EQ(ScaleLog2(Ring::kU32, 1e12, 4), -11);
  EXPECT_EQ(ScaleLog2(Ring::kU64, 8, 4), 52);
  EXPECT_EQ(ScaleLog2(Ring::kU64, 1024, 10), 49);
  EXPECT_EQ(ScaleLog2(Ring::kU64, 1e-9, 4), 52);
  EXPECT_EQ(ScaleLog2(Ring::kU64, 1e30, 4), -39);
  EXPECT_GE(ScaleLog2(Ring::kU32, kMaxBound, 1U << 20), kMinScaleLog2);
}

RC_GTEST_PROP(ScaleLog2, NoSaturatedSumWraps, ()) {
  const Ring ring = *rc::gen::element(Ring::kU32, Ring::kU64);
  const auto hospitals = static_cast<std::uint32_t>(*rc::gen::inRange(1, 1 << 20));
  const double bound = std::ldexp(1.0 + *rc::gen::inRange(0, 1 << 20) / 1048576.0, *rc::gen::inRange(-40, 100));
  const int k = ScaleLog2(ring, bound, hospitals);
  const __int128 room = (static_cast<__int128>(1) << (ring == Ring::kU32 ? 31 : 63)) - 1;
  RC_ASSERT(static_cast<__int128>(std::ceil(std::ldexp(bound, k))) * hospitals <= room);
  // And the next larger scale would leave no room for one unit of rounding by each.
  if (k < kMaxScaleLog2)
    RC_ASSERT(std::ldexp(static_cast<long double>(bound), k + 1) * hospitals >
              static_cast<long double>(room - hospitals));
}

TEST(Answer, IsCheckedAgainstItsQuery) {
  Query q;
  q.kind = "describe";
  q.params = Value::Object{};
  q.round = 1;
  q.ring = Ring::kU32;
  q.Append("a", 2, Role::kStatistic, 4, 3);
  q.Finish();
  ASSERT_EQ(q.blocks[0].scale_log2, 27);
  q.blocks[0].scale_log2 = 2;
  q.blocks[0].sigma = 3;
  const Bytes words = {6, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 3, 0, 0, 0};
  const Result<Answer> answer = Answer::Create(q, {0, 2, 5}, words);
  ASSERT_TRUE(answer.has_value()) << answer.error().what;
  EXPECT_EQ(answer->Values("a"), (std::vector<double>{1.5, -0.5}));
  EXPECT_EQ(answer->Integers("a"), (std::vector<std::int64_t>{6, -2}));
  EXPECT_EQ(answer->Value1(kCountBlock), 3.0);
  EXPECT_DOUBLE_EQ(answer->NoiseVariance("a"), 3 * 9 / 16.0);
  EXPECT_EQ(answer->digest(), AnswerDigest(HashOf(q), {0, 2, 5}, BlobRoot(words)));
  EXPECT_NE(answer->digest(), Answer::Create(q, {0, 2, 6}, words)->digest());

  for (const auto& survivors :
       std::vector<std::vector<std::uint32_t>>{{0, 2}, {0, 2, 5, 6}, {0, 2, 2}, {5, 2, 0}, {}}) {
    const Result<Answer> wrong = Answer::Create(q, survivors, words);
    ASSERT_FALSE(wrong.has_value());
    EXPECT_EQ(wrong.error().code, Code::kProtocol);
  }
  EXPECT_FALSE(Answer::Create(q, {0, 2, 5}, Bytes(words.begin(), words.end() - 1)));
  EXPECT_FALSE(Answer::Create(q, {}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

// ---- release = hospital ----

Query OwnQuery(Ring ring, std::uint64_t length) {
  Query q;
  q.kind = "evaluate";
  q.round = 1;
  q.ring = ring;
  q.release = ReleaseTo::kHospital;
  q.Append("present", 1, Role::kPresent, 1, 1);
  q.Append("counts", length, Role::kCount, 1000, 1);
  q.Finish();
  return q;
}

TEST(OwnQuery, IsLimitedInCoordinates) {
  EXPECT_TRUE(ParseQuery(Canonical(OwnQuery(Ring::kU64, kMaxReleasedCoordinates - 2))));
  const std::string text =
      Replaced(TextOf(OwnQuery(Ring::kU64, kMaxReleasedCoordinates - 2)), std::to_string(kMaxReleasedCoordinates - 2),
               std::to_string(kMaxReleasedCoordinates - 1));
  const auto refused = Again(text);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("65537 coordinates are more than 65536"), std::string::npos);
  EXPECT_TRUE(Again(Replaced(text, "\"hospital\"", "\"sum\""))) << "a sum may be longer";
  EXPECT_DEATH(OwnQuery(Ring::kU32, kMaxReleasedCoordinates - 1), "kMaxReleasedCoordinates");
}

// The survivors' vectors come back each under its number, and the digest holds whose they are, in which order, and
// every word.
RC_GTEST_PROP(OwnAnswer, EachVectorComesBackUnderItsNumber, ()) {
  const Ring ring = *rc::gen::element(Ring::kU32, Ring::kU64);
  const std::size_t word = ring == Ring::kU32 ? 4 : 8;
  const Query q = OwnQuery(ring, 1 + *rc::gen::inRange<std::uint64_t>(0, 20));
  const auto chosen = *rc::gen::unique<std::vector<std::uint32_t>>(rc::gen::inRange<std::uint32_t>(1, 1000));
  std::vector<std::uint32_t> survivors = chosen;
  std::ranges::sort(survivors);
  RC_PRE(!survivors.empty());
  Bytes words;
  std::vector<std::vector<std::int64_t>> sent;
  for (std::size_t i = 0; i < survivors.size(); ++i) {
    auto& counts = sent.emplace_back();
    for (std::uint64_t at = 0; at < q.Coordinates(); ++at) {
      const std::int64_t value = at + 1 == q.Coordinates() ? 1 : *rc::gen::inRange<std::int64_t>(-1000000, 1000000);
      if (at > 0 && at + 1 < q.Coordinates()) counts.push_back(value);
      for (std::size_t b = 0; b < word; ++b) words.push_back(static_cast<std::uint8_t>(value >> (8 * b)));
    }
  }
  RC_ASSERT(words.size() == q.AnswerBytes(survivors.size()));
  const auto answer = Answer::Create(q, survivors, words);
  RC_ASSERT(answer.has_value());
  RC_ASSERT(answer->vectors() == survivors.size());
  for (std::size_t i = 0; i < survivors.size(); ++i) {
    RC_ASSERT(answer->Integers("counts", i) == sent[i]);
    RC_ASSERT(answer->Value1(kCountBlock, i) == 1);
  }
  RC_ASSERT(answer->digest() == AnswerDigest(HashOf(q), survivors, BlobRoot(words)));
  Bytes changed = words;
  changed[*rc::gen::inRange<std::size_t>(0, words.size() / survivors.size() - word)] ^= 1;
  RC_ASSERT(Answer::Create(q, survivors, changed)->digest() != answer->digest());
  std::vector<std::uint32_t> others = survivors;
  ++others.back();
  RC_ASSERT(Answer::Create(q, others, words)->digest() != answer->digest());
}

TEST(OwnAnswer, IsCheckedAgainstItsQuery) {
  Query q = OwnQuery(Ring::kU32, 1);
  q.blocks[1].sigma = 6;
  q.blocks[1].scale_log2 = 1;
  const Bytes one = {1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0};
  Bytes two = one;
  two.insert(two.end(), one.begin(), one.end());
  ASSERT_TRUE(Answer::Create(q, {3, 7}, two));
  EXPECT_DOUBLE_EQ(Answer::Create(q, {3, 7}, two)->NoiseVariance("counts"), 9) << "of one hospital, not of both";
  EXPECT_FALSE(Answer::Create(q, {3, 7}, one)) << "a vector is missing";
  EXPECT_FALSE(Answer::Create(q, {3}, two)) << "whose is the other?";
  EXPECT_FALSE(Answer::Create(q, {7, 3}, two));
  EXPECT_FALSE(Answer::Create(q, {}, {}));
  two[20] = 2;
  EXPECT_FALSE(Answer::Create(q, {3, 7}, two)) << "the second one counts twice";
  two[20] = 0;
  two[8] = 2;
  EXPECT_FALSE(Answer::Create(q, {3, 7}, two)) << "two in all is not one each";
  EXPECT_DEATH(static_cast<void>(Answer::Create(q, {3}, one)->Values("counts", 1)), "vector < vectors");
}

TEST(AnswerDeathTest, AStrangeBlockIsOurBug) {
  Query q = Sample();
  Bytes words(q.WireBytes());
  words[words.size() - 8] = 1;
  const Result<Answer> answer = Answer::Create(q, {1}, words);
  ASSERT_TRUE(answer.has_value());
  EXPECT_DEATH(static_cast<void>(answer->Values("nothing")), "block != nullptr");
  EXPECT_DEATH(static_cast<void>(answer->Value1("delta")), "length == 1");
  EXPECT_DEATH(q.Append("late", 1, Role::kCount, -1, 4), "bound > 0");
}

}  // namespace
}  // namespace consilium
