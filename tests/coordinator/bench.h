// The coordinator's Service driven turn by turn: the test is the hospitals, the loop and the disk.
#pragma once

#include <gtest/gtest.h>

#include "common/plan/plan.h"
#include "common/privacy/encode.h"
#include "common/secagg/variant.h"
#include "common/turn/reply.h"
#include "common/wire/codec.h"
#include "coordinator/service.h"
#include "tests/memory.h"
#include "tests/roster/federation.h"

namespace consilium::coordinator {
// A histogram that is too large for one message, so that uploads are pulled.
inline constexpr const char* kPlan = R"([study]
name = "NAME"
purpose = "describe the cohort"
researcher = "researcher-1"
minimum_hospitals = 2
[data]
dataset = "heart"
schema = "schema.toml"
[describe]
columns = ["age"]
bins = BINS
[privacy]
mode = "none"
[aggregation]
profile = "visible"
)";
inline constexpr const char* kSchema = "[columns.age]\ntype = \"number\"\nminimum = 0\nmaximum = 120\n";

inline std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

inline Plan DescribePlan(const std::string& name, int bins) {
  const std::string text = Replaced(Replaced(kPlan, "NAME", name), "BINS", std::to_string(bins));
  auto plan = ParsePlanToml(text, "plan.toml", [](const std::string&) -> Result<std::string> { return kSchema; });
  EXPECT_TRUE(plan.has_value()) << plan.error().what;
  return *plan;
}

class Bench : public testing::Test {
 protected:
  Bench() : chain_(TestChain(3)) {
    std::vector<Write> writes = FoundingWrites(chain_.links().front(), "admin");
    for (const SignedRoster& link : chain_.links()) {
      const std::string seq = std::to_string(ParseRoster(link.roster)->seq);
      writes.emplace_back(PutState{"roster", std::string(20 - seq.size(), '0') + seq, Encode(link)});
    }
    EXPECT_TRUE(storage_.Commit(writes));
    Start();
  }

  void Start() {
    ServiceOptions options{.identity = IdentityKey::FromSeed(Bytes(32, 91)),
                           .server_key = TestTransport(91),
                           .endpoint = "tcp://127.0.0.1:7800",
                           .build = "test",
                           .stored = *storage_.Load(),
                           .storage = &storage_,
                           .blobs = &blobs_};
    auto made = Service::Create(std::move(options), Now{instant_, wall_ms_, boot_});
    ASSERT_TRUE(made.has_value()) << made.error().what;
    service_ = std::move(*made);
    Turn({});
  }

  void Turn(std::vector<Event> events) {
    TurnResult result = service_->Turn(std::move(events), Now{instant_, wall_ms_, boot_});
    for (const BlobWrite& write : result.blob_writes) ASSERT_TRUE(blobs_.Write(write));
    for (const Digest& root : result.blob_seals) ASSERT_TRUE(blobs_.Seal(root));
    ASSERT_TRUE(storage_.Commit(result.transaction));
    for (const Digest& root : result.blob_drops) ASSERT_TRUE(blobs_.Drop(root));
    for (const auto& send : result.sends) {
      const auto* frame = std::get_if<Send>(&send);
      if (frame == nullptr) continue;
      auto message = ReadFrame(frame->frame, TestIdentity(91).verify_key());
      ASSERT_TRUE(message.has_value()) << message.error().what;
      sent_[frame->to].push_back(std::move(*message));
    }
    for (Reply& reply : result.replies) replies_[reply.request] = std::move(reply);
    if (result.admit) admitted_ = *result.admit;
    for (const Disconnect& disconnect : result.disconnects) ++disconnects_[disconnect.peer];
    for (consilium::Run& run : result.runs) runs_.push_back(std::move(run));
    while (!runs_.empty()) {
      const consilium::Run run = std::move(runs_.back());
      runs_.pop_back();
      Turn({JobFinished{run.job, run.work()}});
    }
  }

  int Ask(const std::string& method, const std::string& path, const Value& body) {
    RequestReceived request;
    request.id = ++requests_;
    request.method = method;
    request.path = path;
    request.local = true;
    request.body = body;
    Turn({request});
    return replies_[request.id].status;
  }
  int Invite(const std::string& name, std::uint8_t token) {
    return Ask("POST", "/v1/invitations", Value().Set("name", name).Set("key", TestTransport(token).Hex()));
  }
  Bytes Enrolment(const std::string& name, std::uint8_t token, std::uint8_t identity, std::uint8_t transport,
                  std::uint8_t officer) const {
    Enroll enroll{.token = TestTransport(token),
                  .name = name,
                  .identity = TestIdentity(identity).verify_key(),
                  .transport = TestTransport(transport),
                  .officer = TestIdentity(officer).verify_key(),
                  .roster_fingerprint = chain_.links().front().hash(),
                  .membership = {}};
    const Bytes membership = MembershipBytes("heart study", name, enroll.identity, enroll.transport, enroll.officer);
    enroll.membership = SignMembership(membership, TestIdentity(identity)).signature;
    return EncodeFrame(enroll, TestIdentity(identity));
  }
  // Of the last message to a key; kNone when it is no refusal.
  Reason LastRefusal(const TransportKey& key) {
    const auto& messages = sent_[key];
    const auto* refused = messages.empty() ? nullptr : std::get_if<Refused>(&messages.back());
    return refused == nullptr ? Reason::kNone : refused->reason;
  }

  static TransportKey Peer(std::uint32_t number) { return TestTransport(static_cast<std::uint8_t>(number + 100)); }
  void Say(std::uint32_t number, const Message& message) {
    Turn({FrameReceived{Peer(number), EncodeFrame(message, TestIdentity(static_cast<std::uint8_t>(number)))}});
  }
  void Greet(std::uint32_t number) {
    Turn({PeerConnected{Peer(number)}});
    Say(number, Hello{.build = "test", .rosters = chain_.links().size(), .studies = {}, .ledger = {}});
  }
  StudyId Submit(const Plan& plan) {
    EXPECT_EQ(Ask("POST", "/v1/studies", Value().Set("plan", Base64(Canonical(plan)))), 200);
    return plan.id();
  }
  template <class M>
  std::optional<M> Last(std::uint32_t number, const StudyId& study) {
    for (auto at = sent_[Peer(number)].rbegin(); at != sent_[Peer(number)].rend(); ++at) {
      if (const auto* found = std::get_if<M>(&*at); found != nullptr && found->study == study) return *found;
    }
    return std::nullopt;
  }
  std::optional<Pull> LastPull(std::uint32_t number) {
    for (auto at = sent_[Peer(number)].rbegin(); at != sent_[Peer(number)].rend(); ++at) {
      if (const auto* found = std::get_if<Pull>(&*at)) return *found;
    }
    return std::nullopt;
  }
  // An honest answer to an invitation, with all patients in one bin.
  std::pair<Offer, Bytes> Answer(const consilium::Invite& invite) const {
    const Query query = *ParseQuery(invite.query.content);
    RawContribution raw;
    for (const Block& block : query.blocks) {
      if (block.name != kCountBlock) raw.blocks.emplace_back(block.length, block.role == Role::kPresent ? 1 : 0);
    }
    Bytes words = *Encode(query, raw, nullptr);
    const Digest context = PlainContext("heart study", invite.roster, invite.study, invite.round, invite.attempt,
                                        HashOf(query), invite.last_release, invite.cohort);
    return {Offer{invite.study, invite.attempt, context, Blob{BlobRoot(words), words.size(), BlobLeaves(words), {}}},
            words};
  }
  // The chunk that answers the last pull from a hospital.
  void Serve(std::uint32_t number, const Bytes& words) {
    const auto pull = LastPull(number);
    ASSERT_TRUE(pull.has_value());
    Bytes frame = ChunkHead(pull->root, pull->first, pull->count);
    frame.insert(frame.end(), words.begin(), words.end());
    Turn({FrameReceived{Peer(number), frame}});
  }

  RosterChain chain_;
  MemoryStorage storage_;
  MemoryBlobs blobs_;
  Instant instant_{std::chrono::hours(1)};
  std::int64_t wall_ms_ = 1'800'000'000'000;
  BootId boot_{{1}};
  std::unique_ptr<Service> service_;
  std::map<TransportKey, std::vector<Message>> sent_;
  std::map<TransportKey, int> disconnects_;
  std::set<PeerKey> admitted_;
  std::map<std::uint64_t, Reply> replies_;
  std::vector<consilium::Run> runs_;
  std::uint64_t requests_ = 0;
};

}  // namespace consilium::coordinator
