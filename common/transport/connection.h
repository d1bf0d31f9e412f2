// A hospital's side: one connection to the coordinator that it dials itself (DEALER, CURVE), and dials again after a
// loss, by a fresh socket, at a random moment within 250 ms that doubles up to 30 s.
#pragma once

#include <memory>
#include <string>

#include "common/crypto/keys.h"
#include "common/transport/link.h"

namespace consilium {

struct ConnectionOptions {
  std::string endpoint;           // "tcp://HOST:PORT"
  const CurveKey* key = nullptr;  // This node's; read during Start only.
  TransportKey server_key;
  Duration connect_timeout = std::chrono::seconds(10);
  Duration handshake = std::chrono::seconds(5);
  Duration heartbeat = std::chrono::seconds(10);
  Duration heartbeat_timeout = std::chrono::seconds(30);
  Duration first_retry = std::chrono::milliseconds(250);
  Duration longest_retry = std::chrono::seconds(30);
};

class Connection : public Link {
 public:
  // kInvalid when the endpoint is no tcp:// address. Whether anybody answers is told by events:
  // PeerConnected{server_key}, PeerLost{server_key, "closed" | "key refused" | "no answer" | ...}, the latter once a
  // failed attempt.
  static Result<std::unique_ptr<Connection>> Start(const ConnectionOptions& options);
  ~Connection() override;

  [[nodiscard]] std::vector<void*> Sockets() const override;
  [[nodiscard]] std::optional<Instant> NextDeadline() const override;
  std::vector<Event> Receive(std::size_t most, Instant now) override;
  void Transmit(const Send& send) override;
  void Transmit(const SendChunk& chunk, const BlobStore& blobs) override;
  void Admit(const std::set<PeerKey>& keys) override;                        // A node admits nobody: does nothing.
  void Disconnect(const PeerKey& peer, const std::string& reason) override;  // Then dials again.
  void Stop() override;

 private:
  struct Impl;
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Dials, and waits for a handshake: kUnreachable with "key refused", "no answer" or the like when there was none.
Status TryHandshake(const ConnectionOptions& options, Duration patience);

}  // namespace consilium
