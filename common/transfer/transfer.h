// Content-addressed transfers, both directions, pure (protocol.md, "Envelope, transfers, transport").
//
// The receiver pulls leaves of 256 KiB, 1 to 4 a chunk, at most kPeerWindow chunks in flight a peer and kTotalWindow
// overall; but a peer with nothing in flight may always be asked for one leaf, so that others who are slow, or stand
// still with the whole window, do not slow it. Every leaf is checked against its hash before use; what is confirmed is
// never asked again, also after the peer was lost and came back. An uncredited chunk closes the session.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "common/turn/turn.h"
#include "common/wire/codec.h"

namespace consilium {

inline constexpr std::uint32_t kLeavesPerChunk = kMaxChunkLeaves;
inline constexpr std::size_t kPeerWindow = 4, kTotalWindow = 8;  // What memory an upload takes beside the sum.

// What the receiving side wants done; its owner turns pulls into signed frames.
struct PullFrom {
  PeerKey peer;
  Pull pull;
};

class Inbox {
 public:
  // Begins (or joins) the transfer of `blob` from `peer`, which is connected. Already running from this peer: harmless.
  // `blob` passed CheckBlob and is not inline. kProtocol when a transfer of this root runs under another size: one of
  // the two peers lies, and this one came later.
  Status Start(const PeerKey& peer, const Blob& blob);
  void Cancel(const Digest& root);
  // Verifies. kProtocol: uncredited, unknown, wrong leaf; the owner closes the session, and until OnPeerConnected
  // nothing more is asked of this peer. On success `write` has the bytes to store and `complete` says that the blob is
  // whole: the owner seals it. What was pulled before Cancel may still arrive: `write.bytes` is then empty, nothing to
  // store.
  struct Taken {
    BlobWrite write;
    bool complete = false;
  };
  Result<Taken> OnChunk(const PeerKey& peer, Chunk chunk);
  void OnPeerLost(const PeerKey& peer);       // Its chunks in flight are forgotten, confirmed leaves stay.
  void OnPeerConnected(const PeerKey& peer);  // Its transfers go on.
  std::vector<PullFrom> TakePulls();          // New credit, fair between peers; none where windows are full.
  struct Progress {
    std::uint64_t done = 0, total = 0;
  };
  [[nodiscard]] Progress ProgressOf(const Digest& root) const;
  [[nodiscard]] bool Has(const Digest& root) const;  // A transfer of it is under way.

 private:
  struct Transfer {
    Blob blob;
    std::set<PeerKey> peers;
    std::vector<bool> confirmed;
    std::uint32_t confirmed_leaves = 0;
    std::uint32_t frontier = 0;                                         // No leaf below it is missing and unasked.
    std::map<std::uint32_t, std::pair<PeerKey, std::uint32_t>> flying;  // first -> (peer, count)
  };
  using Credit = std::tuple<PeerKey, Digest, std::uint32_t, std::uint32_t>;  // peer, root, first, count

  std::optional<Pull> NextPull(const PeerKey& peer, std::uint32_t most);  // Of at most so many leaves.
  void Landed(const PeerKey& peer);
  Result<Taken> Take(Transfer& transfer, const PeerKey& peer, Chunk chunk);

  std::map<Digest, Transfer> transfers_;
  std::set<PeerKey> connected_;
  std::multiset<Credit> cancelled_;  // Pulled before Cancel, still in flight.
  std::map<PeerKey, std::size_t> in_flight_;
  std::size_t total_in_flight_ = 0;
  PeerKey last_served_;
};

class Outbox {
 public:
  // `peer` may pull this blob from now on.
  void Serve(const Digest& root, std::uint64_t bytes, const PeerKey& peer);
  void Stop(const Digest& root);  // For every peer.
  // kProtocol: never served to this peer, or outside the blob. kNotFound: no longer served (the pull crossed with
  // Stop); the owner ignores it.
  Result<SendChunk> OnPull(const PeerKey& peer, const Pull& pull);
  [[nodiscard]] std::uint64_t PulledBytes(const Digest& root, const PeerKey& peer) const;  // Highest end asked for.

 private:
  struct Served {
    std::uint64_t bytes = 0;
    std::map<PeerKey, std::uint64_t> peers;
  };
  static constexpr std::size_t kStopped = 256;
  std::map<Digest, Served> served_;
  std::deque<std::pair<Digest, Served>> stopped_;  // The last kStopped of them.
};

}  // namespace consilium
