// Connections between the hospitals and the coordinator, as ZeroMQ over TCP gives them: what arrives within one
// connection arrives in order; a broken connection loses what is in flight, and either end notices later. An
// adversarial network also doubles and swaps frames.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "common/turn/turn.h"
#include "tests/sim/context.h"

namespace consilium::sim {

class Network {
 public:
  using Sink = std::function<void(Event)>;
  Network(Context& context, TransportKey server, Sink to_coordinator)
      : context_(context), server_(server), to_coordinator_(std::move(to_coordinator)) {}

  // An end that dials the coordinator under `key` as long as it is up.
  std::size_t AddEnd(TransportKey key, Sink sink);
  void EndStarted(std::size_t end);
  void EndStopped(std::size_t end);
  void CoordinatorStarted();
  void CoordinatorStopped();
  void Admit(std::set<PeerKey> keys);

  void FromEnd(std::size_t end, Bytes frame);
  void FromCoordinator(const PeerKey& to, Bytes frame);
  void Cut(std::size_t end, std::string_view why);
  void Block(std::size_t end, Duration until);  // Cuts, and lets no connection through before.
  void DisconnectPeer(const PeerKey& peer);     // By the coordinator.

  [[nodiscard]] bool Up(std::size_t end) const { return ends_[end].up; }
  [[nodiscard]] std::optional<std::size_t> EndOf(const PeerKey& peer) const;

 private:
  struct End {
    TransportKey key;
    Sink sink;
    bool alive = false, up = false, told = false;  // told: this end knows that it is connected.
    std::uint64_t epoch = 0;                       // Counts connections and cuts: what belongs to another one is lost.
    Duration last_up{0}, last_down{0}, blocked_until{0};
    std::uint32_t failures = 0;
    std::uint64_t dial_token = 0;
  };
  void DialSoon(std::size_t end);
  void Dial(std::size_t end);
  void Break(End& end, bool end_notices, bool coordinator_notices);
  void Arrived(std::size_t end, std::uint64_t epoch, Bytes frame);
  // When a frame sent now arrives, given the last arrival on its way; swapped frames are overtaken by the next one.
  Duration ArrivalAfter(Duration& last, std::size_t bytes);
  [[nodiscard]] Duration NoticeAfter();

  Context& context_;
  TransportKey server_;
  Sink to_coordinator_;
  bool coordinator_up_ = false;
  std::set<PeerKey> admitted_;
  std::vector<End> ends_;
  std::map<PeerKey, std::uint64_t> seen_;  // The coordinator's view: the connection of its peer's latest frame.
};

}  // namespace consilium::sim
