// A blob arrives whole and exact whatever is lost, doubled or cut on the way, and never more is in flight than the
// windows allow; whoever sends what was not pulled, or wrong bytes, is found out.
#include "common/transfer/transfer.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <deque>

namespace consilium {
namespace {

PeerKey Peer(std::uint8_t number) {
  PeerKey key;
  key.bytes[0] = number;
  return key;
}

struct Source {
  Bytes content;
  Blob blob;
};
Source MakeSource(std::size_t bytes, std::uint8_t seed) {
  Source source{.content = Bytes(bytes), .blob = {}};
  for (std::size_t i = 0; i < bytes; i += 97) source.content[i] = static_cast<std::uint8_t>(seed + i / 97);
  source.blob = {.root = BlobRoot(source.content), .bytes = bytes, .leaves = BlobLeaves(source.content), .content = {}};
  return source;
}

Chunk ChunkOf(const Source& source, const Pull& pull) {
  const std::size_t offset = pull.first * kLeafBytes;
  const std::size_t length = std::min(source.content.size() - offset, pull.count * kLeafBytes);
  const auto from = source.content.begin() + static_cast<std::ptrdiff_t>(offset);
  return {pull.root, pull.first, pull.count, Bytes(from, from + static_cast<std::ptrdiff_t>(length))};
}

TEST(Inbox, RefusesAnotherSizeUnderARootThatIsOnItsWay) {
  const Source source = MakeSource(3 * kLeafBytes + 7, 1);
  Inbox inbox;
  EXPECT_TRUE(inbox.Start(Peer(1), source.blob));
  Blob lie = source.blob;
  lie.bytes -= 1;
  EXPECT_FALSE(inbox.Start(Peer(2), lie));
  EXPECT_TRUE(inbox.Start(Peer(2), source.blob)) << "the same blob from two peers is welcome";
  for (const PullFrom& pull : inbox.TakePulls()) {
    EXPECT_TRUE(inbox.OnChunk(pull.peer, ChunkOf(source, pull.pull)).has_value());
  }
}

TEST(Inbox, PullsWhatTheWindowAllowsAndEndsWithAShorterLeaf) {
  const Source source = MakeSource(18 * kLeafBytes + 7, 1);
  Inbox inbox;
  inbox.Start(Peer(1), source.blob);
  EXPECT_TRUE(inbox.Has(source.blob.root));
  std::deque<PullFrom> pulls;
  for (auto& pull : inbox.TakePulls()) pulls.push_back(pull);
  ASSERT_EQ(pulls.size(), kPeerWindow);
  EXPECT_TRUE(inbox.TakePulls().empty()) << "the window is full";
  Bytes stored(source.content.size());
  bool complete = false;
  while (!pulls.empty()) {
    EXPECT_FALSE(complete);
    auto taken = inbox.OnChunk(Peer(1), ChunkOf(source, pulls.front().pull));
    pulls.pop_front();
    ASSERT_TRUE(taken.has_value()) << taken.error().what;
    std::ranges::copy(taken->write.bytes, stored.begin() + static_cast<std::ptrdiff_t>(taken->write.offset));
    EXPECT_EQ(taken->write.total, stored.size());
    complete = taken->complete;
    for (auto& pull : inbox.TakePulls()) pulls.push_back(pull);
    EXPECT_EQ(inbox.ProgressOf(source.blob.root).done > 0, !complete);
  }
  EXPECT_TRUE(complete);
  EXPECT_EQ(stored, source.content);
  EXPECT_FALSE(inbox.Has(source.blob.root));
}

TEST(Inbox, IsFairBetweenPeersAndKeepsTheTotalWindow) {
  std::vector<Source> sources;
  Inbox inbox;
  for (std::uint8_t p = 1; p <= 6; ++p) {
    sources.push_back(MakeSource(40 * kLeafBytes, p));
    inbox.Start(Peer(p), sources.back().blob);
  }
  std::map<PeerKey, std::size_t> pulls;
  const auto first = inbox.TakePulls();
  for (const auto& pull : first) ++pulls[pull.peer];
  EXPECT_EQ(first.size(), kTotalWindow);
  for (std::uint8_t p = 1; p <= 6; ++p) EXPECT_GE(pulls[Peer(p)], 1U) << int{p};
  // One place becomes free: it goes to a peer after the one that was served last, not to the first again.
  const auto& landed = first.front();
  ASSERT_TRUE(inbox.OnChunk(landed.peer, ChunkOf(sources[landed.peer.bytes[0] - 1], landed.pull)).has_value());
  const auto next = inbox.TakePulls();
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].peer, Peer(3)) << "eight pulls of six peers end with the second";
}

TEST(Inbox, PeersThatStandStillWithTheWholeWindowStopNobody) {
  std::vector<Source> sources;
  Inbox inbox;
  for (std::uint8_t p = 1; p <= 5; ++p) sources.push_back(MakeSource(40 * kLeafBytes, p));
  for (std::uint8_t p = 1; p <= 4; ++p) inbox.Start(Peer(p), sources[p - 1U].blob);
  ASSERT_EQ(inbox.TakePulls().size(), kTotalWindow);
  const Source& source = sources.back();
  inbox.Start(Peer(5), source.blob);
  bool complete = false;
  for (std::uint32_t leaf = 0; leaf < 40; ++leaf) {
    const auto pulls = inbox.TakePulls();
    ASSERT_EQ(pulls.size(), 1U) << "one leaf at a time, and nothing more of the others";
    EXPECT_EQ(pulls[0].peer, Peer(5));
    EXPECT_EQ(pulls[0].pull.count, 1U);
    complete = inbox.OnChunk(Peer(5), ChunkOf(source, pulls[0].pull)).value().complete;
  }
  EXPECT_TRUE(complete);
  EXPECT_TRUE(inbox.TakePulls().empty());
}

TEST(Inbox, UncreditedUnknownAndWrongChunksAreProtocolErrors) {
  const Source source = MakeSource(6 * kLeafBytes, 1);
  Inbox inbox;
  EXPECT_EQ(inbox.OnChunk(Peer(1), ChunkOf(source, {source.blob.root, 0, 4})).error().code, Code::kProtocol);
  inbox.Start(Peer(1), source.blob);
  EXPECT_EQ(inbox.OnChunk(Peer(1), ChunkOf(source, {source.blob.root, 0, 4})).error().code, Code::kProtocol);
  EXPECT_TRUE(inbox.TakePulls().empty()) << "nothing is asked of a peer that broke the protocol until it is back";
  inbox.OnPeerConnected(Peer(1));
  const auto pulls = inbox.TakePulls();
  ASSERT_EQ(pulls.size(), 2U);
  EXPECT_EQ(inbox.OnChunk(Peer(2), ChunkOf(source, pulls[0].pull)).error().code, Code::kProtocol) << "another peer's";
  Chunk wrong = ChunkOf(source, pulls[0].pull);
  wrong.content.back() ^= 1;
  EXPECT_EQ(inbox.OnChunk(Peer(1), wrong).error().code, Code::kProtocol);
  inbox.OnPeerConnected(Peer(1));
  ASSERT_EQ(inbox.TakePulls().size(), 2U);
  Chunk cut = ChunkOf(source, pulls[0].pull);
  cut.content.pop_back();
  EXPECT_EQ(inbox.OnChunk(Peer(1), cut).error().code, Code::kProtocol);
  inbox.OnPeerConnected(Peer(1));
  ASSERT_EQ(inbox.TakePulls().size(), 2U);
  ASSERT_TRUE(inbox.OnChunk(Peer(1), ChunkOf(source, pulls[0].pull)).has_value());
  EXPECT_EQ(inbox.OnChunk(Peer(1), ChunkOf(source, pulls[0].pull)).error().code, Code::kProtocol) << "twice";
}

TEST(Inbox, TruncatedAndRepeatedChunksAreProtocolErrors) {
  const Source source = MakeSource(6 * kLeafBytes, 1);
  Inbox inbox;
  inbox.Start(Peer(1), source.blob);
  auto pulls = inbox.TakePulls();
  ASSERT_FALSE(pulls.empty());
  for (const std::size_t length : {std::size_t{0}, kLeafBytes, 4 * kLeafBytes - 1}) {
    Chunk truncated = ChunkOf(source, pulls[0].pull);
    ASSERT_EQ(truncated.content.size(), 4 * kLeafBytes);
    truncated.content.resize(length);
    EXPECT_EQ(inbox.OnChunk(Peer(1), truncated).error().code, Code::kProtocol) << length;
    inbox.OnPeerConnected(Peer(1));
    pulls = inbox.TakePulls();
    ASSERT_FALSE(pulls.empty());
  }
  EXPECT_TRUE(inbox.OnChunk(Peer(1), ChunkOf(source, pulls[0].pull)).has_value());
  EXPECT_EQ(inbox.OnChunk(Peer(1), ChunkOf(source, pulls[0].pull)).error().code, Code::kProtocol) << "repeated";
}

TEST(Inbox, AfterALossOnlyMissingLeavesAreAskedAgain) {
  const Source source = MakeSource(12 * kLeafBytes, 1);
  Inbox inbox;
  inbox.Start(Peer(1), source.blob);
  const auto pulls = inbox.TakePulls();
  ASSERT_EQ(pulls.size(), 3U);
  ASSERT_TRUE(inbox.OnChunk(Peer(1), ChunkOf(source, pulls[1].pull)).has_value());
  inbox.OnPeerLost(Peer(1));
  EXPECT_TRUE(inbox.TakePulls().empty());
  EXPECT_EQ(inbox.ProgressOf(source.blob.root).done, 4 * kLeafBytes);
  inbox.OnPeerConnected(Peer(1));
  std::set<std::uint32_t> asked;
  for (const auto& pull : inbox.TakePulls()) {
    for (std::uint32_t i = 0; i < pull.pull.count; ++i) asked.insert(pull.pull.first + i);
  }
  EXPECT_EQ(asked, (std::set<std::uint32_t>{0, 1, 2, 3, 8, 9, 10, 11}));
}

TEST(Inbox, WhatWasPulledBeforeACancelMayStillArrive) {
  const Source source = MakeSource(3 * kLeafBytes, 1);
  Inbox inbox;
  inbox.Start(Peer(1), source.blob);
  const auto pulls = inbox.TakePulls();
  ASSERT_EQ(pulls.size(), 1U);
  inbox.Cancel(source.blob.root);
  EXPECT_FALSE(inbox.Has(source.blob.root));
  auto late = inbox.OnChunk(Peer(1), ChunkOf(source, pulls[0].pull));
  ASSERT_TRUE(late.has_value());
  EXPECT_TRUE(late->write.bytes.empty());
  EXPECT_FALSE(late->complete);
  EXPECT_FALSE(inbox.OnChunk(Peer(1), ChunkOf(source, pulls[0].pull)).has_value()) << "but once";
}

TEST(Outbox, ServesWhatWasOfferedToWhomItWas) {
  const Source source = MakeSource(5 * kLeafBytes + 1, 1);
  const Digest root = source.blob.root;
  Outbox outbox;
  outbox.Serve(root, source.blob.bytes, Peer(1));
  auto chunk = outbox.OnPull(Peer(1), {root, 4, 2});
  ASSERT_TRUE(chunk.has_value());
  EXPECT_EQ(chunk->offset, 4 * kLeafBytes);
  EXPECT_EQ(chunk->length, kLeafBytes + 1);
  EXPECT_EQ(chunk->head, ChunkHead(root, 4, 2));
  EXPECT_EQ(chunk->to, Peer(1));
  EXPECT_EQ(outbox.PulledBytes(root, Peer(1)), source.blob.bytes);
  outbox.Serve(root, source.blob.bytes, Peer(1));
  EXPECT_EQ(outbox.PulledBytes(root, Peer(1)), source.blob.bytes) << "serving again forgets nothing";
  EXPECT_EQ(outbox.PulledBytes(root, Peer(2)), 0U);
  EXPECT_EQ(outbox.OnPull(Peer(2), {root, 0, 1}).error().code, Code::kProtocol);
  EXPECT_EQ(outbox.OnPull(Peer(1), {Digest{}, 0, 1}).error().code, Code::kProtocol);
  for (const Pull& bad :
       {Pull{root, 5, 2}, Pull{root, 6, 1}, Pull{root, 0, 0}, Pull{root, 0, 5}, Pull{root, UINT32_MAX, 4}}) {
    EXPECT_EQ(outbox.OnPull(Peer(1), bad).error().code, Code::kProtocol);
  }
  outbox.Stop(root);
  EXPECT_EQ(outbox.OnPull(Peer(1), {root, 0, 1}).error().code, Code::kNotFound) << "the pull crossed with the stop";
  EXPECT_EQ(outbox.OnPull(Peer(2), {root, 0, 1}).error().code, Code::kProtocol);
}

// Several peers behind connections that are cut and come back, in any order; two of them may offer one blob.
class Network {
 public:
  static constexpr std::uint8_t kPeers = 6;

  Network() {
    for (std::uint8_t p = 0; p < kPeers; ++p) {
      sources_[p] = MakeSource(*rc::gen::inRange<std::size_t>(kInlineBlob + 1, 9 * kLeafBytes), p < 2 ? 1 : p);
    }
    if (*rc::gen::arbitrary<bool>()) sources_[1] = sources_[0];
    for (std::uint8_t p = 0; p < kPeers; ++p) Connect(p);
  }

  void Step() {
    const auto p = *rc::gen::inRange<std::uint8_t>(0, kPeers);
    switch (*rc::gen::inRange(0, 8)) {
      case 0:
        Cut(p);
        break;
      case 1:
        Connect(p);  // Also without a loss before: a reconnection that was quicker than its notice.
        break;
      case 2:
        if (up_.contains(p) && !done_.contains(sources_[p].blob.root)) inbox_.Start(Peer(p), sources_[p].blob);
        break;
      default:
        Deliver(p);
    }
    Pull();
  }

  // Without further faults everything arrives.
  void Settle() {
    for (std::uint8_t p = 0; p < kPeers; ++p) Connect(p);
    for (int turn = 0; turn < 1000 && done_.size() < Roots(); ++turn) {
      Pull();
      for (std::uint8_t p = 0; p < kPeers; ++p) Deliver(p);
    }
    RC_ASSERT(done_.size() == Roots());
    for (const Source& source : sources_) RC_ASSERT(stored_[source.blob.root] == source.content);
  }

 private:
  std::size_t Roots() const {
    std::set<Digest> roots;
    for (const Source& source : sources_) roots.insert(source.blob.root);
    return roots.size();
  }
  void Connect(std::uint8_t p) {
    lines_[p].clear();
    up_.insert(p);
    inbox_.OnPeerConnected(Peer(p));
    if (!done_.contains(sources_[p].blob.root)) inbox_.Start(Peer(p), sources_[p].blob);
    outbox_[p].Serve(sources_[p].blob.root, sources_[p].blob.bytes, Peer(99));
  }
  void Cut(std::uint8_t p) {
    lines_[p].clear();
    up_.erase(p);
    inbox_.OnPeerLost(Peer(p));
  }
  void Pull() {
    for (const PullFrom& pull : inbox_.TakePulls()) {
      const auto p = pull.peer.bytes[0];
      RC_ASSERT(up_.contains(p));
      for (std::uint32_t i = 0; i < pull.pull.count; ++i) {
        RC_ASSERT(!confirmed_.contains({pull.pull.root, pull.pull.first + i}));
      }
      lines_[p].push_back(pull.pull);
    }
    std::size_t total = 0;
    for (const auto& [p, line] : lines_) {
      RC_ASSERT(line.size() <= kPeerWindow);
      total += line.size();
    }
    RC_ASSERT(total <= kTotalWindow + kPeers);  // A leaf for each that had nothing in flight.
  }
  void Deliver(std::uint8_t p) {
    if (lines_[p].empty()) return;
    const auto pull = lines_[p].front();
    lines_[p].pop_front();
    auto chunk = outbox_[p].OnPull(Peer(99), pull);
    RC_ASSERT(chunk.has_value());
    auto taken = inbox_.OnChunk(Peer(p), ChunkOf(sources_[p], pull));
    RC_ASSERT(taken.has_value());
    RC_ASSERT(taken->write.offset == chunk->offset && taken->write.bytes.size() == chunk->length);
    for (std::uint32_t i = 0; i < pull.count; ++i) RC_ASSERT(confirmed_.insert({pull.root, pull.first + i}).second);
    Bytes& stored = stored_[pull.root];
    stored.resize(taken->write.total);
    std::ranges::copy(taken->write.bytes, stored.begin() + static_cast<std::ptrdiff_t>(taken->write.offset));
    const bool once = !taken->complete || done_.insert(pull.root).second;
    RC_ASSERT(once);
  }

  Inbox inbox_;
  std::array<Source, kPeers> sources_;
  std::map<std::uint8_t, Outbox> outbox_;
  std::map<std::uint8_t, std::deque<struct Pull>> lines_;
  std::set<std::uint8_t> up_;
  std::set<std::pair<Digest, std::uint32_t>> confirmed_;
  std::map<Digest, Bytes> stored_;
  std::set<Digest> done_;
};

TEST(Transfer, EveryBlobArrivesOnceAndExactlyWhateverHappens) {
  EXPECT_TRUE(rc::check([] {
    Network network;
    const int steps = *rc::gen::inRange(0, 200);
    for (int i = 0; i < steps; ++i) network.Step();
    network.Settle();
  }));
}

}  // namespace
}  // namespace consilium
