// A hospital's keys in wrong hands, over real sockets: whatever it sends costs it its own session and nobody else
// anything; connections that lead nowhere keep no hospital out.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <thread>

#include "common/secagg/variant.h"
#include "common/transport/connection.h"
#include "common/wire/codec.h"
#include "coordinator/daemon.h"
#include "hospital_node/config.h"
#include "tests/e2e/transfers.h"

namespace consilium::e2e {
namespace {

bool Contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Speaks for a hospital whose keys it holds. Dial begins a session of its own, over a new connection.
class Rogue {
 public:
  Rogue(const Federation& federation, int i)
      : config_(*node::LoadConfig(federation.node(i))), keys_(*node::LoadKeys(federation.node(i))) {}

  void Dial() {
    connection_.reset();
    heard_.clear();
    up_ = lost_ = false;
    auto started =
        Connection::Start({.endpoint = config_.endpoint, .key = &keys_.transport, .server_key = config_.server_key});
    ASSERT_TRUE(started.has_value()) << started.error().what;
    connection_ = std::move(*started);
    ASSERT_TRUE(Until([this] { return up_; }));
  }
  void Greet(std::vector<StudyMark> marks = {}) {
    Say(Hello{.build = "rogue", .rosters = 0, .studies = std::move(marks), .ledger = {}});
    ASSERT_TRUE(Until([this] { return Last<Welcome>().has_value() && roster_ != Digest{}; }));
  }
  void Say(const Message& message) { SayFrame(EncodeFrame(message, keys_.identity)); }
  void SayFrame(Bytes frame) { connection_->Transmit(Send{config_.server_key, std::move(frame)}); }
  bool Until(const std::function<bool()>& done) {
    return WaitUntil([&] {
      Listen(kMaxEventsPerTurn);
      return done();
    });
  }
  // `most` = 0: sends what waits, and reads nothing.
  void Listen(std::size_t most) {
    for (const Event& event : connection_->Receive(most, BootClock::now())) {
      up_ = up_ || std::holds_alternative<PeerConnected>(event);
      lost_ = lost_ || std::holds_alternative<PeerLost>(event);
      if (const auto* frame = std::get_if<FrameReceived>(&event)) Hear(frame->frame);
    }
  }
  // The newest of a kind in this session.
  template <class M>
  [[nodiscard]] std::optional<M> Last() const {
    for (auto at = heard_.rbegin(); at != heard_.rend(); ++at) {
      if (const auto* found = std::get_if<M>(&*at)) return *found;
    }
    return std::nullopt;
  }
  // Says it and waits for the refusal that answers it.
  std::optional<Refused> RefusalOf(const Message& message) {
    std::erase_if(heard_, [](const Message& m) { return std::holds_alternative<Refused>(m); });
    Say(message);
    EXPECT_TRUE(Until([this] { return Last<Refused>().has_value() || lost_; })) << KindName(message);
    return Last<Refused>();
  }
  [[nodiscard]] bool lost() const { return lost_; }
  [[nodiscard]] const Digest& roster() const { return roster_; }

 private:
  void Hear(const Bytes& frame) {
    if (IsChunk(frame)) return;
    const auto envelope = OpenEnvelope(frame);
    ASSERT_TRUE(envelope.has_value());
    auto message = ParsePayload(envelope->payload);
    ASSERT_TRUE(message.has_value()) << message.error().what;
    if (const auto* update = std::get_if<RosterUpdate>(&*message)) {
      for (const Blob& blob : update->rosters) roster_ = ParseSignedRoster(blob.content)->hash();
    }
    heard_.push_back(std::move(*message));
  }

  node::Config config_;
  node::Keys keys_;
  std::unique_ptr<Connection> connection_;
  std::vector<Message> heard_;
  Digest roster_;
  bool up_ = false, lost_ = false;
};

constexpr int kRogue = 2;  // hospital-c

StudyId IdOf(const std::string& study) { return *StudyId::FromHexText(study); }

bool Verdict(Federation& federation, const std::string& study, int i, const std::string& verdict) {
  return WaitUntil([&] {
    const Value state = federation.Study(study);
    const auto& hospitals = state["hospitals"].AsArray();
    return hospitals.size() > static_cast<std::size_t>(i) &&
           hospitals[static_cast<std::size_t>(i)]["verdict"].AsString() == verdict;
  });
}

// Right in all but its content.
Offer OfferOf(const Invite& invite, const std::string& federation, const Bytes& vector) {
  const Digest context = PlainContext(federation, invite.roster, invite.study, invite.round, invite.attempt,
                                      Blake2b(invite.query.content), invite.last_release, invite.cohort);
  return {invite.study, invite.attempt, context, Blob{BlobRoot(vector), vector.size(), BlobLeaves(vector), {}}};
}

Bytes ChunkFrame(const Digest& root, std::uint32_t first, std::uint32_t count, ByteView content) {
  Bytes frame = ChunkHead(root, first, count);
  frame.insert(frame.end(), content.begin(), content.end());
  return frame;
}

TEST(Rogue, ChunksThatWereNotPulledOrAreNotWhatTheyShouldBeCostItsSessionOnly) {
  const Founding founding{.hospitals = 3, .columns = 10};
  Federation federation(founding);
  federation.StartCoordinator();
  for (int i : {0, 1}) federation.StartNode(i);
  const auto plan = federation.WritePlan(NumbersPlan("chunks", founding, 50'000));  // 4 MB, 16 leaves.
  const std::string study = federation.CliJson({"study", "submit", plan})["study"].AsString();
  for (int i : {0, 1}) federation.Approve(i, study);

  Rogue rogue(federation, kRogue);
  rogue.Dial();
  rogue.Greet();
  rogue.Say(PlanVerdict{IdOf(study), true, Reason::kNone, rogue.roster()});
  ASSERT_TRUE(rogue.Until([&] { return rogue.Last<Invite>().has_value(); }));
  const Bytes vector(ParseQuery(rogue.Last<Invite>()->query.content)->WireBytes(), 7);
  ASSERT_EQ(BlobLeaves(vector).size(), 16U);

  const auto leaves = [&](const Pull& pull) {
    const std::size_t offset = pull.first * kLeafBytes;
    return ByteView(vector).subspan(offset, std::min(vector.size() - offset, pull.count * kLeafBytes));
  };
  struct Fault {
    const char* what;
    std::function<std::vector<Bytes>(const Pull&)> frames;
  };
  const std::vector<Fault> faults = {
      {"truncated",
       [&](const Pull& p) {
         return std::vector<Bytes>{ChunkFrame(p.root, p.first, p.count, leaves(p).first(leaves(p).size() - 1))};
       }},
      {"without content", [&](const Pull& p) { return std::vector<Bytes>{ChunkFrame(p.root, p.first, p.count, {})}; }},
      {"cut in its head",
       [&](const Pull& p) {
         Bytes frame = ChunkHead(p.root, p.first, p.count);
         frame.resize(frame.size() / 2);
         return std::vector<Bytes>{frame};
       }},
      {"a wrong leaf",
       [&](const Pull& p) {
         Bytes other = ToBytes(leaves(p));
         other.back() ^= 1;
         return std::vector<Bytes>{ChunkFrame(p.root, p.first, p.count, other)};
       }},
      {"repeated",
       [&](const Pull& p) {
         const Bytes frame = ChunkFrame(p.root, p.first, p.count, leaves(p));
         return std::vector<Bytes>{frame, frame};
       }},
      {"uncredited",
       [&](const Pull& p) {
         const Pull last{p.root, 15, 1};
         return std::vector<Bytes>{ChunkFrame(p.root, 15, 1, leaves(last))};
       }},
      {"of a blob that nobody offered",
       [&](const Pull& p) { return std::vector<Bytes>{ChunkFrame(BlobRoot(Bytes(3)), p.first, p.count, leaves(p))}; }},
  };
  const Invite first = *rogue.Last<Invite>();
  for (const Fault& fault : faults) {
    rogue.Dial();
    rogue.Greet({{IdOf(study), 0, {}}});
    ASSERT_TRUE(rogue.Until([&] { return rogue.Last<Invite>().has_value(); })) << fault.what;
    EXPECT_EQ(rogue.Last<Invite>()->attempt, first.attempt) << fault.what;
    rogue.Say(OfferOf(*rogue.Last<Invite>(), rogue.Last<Welcome>()->federation, vector));
    ASSERT_TRUE(rogue.Until([&] { return rogue.Last<Pull>().has_value() || rogue.Last<Refused>().has_value(); }));
    ASSERT_TRUE(rogue.Last<Pull>().has_value()) << fault.what << ": " << Name(rogue.Last<Refused>()->reason);
    for (Bytes& frame : fault.frames(*rogue.Last<Pull>())) rogue.SayFrame(std::move(frame));
    ASSERT_TRUE(rogue.Until([&] { return rogue.lost(); })) << fault.what;
    ASSERT_TRUE(rogue.Last<Refused>().has_value()) << fault.what;
    EXPECT_EQ(rogue.Last<Refused>()->reason, Reason::kMalformed) << fault.what;
  }
  rogue.Dial();
  rogue.Greet({{IdOf(study), 0, {}}});
  rogue.Say(Decline{IdOf(study), first.attempt, Reason::kFailedHere});  // Ends the attempt.
  EXPECT_TRUE(rogue.Until([&] { return rogue.Last<Abandon>().has_value(); }));

  federation.StartNode(kRogue);  // The hospital itself, under the same keys.
  federation.Approve(kRogue, study);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  federation.ExpectOneAnswerPerRound(study);
  bool refused = false;
  for (const Value& row : federation.CoordinatorAudit())
    refused = refused || (row["event"].AsString() == "refused_peer" && row["reason"].AsString() == "malformed");
  EXPECT_TRUE(refused);
  for (int i : {0, 1})
    EXPECT_FALSE(Contains(ReadText(federation.root() / (Federation::Name(i) + ".log")), "disconnected"));
}

TEST(Rogue, WhatIsOutOfPlaceIsRefusedWithItsReason) {
  Federation federation;
  federation.StartCoordinator();
  for (int i : {0, 1}) federation.StartNode(i);
  const std::string study = federation.Submit({.rounds = 2, .minimum_hospitals = 2});
  Rogue rogue(federation, kRogue);

  rogue.Dial();
  ASSERT_TRUE(rogue.RefusalOf(Decline{IdOf(study), 1, Reason::kBusy}).has_value());
  EXPECT_EQ(rogue.Last<Refused>()->reason, Reason::kWrongState) << "before the greeting";
  rogue.Greet();

  for (std::uint16_t kind : {9, 10, 11, 12, 13, 14, 18, 19, 20, 21}) {  // Advert to UnmaskShares.
    const auto refused = rogue.RefusalOf(Later{kind});
    ASSERT_TRUE(refused.has_value()) << kind;
    EXPECT_EQ(refused->reason, Reason::kWrongState) << "of the secure profile's phases: " << kind;
  }
  const Message from_coordinators[] = {Welcome{}, Receipt{IdOf(study), 1, {}}, StudyState{IdOf(study)}};
  for (const Message& message : from_coordinators) {
    const auto refused = rogue.RefusalOf(message);
    ASSERT_TRUE(refused.has_value());
    EXPECT_EQ(refused->reason, Reason::kWrongState) << KindName(message);
  }
  StudyId other = IdOf(study);
  other.bytes[0] ^= 1;
  const Message of_another[] = {PlanVerdict{other, true, Reason::kNone, rogue.roster()},
                                Offer{other, 1, {}, InlineBlob(Bytes(8))}, Decline{other, 1, Reason::kBusy},
                                Abandon{other, 1, Reason::kFailedHere}};
  for (const Message& message : of_another) {
    const auto refused = rogue.RefusalOf(message);
    ASSERT_TRUE(refused.has_value());
    EXPECT_EQ(refused->reason, Reason::kUnknownStudy) << KindName(message);
    EXPECT_EQ(refused->study, other) << KindName(message);
  }
  // An upload before there is an attempt, and of one that is far ahead.
  for (std::uint32_t attempt : {1U, 99U}) {
    rogue.Say(Offer{IdOf(study), attempt, {}, InlineBlob(Bytes(8))});
    EXPECT_TRUE(rogue.Until([&] { return rogue.Last<Abandon>() && rogue.Last<Abandon>()->attempt == attempt; }));
  }
  EXPECT_FALSE(rogue.lost()) << "all that within one session";

  const auto refused = rogue.RefusalOf(
      Hello{.version_low = 2, .version_high = 9, .build = "future", .rosters = 0, .studies = {}, .ledger = {}});
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->reason, Reason::kVersion);
  ASSERT_TRUE(rogue.Until([&] { return rogue.lost(); }));
  rogue.Dial();
  rogue.Say(Hello{.version_low = 1, .version_high = 9, .build = "future", .rosters = 0, .studies = {}, .ledger = {}});
  ASSERT_TRUE(rogue.Until([&] { return rogue.Last<Welcome>().has_value(); }));
  EXPECT_EQ(rogue.Last<Welcome>()->version, kVersionHigh) << "a version that both speak";
  rogue.Say(PlanVerdict{IdOf(study), false, Reason::kRejected, rogue.roster()});
  ASSERT_TRUE(Verdict(federation, study, kRogue, "rejected"));

  for (int i : {0, 1}) federation.Approve(i, study);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  EXPECT_TRUE(federation.coordinator_process().Running());
}

// Says nothing that is its own to say: signed by another key, in another hospital's name, in an earlier attempt's
// place.
TEST(Rogue, WhatIsForgedOrReplayedIsRefused) {
  Federation federation;
  federation.StartCoordinator();
  for (int i : {0, 1}) federation.StartNode(i);
  const std::string study = federation.Submit({.rounds = 2});
  for (int i : {0, 1}) federation.Approve(i, study);
  Rogue rogue(federation, kRogue);
  const Hello hello{.build = "rogue", .rosters = 0, .studies = {}, .ledger = {}};
  const node::Keys others = *node::LoadKeys(federation.node(0));
  Bytes changed = EncodeFrame(hello, node::LoadKeys(federation.node(kRogue))->identity);
  changed[changed.size() - 9] ^= 1;  // In its signature.
  for (Bytes frame : {changed, EncodeFrame(hello, IdentityKey::Generate()), EncodeFrame(hello, others.identity)}) {
    rogue.Dial();
    rogue.SayFrame(std::move(frame));
    ASSERT_TRUE(rogue.Until([&] { return rogue.lost(); }));
    ASSERT_TRUE(rogue.Last<Refused>().has_value());
    EXPECT_EQ(rogue.Last<Refused>()->reason, Reason::kBadSignature);
    EXPECT_FALSE(rogue.Last<Welcome>().has_value());
  }

  rogue.Dial();
  rogue.Greet();
  rogue.Say(PlanVerdict{IdOf(study), true, Reason::kNone, rogue.roster()});
  ASSERT_TRUE(rogue.Until([&] { return rogue.Last<Invite>().has_value(); }));
  const Invite first = *rogue.Last<Invite>();
  const Bytes vector(ParseQuery(first.query.content)->WireBytes());
  Offer offer = OfferOf(first, rogue.Last<Welcome>()->federation, vector);
  offer.vector = InlineBlob(vector);
  rogue.Say(Decline{IdOf(study), first.attempt, Reason::kFailedHere});
  ASSERT_TRUE(rogue.Until([&] { return rogue.Last<Invite>()->attempt > first.attempt; })) << "all three are needed";
  const std::uint32_t attempt = rogue.Last<Invite>()->attempt;
  rogue.Say(offer);  // As it would have been right before.
  ASSERT_TRUE(rogue.Until([&] { return rogue.Last<Abandon>() && rogue.Last<Abandon>()->attempt == first.attempt; }));
  offer.attempt = attempt;  // Under the new number, and the old context.
  const auto refused = rogue.RefusalOf(offer);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->reason, Reason::kContext);
  EXPECT_FALSE(rogue.Last<Receipt>().has_value());
  EXPECT_FALSE(rogue.lost());

  rogue.Say(Decline{IdOf(study), attempt, Reason::kFailedHere});
  EXPECT_TRUE(rogue.Until([&] { return rogue.Last<Abandon>()->attempt == attempt; }));

  federation.StartNode(kRogue);  // The hospital itself, under the same keys.
  federation.Approve(kRogue, study);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  federation.ExpectOneAnswerPerRound(study);
  std::set<std::string> audited;
  for (const Value& row : federation.CoordinatorAudit()) audited.insert(row["event"].AsString());
  EXPECT_TRUE(audited.contains("refused_peer") && audited.contains("offer_refused"));
}

// It pulls a large plan again and again and reads none of it.
TEST(Rogue, APeerThatNeverReadsCostsTheCoordinatorNoMemoryAndSlowsNobody) {
  constexpr double kMost = 64;  // MiB; the pulls below are for 100 of them.
  const Founding founding{.hospitals = 3, .columns = 500};
  LargeFederation federation(founding);
  federation.StartCoordinator();
  for (int i : {0, 1}) federation.StartNode(i);
  const auto plan = federation.WriteLargePlan("never reads", 2);
  const std::string study = federation.CliJson({"study", "submit", plan})["study"].AsString();
  Rogue rogue(federation, kRogue);
  rogue.Dial();
  rogue.Greet();
  ASSERT_TRUE(rogue.Until([&] { return rogue.Last<PlanOffer>().has_value(); }));
  const Blob offered = rogue.Last<PlanOffer>()->plan;
  ASSERT_FALSE(offered.leaves.empty()) << "it is to be pulled";
  const auto leaves = static_cast<std::uint32_t>(std::min<std::size_t>(offered.leaves.size(), kMaxChunkLeaves));
  rogue.Say(PlanVerdict{IdOf(study), false, Reason::kRejected, rogue.roster()});
  ASSERT_TRUE(Verdict(federation, study, kRogue, "rejected"));
  ASSERT_TRUE(federation.WaitOnline(kRogue));
  const double before = federation.PeakMiB();
  const auto pulls = (std::uint64_t{100} << 20) / offered.bytes;
  for (std::uint64_t i = 0; i < pulls && !rogue.lost(); ++i) {
    rogue.Say(Pull{offered.root, 0, leaves});
    rogue.Listen(0);
    if (i % 16 == 15) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // Its own queue is bounded, too.
  }
  for (int i : {0, 1}) federation.Approve(i, study);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  EXPECT_TRUE(federation.WaitOnline(kRogue, false)) << "who does not read loses its session";
  EXPECT_LT(federation.PeakMiB() - before, kMost);
  for (int i : {0, 1})
    EXPECT_FALSE(Contains(ReadText(federation.root() / (Federation::Name(i) + ".log")), "disconnected"));
}

// Silent ones, ones that stop after ZMTP's greeting, and ones that stop in CURVE's first command; on HTTP's port, ones
// that stop in the first line.
TEST(HalfOpen, AHundredConnectionsOnEachPortKeepNoHospitalOut) {
  Federation federation;
  federation.StartCoordinator();
  const auto endpoints = coordinator::ReadEndpoints(federation.coordinator());
  ASSERT_TRUE(endpoints.has_value());
  const std::string greeting(
      "\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
      "\0\0\0\0\0\0\0\0",
      64);
  const std::vector<std::string> beginnings = {"", greeting, greeting + std::string("\4\xc8\5HELLO\1\0", 10)};
  std::vector<int> half;
  for (const std::string& address : {endpoints->hospitals, endpoints->http}) {
    for (std::size_t i = 0; i < 100; ++i) {
      const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
      ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
      const std::string bytes = address == endpoints->http ? "GET /v1" : beginnings[i % 3];
      send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      half.push_back(fd);
    }
  }
  for (int i = 0; i < kHospitals; ++i) federation.LaunchNode(i);
  ASSERT_TRUE(federation.WaitAllOnline());
  const std::string study = federation.Submit({.rounds = 3});
  federation.ApproveAll(study);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  // None of the first hundred is kept: the handshake has an end.
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_TRUE(WaitUntil([&] {
      char rest[512];
      const ssize_t got = recv(half[i], rest, sizeof rest, MSG_DONTWAIT);
      return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
    })) << i;
  }
  for (const int fd : half) close(fd);
  federation.ExpectOneAnswerPerRound(study);
}

}  // namespace
}  // namespace consilium::e2e
