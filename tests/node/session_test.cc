// The session with the coordinator: greeted before anything else, every message under the server's key, the roster by
// its chain, silence noticed; what does not belong is refused and the node runs on.
#include "tests/node/bench.h"

namespace consilium::node {
namespace {

class Session : public Bench {};

TEST_F(Session, BeginsWithHelloThatSaysWhereTheNodeIs) {
  Join();
  SayRelease(1, 1);
  Start();
  EXPECT_FALSE(wake_.has_value()) << "nothing to wait for without a connection";
  Turn({PeerConnected{TestTransport(91)}});
  ASSERT_EQ(sent_.size(), 1U);
  const auto hello = Take<Hello>();
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->rosters, 4U);
  ASSERT_EQ(hello->studies.size(), 1U);
  EXPECT_EQ(hello->studies[0], (StudyMark{plan_.id(), 1, last_release_}));
  EXPECT_EQ(hello->ledger.seq, 1U);
  EXPECT_TRUE(wake_.has_value());
}

TEST_F(Session, TheFirstRosterIsTrustedByItsFingerprintAlone) {
  Turn({PeerConnected{TestTransport(91)}});
  EXPECT_EQ(Take<Hello>()->rosters, 0U);
  Say(Welcome{.build = "test", .federation = "heart study", .rosters = 4});
  RosterUpdate update;
  for (const SignedRoster& link : chain_.links()) update.rosters.push_back(InlineBlob(Encode(link)));
  Say(update);
  const Value status = Ask("GET", "/v1/status");
  EXPECT_TRUE(status["connected"].AsBool()) << "the Welcome that came before the roster counts";
  EXPECT_EQ(status["roster"]["seq"].AsInteger(), 3);
  EXPECT_EQ(AuditEvents(), std::vector<std::string>(4, "roster"));
  Start();
  EXPECT_EQ(Ask("GET", "/v1/status")["roster"]["hash"].AsString(), chain_.hash().Hex());
}

TEST_F(Session, AnotherFederationsRosterIsNotTrusted) {
  Roster other = FoundingRoster();
  other.federation = "another";
  Turn({PeerConnected{TestTransport(91)}});
  for (int i = 0; i < 12; ++i) Say(RosterUpdate{0, {InlineBlob(Encode(SignAs(other, 1)))}});
  EXPECT_EQ(disconnects_.size(), 1U);
  EXPECT_TRUE(AuditEvents().empty());
}

TEST_F(Session, MetricsAndReadinessSayHowTheNodeIs) {
  int status = 0;
  EXPECT_EQ(Ask("GET", "/healthz", {}, &status).AsString(), "ok\n");
  Ask("GET", "/readyz", {}, &status);
  EXPECT_EQ(status, 503) << "no session yet";
  Greet();
  Ask("GET", "/readyz", {}, &status);
  EXPECT_EQ(status, 200);
  const std::string text = Ask("GET", "/metrics", {}, &status).AsString();
  for (const char* line : {"consilium_node_connected 1\n", "consilium_node_studies{consent=\"approved\"} 0\n",
                           "# TYPE consilium_node_contributions_total counter\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
}

TEST_F(Session, KeysOfAnotherHospitalAreNotRun) {
  Greet();
  const auto start = [this](const char* name, std::uint8_t identity) {
    ServiceOptions options{.identity = IdentityKey::FromSeed(Bytes(32, identity)),
                           .transport = TestTransport(kSelf + 100),
                           .server_key = TestTransport(91),
                           .roster_fingerprint = chain_.links().front().hash(),
                           .name = name,
                           .build = "test",
                           .policy = policy_,
                           .stored = *storage_.Load(),
                           .storage = &storage_,
                           .blobs = &blobs_,
                           .workbench = &workbench_};
    return CodeOf(Service::Create(std::move(options), At()));
  };
  EXPECT_EQ(start("hospital-b", kSelf), std::nullopt);
  EXPECT_EQ(start("hospital-a", kSelf), Code::kRefused) << "the name of node.toml";
  EXPECT_EQ(start("hospital-b", 77), Code::kRefused) << "an identity key of somebody else";
}

TEST_F(Session, ARosterThatDoesNotContinueTheChainClosesTheSession) {
  Greet();
  Roster bad = After(chain_);
  bad.members[0].identity = TestIdentity(77).verify_key();
  Say(RosterUpdate{4, {InlineBlob(Encode(SignAs(bad, 4)))}});
  EXPECT_EQ(disconnects_.size(), 1U);
  EXPECT_EQ(AuditEvents().size(), 4U);
}

TEST_F(Session, ALargeRosterIsPulled) {
  chain_ = TestChain(0);
  Roster roster = After(chain_);
  SignedRoster link;
  for (std::uint32_t n = 1; n <= 120; ++n) {
    Bytes seed(32, 0xEE);
    seed[0] = static_cast<std::uint8_t>(n);
    Member member = TestMember(n);
    member.name = "hospital-" + std::to_string(n);
    member.identity = IdentityKey::FromSeed(seed).verify_key();
    member.officers = {};
    roster.members.push_back(member);
    link.signatures.push_back(Enrolled(roster, member, IdentityKey::FromSeed(seed)));
  }
  link.roster = Canonical(roster);
  link.signatures.insert(link.signatures.begin(), SignRoster(link.roster, TestIdentity(90)));
  const Bytes bytes = Encode(link);
  ASSERT_GT(bytes.size(), kInlineBlob);
  Greet();
  Say(RosterUpdate{1, {AsBlob(bytes)}});
  const auto pull = Take<Pull>();
  ASSERT_TRUE(pull);
  Bytes chunk = ChunkHead(pull->root, 0, pull->count);
  chunk.insert(chunk.end(), bytes.begin(), bytes.end());
  Turn({FrameReceived{TestTransport(91), chunk}});
  EXPECT_TRUE(disconnects_.empty());
  EXPECT_EQ(Ask("GET", "/v1/status")["number"].AsInteger(), kSelf);
}

// A size is not in a root: what a coordinator says of it may differ from message to message, and within one.
TEST_F(Session, TwoSizesUnderOneRootCloseTheSessionAndNothingOfItIsReadAnyMore) {
  Greet();
  const Blob blob = AsBlob(Bytes(kInlineBlob + 10, 1)), other = AsBlob(Bytes(kInlineBlob + 10, 2));
  Blob smaller = blob;
  --smaller.bytes;
  Say(RosterUpdate{chain_.links().size(), {blob, smaller, other, blob}});
  EXPECT_EQ(disconnects_.back(), "two blobs under one root");
  Greet();
  EXPECT_EQ(Ask("GET", "/v1/status")["connected"], Value(true));
}

TEST_F(Session, AHalfPulledRosterIsForgottenWithItsSession) {
  Greet();
  Blob smaller = AsBlob(Bytes(kInlineBlob + 10, 1));
  --smaller.bytes;
  Say(RosterUpdate{chain_.links().size(), {smaller}});
  ASSERT_TRUE(Take<Pull>());
  Turn({PeerLost{TestTransport(91), "closed"}});
  Greet();
  const Bytes whole(kInlineBlob + 10, 1);
  Say(RosterUpdate{chain_.links().size(), {AsBlob(whole)}});
  const auto pull = Take<Pull>();
  ASSERT_TRUE(pull);
  Bytes frame = ChunkHead(pull->root, pull->first, pull->count);
  frame.insert(frame.end(), whole.begin(), whole.end());
  Turn({FrameReceived{TestTransport(91), frame}});
  EXPECT_EQ(disconnects_.back(), "a roster that does not continue the chain") << "it came whole, and was read";
}

TEST_F(Session, WhatComesBeforeTheGreetingIsRefused) {
  Greet();
  AddData();
  OfferPlan();
  Turn({PeerLost{TestTransport(91), "closed"}});
  Turn({PeerConnected{TestTransport(91)}});
  sent_.clear();
  Say(TestInvite(1, 1));
  ASSERT_EQ(sent_.size(), 1U);
  EXPECT_EQ(Take<Refused>()->reason, Reason::kWrongState);
}

TEST_F(Session, AMessageUnderAnotherKeyClosesTheSession) {
  Greet();
  Turn({FrameReceived{TestTransport(91),
                      EncodeFrame(PlanOffer{plan_.id(), InlineBlob(Canonical(plan_))}, TestIdentity(90))}});
  EXPECT_EQ(disconnects_.size(), 1U);
  EXPECT_EQ(Take<Refused>()->reason, Reason::kBadSignature);
  EXPECT_TRUE(Ask("GET", "/v1/plans")["plans"].AsArray().empty());
  OfferPlan();
  EXPECT_TRUE(Ask("GET", "/v1/plans")["plans"].AsArray().empty()) << "nothing more is heard in a closed session";
}

TEST_F(Session, GarbageClosesTheSessionAndTheNodeRunsOn) {
  for (const Bytes& garbage : {Bytes{}, Bytes(3, 0), Bytes(100, 255), Bytes(5000, 7), ChunkHead(Digest{}, 0, 1)}) {
    Greet();
    disconnects_.clear();
    Turn({FrameReceived{TestTransport(91), garbage}});
    EXPECT_EQ(disconnects_.size(), 1U) << garbage.size();
  }
  Join();
  Say(TestInvite(1, 1));
  Work();
  EXPECT_EQ(Count<Offer>(), 1U);
}

TEST_F(Session, MessagesThatANodeSendsAreRefusedWhenItReceivesThem) {
  Greet();
  for (const Message& message : {Message(Hello{}), Message(Decline{plan_.id(), 1, Reason::kBusy}),
                                 Message(PlanVerdict{plan_.id(), true, Reason::kNone, chain_.hash()})}) {
    sent_.clear();
    Say(message);
    EXPECT_TRUE(Take<Refused>()) << KindName(message);
  }
  sent_.clear();
  Say(Later{7});
  EXPECT_TRUE(Take<Refused>());
}

TEST_F(Session, ASilentCoordinatorCountsAsLostAfterThreeHeartbeats) {
  Greet();
  sent_.clear();
  for (int beat = 1; beat <= 3; ++beat) {
    ASSERT_TRUE(wake_);
    elapsed_ = *wake_ - Instant(std::chrono::hours(1));
    Turn({});
    EXPECT_EQ(disconnects_.size(), beat == 3 ? 1U : 0U) << beat;
  }
  EXPECT_EQ(Count<Heartbeat>(), 2U);
  EXPECT_FALSE(wake_);
  EXPECT_FALSE(Ask("GET", "/v1/status")["connected"].AsBool(true));
}

TEST_F(Session, ACoordinatorThatBeatsIsNotLost) {
  Greet();
  for (int beat = 1; beat <= 10; ++beat) {
    elapsed_ = *wake_ - Instant(std::chrono::hours(1));
    Say(Heartbeat{});
  }
  EXPECT_TRUE(disconnects_.empty());
}

TEST_F(Session, APhaseIsToldWhenItChanges) {
  Join();
  const auto phase = [&] {
    const auto beat = Take<Heartbeat>();
    return beat ? std::optional(beat->phase) : std::nullopt;
  };
  Say(TestInvite(1, 1));
  EXPECT_EQ(phase(), Phase::kComputing);
  Work();
  const Digest root = Record().contribution.root;
  EXPECT_EQ(phase(), Phase::kOffering);
  Say(Receipt{plan_.id(), 1, root});
  EXPECT_EQ(phase(), Phase::kWaiting);
  SayRelease(1, 1);
  EXPECT_EQ(phase(), Phase::kIdle);
}

TEST_F(Session, AContributionThatIsReadyWhileTheLineIsDownIsOfferedWhenInvitedAgain) {
  Join();
  Say(TestInvite(1, 1));
  Turn({PeerLost{TestTransport(91), "closed"}});
  Work();
  EXPECT_EQ(Count<Offer>(), 0U) << "nobody would hear it";
  EXPECT_EQ(LedgerRows().size(), 2U);
  Greet();
  Say(TestInvite(1, 1));
  EXPECT_EQ(Count<Offer>(), 1U);
  EXPECT_EQ(workbench_.computed, 1);
}

TEST_F(Session, StoredBytesThatDoNotReadStopTheStartWithAMend) {
  Join();
  ASSERT_TRUE(storage_.Commit({PutState{"study", plan_.id().Hex(), {1, 2, 3}}}));
  ServiceOptions options{.identity = IdentityKey::FromSeed(Bytes(32, kSelf)),
                         .transport = TestTransport(kSelf + 100),
                         .server_key = TestTransport(91),
                         .roster_fingerprint = chain_.links().front().hash(),
                         .name = "hospital-b",
                         .build = "test",
                         .policy = {},
                         .stored = *storage_.Load(),
                         .storage = &storage_,
                         .blobs = &blobs_,
                         .workbench = &workbench_};
  const auto made = Service::Create(std::move(options), At());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kCorrupt);
  EXPECT_NE(made.error().what.find("backup"), std::string::npos);
}

}  // namespace
}  // namespace consilium::node
