// TOML and Reader hold: every fault has file, line and column, says what is right, and the first one wins.
#include <gtest/gtest.h>

#include "common/settings/value.h"

namespace consilium {
namespace {

Value Toml(std::string_view text) {
  Result<Value> value = ParseToml(text, "plan.toml");
  EXPECT_TRUE(value.has_value()) << value.error().what;
  return value ? *value : Value();
}
std::string TomlError(std::string_view text, ParseLimits limits = {}) {
  const Result<Value> value = ParseToml(text, "plan.toml", limits);
  return value ? "no error" : value.error().what;
}
template <class Read>
std::string ErrorOf(const Value& value, Read read) {
  Reader reader(value, "plan.toml", "training");
  read(reader);
  const Status status = reader.Finish();
  EXPECT_TRUE(status || status.error().code == Code::kInvalid);
  return status ? "" : status.error().what;
}

TEST(Toml, ReadsEveryKind) {
  const Value v = Toml(
      "a = 1\nb = 1.0\nc = 'x'\nd = true\ne = [1, 'y']\nf = 2026-01-02\ng = 07:32:00\nh = "
      "2026-01-02T07:32:00Z\n[t.u]\nk = 0.5\n");
  EXPECT_EQ(v["a"], v["b"]);
  EXPECT_EQ(v["c"].AsString(), "x");
  EXPECT_TRUE(v["d"].AsBool());
  EXPECT_EQ(v["e"].AsArray().size(), 2U);
  EXPECT_EQ(v["f"].AsString(), "2026-01-02");
  EXPECT_EQ(v["g"].AsString(), "07:32:00");
  EXPECT_EQ(v["h"].AsString(), "2026-01-02T07:32:00Z");
  EXPECT_EQ(v["t"]["u"]["k"].AsDouble(), 0.5);
  EXPECT_EQ(v["t"]["u"]["k"].place.line, 10);
  EXPECT_EQ(v["t"]["u"]["k"].place.column, 1);
}

TEST(Toml, NamesThePlaceOfEachFault) {
  EXPECT_EQ(TomlError("a = 1\nb = = 2\n").rfind("plan.toml:2:", 0), 0U) << TomlError("a = 1\nb = = 2\n");
  EXPECT_EQ(TomlError("a = 1\na = 2\n").rfind("plan.toml:2:", 0), 0U);
  EXPECT_EQ(TomlError("\na = nan\n").rfind("plan.toml:2:5: inf and nan", 0), 0U) << TomlError("\na = nan\n");
  EXPECT_EQ(TomlError("a = 9007199254740993\n").rfind("plan.toml:1:5: an integer beyond 2^53", 0), 0U);
  EXPECT_NE(TomlError("a = 92233720368547758080\n"), "no error");
  EXPECT_NE(TomlError("a = \"\xff\"\n"), "no error");
}

TEST(Toml, HoldsItsLimits) {
  EXPECT_NE(TomlError(std::string(100, ' '), {.bytes = 50}).find("over the limit of 50"), std::string::npos);
  EXPECT_NE(TomlError("a = [[1]]", {.depth = 2}).find("deeper than 2"), std::string::npos);
  EXPECT_NE(TomlError("a = " + std::string(5000, '[')), "no error");
  std::string dotted = "a";
  for (int i = 0; i < 300000; ++i) dotted += ".a";
  EXPECT_NE(TomlError(dotted + " = 1\n").find("more than 32 parts"), std::string::npos);
  EXPECT_NE(TomlError("x = 1\n[" + dotted + "]\n").find("plan.toml:2:1: a key of more"), std::string::npos);
  EXPECT_NE(TomlError("x = [{\"q\"" + dotted.substr(1) + " = 1}]\n").find("parts"), std::string::npos);
  EXPECT_NE(TomlError("x = [\"\"\"a\"\"\"\", {" + dotted + " = 1}]\n").find("parts"), std::string::npos);
  EXPECT_EQ(TomlError("x = \"" + std::string(1000, '.') + "\" # " + std::string(1000, '.') + "\n"), "no error");
  EXPECT_EQ(TomlError("x = '''\n" + std::string(1000, '.') + "\n'''\ny = '" + std::string(100, '.') + "'\n"),
            "no error");
}

TEST(Reader, TakesWhatIsThereAndDefaultsTheRest) {
  const Value v = Toml("rounds = 20\nrate = 1\nname = 'x'\nkinds = ['a', 'b']\nwait = '90s'\nfast = true\n");
  Reader r(v, "plan.toml", "training");
  EXPECT_EQ(r.Integer("rounds", 1, 100), 20);
  EXPECT_EQ(r.Integer("more", 1, 100, 7), 7);
  EXPECT_EQ(r.Number("rate", 1e-6, 100), 1.0);
  EXPECT_EQ(r.Number("slow", 0, 1, 0.5), 0.5);
  EXPECT_EQ(r.String("name"), "x");
  EXPECT_EQ(r.String("title", "y"), "y");
  EXPECT_EQ(r.Strings("kinds"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(r.Strings("none", {"z"}), std::vector<std::string>{"z"});
  EXPECT_EQ(r.ReadDuration("wait", Duration(0), std::chrono::hours(1), Duration(0)), std::chrono::seconds(90));
  EXPECT_TRUE(r.Bool("fast", false));
  EXPECT_EQ(r.Choice("mode", {"a", "b"}, "b"), "b");
  EXPECT_TRUE(r.Finish().has_value());
}

TEST(Reader, SaysWhereWhatAndWhatIsRight) {
  const Value v = Toml(
      "# plan\n  learning_rate = 0\nepoch = 3\nname = ''\nkinds = [1]\nwait = '5'\nmode = 'feavg'\nfast = 'yes'\n");
  EXPECT_EQ(ErrorOf(v, [](Reader& r) { r.Number("learning_rate", 1e-6, 100); }),
            "plan.toml:2:3: [training] learning_rate: must be between 1e-06 and 100, got 0");
  EXPECT_EQ(ErrorOf(v, [](Reader& r) { r.Integer("name", 1, 9); }),
            "plan.toml:4:1: [training] name: must be a whole number between 1 and 9, got ''");
  EXPECT_EQ(ErrorOf(v, [](Reader& r) { r.String("name"); }), "plan.toml:4:1: [training] name: must not be empty");
  EXPECT_EQ(ErrorOf(v, [](Reader& r) { r.Strings("kinds"); }),
            "plan.toml:5:10: [training] kinds: must hold texts in quotes only, got 1");
  EXPECT_NE(ErrorOf(v, [](Reader& r) { r.ReadDuration("wait", Duration(0), Duration(1), Duration(0)); })
                .find("is not a duration"),
            std::string::npos);
  EXPECT_EQ(
      ErrorOf(v, [](Reader& r) { r.Choice("mode", {"fedavg", "fedprox"}); }),
      "plan.toml:7:1: [training] mode: must be one of \"fedavg\", \"fedprox\", got 'feavg'; did you mean 'fedavg'?");
  EXPECT_EQ(ErrorOf(v, [](Reader& r) { r.Bool("fast", true); }),
            "plan.toml:8:1: [training] fast: must be true or false, got 'yes'");
  EXPECT_EQ(ErrorOf(v, [](Reader& r) { r.Refuse("epoch", "no"); }), "plan.toml:3:1: [training] epoch: no");
}

TEST(Reader, TheFirstFaultWins) {
  const Value v = Toml("a = 0\nb = 0\n");
  EXPECT_EQ(ErrorOf(v,
                    [](Reader& r) {
                      r.Integer("b", 1, 2);
                      r.Integer("a", 1, 2);
                    }),
            "plan.toml:2:1: [training] b: must be a whole number between 1 and 2, got 0");
}

TEST(Reader, AnUnknownKeyNamesTheNearest) {
  const Value v = Toml("epoch = 3\n");
  EXPECT_EQ(ErrorOf(v, [](Reader& r) { r.Integer("epochs", 1, 9, 1); }),
            "plan.toml:1:1: [training]: unknown key 'epoch'; did you mean 'epochs'?");
  EXPECT_EQ(ErrorOf(v, [](Reader& r) { r.Integer("epochs", 1, 9); }),
            "plan.toml:1:1: [training]: unknown key 'epoch'; did you mean 'epochs'?");
  EXPECT_EQ(ErrorOf(v, [](Reader& r) { r.Integer("zzz", 1, 9, 1); }),
            "plan.toml:1:1: [training]: unknown key 'epoch'; known are zzz");
  EXPECT_NE(ErrorOf(v, [](Reader& r) { r.Integer("zzz", 1, 9); }).find("zzz: is required"), std::string::npos);
}

TEST(Reader, AValueFromNoFileHasNoPlace) {
  const Value v = Value().Set("a", 0);
  Reader r(v, "request", "");
  r.Integer("a", 1, 2);
  EXPECT_EQ(r.Finish().error().what, "request: a: must be a whole number between 1 and 2, got 0");
  const Value wrong("text");
  Reader w(wrong, "request", "");
  EXPECT_EQ(w.Finish().error().what, "request: must be a table, got 'text'");
}

}  // namespace
}  // namespace consilium
