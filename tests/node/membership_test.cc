// The roster at a node: what is proposed is shown and relied on for nothing, signatures go out and are answered for, a
// revoked hospital stops, replaced keys end this life of the daemon.
#include "tests/node/bench.h"

namespace consilium::node {
namespace {

class Membership : public Bench {
 protected:
  // What the coordinator says of a proposed roster.
  void Propose(const SignedRoster& link) { Say(RosterDraft{link.hash(), InlineBlob(link.roster), link.signatures}); }
  void Extend(const SignedRoster& link) { Say(RosterUpdate{chain_.links().size(), {InlineBlob(Encode(link))}}); }
  [[nodiscard]] Roster Revoking(std::uint32_t number) const {
    Roster next = NextRoster(chain_);
    next.members[number - 1].revoked = true;
    return next;
  }
  // `consilium-node roster sign` and its like; the answer may come later.
  std::uint64_t Post(const SignedRoster& link) {
    Value list{Value::Array{}};
    for (const RosterSignature& s : link.signatures)
      list.Push(Value().Set("key", s.key.Hex()).Set("signature", s.signature.Hex()));
    RequestReceived request;
    request.id = ++request_;
    request.method = "POST";
    request.path = "/v1/roster";
    request.local = true;
    request.body = Value().Set("roster", Base64(link.roster)).Set("signatures", std::move(list));
    Turn({request});
    return request.id;
  }
  int StatusOf(std::uint64_t request) { return replies_.contains(request) ? replies_[request].status : 0; }
  Value BodyOf(std::uint64_t request) { return *ParseJson(Text(replies_[request].body)); }
};

TEST_F(Membership, AProposalIsShownAndNothingRestsOnIt) {
  Join();
  EXPECT_TRUE(Ask("GET", "/v1/roster")["proposal"].IsNull());
  Propose(SignByOfficers(Revoking(3), {1}));
  const Value view = Ask("GET", "/v1/roster");
  EXPECT_EQ(view["seq"].AsInteger(), 3);
  EXPECT_EQ(view["rule"]["m"].AsInteger(), 2);
  EXPECT_EQ(view["proposal"]["changes"].AsArray()[0].AsString(), "revokes hospital-c, for good");
  EXPECT_EQ(view["proposal"]["signed_by"].AsArray()[0].AsString(), "hospital-a");
  EXPECT_EQ(view["members"].AsArray()[2]["state"].AsString(), "member");
  Say(TestInvite(1, 1));
  Work();
  EXPECT_EQ(Count<Offer>(), 1U) << "the third is a member as long as it is only proposed";
  Say(RosterDraft{});
  EXPECT_TRUE(Ask("GET", "/v1/roster")["proposal"].IsNull()) << "withdrawn";
}

TEST_F(Membership, AProposalThatDoesNotCheckIsNotShown) {
  Join();
  SignedRoster bad = SignByOfficers(Revoking(3), {});
  bad.signatures.push_back(SignRoster(bad.roster, TestIdentity(77)));
  Propose(bad);
  EXPECT_TRUE(Ask("GET", "/v1/roster")["proposal"].IsNull()) << "a signature of a stranger";
  Roster next = Revoking(3);
  next.seq += 1;
  Propose(SignByOfficers(next, {1}));
  EXPECT_TRUE(Ask("GET", "/v1/roster")["proposal"].IsNull()) << "it follows another roster";
  const SignedRoster good = SignByOfficers(Revoking(3), {1});
  Say(RosterDraft{chain_.hash(), InlineBlob(good.roster), good.signatures});
  EXPECT_TRUE(Ask("GET", "/v1/roster")["proposal"].IsNull()) << "under another hash";
  EXPECT_TRUE(disconnects_.empty());
}

TEST_F(Membership, ASignatureIsAnsweredWhenTheCoordinatorHasIt) {
  Join();
  const Roster next = Revoking(3);
  Propose(SignByOfficers(next, {}));
  const auto first = Post(SignByOfficers(next, {kSelf}));
  EXPECT_EQ(StatusOf(first), 0) << "not before the coordinator has said so";
  const auto said = Take<RosterDraft>();
  ASSERT_TRUE(said);
  EXPECT_TRUE(said->roster.content.empty()) << "the coordinator has the roster";
  ASSERT_EQ(said->signatures.size(), 1U);
  Propose(SignByOfficers(next, {1}));
  EXPECT_EQ(StatusOf(first), 0) << "another's signature is no answer";
  Propose(SignByOfficers(next, {kSelf}));
  ASSERT_EQ(StatusOf(first), 200);
  EXPECT_FALSE(BodyOf(first)["complete"].AsBool());
  EXPECT_EQ(BodyOf(first)["missing"].AsString(), "officers of 1 more of hospital-a, hospital-c");

  const auto second = Post(SignByOfficers(next, {kSelf}));
  Extend(SignByOfficers(next, {1, kSelf}));
  ASSERT_EQ(StatusOf(second), 200);
  EXPECT_TRUE(BodyOf(second)["complete"].AsBool());
  EXPECT_TRUE(Ask("GET", "/v1/roster")["proposal"].IsNull());
}

TEST_F(Membership, ASignatureThatIsNotTakenIsAFailureWithAReason) {
  Join();
  const Roster next = Revoking(3);
  Propose(SignByOfficers(next, {}));
  SignedRoster stranger = SignByOfficers(next, {});
  stranger.signatures.push_back(SignRoster(stranger.roster, TestIdentity(77)));
  EXPECT_EQ(StatusOf(Post(stranger)), 401) << "found here";
  EXPECT_EQ(StatusOf(Post(SignByOfficers(next, {}))), 400);
  auto request = Post(SignByOfficers(next, {kSelf}));
  Say(Refused{Reason::kBusy, {}, 0});
  EXPECT_EQ(StatusOf(request), 409);
  request = Post(SignByOfficers(next, {kSelf}));
  elapsed_ += std::chrono::seconds(21);
  Say(Heartbeat{});
  EXPECT_EQ(StatusOf(request), 502) << "no answer at all";
  request = Post(SignByOfficers(next, {kSelf}));
  Turn({PeerLost{TestTransport(91), "closed"}});
  EXPECT_EQ(StatusOf(request), 502);
  EXPECT_EQ(StatusOf(Post(SignByOfficers(next, {kSelf}))), 502) << "there is no session";
}

TEST_F(Membership, ItsOwnProposalTravelsWhole) {
  Join();
  Roster next = NextRoster(chain_);
  next.members[kSelf - 1].officers.push_back(TestIdentity(33).verify_key());
  const SignedRoster link = SignByOfficers(next, {kSelf});
  Post(link);
  const auto said = Take<RosterDraft>();
  ASSERT_TRUE(said);
  EXPECT_EQ(said->roster.content, link.roster);
  EXPECT_EQ(said->signatures, link.signatures);
}

TEST_F(Membership, ARosterWithTooFewSignaturesClosesTheSession) {
  Join();
  Extend(SignByOfficers(Revoking(3), {1}));
  EXPECT_EQ(disconnects_.size(), 1U);
  EXPECT_EQ(Ask("GET", "/v1/roster")["seq"].AsInteger(), 3);
}

TEST_F(Membership, NothingIsComputedInTheCompanyOfTheRevokedOrTheExpired) {
  Join();
  Extend(SignByOfficers(Revoking(3), {1, kSelf}));
  Say(TestInvite(1, 1));
  Work();
  EXPECT_EQ(workbench_.computed, 0);
  EXPECT_EQ(Take<Decline>()->reason, Reason::kCohort);
}

TEST_F(Membership, AHospitalWhoseKeysExpiredIsNoCompanyADayLater) {
  Roster next = NextRoster(chain_);
  next.members[2].valid_until_ms = At().wall_ms + 1000;
  Join();
  Extend(SignByOfficers(next, {1, kSelf}));
  elapsed_ += std::chrono::seconds(1);
  Say(TestInvite(1, 1));
  Work();
  EXPECT_EQ(Count<Offer>(), 1U) << "the coordinator holds the date; clocks differ";
  elapsed_ += std::chrono::hours(25);
  Restart();
  Say(TestInvite(1, 2));
  Work();
  EXPECT_EQ(Take<Decline>()->reason, Reason::kExpired);
}

TEST_F(Membership, ARevokedHospitalEndsItsStudiesAndSaysWhatHappened) {
  Join();
  Extend(SignByOfficers(Revoking(kSelf), {1, 3}));
  EXPECT_EQ(Record().phase, StudyPhase::kAborted);
  EXPECT_EQ(Record().reason, Reason::kRevoked);
  EXPECT_EQ(LedgerRows().back().kind, LedgerRow::Kind::kRelease) << "what it reserved is given back";
  Turn({PeerLost{TestTransport(91), "closed"}});
  const Value status = Ask("GET", "/v1/status");
  EXPECT_EQ(status["standing"].AsString(), "revoked");
  EXPECT_NE(status["link"].AsString().find("revoked, which is for good"), std::string::npos);
  int code = 0;
  Approve(&code);
  EXPECT_NE(code, 200);
}

TEST_F(Membership, AnExpiredHospitalSaysHowToGoOn) {
  Join();
  Say(Refused{Reason::kExpired, {}, 0});
  Turn({PeerLost{TestTransport(91), "closed"}});
  const Value status = Ask("GET", "/v1/status");
  EXPECT_EQ(status["standing"].AsString(), "expired");
  EXPECT_NE(status["link"].AsString().find("hospital confirm hospital-b --valid-days"), std::string::npos);
  Greet();
  EXPECT_EQ(Ask("GET", "/v1/status")["standing"].AsString(), "member");
}

TEST_F(Membership, ARosterWithOtherKeysOfThisHospitalEndsThisLife) {
  Join();
  Roster next = NextRoster(chain_);
  next.members[kSelf - 1].identity = TestIdentity(71).verify_key();
  next.members[kSelf - 1].transport = TestTransport(72);
  SignedRoster link = SignByOfficers(next, {1, kSelf});
  for (const std::uint8_t key : {2, 71}) link.signatures.push_back(SignRoster(link.roster, TestIdentity(key)));
  EXPECT_FALSE(stopped_);
  Extend(link);
  EXPECT_TRUE(stopped_);
  EXPECT_TRUE(keys_replaced_);
}

TEST_F(Membership, AtAClosedDoorTheOtherKeysAreTried) {
  Join();
  const auto knock = [&] {
    for (int i = 0; i < 3; ++i) Turn({PeerLost{TestTransport(91), "key refused"}});
  };
  knock();
  EXPECT_FALSE(keys_replaced_) << "there are no others";
  other_transport_ = TestTransport(72);
  Start();
  Turn({PeerLost{TestTransport(91), "no answer"}});
  EXPECT_FALSE(keys_replaced_);
  knock();
  EXPECT_TRUE(keys_replaced_);
  EXPECT_TRUE(stopped_);
}

}  // namespace
}  // namespace consilium::node
