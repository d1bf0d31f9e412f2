// The network as the loop sees it: events in, frames out. One thread uses it.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "common/turn/turn.h"

namespace consilium {

inline constexpr std::size_t kMaxFrameBytes = 2 << 20;  // A larger frame closes the session that sent it.
inline constexpr std::size_t kPeerQueue = 64;  // Frames waiting for a slow peer; one more and its session closes.

class Link {
 public:
  virtual ~Link() = default;
  // ZeroMQ sockets to poll for input; they may change with every other call.
  [[nodiscard]] virtual std::vector<void*> Sockets() const = 0;
  // Call Receive by then, even when no socket is readable (queued frames, a reconnection that is due).
  [[nodiscard]] virtual std::optional<Instant> NextDeadline() const = 0;
  // At most about `most` events; never blocks.
  virtual std::vector<Event> Receive(std::size_t most, Instant now) = 0;
  // Never block. A frame to a peer that is not connected is dropped: the peer hears all it needs after its next Hello.
  virtual void Transmit(const Send& send) = 0;
  virtual void Transmit(const SendChunk& chunk, const BlobStore& blobs) = 0;
  // The whole set of keys from now on; a key that is not in it any more is ignored at once and its session closed.
  virtual void Admit(const std::set<PeerKey>& keys) = 0;
  virtual void Disconnect(const PeerKey& peer, const std::string& reason) = 0;
  // Closes; what was sent before may still leave within half a second. Later calls do nothing.
  virtual void Stop() = 0;
};

}  // namespace consilium
