// Values hold: 1.0 is 1, canonical bytes are RFC 8785's, every value survives the way to bytes and back.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>

#include "common/settings/value.h"

namespace consilium {
namespace {

std::string Number(std::uint64_t bits) { return CanonicalJson(Value(std::bit_cast<double>(bits))); }
std::string ErrorOf(std::string_view json, ParseLimits limits = {}) {
  const Result<Value> value = ParseJson(json, limits);
  return value ? "no error" : value.error().what;
}

TEST(Value, WholeDoublesAreIntegers) {
  EXPECT_EQ(Value(1.0), Value(1));
  EXPECT_TRUE(Value(1.0).IsInteger());
  EXPECT_EQ(Value(-0.0), Value(0));
  EXPECT_FALSE(Value(1.5).IsInteger());
  EXPECT_DOUBLE_EQ(Value(3).AsDouble(), 3.0);
  EXPECT_EQ(Value("x").AsInteger(7), 7);
  EXPECT_EQ(Value(3).AsString(), "");
}

TEST(Value, MembersChain) {
  const Value v = Value().Set("a", 1).Set("b", Value().Push("x").Push(true));
  EXPECT_EQ(v["b"].AsArray().size(), 2U);
  EXPECT_TRUE(v["c"]["d"].IsNull());
  EXPECT_TRUE(v.Has("a"));
  EXPECT_FALSE(v.Has("c"));
}

TEST(CanonicalJson, WritesNumbersAsRfc8785AppendixB) {
  EXPECT_EQ(Number(0x0000000000000000), "0");
  EXPECT_EQ(Number(0x8000000000000000), "0");
  EXPECT_EQ(Number(0x0000000000000001), "5e-324");
  EXPECT_EQ(Number(0x8000000000000001), "-5e-324");
  EXPECT_EQ(Number(0x7fefffffffffffff), "1.7976931348623157e+308");
  EXPECT_EQ(Number(0x4340000000000000), "9007199254740992");
  EXPECT_EQ(Number(0xc340000000000000), "-9007199254740992");
  EXPECT_EQ(Number(0x4430000000000000), "295147905179352830000");
  EXPECT_EQ(Number(0x44b52d02c7e14af5), "9.999999999999997e+22");
  EXPECT_EQ(Number(0x44b52d02c7e14af6), "1e+23");
  EXPECT_EQ(Number(0x44b52d02c7e14af7), "1.0000000000000001e+23");
  EXPECT_EQ(Number(0x444b1ae4d6e2ef4e), "999999999999999700000");
  EXPECT_EQ(Number(0x444b1ae4d6e2ef4f), "999999999999999900000");
  EXPECT_EQ(Number(0x444b1ae4d6e2ef50), "1e+21");
  EXPECT_EQ(Number(0x3eb0c6f7a0b5ed8c), "9.999999999999997e-7");
  EXPECT_EQ(Number(0x3eb0c6f7a0b5ed8d), "0.000001");
  EXPECT_EQ(Number(0x41b3de4355555553), "333333333.3333332");
  EXPECT_EQ(Number(0xbecbf647612f3696), "-0.0000033333333333333333");
}

TEST(CanonicalJson, SortsKeysAndEscapes) {
  const Value v =
      Value().Set("b", Value::Array{}).Set("a", Value("\x01\"\\\n\xc3\xa9")).Set("A", Value()).Set("", Value::Object{});
  EXPECT_EQ(CanonicalJson(v), "{\"\":{},\"A\":null,\"a\":\"\\u0001\\\"\\\\\\n\xc3\xa9\",\"b\":[]}");
}

TEST(CanonicalJson, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(CanonicalJson(Value(std::string("a\xff\xc0\xaf\xed\xa0\x80z"))),
            "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
  EXPECT_EQ(CanonicalJson(Value(std::string("\xf0\x9f\x98\x80"))), "\"\xf0\x9f\x98\x80\"");
}

TEST(CanonicalJsonDeathTest, StopsOnWhatHasNoJson) {
  EXPECT_DEATH(CanonicalJson(Value(std::nan(""))), "isfinite");
  EXPECT_DEATH(CanonicalJson(Value(HUGE_VAL)), "isfinite");
  EXPECT_DEATH(CanonicalJson(Value((std::int64_t{1} << 53) + 1)), "kTwo53");
}

TEST(PrettyJson, IndentsByTwo) {
  EXPECT_EQ(PrettyJson(Value().Set("a", Value().Push(1).Push(2)).Set("b", Value::Object{})),
            "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}");
}

TEST(ParseJson, ReadsWholeNumbersAsIntegers) {
  EXPECT_EQ(ParseJson("[1, 1.0, 1e3, -0, -0.0, 0.5]").value(),
            Value().Push(1).Push(1).Push(1000).Push(0).Push(0).Push(0.5));
  EXPECT_TRUE(ParseJson("1e3")->IsInteger());
  EXPECT_EQ(ParseJson("9007199254740991")->AsInteger(), 9007199254740991);
}

TEST(ParseJson, NamesThePlaceOfEachFault) {
  EXPECT_NE(ErrorOf("{\"a\":1,\n \"a\":2}").find("JSON, 2:5: the key 'a' is there twice"), std::string::npos)
      << ErrorOf("{\"a\":1,\n \"a\":2}");
  EXPECT_NE(ErrorOf("[1,\n2,]").find("JSON, 2:3: syntax error"), std::string::npos) << ErrorOf("[1,\n2,]");
  for (const char* bad : {"", "[1] x", "[", "{\"a\":}", "NaN", "[Infinity]", "1e999", "9007199254740993",
                          "-9007199254740993", "18446744073709551616", "123456789012345678901234567890", "\"\xff\"",
                          "\"\\ud800\"", "'a'", "[1,]", "// c\n1", "01", "\"a\nb\"", "tru"}) {
    EXPECT_NE(ErrorOf(bad).find("JSON, "), std::string::npos) << bad << ": " << ErrorOf(bad);
  }
}

TEST(ParseJson, HoldsItsLimits) {
  EXPECT_NE(ErrorOf(std::string(100, '['), {.bytes = 50}).find("over the limit of 50"), std::string::npos);
  EXPECT_NE(ErrorOf(std::string(100000, '[')).find("nested deeper than 32"), std::string::npos);
  EXPECT_NE(ErrorOf("[[1]]", {.depth = 1}).find("nested deeper than 1"), std::string::npos);
  EXPECT_TRUE(ParseJson("[[1]]", {.depth = 2}).has_value());
  EXPECT_TRUE(ParseJson("1", {.depth = 0}).has_value());
}

TEST(Duration, IsTextBothWays) {
  EXPECT_EQ(DurationText(std::chrono::seconds(60)), "1m");
  EXPECT_EQ(DurationText(std::chrono::seconds(90)), "90s");
  EXPECT_EQ(DurationText(std::chrono::milliseconds(250)), "250ms");
  EXPECT_EQ(DurationText(Duration(0)), "0s");
  EXPECT_EQ(ParseDuration("2h").value(), std::chrono::hours(2));
  for (const char* bad : {"", "5", "s", "-5s", "5 s", "5d", "1.5s", "9223372036854775807h", "5sx"})
    EXPECT_FALSE(ParseDuration(bad)) << bad;
}

TEST(Nearest, FindsWhatWasMeant) {
  const std::vector<std::string> known = {"rounds", "learning_rate", "local_epochs", "local_steps", "l2"};
  EXPECT_EQ(Nearest("round", known), "rounds");
  EXPECT_EQ(Nearest("LearningRate", known), "learning_rate");
  EXPECT_EQ(Nearest("learnign_rate", known), "learning_rate");
  EXPECT_EQ(Nearest("epochs", known), "local_epochs");
  EXPECT_EQ(Nearest("zzz", known), "");
  EXPECT_EQ(Nearest("", known), "");
  EXPECT_EQ(Nearest(std::string(1000, 'a'), known), "");
}

TEST(Quoted, TamesTheTextOfOthers) {
  EXPECT_EQ(Quoted("a\x1b[31m\n"), "'a?[31m?'");
  EXPECT_EQ(Quoted(std::string(100, 'x')), "'" + std::string(60, 'x') + "...'");
}

Value RandomValue(int depth) {
  switch (*rc::gen::inRange(0, depth > 0 ? 7 : 5)) {
    case 0:
      return Value();
    case 1:
      return Value(*rc::gen::arbitrary<bool>());
    case 2:
      return Value(*rc::gen::inRange<std::int64_t>(-(std::int64_t{1} << 53) + 1, std::int64_t{1} << 53));
    case 3: {
      const double v = std::bit_cast<double>(*rc::gen::arbitrary<std::uint64_t>());
      return Value(std::isfinite(v) ? v : 0.25);
    }
    case 4:
      return Value(*rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127)));
    case 5: {
      Value out = Value::Array{};
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i) out.Push(RandomValue(depth - 1));
      return out;
    }
    default: {
      Value out = Value::Object{};
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
        out.Set(*rc::gen::container<std::string>(rc::gen::inRange<char>(0, 127)), RandomValue(depth - 1));
      return out;
    }
  }
}

RC_GTEST_PROP(Json, EveryValueSurvivesTheWayThereAndBack, ()) {
  Value value = RandomValue(4);
  const std::string canonical = CanonicalJson(value);
  const Result<Value> again = ParseJson(canonical);
  RC_ASSERT(again.has_value());
  RC_ASSERT(CanonicalJson(*again) == canonical);
  const Result<Value> pretty = ParseJson(PrettyJson(value));
  RC_ASSERT(pretty.has_value());
  RC_ASSERT(*pretty == *again);
}

}  // namespace
}  // namespace consilium
