// Content-addressed transfers, both directions, pure (protocol.md, "Envelope, transfers, transport").
//
// The receiver pulls leaves of 256 KiB, 1 to 4 a chunk, at most kPeerWindow chunks in flight a peer and kTotalWindow
// overall; every leaf is checked against its hash before use; what is confirmed is never asked again, also after the
// peer was lost and came back. An uncredited chunk closes the session.
#pragma once

#include <map>
#include <set>

#include "common/turn/turn.h"
#include "common/wire/codec.h"

namespace consilium {

inline constexpr std::uint32_t kLeavesPerChunk = 4;
inline constexpr std::size_t kPeerWindow = 4, kTotalWindow = 16;

// What the receiving side wants done; its owner turns pulls into signed frames.
struct PullFrom {
  PeerKey peer;
  Pull pull;
};

class Inbox {
 public:
  // Begins (or joins) the transfer of `blob` from `peer`. Already running from this peer: harmless.
  // `blob` passed CheckBlob and is not inline.
  void Start(const PeerKey& peer, const Blob& blob);
  void Cancel(const Digest& root);
  // Verifies. kProtocol: uncredited, unknown, wrong leaf; the owner closes the session. On success `write` has the bytes
  // to store and `complete` says that the blob is whole: the owner seals it.
  struct Taken {
    BlobWrite write;
    bool complete = false;
  };
  Result<Taken> OnChunk(const PeerKey& peer, Chunk chunk);
  void OnPeerLost(const PeerKey& peer);       // Its chunks in flight are forgotten, confirmed leaves stay.
  void OnPeerConnected(const PeerKey& peer);  // Its transfers go on.
  std::vector<PullFrom> TakePulls();          // New credit, fair between peers; empty when windows are full.
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
    std::map<std::uint32_t, std::pair<PeerKey, std::uint32_t>> flying;  // first -> (peer, count)
  };
  std::map<Digest, Transfer> transfers_;
  std::set<PeerKey> connected_;
  std::map<PeerKey, std::size_t> in_flight_;
  std::size_t total_in_flight_ = 0;
  PeerKey last_served_;
};

class Outbox {
 public:
  // `peer` may pull this blob from now on.
  void Serve(const Digest& root, std::uint64_t bytes, const PeerKey& peer);
  void Stop(const Digest& root);                        // For every peer.
  // kProtocol: not served to this peer, or outside the blob.
  Result<SendChunk> OnPull(const PeerKey& peer, const Pull& pull);
  [[nodiscard]] std::uint64_t PulledBytes(const Digest& root, const PeerKey& peer) const;  // Highest end asked for.

 private:
  struct Served {
    std::uint64_t bytes = 0;
    std::map<PeerKey, std::uint64_t> peers;
  };
  std::map<Digest, Served> served_;
};

}  // namespace consilium
