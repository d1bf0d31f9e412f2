// One roster has one form, and what contradicts itself is no roster.
#include "common/roster/roster.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/roster/federation.h"

namespace consilium {
namespace {

Roster TwoHospitals() {
  Roster roster = FoundingRoster();
  roster.seq = 2;
  roster.previous.bytes.fill(9);
  roster.members = {TestMember(1), TestMember(2)};
  return roster;
}

TEST(Roster, ComesBackFromItsCanonicalBytes) {
  Roster roster = TwoHospitals();
  roster.federation = "Kardiologie \"Süd\"";
  roster.members[0].revoked = true;
  roster.members[1].officers = {};
  roster.members[1].valid_until_ms = 1'800'000'000'000;
  const auto parsed = ParseRoster(Canonical(roster));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().what;
  EXPECT_EQ(*parsed, roster);
}

TEST(Roster, FoundingBytesAreKnown) {  // The hash of these rides on tokens: another writer must produce the same.
  EXPECT_EQ(Text(Canonical(FoundingRoster())),
            "{\"federation\":\"heart study\",\"founder\":\"" + TestIdentity(90).verify_key().Hex() +
                "\",\"members\":[],\"previous\":\"" + std::string(64, '0') + "\",\"seq\":0,\"server_identity\":\"" +
                TestIdentity(91).verify_key().Hex() + "\",\"server_transport\":\"" + TestTransport(91).Hex() + "\"}");
}

TEST(Roster, FindsMembersByNumberKeyAndName) {
  Roster roster = TwoHospitals();
  roster.members[1].revoked = true;
  EXPECT_EQ(roster.ByNumber(1), &roster.members[0]);
  EXPECT_EQ(roster.ByNumber(3), nullptr);
  EXPECT_EQ(roster.ByName("hospital-b"), &roster.members[1]);
  EXPECT_EQ(roster.ByName("hospital-c"), nullptr);
  EXPECT_EQ(roster.ByTransport(TestMember(2).transport), &roster.members[1]) << "revoked ones are found too";
  EXPECT_EQ(roster.ByTransport(TransportKey{}), nullptr);
}

struct Fault {
  const char* name;
  std::function<void(Roster&)> make;
  const char* message;
};

TEST(Roster, RefusesEachContradictionAlone) {
  ASSERT_TRUE(ParseRoster(Canonical(TwoHospitals())).has_value());
  const Fault faults[] = {
      {"number skipped", [](Roster& r) { r.members[1].number = 3; }, "number"},
      {"number twice", [](Roster& r) { r.members[1].number = 1; }, "number"},
      {"id twice", [](Roster& r) { r.members[1].id = r.members[0].id; }, "id of hospital-b"},
      {"id missing", [](Roster& r) { r.members[1].id = {}; }, "has no id"},
      {"name twice", [](Roster& r) { r.members[1].name = r.members[0].name; }, "two hospitals are named"},
      {"name with capitals", [](Roster& r) { r.members[1].name = "Hospital"; }, "no hospital's name"},
      {"identity twice", [](Roster& r) { r.members[1].identity = r.members[0].identity; }, "used already"},
      {"transport twice", [](Roster& r) { r.members[1].transport = r.members[0].transport; }, "used already"},
      {"officer twice", [](Roster& r) { r.members[1].officers = r.members[0].officers; }, "used already"},
      {"officer is an identity", [](Roster& r) { r.members[1].officers = {r.members[0].identity}; }, "used already"},
      {"identity is the founder's", [](Roster& r) { r.members[1].identity = r.founder; }, "used already"},
      {"transport is the server's", [](Roster& r) { r.members[1].transport = r.server_transport; }, "used already"},
      {"one key for two purposes", [](Roster& r) { r.members[1].transport.bytes = r.members[1].identity.bytes; },
       "used already"},
      {"identity missing", [](Roster& r) { r.members[0].identity = {}; }, "lacks a key"},
      {"transport missing", [](Roster& r) { r.members[0].transport = {}; }, "lacks a key"},
      {"founder missing", [](Roster& r) { r.founder = {}; }, "founder's"},
      {"server identity missing", [](Roster& r) { r.server_identity = {}; }, "founder's"},
      {"server is the founder", [](Roster& r) { r.server_identity = r.founder; }, "founder's"},
      {"server transport missing", [](Roster& r) { r.server_transport = {}; }, "founder's"},
      {"too many officers", [](Roster& r) { r.members[0].officers.assign(17, VerifyKey{}); }, "officers"},
      {"validity ends first", [](Roster& r) { r.members[0].valid_until_ms = r.members[0].valid_from_ms; },
       "valid until"},
      {"validity negative", [](Roster& r) { r.members[0].valid_from_ms = -1; }, "valid_from_ms"},
      {"federation empty", [](Roster& r) { r.federation = ""; }, "federation"},
      {"federation with a line break", [](Roster& r) { r.federation = "a\nb"; }, "control characters"},
      {"federation too long", [](Roster& r) { r.federation = std::string(129, 'x'); }, "control characters"},
  };
  for (const Fault& fault : faults) {
    Roster roster = TwoHospitals();
    fault.make(roster);
    const auto parsed = ParseRoster(Canonical(roster));
    ASSERT_FALSE(parsed.has_value()) << fault.name;
    EXPECT_EQ(parsed.error().code, Code::kInvalid) << fault.name;
    EXPECT_NE(parsed.error().what.find(fault.message), std::string::npos) << fault.name << ": " << parsed.error().what;
  }
}

TEST(Roster, NoOfficerMayBeWrittenAsTheZeroKeyByManyHospitals) {
  Roster roster = TwoHospitals();
  for (Member& member : roster.members) member.officers = {VerifyKey{}};
  EXPECT_TRUE(ParseRoster(Canonical(roster)).has_value());
}

std::string Replaced(std::string text, std::string_view what, std::string_view with) {
  const std::size_t at = text.find(what);
  CHECK(at != text.npos);
  return text.replace(at, what.size(), with);
}

TEST(Roster, RefusesBytesInAnyOtherForm) {
  const std::string good(Text(Canonical(TwoHospitals())));
  const std::string key = TestMember(1).identity.Hex();
  std::string upper = key;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  ASSERT_TRUE(ParseRoster(View(good)).has_value());
  for (const std::string& bad :
       {" " + good, good + "\n", Replaced(good, "\"seq\":2", "\"seq\":2.0"),
        Replaced(good, "\"seq\":2", "\"seq\":2,\"seq\":2"), Replaced(good, "\"seq\":2", "\"seq\": 2"),
        Replaced(good, key, upper), Replaced(good, key, key.substr(2)), Replaced(good, "heart", "he\\u0061rt"),
        Replaced(good, "\"seq\":2", "\"extra\":1,\"seq\":2"), Replaced(good, "\"revoked\":false,", ""),
        Replaced(good, "\"revoked\":false", "\"revoked\":0"), Replaced(good, "\"number\":1", "\"number\":4294967297"),
        Replaced(good, "\"members\":[{", "\"members\":[1,{"), Replaced(good, "\"seq\":2", "\"seq\":9007199254740993"),
        std::string("[]"), std::string("{}"), std::string()}) {
    EXPECT_FALSE(ParseRoster(View(bad)).has_value()) << bad;
  }
  EXPECT_FALSE(ParseRoster(Bytes((1 << 20) + 1, ' ')).has_value());
}

TEST(HospitalName, IsShortPlainAndLowerCase) {
  for (std::string_view good : {"a", "0", "hospital-a", "a-", "9b"})
    EXPECT_TRUE(CheckHospitalName(good).has_value()) << good;
  EXPECT_TRUE(CheckHospitalName(std::string(63, 'a')).has_value());
  for (std::string_view bad : {"", "-a", "A", "a_b", "a b", "a/..", "ä", "a\n"}) {
    EXPECT_FALSE(CheckHospitalName(bad).has_value()) << bad;
  }
  EXPECT_FALSE(CheckHospitalName(std::string(64, 'a')).has_value());
  EXPECT_FALSE(CheckHospitalName(std::string_view("a\0", 2)).has_value());
}

}  // namespace
}  // namespace consilium
