#include "common/transfer/transfer.h"

#include "common/base/check.h"

namespace consilium {
namespace {

std::uint64_t LeavesOf(std::uint64_t bytes) { return (bytes + kLeafBytes - 1) / kLeafBytes; }

// Leaves [first, first + count) of a blob, in bytes.
struct Extent {
  std::uint64_t offset, length;
};
Extent ExtentOf(std::uint64_t bytes, std::uint32_t first, std::uint32_t count) {
  const std::uint64_t offset = std::uint64_t{first} * kLeafBytes;
  return {offset, std::min(bytes, offset + std::uint64_t{count} * kLeafBytes) - offset};
}

}  // namespace

// ---- Inbox ----

Status Inbox::Start(const PeerKey& peer, const Blob& blob) {
  CHECK(blob.bytes > kInlineBlob && blob.leaves.size() == LeavesOf(blob.bytes));
  auto [at, fresh] = transfers_.try_emplace(blob.root);
  Transfer& transfer = at->second;
  if (fresh) {
    transfer.blob = blob;
    transfer.confirmed.resize(blob.leaves.size());
  } else if (transfer.blob.bytes != blob.bytes) {
    return Fail(Code::kProtocol, "a blob was offered under the root of another one");
  }
  connected_.insert(peer);
  transfer.peers.insert(peer);
  return {};
}

void Inbox::Cancel(const Digest& root) {
  const auto at = transfers_.find(root);
  if (at == transfers_.end()) return;
  for (const auto& [first, flight] : at->second.flying) cancelled_.emplace(flight.first, root, first, flight.second);
  transfers_.erase(at);
}

Result<Inbox::Taken> Inbox::OnChunk(const PeerKey& peer, Chunk chunk) {
  const auto at = transfers_.find(chunk.root);
  if (at != transfers_.end()) {
    const auto flight = at->second.flying.find(chunk.first);
    if (flight != at->second.flying.end() && flight->second == std::pair(peer, chunk.count)) {
      return Take(at->second, peer, std::move(chunk));
    }
  }
  const auto credit = cancelled_.find({peer, chunk.root, chunk.first, chunk.count});
  if (credit == cancelled_.end()) {
    OnPeerLost(peer);
    return Fail(Code::kProtocol, "a chunk came that was not pulled");
  }
  cancelled_.erase(credit);
  Landed(peer);
  return Taken{};
}

Result<Inbox::Taken> Inbox::Take(Transfer& transfer, const PeerKey& peer, Chunk chunk) {
  const Blob& blob = transfer.blob;
  const Extent extent = ExtentOf(blob.bytes, chunk.first, chunk.count);
  const auto content = [&](std::uint32_t leaf) {
    const std::size_t start = leaf * kLeafBytes;
    return ByteView(chunk.content).subspan(start, std::min(kLeafBytes, chunk.content.size() - start));
  };
  bool good = chunk.content.size() == extent.length;
  for (std::uint32_t leaf = 0; good && leaf < chunk.count; ++leaf) {
    good = MerkleLeaf(content(leaf)) == blob.leaves[chunk.first + leaf];
  }
  if (!good) {
    OnPeerLost(peer);
    return Fail(Code::kProtocol, "a chunk's leaf does not match its hash");
  }
  transfer.flying.erase(chunk.first);
  Landed(peer);
  for (std::uint32_t leaf = 0; leaf < chunk.count; ++leaf) transfer.confirmed[chunk.first + leaf] = true;
  transfer.confirmed_leaves += chunk.count;
  Taken taken{
      .write = {.root = blob.root, .total = blob.bytes, .offset = extent.offset, .bytes = std::move(chunk.content)},
      .complete = transfer.confirmed_leaves == blob.leaves.size()};
  if (taken.complete) transfers_.erase(taken.write.root);
  return taken;
}

void Inbox::OnPeerLost(const PeerKey& peer) {
  connected_.erase(peer);
  for (auto& [root, transfer] : transfers_) {
    if (std::erase_if(transfer.flying, [&](const auto& flight) { return flight.second.first == peer; }) > 0) {
      transfer.frontier = 0;
    }
  }
  std::erase_if(cancelled_, [&](const Credit& credit) { return std::get<0>(credit) == peer; });
  const auto flights = in_flight_.find(peer);
  if (flights == in_flight_.end()) return;
  total_in_flight_ -= flights->second;
  in_flight_.erase(flights);
}

void Inbox::OnPeerConnected(const PeerKey& peer) {
  OnPeerLost(peer);  // A new connection answers no pull of the one before.
  connected_.insert(peer);
}

void Inbox::Landed(const PeerKey& peer) {
  const auto flights = in_flight_.find(peer);
  CHECK(flights != in_flight_.end() && flights->second > 0 && total_in_flight_ > 0);
  if (--flights->second == 0) in_flight_.erase(flights);
  --total_in_flight_;
}

// The first leaves that are missing and unasked, of any transfer that this peer can serve.
std::optional<Pull> Inbox::NextPull(const PeerKey& peer, std::uint32_t most) {
  for (auto& [root, transfer] : transfers_) {
    if (!transfer.peers.contains(peer)) continue;
    const auto leaves = static_cast<std::uint32_t>(transfer.blob.leaves.size());
    std::uint32_t first = transfer.frontier;
    while (first < leaves) {
      if (const auto flight = transfer.flying.find(first); flight != transfer.flying.end()) {
        first += flight->second.second;
      } else if (transfer.confirmed[first]) {
        ++first;
      } else {
        break;
      }
    }
    transfer.frontier = first;
    if (first == leaves) continue;
    const auto next = transfer.flying.upper_bound(first);
    const std::uint32_t end = std::min(next == transfer.flying.end() ? leaves : next->first, first + most);
    std::uint32_t count = 1;
    while (first + count < end && !transfer.confirmed[first + count]) ++count;
    transfer.flying.emplace(first, std::pair(peer, count));
    return Pull{.root = root, .first = first, .count = count};
  }
  return std::nullopt;
}

std::vector<PullFrom> Inbox::TakePulls() {
  std::vector<PullFrom> pulls;
  // One pull a peer and lap, going on after the peer that was served last.
  std::vector<PeerKey> lap(connected_.upper_bound(last_served_), connected_.end());
  lap.insert(lap.end(), connected_.begin(), connected_.upper_bound(last_served_));
  bool more = true;
  while (more) {
    more = false;
    for (const PeerKey& peer : lap) {
      const bool full = total_in_flight_ >= kTotalWindow;
      const auto flights = in_flight_.find(peer);
      if (flights != in_flight_.end() && (full || flights->second >= kPeerWindow)) continue;
      const auto pull = NextPull(peer, full ? 1 : kLeavesPerChunk);
      if (!pull) continue;
      ++in_flight_[peer];
      ++total_in_flight_;
      last_served_ = peer;
      pulls.push_back({.peer = peer, .pull = *pull});
      more = true;
    }
  }
  return pulls;
}

Inbox::Progress Inbox::ProgressOf(const Digest& root) const {
  const auto at = transfers_.find(root);
  if (at == transfers_.end()) return {};
  const Transfer& transfer = at->second;
  const std::uint64_t full = std::uint64_t{transfer.confirmed_leaves} * kLeafBytes;
  const std::uint64_t short_of =
      transfer.confirmed.back() ? transfer.confirmed.size() * kLeafBytes - transfer.blob.bytes : 0;
  return {.done = full - short_of, .total = transfer.blob.bytes};
}

bool Inbox::Has(const Digest& root) const { return transfers_.contains(root); }

// ---- Outbox ----

void Outbox::Serve(const Digest& root, std::uint64_t bytes, const PeerKey& peer) {
  Served& served = served_[root];
  CHECK(served.bytes == 0 || served.bytes == bytes);
  served.bytes = bytes;
  served.peers.try_emplace(peer, 0);
}

void Outbox::Stop(const Digest& root) {
  auto served = served_.extract(root);
  if (served.empty()) return;
  stopped_.emplace_back(root, std::move(served.mapped()));
  if (stopped_.size() > kStopped) stopped_.pop_front();
}

Result<SendChunk> Outbox::OnPull(const PeerKey& peer, const Pull& pull) {
  const auto at = served_.find(pull.root);
  const auto to = at == served_.end() ? decltype(at->second.peers.end()){} : at->second.peers.find(peer);
  if (at == served_.end() || to == at->second.peers.end()) {
    const bool crossed = std::ranges::any_of(stopped_, [&](const auto& stopped) {
      return stopped.first == pull.root && stopped.second.peers.contains(peer);
    });
    if (crossed) return Fail(Code::kNotFound, "a blob was pulled that is no longer served");
    return Fail(Code::kProtocol, "a blob was pulled that was not offered to this peer");
  }
  const std::uint64_t bytes = at->second.bytes;
  if (pull.count == 0 || pull.count > kLeavesPerChunk || std::uint64_t{pull.first} + pull.count > LeavesOf(bytes)) {
    return Fail(Code::kProtocol, "leaves were pulled that the blob does not have");
  }
  const Extent extent = ExtentOf(bytes, pull.first, pull.count);
  to->second = std::max(to->second, extent.offset + extent.length);
  return SendChunk{.to = peer,
                   .head = ChunkHead(pull.root, pull.first, pull.count),
                   .root = pull.root,
                   .offset = extent.offset,
                   .length = extent.length};
}

std::uint64_t Outbox::PulledBytes(const Digest& root, const PeerKey& peer) const {
  const auto at = served_.find(root);
  if (at == served_.end()) return 0;
  const auto to = at->second.peers.find(peer);
  return to == at->second.peers.end() ? 0 : to->second;
}

}  // namespace consilium
