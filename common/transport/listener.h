// The coordinator's side: one port for all hospitals (ROUTER, CURVE, ZAP).
//
// A peer is the key that ZAP authenticated, never a routing id: only routing ids that this socket made are accepted,
// the newest one of a key is its session, and everything else that comes under the key is ignored.
#pragma once

#include <memory>
#include <string>

#include "common/crypto/keys.h"
#include "common/transport/link.h"

namespace consilium {

struct ListenerOptions {
  std::string endpoint;           // "tcp://127.0.0.1:7800"; port 0 takes a free one.
  const CurveKey* key = nullptr;  // Read during Start only.
  Duration handshake = std::chrono::seconds(5);
  Duration heartbeat = std::chrono::seconds(10);
  Duration heartbeat_timeout = std::chrono::seconds(30);
};

class Listener : public Link {
 public:
  // kConflict: the address is taken. kInvalid: it is no tcp:// address. Nobody is admitted, and no handshake answered,
  // before the first Admit.
  static Result<std::unique_ptr<Listener>> Start(const ListenerOptions& options);
  ~Listener() override;

  [[nodiscard]] std::string endpoint() const;  // With the port that was taken.
  [[nodiscard]] std::vector<void*> Sockets() const override;
  [[nodiscard]] std::optional<Instant> NextDeadline() const override;
  std::vector<Event> Receive(std::size_t most, Instant now) override;
  void Transmit(const Send& send) override;
  void Transmit(const SendChunk& chunk, const BlobStore& blobs) override;
  void Admit(const std::set<PeerKey>& keys) override;
  void Disconnect(const PeerKey& peer, const std::string& reason) override;
  void Stop() override;

 private:
  struct Impl;
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace consilium
