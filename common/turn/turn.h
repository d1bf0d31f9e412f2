// How a daemon's pure core meets the world: Turn(events, now) -> {one transaction, sends, runs}.
//
// The loop takes at most 256 waiting events, feeds the core, then carries the result out in this order: blob writes and
// seals, the transaction (one commit, full sync), blob drops, then sends, runs, replies, admissions, disconnects.
// What a send depends on is therefore durable before it leaves. The simulator drives the same cores.
#pragma once

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/base/time.h"
#include "common/crypto/hash.h"
#include "common/settings/value.h"

namespace consilium {

inline constexpr std::size_t kMaxEventsPerTurn = 256;
using PeerKey = TransportKey;  // A peer is its authenticated CURVE key, never a routing id.

// ---- events ----
struct FrameReceived {
  PeerKey peer;
  Bytes frame;
};
struct PeerConnected {  // Node: the coordinator's handshake succeeded. Coordinator: first frame of a new connection.
  PeerKey peer;
};
struct PeerLost {
  PeerKey peer;
  std::string reason;  // For the log: "closed", "key refused", "no answer".
};
struct JobFinished {
  std::uint64_t job = 0;
  std::any result;
};
// From HTTP or the control socket; the answer is a Reply with the same id.
struct RequestReceived {
  std::uint64_t id = 0;
  std::string method, path;  // "GET", "/v1/studies"
  std::map<std::string, std::string> query;
  std::string token;   // The bearer token, "" when none (a control socket needs none).
  bool local = false;  // Came through the control socket or an exclusive lock.
  Value body;          // Parsed JSON; null when empty.
};
using Event = std::variant<FrameReceived, PeerConnected, PeerLost, JobFinished, RequestReceived>;

// ---- effects ----
struct PutState {
  std::string core, key;
  Bytes blob;
};
struct EraseState {
  std::string core, key;
};
struct AppendChain {
  std::string name;
  ChainHead before;  // The core's view of the head; storage refuses (kCorrupt) when it differs.
  Bytes row;
};
using Write = std::variant<PutState, EraseState, AppendChain>;

struct BlobWrite {  // Not synced until sealed.
  Digest root;
  std::uint64_t total = 0, offset = 0;
  Bytes bytes;
};
struct Send {
  PeerKey to;  // A node's core sends only to the coordinator and leaves this as the server's key.
  Bytes frame;
};
struct SendChunk {  // A frame made by the loop at sending time: head bytes, then blob[offset, offset + length).
  PeerKey to;
  Bytes head;
  Digest root;
  std::uint64_t offset = 0, length = 0;
};
struct Run {
  std::uint64_t job = 0;
  std::function<std::any()> work;  // Pure but for blobs; no exceptions.
};
struct Reply {
  std::uint64_t request = 0;
  int status = 200;
  std::string content_type = "application/json";
  Bytes body;
};
struct Disconnect {
  PeerKey peer;
  std::string reason;
};

struct TurnResult {
  std::vector<BlobWrite> blob_writes;
  std::vector<Digest> blob_seals;
  std::vector<Write> transaction;
  std::vector<Digest> blob_drops;
  std::vector<std::variant<Send, SendChunk>> sends;  // In order.
  std::vector<Run> runs;
  std::vector<Reply> replies;
  std::optional<std::set<PeerKey>> admit;  // The whole set of keys that ZAP admits from now on.
  std::vector<Disconnect> disconnects;
  std::optional<Instant> wake;  // Call Turn by then, even without events.
  bool stop = false;            // The core has drained after a stop request.
};

class Core {
 public:
  virtual ~Core() = default;
  virtual TurnResult Turn(std::vector<Event> events, Now now) = 0;
};

// Content-addressed blobs (files named by their root). Thread-safe; used by the loop for effects and by jobs.
class BlobStore {
 public:
  virtual ~BlobStore() = default;
  // Whole and sealed.
  [[nodiscard]] virtual bool Has(const Digest& root) const = 0;
  [[nodiscard]] virtual Result<std::uint64_t> Size(const Digest& root) const = 0;
  [[nodiscard]] virtual Status Read(const Digest& root, std::uint64_t offset, std::span<std::uint8_t> out) const = 0;
  // Writes and seals a whole blob (job threads); returns its root.
  virtual Result<Digest> Put(ByteView blob) = 0;
  virtual Status Write(const BlobWrite& write) = 0;
  virtual Status Seal(const Digest& root) = 0;  // fsync, check of the size, rename from its partial name.
  virtual Status Drop(const Digest& root) = 0;  // Absent is fine.
  // Every sealed blob, so that a core can let go of what nothing refers to after a crash.
  [[nodiscard]] virtual Result<std::vector<Digest>> List() const = 0;
};

// What a core finds at start: everything that was committed.
struct Stored {
  std::map<std::pair<std::string, std::string>, Bytes> state;  // (core, key)
  std::map<std::string, ChainHead> chains;
};
class Storage {
 public:
  virtual ~Storage() = default;
  virtual Status Commit(const std::vector<Write>& writes) = 0;  // One transaction, durable on return.
  [[nodiscard]] virtual Result<Stored> Load() const = 0;
  // Rows first..last of a chain (seq from 1), for audits and releases; bounded by the caller.
  [[nodiscard]] virtual Result<std::vector<Bytes>> Rows(const std::string& chain, std::uint64_t first,
                                                        std::uint64_t last) const = 0;
};

// Everything that must be durable before a turn's sends leave, in the order above.
Status Persist(const TurnResult& result, Storage& storage, BlobStore& blobs);

}  // namespace consilium
