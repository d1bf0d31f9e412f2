// Who is in: a change of the roster is proposed, signed by M of N, in force at once; a revoked, expired or replaced key
// is out with the very turn.
#include "tests/coordinator/bench.h"

namespace consilium::coordinator {
namespace {

// Three members, so the founding officer counts no more and two of them decide.
class Membership : public Bench {
 protected:
  static Value Signed(const SignedRoster& link) {
    Value list{Value::Array{}};
    for (const RosterSignature& s : link.signatures)
      list.Push(Value().Set("key", s.key.Hex()).Set("signature", s.signature.Hex()));
    return Value().Set("roster", Base64(link.roster)).Set("signatures", std::move(list));
  }
  Value Body() { return *ParseJson(Text(replies_[requests_].body)); }
  int Get(const std::string& path, const std::string& key = "", const std::string& value = "",
          const std::string& days = "") {
    RequestReceived request;
    request.id = ++requests_;
    request.method = "GET";
    request.path = path;
    request.local = true;
    if (!key.empty()) request.query[key] = value;
    if (!days.empty()) request.query["valid_days"] = days;
    Turn({request});
    return replies_[request.id].status;
  }
  // Asks for the next roster and posts it as the consortium does where the founding officer does not count.
  Bytes Propose(const std::string& key, const std::string& name, const std::string& days = "") {
    EXPECT_EQ(Get("/v1/roster/next", key, name, days), 200);
    const Value next = Body();
    EXPECT_FALSE(next["founder"].AsBool());
    Value body = Value().Set("roster", next["roster"]).Set("signatures", next["membership"]);
    EXPECT_EQ(Ask("POST", "/v1/roster", body), 200);
    EXPECT_FALSE(Body()["complete"].AsBool());
    return *FromBase64(next["roster"].AsString());
  }
  Bytes ProposeRevocation(std::uint32_t number) { return Propose("revoke", TestMember(number).name); }
  // What `consilium-node roster sign` sends for hospital n.
  void Sign(std::uint32_t number, const Bytes& roster) {
    Say(number, RosterDraft{Blake2b(roster), {}, {SignRoster(roster, TestOfficer(number))}});
  }
  template <class M>
  std::optional<M> LastOf(std::uint32_t number) {
    for (auto at = sent_[Peer(number)].rbegin(); at != sent_[Peer(number)].rend(); ++at) {
      if (const auto* found = std::get_if<M>(&*at)) return *found;
    }
    return std::nullopt;
  }
  std::int64_t Seq() {
    EXPECT_EQ(Get("/v1/roster"), 200);
    return Body()["seq"].AsInteger();
  }
  std::vector<std::string> Events() {
    std::vector<std::string> events;
    for (const Bytes& row : storage_.rows["audit"]) events.push_back((*ParseJson(Text(row)))["event"].AsString());
    return events;
  }
  bool Audited(const std::string& event) { return std::ranges::count(Events(), event) > 0; }
  void GreetAll() {
    for (std::uint32_t n : {1, 2, 3}) Greet(n);
  }
};

TEST_F(Membership, AProposalIsShownSignedAndInForceWithTheSecondHospital) {
  GreetAll();
  const Bytes roster = ProposeRevocation(3);
  EXPECT_EQ(Body()["missing"].AsString(), "officers of 2 more of hospital-a, hospital-b, hospital-c");
  for (std::uint32_t n : {1, 2, 3}) {
    const auto draft = LastOf<RosterDraft>(n);
    ASSERT_TRUE(draft) << n;
    EXPECT_EQ(draft->hash, Blake2b(roster));
    EXPECT_EQ(draft->roster.content, roster);
    EXPECT_TRUE(draft->signatures.empty());
  }
  Sign(1, roster);
  EXPECT_EQ(LastOf<RosterDraft>(2)->signatures.size(), 1U) << "everybody sees who has signed";
  EXPECT_EQ(Seq(), 3);
  EXPECT_EQ(Body()["proposal"]["signed_by"].AsArray().size(), 1U);
  Sign(1, roster);
  EXPECT_EQ(Seq(), 3) << "the same again is the same signature";
  Sign(2, roster);
  EXPECT_EQ(Seq(), 4);
  EXPECT_TRUE(Body()["proposal"].IsNull());
  const auto update = LastOf<RosterUpdate>(1);
  ASSERT_TRUE(update);
  EXPECT_EQ(update->first, 4U);
  RosterChain chain = chain_;
  EXPECT_TRUE(chain.Extend(*ParseSignedRoster(update->rosters[0].content))) << "every node verifies it";
  EXPECT_TRUE(chain.current().members[2].revoked);
  for (const char* event : {"roster_proposed", "roster_signed", "revoked"}) EXPECT_TRUE(Audited(event)) << event;
}

TEST_F(Membership, ARevokedHospitalsSessionClosesInTheVeryTurn) {
  GreetAll();
  const Bytes roster = ProposeRevocation(3);
  Sign(1, roster);
  EXPECT_EQ(disconnects_[Peer(3)], 0);
  Sign(2, roster);
  EXPECT_EQ(disconnects_[Peer(3)], 1);
  EXPECT_EQ(LastRefusal(Peer(3)), Reason::kRevoked);
  EXPECT_EQ(LastOf<RosterUpdate>(3)->first, 4U) << "it is told why, by the roster itself";
  EXPECT_FALSE(admitted_.contains(Peer(3)));
  EXPECT_TRUE(admitted_.contains(Peer(1)));
  Turn({PeerConnected{Peer(3)}});  // Of a handshake that was under way.
  Say(3, Hello{.build = "test", .rosters = 4, .studies = {}, .ledger = {}});
  EXPECT_EQ(LastRefusal(Peer(3)), Reason::kRevoked);
  EXPECT_EQ(disconnects_[Peer(3)], 2);
  EXPECT_EQ(disconnects_[Peer(1)], 0);
}

TEST_F(Membership, AnOpenAttemptGoesOnWithoutTheRevokedAndTheNextIsWithoutIt) {
  const StudyId study = Submit(DescribePlan("one", 20000));
  GreetAll();
  for (std::uint32_t n : {1, 2, 3}) Say(n, PlanVerdict{study, true, Reason::kNone, chain_.hash()});
  ASSERT_EQ(Last<consilium::Invite>(1, study)->cohort, (std::vector<std::uint32_t>{1, 2, 3}));
  for (std::uint32_t n : {1, 2}) {
    const auto [offer, words] = Answer(*Last<consilium::Invite>(n, study));
    Say(n, offer);
    Serve(n, words);
  }
  EXPECT_FALSE(Last<Release>(1, study)) << "it waits for the third";
  const Bytes roster = ProposeRevocation(3);
  for (std::uint32_t n : {1, 2}) Sign(n, roster);
  const auto release = Last<Release>(1, study);  // No time has passed.
  ASSERT_TRUE(release);
  EXPECT_EQ(release->survivors, (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(release->absent, (std::vector<Absence>{{3, Reason::kRevoked}}));
  EXPECT_FALSE(Last<Release>(3, study));

  const StudyId next = Submit(DescribePlan("two", 20001));
  for (std::uint32_t n : {1, 2}) Say(n, PlanVerdict{next, true, Reason::kNone, chain_.hash()});
  EXPECT_EQ(Last<consilium::Invite>(1, next)->cohort, (std::vector<std::uint32_t>{1, 2}));
}

TEST_F(Membership, WhatARevokedHospitalHadUploadedStands) {
  const StudyId study = Submit(DescribePlan("one", 20000));
  GreetAll();
  for (std::uint32_t n : {1, 2, 3}) Say(n, PlanVerdict{study, true, Reason::kNone, chain_.hash()});
  for (std::uint32_t n : {1, 3}) {
    const auto [offer, words] = Answer(*Last<consilium::Invite>(n, study));
    Say(n, offer);
    Serve(n, words);
  }
  const Bytes roster = ProposeRevocation(3);
  for (std::uint32_t n : {1, 2}) Sign(n, roster);
  const auto [offer, words] = Answer(*Last<consilium::Invite>(2, study));
  Say(2, offer);
  Serve(2, words);
  EXPECT_EQ(Last<Release>(1, study)->survivors, (std::vector<std::uint32_t>{1, 2, 3}));
}

TEST_F(Membership, AProposalSurvivesARestartAndAHospitalLearnsItAtHello) {
  const Bytes roster = ProposeRevocation(3);
  Greet(1);
  EXPECT_EQ(LastOf<RosterDraft>(1)->hash, Blake2b(roster));
  Sign(1, roster);
  Start();
  Greet(2);
  ASSERT_EQ(LastOf<RosterDraft>(2)->signatures.size(), 1U);
  Sign(2, roster);
  EXPECT_EQ(Seq(), 4);
  Start();
  EXPECT_EQ(Seq(), 4);
  EXPECT_FALSE((*storage_.Load()).state.contains({"draft", "next"}));
}

TEST_F(Membership, OneProposalAtATimeUntilItIsWithdrawn) {
  GreetAll();
  ProposeRevocation(3);
  ASSERT_EQ(Get("/v1/roster/next", "revoke", "hospital-a"), 200);
  const Value other = Body();
  EXPECT_EQ(Ask("POST", "/v1/roster", Value().Set("roster", other["roster"]).Set("signatures", Value(Value::Array{}))),
            409);
  const Bytes bytes = *FromBase64(other["roster"].AsString());
  Say(1, RosterDraft{Blake2b(bytes), InlineBlob(bytes), {SignRoster(bytes, TestOfficer(1))}});
  EXPECT_EQ(LastRefusal(Peer(1)), Reason::kBusy);
  EXPECT_EQ(disconnects_[Peer(1)], 0);
  EXPECT_EQ(Ask("POST", "/v1/roster/withdraw", {}), 200);
  EXPECT_TRUE(LastOf<RosterDraft>(1)->hash.IsZero());
  EXPECT_EQ(Ask("POST", "/v1/roster/withdraw", {}), 404);
  Say(1, RosterDraft{Blake2b(bytes), InlineBlob(bytes), {SignRoster(bytes, TestOfficer(1))}});
  EXPECT_EQ(LastOf<RosterDraft>(2)->signatures.size(), 1U) << "a hospital may propose as well";
}

TEST_F(Membership, SignaturesThatDoNotCountAreRefusedAndChangeNothing) {
  GreetAll();
  const Bytes roster = ProposeRevocation(3);
  const Digest hash = Blake2b(roster);
  const auto refused = [&](const char* what, const RosterDraft& draft) {
    sent_[Peer(1)].clear();
    Say(1, draft);
    EXPECT_EQ(LastRefusal(Peer(1)), Reason::kWrongState) << what;
    EXPECT_FALSE(LastOf<RosterDraft>(1)) << what;
    EXPECT_EQ(disconnects_[Peer(1)], 0) << what;
  };
  refused("no signature", {hash, {}, {}});
  refused("of a stranger", {hash, {}, {SignRoster(roster, TestIdentity(77))}});
  refused("of the founder", {hash, {}, {SignRoster(roster, TestIdentity(90))}});
  refused("of the identity key", {hash, {}, {SignRoster(roster, TestIdentity(1))}});
  refused("of other bytes", {hash, {}, {SignRoster(chain_.current_signed().roster, TestOfficer(1))}});
  refused("of a roster that nobody proposed", {chain_.links()[2].hash(), {}, {SignRoster(roster, TestOfficer(1))}});
  EXPECT_EQ(Seq(), 3);
  Sign(1, roster);
  EXPECT_EQ(LastOf<RosterDraft>(1)->signatures.size(), 1U);
}

TEST_F(Membership, AFourthHospitalIsConfirmedByTheOthersOfficers) {
  ASSERT_EQ(Invite("hospital-x", 60), 200);
  Turn({FrameReceived{TestTransport(60), Enrolment("hospital-x", 60, 61, 62, 63)}});
  GreetAll();
  const Bytes roster = Propose("add", "hospital-x");
  Get("/v1/hospitals");
  EXPECT_EQ(Body()["hospitals"].AsArray()[3]["state"].AsString(), "proposed");
  Sign(2, roster);
  Sign(3, roster);
  EXPECT_EQ(Seq(), 4);
  EXPECT_TRUE(admitted_.contains(TestTransport(62)));
  EXPECT_TRUE(Audited("confirmed"));
}

TEST_F(Membership, InvitingAnewVoidsTheProposalOfKeysThatWereNeverConfirmed) {
  ASSERT_EQ(Invite("hospital-x", 60), 200);
  Turn({FrameReceived{TestTransport(60), Enrolment("hospital-x", 60, 61, 62, 63)}});  // Somebody else's keys, say.
  GreetAll();
  const Bytes roster = Propose("add", "hospital-x");
  Sign(1, roster);
  ASSERT_EQ(Invite("hospital-x", 70), 200);
  Sign(2, roster);
  EXPECT_EQ(Seq(), 3);
  EXPECT_TRUE(Body()["proposal"].IsNull());
}

// ---- keys ----

TEST_F(Membership, AnExpiredKeyIsRefusedAndServesAgainWhenTheOfficersSayso) {
  GreetAll();
  Bytes roster = Propose("add", "hospital-c", "10");
  for (std::uint32_t n : {1, 2}) Sign(n, roster);
  ASSERT_EQ(Seq(), 4);
  EXPECT_EQ(disconnects_[Peer(3)], 0);
  wall_ms_ += 12LL * 24 * 3600 * 1000;
  Say(3, Heartbeat{});
  EXPECT_EQ(LastRefusal(Peer(3)), Reason::kExpired);
  EXPECT_EQ(disconnects_[Peer(3)], 1);
  Greet(3);
  EXPECT_EQ(LastRefusal(Peer(3)), Reason::kExpired);
  Get("/v1/hospitals");
  EXPECT_EQ(Body()["hospitals"].AsArray()[2]["state"].AsString(), "expired");
  roster = Propose("add", "hospital-c", "100");
  for (std::uint32_t n : {1, 2}) Sign(n, roster);
  sent_[Peer(3)].clear();
  Greet(3);
  EXPECT_TRUE(LastOf<Welcome>(3));
  EXPECT_EQ(Get("/v1/roster/next", "add", "hospital-c", "x1"), 400);
  EXPECT_EQ(Get("/v1/roster/next", "add", "hospital-c"), 200) << "without end again";
  EXPECT_EQ(Get("/v1/roster/next", "add", "hospital-b"), 409);
}

TEST_F(Membership, AnIdleSessionEndsWithItsKeysValidityToo) {
  GreetAll();
  const Bytes roster = Propose("add", "hospital-c", "10");
  for (std::uint32_t n : {1, 2}) Sign(n, roster);
  wall_ms_ += 12LL * 24 * 3600 * 1000;
  instant_ += std::chrono::seconds(11);
  Turn({});
  EXPECT_EQ(disconnects_[Peer(3)], 1);
  EXPECT_EQ(disconnects_[Peer(1)], 0);
}

TEST_F(Membership, RotatedKeysTakeOverAndTheOldOnesAreOut) {
  GreetAll();
  Roster next = NextRoster(chain_);
  next.members[2].identity = TestIdentity(71).verify_key();
  next.members[2].transport = TestTransport(72);
  const Bytes roster = Canonical(next);
  Say(3, RosterDraft{Blake2b(roster),
                     InlineBlob(roster),
                     {SignRoster(roster, TestIdentity(3)), SignRoster(roster, TestIdentity(71)),
                      SignRoster(roster, TestOfficer(3))}});
  ASSERT_TRUE(LastOf<RosterDraft>(1)) << Name(LastRefusal(Peer(3)));
  Sign(1, roster);
  EXPECT_EQ(Seq(), 4);
  EXPECT_EQ(disconnects_[Peer(3)], 1);
  EXPECT_FALSE(admitted_.contains(Peer(3)));
  EXPECT_TRUE(admitted_.contains(TestTransport(72)));
  EXPECT_TRUE(Audited("keys_rotated"));
  Turn({PeerConnected{TestTransport(72)}});
  Turn({FrameReceived{TestTransport(72), EncodeFrame(Hello{.build = "test", .rosters = 4, .studies = {}, .ledger = {}},
                                                     TestIdentity(71))}});
  EXPECT_EQ(LastRefusal(TestTransport(72)), Reason::kNone);
  Get("/v1/hospitals");
  EXPECT_TRUE(Body()["hospitals"].AsArray()[2]["online"].AsBool());
  EXPECT_EQ(Body()["hospitals"].AsArray()[2]["number"].AsInteger(), 3);
}

}  // namespace
}  // namespace consilium::coordinator
