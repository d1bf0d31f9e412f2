// A roster is believed when it continues the chain that the invitation's fingerprint began, and in no other case.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <functional>

#include "tests/roster/federation.h"

namespace consilium {
namespace {

TEST(Chain, GrowsByHospitalsThatSignedAndKeepsEveryLink) {
  const RosterChain chain = TestChain(3);
  EXPECT_EQ(chain.current().seq, 3U);
  EXPECT_EQ(chain.current().members.size(), 3U);
  ASSERT_EQ(chain.links().size(), 4U);
  for (std::size_t i = 1; i < 4; ++i)
    EXPECT_EQ(ParseRoster(chain.links()[i].roster)->previous, chain.links()[i - 1].hash());
  EXPECT_EQ(chain.hash(), Blake2b(chain.current_signed().roster));

  auto again = RosterChain::Found(chain.links().front(), chain.links().front().hash());
  ASSERT_TRUE(again.has_value());
  for (std::size_t i = 1; i < 4; ++i) EXPECT_TRUE(again->Extend(chain.links()[i]).has_value());
  EXPECT_EQ(again->current(), chain.current());
}

TEST(Chain, AddsSeveralAtOnceAndHospitalsWithoutOfficer) {
  RosterChain chain = TestChain(0);
  Roster next = WithNextMember(chain);
  next.members.push_back(TestMember(2));
  next.members.push_back(TestMember(3));
  next.members[1].officers = {};
  next.members[2].officers = {VerifyKey{}};
  const Status status = chain.Extend(SignAs(next, 1));
  EXPECT_TRUE(status.has_value()) << status.error().what;
}

TEST(Chain, RevokesOnceAndForGood) {
  RosterChain chain = TestChain(2);
  Roster next = After(chain);
  next.members[0].revoked = true;
  ASSERT_TRUE(chain.Extend(SignAs(next, 3)).has_value());
  EXPECT_TRUE(chain.current().members[0].revoked);
  next = After(chain);
  next.members[0].revoked = false;
  EXPECT_EQ(CodeOf(chain.Extend(SignAs(next, 3))), Code::kInvalid);
  EXPECT_TRUE(chain.current().members[0].revoked);
}

// ---- who signs ----

// Everything but the signatures is right; `what` is in the message.
void ExpectUnsigned(const RosterChain& chain, const SignedRoster& link, const char* what) {
  RosterChain copy = chain;
  const Status status = copy.Extend(link);
  ASSERT_FALSE(status.has_value()) << what;
  EXPECT_EQ(status.error().code, Code::kUnauthorised) << status.error().what;
  EXPECT_NE(status.error().what.find(what), std::string::npos) << status.error().what;
  EXPECT_EQ(copy.hash(), chain.hash());
}
void ExpectTaken(const RosterChain& chain, const SignedRoster& link) {
  const Status status = RosterChain(chain).Extend(link);
  EXPECT_TRUE(status.has_value()) << status.error().what;
}

TEST(Electorate, TheFounderAloneUntilThreeHospitalsHaveOfficersThenMoreThanHalf) {
  for (std::uint32_t n = 0; n < 3; ++n) {
    EXPECT_TRUE(TestChain(n).electorate().founder);
    EXPECT_EQ(DemoNotice(TestChain(n)), "DEMO FEDERATION: ONE OFFICER ALONE DECIDES WHO IS A MEMBER");
  }
  const std::uint32_t needed[] = {2, 3, 3, 4};
  for (std::uint32_t n = 3; n <= 6; ++n) {
    const Electorate electorate = TestChain(n).electorate();
    EXPECT_FALSE(electorate.founder);
    EXPECT_EQ(electorate.n, n);
    EXPECT_EQ(electorate.m, needed[n - 3]);
    EXPECT_EQ(DemoNotice(TestChain(n)), "");
  }
}

TEST(Electorate, HospitalsWithoutOfficerDoNotCount) {
  RosterChain chain = TestChain(2);
  Roster next = WithNextMember(chain);
  next.members[2].officers.clear();
  ASSERT_TRUE(chain.Extend(SignAs(next, 3)));
  EXPECT_TRUE(chain.electorate().founder);
}

TEST(Signers, MOfNHospitals) {
  const RosterChain chain = TestChain(4);
  const Roster next = WithNextMember(chain);
  ExpectTaken(chain, SignByOfficers(next, {1, 2, 4}, 5));
  ExpectTaken(chain, SignByOfficers(next, {1, 2, 3, 4}, 5));
  ExpectUnsigned(chain, SignByOfficers(next, {1, 4}, 5), "officers of 1 more of hospital-b, hospital-c");
  ExpectUnsigned(chain, SignByOfficers(next, {}, 5), "officers of 3 more of");
  ExpectUnsigned(chain, SignByOfficers(next, {1, 2, 3}), "the new hospital hospital-e");
  ExpectUnsigned(chain, SignByOfficers(next, {1, 2, 5}, 5), "no say");
}

TEST(Signers, TheFounderDoesNotCountAfterThreeHospitals) {
  const RosterChain chain = TestChain(3);
  const Roster next = WithNextMember(chain);
  ExpectUnsigned(chain, SignAs(next, 4), "only until three hospitals have officers");
  SignedRoster both = SignByOfficers(next, {1, 2}, 4);
  both.signatures.push_back(SignRoster(both.roster, TestIdentity(90)));
  ExpectUnsigned(chain, both, "only until three hospitals have officers");
}

TEST(Signers, TheFounderDoesNotComeBackWhenHospitalsAreRevoked) {
  RosterChain chain = TestChain(3);
  Roster next = After(chain);
  next.members[0].revoked = true;
  ASSERT_TRUE(chain.Extend(SignByOfficers(next, {2, 3})));
  EXPECT_EQ(chain.electorate().n, 2U);
  EXPECT_EQ(chain.electorate().m, 2U);
  next = After(chain);
  next.members[1].revoked = true;
  ExpectUnsigned(chain, SignAs(next, 100), "only until");
  ExpectUnsigned(chain, SignByOfficers(next, {3}), "1 more of hospital-b");
  ASSERT_TRUE(chain.Extend(SignByOfficers(next, {2, 3}))) << "a hospital may sign its own end";
  EXPECT_EQ(chain.electorate().m, 1U);
  EXPECT_NE(DemoNotice(chain), "") << "one officer alone decides again";
  next = After(chain);
  next.members[2].revoked = true;
  EXPECT_EQ(CodeOf(chain.Extend(SignByOfficers(next, {3}))), Code::kInvalid) << "nobody would be left";
}

TEST(Signers, ARevokedHospitalHasNoSay) {
  RosterChain chain = TestChain(4);
  Roster next = After(chain);
  next.members[0].revoked = true;
  ASSERT_TRUE(chain.Extend(SignByOfficers(next, {2, 3, 4})));
  next = WithNextMember(chain);
  ExpectTaken(chain, SignByOfficers(next, {2, 3}, 5));
  ExpectUnsigned(chain, SignByOfficers(next, {1, 2}, 5), "hospital-a is revoked");
  ExpectUnsigned(chain, SignByOfficers(next, {1, 2, 3}, 5), "hospital-a is revoked");
}

TEST(Signers, ASignatureOfAnotherRosterIsWrong) {
  const RosterChain chain = TestChain(3);
  const Roster next = WithNextMember(chain);
  SignedRoster link = SignByOfficers(next, {1}, 4);
  link.signatures.push_back(SignRoster(chain.current_signed().roster, TestOfficer(2)));
  ExpectUnsigned(chain, link, "hospital-b's is wrong");
  link = SignByOfficers(next, {1, 1}, 4);
  ExpectUnsigned(chain, link, "one key signed twice");
  link = SignByOfficers(next, {1}, 4);
  link.signatures.push_back(SignRoster(link.roster, TestIdentity(2)));
  ExpectUnsigned(chain, link, "no say");  // The hospital's identity key is not its officer.
}

// ---- officers ----

// hospital-a has the officers 201 and 211.
RosterChain WithTwoOfficers() {
  RosterChain chain = TestChain(3);
  Roster next = After(chain);
  next.members[0].officers.push_back(TestOfficer(11).verify_key());
  CHECK(chain.Extend(SignByOfficers(next, {1, 2})).has_value());
  return chain;
}

TEST(Officers, ALaterOneIsSignedByAnEarlierOneOfItsHospital) {
  const RosterChain chain = TestChain(3);
  Roster next = After(chain);
  next.members[0].officers.push_back(TestOfficer(11).verify_key());
  ExpectTaken(chain, SignByOfficers(next, {1, 2}));
  ExpectUnsigned(chain, SignByOfficers(next, {2, 3}), "an officer of hospital-a");
  ExpectUnsigned(chain, SignByOfficers(next, {11, 2}), "no say");  // The newcomer cannot vouch for itself.
  ExpectUnsigned(chain, SignByOfficers(next, {1}), "1 more of");
}

TEST(Officers, WhileTheFounderCountsBothSign) {
  const RosterChain chain = TestChain(1);
  Roster next = After(chain);
  next.members[0].officers.push_back(TestOfficer(11).verify_key());
  SignedRoster link = SignAs(next, 2);
  ExpectUnsigned(chain, link, "an officer of hospital-a");
  link.signatures.push_back(SignRoster(link.roster, TestOfficer(1)));
  ExpectTaken(chain, link);
  link.signatures.erase(link.signatures.begin());
  ExpectUnsigned(chain, link, "the founding officer");
}

TEST(Officers, TwoOfOneHospitalAreOneSignature) {
  const RosterChain chain = WithTwoOfficers();
  const Roster next = WithNextMember(chain);
  ExpectTaken(chain, SignByOfficers(next, {11, 2}, 4));
  ExpectUnsigned(chain, SignByOfficers(next, {1, 11}, 4), "two officers of hospital-a");
  ExpectUnsigned(chain, SignByOfficers(next, {1, 11, 2}, 4), "two officers of hospital-a");
}

TEST(Officers, OneIsRemovedLikewiseAndNeverComesBack) {
  RosterChain chain = WithTwoOfficers();
  Roster next = After(chain);
  next.members[0].officers = {TestOfficer(11).verify_key()};
  ExpectUnsigned(chain, SignByOfficers(next, {2, 3}), "an officer of hospital-a");
  ASSERT_TRUE(chain.Extend(SignByOfficers(next, {11, 2})));
  ExpectUnsigned(chain, SignByOfficers(WithNextMember(chain), {1, 2}, 4), "no say");
  next = After(chain);
  next.members[0].officers.push_back(TestOfficer(1).verify_key());
  EXPECT_EQ(CodeOf(chain.Extend(SignByOfficers(next, {11, 2}))), Code::kInvalid) << "given up is given up";
  next = After(chain);
  next.members[1].officers.push_back(TestOfficer(1).verify_key());
  EXPECT_EQ(CodeOf(chain.Extend(SignByOfficers(next, {2, 3}))), Code::kInvalid) << "elsewhere too";
}

// ---- keys ----

Roster WithNewKeys(const RosterChain& chain) {
  Roster next = After(chain);
  next.members[0].identity = TestIdentity(71).verify_key();
  next.members[0].transport = TestTransport(72);
  return next;
}

TEST(Keys, RotationIsSignedByTheOldOneTheNewOneAndTheOfficers) {
  const RosterChain chain = TestChain(3);
  const Roster next = WithNewKeys(chain);
  const auto signed_by = [&](std::vector<std::uint8_t> identities, const std::vector<std::uint32_t>& officers) {
    SignedRoster link = SignByOfficers(next, officers);
    for (const std::uint8_t key : identities) link.signatures.push_back(SignRoster(link.roster, TestIdentity(key)));
    return link;
  };
  ExpectTaken(chain, signed_by({1, 71}, {1, 2}));
  ExpectTaken(chain, signed_by({1, 71}, {2, 3}));
  ExpectUnsigned(chain, signed_by({71}, {1, 2}), "the old identity key of hospital-a");
  ExpectUnsigned(chain, signed_by({1}, {1, 2}), "the new identity key of hospital-a");
  ExpectUnsigned(chain, signed_by({2, 71}, {1, 2}), "no say");
  ExpectUnsigned(chain, signed_by({1, 71}, {1}), "1 more of");
  ExpectUnsigned(chain, signed_by({}, {1, 2, 3}), "the old identity key of hospital-a, the new identity key");
}

TEST(Keys, ATransportKeyAloneNeedsTheIdentitysSignature) {
  const RosterChain chain = TestChain(3);
  Roster next = After(chain);
  next.members[0].transport = TestTransport(72);
  SignedRoster link = SignByOfficers(next, {1, 2});
  ExpectUnsigned(chain, link, "the old identity key of hospital-a");
  link.signatures.push_back(SignRoster(link.roster, TestIdentity(1)));
  ExpectTaken(chain, link);
}

TEST(Keys, WhatWasGivenUpServesNobodyAgain) {
  RosterChain chain = TestChain(3);
  SignedRoster link = SignByOfficers(WithNewKeys(chain), {1, 2});
  for (const std::uint8_t key : {1, 71}) link.signatures.push_back(SignRoster(link.roster, TestIdentity(key)));
  ASSERT_TRUE(chain.Extend(link));
  EXPECT_EQ(chain.current().members[0].number, 1U) << "the same hospital";
  Roster next = WithNextMember(chain);
  next.members[3].transport = TestTransport(101);
  EXPECT_EQ(CodeOf(chain.Extend(SignByOfficers(next, {1, 2}, 4))), Code::kInvalid);
  next = WithNextMember(chain);
  next.members[3].identity = TestIdentity(1).verify_key();
  EXPECT_EQ(CodeOf(chain.Extend(SignByOfficers(next, {1, 2}, 4))), Code::kInvalid);
  next = After(chain);
  next.members[0].officers.push_back(TestIdentity(1).verify_key());
  EXPECT_EQ(CodeOf(chain.Extend(SignByOfficers(next, {1, 2}))), Code::kInvalid) << "in another part";
}

TEST(Keys, TheOfficersGrantAndEndValidity) {
  RosterChain chain = TestChain(3);
  Roster next = After(chain);
  next.members[0].valid_until_ms = 1'800'000'000'000;
  ExpectUnsigned(chain, SignByOfficers(next, {1}), "1 more of");
  ASSERT_TRUE(chain.Extend(SignByOfficers(next, {2, 3})));
  const Member& member = chain.current().members[0];
  EXPECT_FALSE(member.ExpiredAt(1'799'999'999'999));
  EXPECT_TRUE(member.ExpiredAt(1'800'000'000'000));
  EXPECT_TRUE(member.ExpiredAt(1'600'000'000'000)) << "long before its beginning";
  EXPECT_FALSE(member.ExpiredAt(1'700'000'000'000 - 3'600'000)) << "clocks differ";
  EXPECT_FALSE(chain.current().members[1].ExpiredAt(9'000'000'000'000)) << "no end";
}

// ---- proposals ----

TEST(Proposal, SaysWhatChangesAndWhoIsStillNeeded) {
  const RosterChain chain = TestChain(3);
  Roster next = WithNextMember(chain);
  next.members[1].revoked = true;
  SignedRoster proposal = SignByOfficers(next, {1}, 4);
  const auto draft = chain.Examine(proposal);
  ASSERT_TRUE(draft) << draft.error().what;
  EXPECT_FALSE(draft->Complete());
  EXPECT_EQ(draft->signed_by, std::vector<std::string>{"hospital-a"});
  EXPECT_EQ(draft->may_sign, (std::vector<std::string>{"hospital-b", "hospital-c"}));
  EXPECT_EQ(draft->Missing(), "officers of 1 more of hospital-b, hospital-c");
  ASSERT_EQ(draft->changes.size(), 3U);
  EXPECT_EQ(draft->changes[0], "revokes hospital-b, for good");
  EXPECT_EQ(draft->changes[1], "adds hospital-d: " + Fingerprint(next.members[3].identity, next.members[3].transport));

  const std::string text = RosterText(RosterView(chain, &proposal, 1'800'000'000'000));
  EXPECT_NE(text.find("needs the officers of 2 of 3 hospitals"), std::string::npos) << text;
  EXPECT_NE(text.find("Proposed as roster 4"), std::string::npos) << text;
  EXPECT_NE(text.find("Signed by hospital-a. Still needed: officers of 1 more"), std::string::npos) << text;
  EXPECT_NE(RosterText(RosterView(TestChain(1), nullptr, 0)).find("DEMO FEDERATION"), std::string::npos);
  EXPECT_EQ(CodeOf(chain.Examine(SignByOfficers(After(chain), {1}))), Code::kInvalid) << "it changes nothing";
}

// ---- first trust ----

Status FoundWith(const SignedRoster& roster0, const Digest& fingerprint) {
  const auto chain = RosterChain::Found(roster0, fingerprint);
  if (!chain) return std::unexpected(chain.error());
  return {};
}

TEST(Found, BelievesOnlyTheFingerprintOfTheInvitation) {
  const SignedRoster founding = SignAs(FoundingRoster(), 1);
  Roster other = FoundingRoster();
  other.federation = "heart studY";
  const SignedRoster forged = SignAs(other, 1);
  EXPECT_TRUE(FoundWith(founding, founding.hash()).has_value());
  EXPECT_EQ(CodeOf(FoundWith(forged, founding.hash())), Code::kUnauthorised);
}

TEST(Found, NeedsTheFoundersSignatureAndNoOther) {
  const SignedRoster good = SignAs(FoundingRoster(), 1);
  SignedRoster bad = good;
  bad.signatures.clear();
  EXPECT_EQ(CodeOf(FoundWith(bad, bad.hash())), Code::kUnauthorised);
  bad.signatures = {SignRoster(bad.roster, TestIdentity(91))};
  EXPECT_EQ(CodeOf(FoundWith(bad, bad.hash())), Code::kUnauthorised) << "signed by the server";
  bad.signatures = {{good.signatures[0].key, SignRoster(bad.roster, TestIdentity(91)).signature}};
  EXPECT_EQ(CodeOf(FoundWith(bad, bad.hash())), Code::kUnauthorised) << "under the founder's name";
  bad.signatures = {SignMembership(bad.roster, TestIdentity(90))};
  EXPECT_EQ(CodeOf(FoundWith(bad, bad.hash())), Code::kUnauthorised) << "signed as something else";
  bad.signatures = {good.signatures[0], SignRoster(bad.roster, TestIdentity(91))};
  EXPECT_EQ(CodeOf(FoundWith(bad, bad.hash())), Code::kUnauthorised) << "a signature too many";
}

TEST(Found, BeginsAtTheBeginning) {
  for (const std::function<void(Roster&)>& change : std::vector<std::function<void(Roster&)>>{
           [](Roster& r) { r.seq = 1; }, [](Roster& r) { r.previous.bytes[0] = 1; },
           [](Roster& r) { r.members.push_back(TestMember(1)); }}) {
    Roster roster = FoundingRoster();
    change(roster);
    const SignedRoster link = SignAs(roster, 2);
    EXPECT_EQ(CodeOf(FoundWith(link, link.hash())), Code::kInvalid);
  }
}

// ---- each rule of Extend: everything else is right, and correctly signed ----

struct Fault {
  const char* name;
  std::function<void(Roster&)> make;
  Code code;
  const char* message;
};

TEST(Extend, RefusesEachBrokenRuleAlone) {
  const Fault faults[] = {
      {"same number again", [](Roster& r) { r.seq -= 1; }, Code::kConflict, "should follow"},
      {"number skipped", [](Roster& r) { r.seq += 1; }, Code::kConflict, "should follow"},
      {"another predecessor", [](Roster& r) { r.previous.bytes[31] ^= 1; }, Code::kConflict, "should follow"},
      {"another federation", [](Roster& r) { r.federation = "other"; }, Code::kInvalid, "another federation"},
      {"another founder", [](Roster& r) { r.founder = TestIdentity(95).verify_key(); }, Code::kInvalid,
       "founding officer"},
      {"a hospital left out", [](Roster& r) { r.members.resize(1); }, Code::kInvalid, "left out"},
      {"renamed", [](Roster& r) { r.members[0].name = "hospital-z"; }, Code::kInvalid, "was changed"},
      {"another id", [](Roster& r) { r.members[0].id.bytes[0] ^= 1; }, Code::kInvalid, "was changed"},
      {"another identity", [](Roster& r) { r.members[0].identity = TestIdentity(95).verify_key(); },
       Code::kUnauthorised, "the old identity key of hospital-a, the new identity key of hospital-a"},
      {"another transport", [](Roster& r) { r.members[0].transport = TestTransport(95); }, Code::kUnauthorised,
       "the old identity key of hospital-a"},
      {"another officer", [](Roster& r) { r.members[0].officers = {TestIdentity(95).verify_key()}; },
       Code::kUnauthorised, "an officer of hospital-a"},
      {"no officer", [](Roster& r) { r.members[0].officers.clear(); }, Code::kInvalid, "without an officer"},
      {"changed and revoked at once",
       [](Roster& r) {
         r.members[0].revoked = true;
         r.members[0].valid_until_ms = 1'900'000'000'000;
       },
       Code::kInvalid, "changed and revoked at once"},
      {"valid until before it is valid from", [](Roster& r) { r.members[0].valid_until_ms = 1'600'000'000'000; },
       Code::kInvalid, "valid until before"},
      {"another server", [](Roster& r) { r.server_identity = TestIdentity(95).verify_key(); }, Code::kInvalid,
       "server"},
      {"new key is an old one", [](Roster& r) { r.members[2].transport = r.members[0].transport; }, Code::kInvalid,
       "used already"},
      {"new name is an old one", [](Roster& r) { r.members[2].name = r.members[0].name; }, Code::kInvalid,
       "two hospitals"},
      {"born revoked", [](Roster& r) { r.members[2].revoked = true; }, Code::kInvalid, "revoked at once"},
      {"two officers at birth", [](Roster& r) { r.members[2].officers.push_back(TestIdentity(95).verify_key()); },
       Code::kInvalid, "one officer"},
  };
  for (const Fault& fault : faults) {
    RosterChain chain = TestChain(2);
    Roster next = WithNextMember(chain);
    ASSERT_TRUE(RosterChain(chain).Extend(SignAs(next, 3)).has_value());
    fault.make(next);
    const Status status = chain.Extend(SignAs(next, 3));
    ASSERT_FALSE(status.has_value()) << fault.name;
    EXPECT_EQ(status.error().code, fault.code) << fault.name << ": " << status.error().what;
    EXPECT_NE(status.error().what.find(fault.message), std::string::npos) << fault.name << ": " << status.error().what;
    EXPECT_EQ(chain.current().seq, 2U) << fault.name << ": a refused roster leaves no trace";
    EXPECT_EQ(chain.links().size(), 3U);
  }
}

TEST(Extend, NewHospitalsMustHaveSignedWhatStandsInTheRoster) {
  const RosterChain chain = TestChain(1);
  const Roster next = WithNextMember(chain);
  const SignedRoster good = SignAs(next, 2);
  const Member& added = next.members[1];
  const auto refused = [&](const char* name, std::vector<RosterSignature> signatures) {
    RosterChain copy = chain;
    const Status status = copy.Extend({good.roster, std::move(signatures)});
    ASSERT_FALSE(status.has_value()) << name;
    EXPECT_EQ(status.error().code, Code::kUnauthorised) << name << ": " << status.error().what;
  };
  const RosterSignature founder = good.signatures[0], hospital = good.signatures[1];
  refused("no founder", {hospital, hospital});
  refused("no hospital", {founder});
  refused("founder twice, no hospital", {founder, founder});
  refused("one too many", {founder, hospital, SignRoster(good.roster, TestIdentity(1))});
  refused("founder signed another roster", {SignRoster(chain.current_signed().roster, TestIdentity(90)), hospital});
  refused("an old hospital in the founder's place", {SignRoster(good.roster, TestIdentity(1)), hospital});
  refused("signed by another's key", {founder, {added.identity, Enrolled(next, added, TestIdentity(1)).signature}});
  refused("the roster instead of the membership", {founder, SignRoster(good.roster, TestIdentity(2))});

  Roster elsewhere = next;
  elsewhere.federation = "lung study";
  refused("enrolled in another federation", {founder, Enrolled(elsewhere, added, TestIdentity(2))});
  const auto enrolled_as = [&](const std::function<void(Member&)>& change) {
    Member other = added;
    change(other);
    return std::vector<RosterSignature>{founder, Enrolled(next, other, TestIdentity(2))};
  };
  refused("another name", enrolled_as([](Member& m) { m.name = "hospital-x"; }));
  refused("another transport key", enrolled_as([](Member& m) { m.transport = TestTransport(95); }));
  refused("another officer", enrolled_as([](Member& m) { m.officers = {TestIdentity(95).verify_key()}; }));
  refused("no officer", enrolled_as([](Member& m) { m.officers = {}; }));

  RosterChain copy = chain;
  EXPECT_TRUE(copy.Extend({good.roster, {hospital, founder}}).has_value()) << "the order of signatures is free";
}

TEST(Extend, AKeyOfSmallOrderIsNoIdentity) {
  RosterChain chain = TestChain(0);
  Roster next = WithNextMember(chain);
  next.members[0].identity = *VerifyKey::FromHexText("01" + std::string(62, '0'));  // "Verifies" anything, carelessly.
  SignedRoster link = SignAs(next, 1);
  ASSERT_EQ(link.signatures.size(), 2U);
  link.signatures[1] = {next.members[0].identity, {}};
  const Bytes base = *FromHex("5866666666666666666666666666666666666666666666666666666666666666");
  std::copy(base.begin(), base.end(), link.signatures[1].signature.bytes.begin());
  link.signatures[1].signature.bytes[32] = 1;
  EXPECT_EQ(CodeOf(chain.Extend(link)), Code::kUnauthorised);
}

TEST(Extend, ASignedRosterHasALimit) {
  RosterChain chain = TestChain(0);
  Roster next = After(chain);
  for (std::uint32_t n = 1; n <= 13'300; ++n) {
    Member member = TestMember(1);
    member.number = n;
    member.name = "hospital-" + std::to_string(n);
    const Digest seed = Fields("member").Add(n).Hash();
    std::copy_n(seed.bytes.begin(), 16, member.id.bytes.begin());
    member.identity.bytes = Fields("identity").Add(n).Hash().bytes;
    member.transport.bytes = Fields("transport").Add(n).Hash().bytes;
    member.officers = {};
    next.members.push_back(member);
  }
  SignedRoster link{Canonical(next), {}};
  ASSERT_LT(link.roster.size(), kMaxRosterBytes) << "the roster alone would fit";
  link.signatures.assign(13'301, SignRoster(link.roster, TestIdentity(90)));
  ASSERT_GT(Encode(link).size(), kMaxRosterBytes);
  EXPECT_EQ(CodeOf(chain.Extend(link)), Code::kInvalid);
  EXPECT_FALSE(ParseSignedRoster(Encode(link)).has_value());
}

// ---- bytes ----

TEST(SignedRoster, ComesBackFromItsBytes) {
  const RosterChain chain = TestChain(2);
  for (const SignedRoster& link : chain.links()) {
    const Bytes bytes = Encode(link);
    const auto parsed = ParseSignedRoster(bytes);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().what;
    EXPECT_EQ(parsed->roster, link.roster);
    EXPECT_EQ(parsed->signatures, link.signatures);
    EXPECT_EQ(Encode(*parsed), bytes);
  }
}

TEST(SignedRoster, AChangedByteIsNeverBelieved) {
  const RosterChain chain = TestChain(1);
  const Bytes founding = Encode(chain.links()[0]), extension = Encode(chain.links()[1]);
  EXPECT_TRUE(rc::check("a changed, lost or added byte", [&] {
    const bool first = *rc::gen::arbitrary<bool>();
    Bytes bytes = first ? founding : extension;
    const auto at = static_cast<std::ptrdiff_t>(*rc::gen::inRange<std::size_t>(0, bytes.size()));
    const auto byte = *rc::gen::inRange<int>(1, 256);
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
        bytes.erase(bytes.begin() + at);
        break;
      case 1:
        bytes.insert(bytes.begin() + at, static_cast<std::uint8_t>(byte));
        break;
      default:
        bytes[static_cast<std::size_t>(at)] ^= static_cast<std::uint8_t>(byte);
    }
    RC_PRE(bytes != (first ? founding : extension));
    const auto parsed = ParseSignedRoster(bytes);
    if (!parsed) return;
    if (first) {
      RC_ASSERT(!RosterChain::Found(*parsed, chain.links()[0].hash()).has_value());
    } else {
      RosterChain fresh = *RosterChain::Found(chain.links()[0], chain.links()[0].hash());
      RC_ASSERT(!fresh.Extend(*parsed).has_value());
    }
  }));
}

TEST(SignedRoster, AnyBytesAreAnswered) {
  EXPECT_TRUE(rc::check([](const Bytes& bytes) { RC_ASSERT(!ParseSignedRoster(bytes).has_value()); }));
  for (std::string_view text :
       {"[]", "{}", "null", "{\"roster\":1,\"signatures\":{}}", "{\"roster\":\"\",\"signatures\":[{}]}"}) {
    EXPECT_FALSE(ParseSignedRoster(View(text)).has_value()) << text;
  }
  const auto empty = ParseSignedRoster(View("{\"roster\":\"\",\"signatures\":[]}"));
  ASSERT_TRUE(empty.has_value());
  EXPECT_FALSE(RosterChain::Found(*empty, empty->hash()).has_value());
}

}  // namespace
}  // namespace consilium
