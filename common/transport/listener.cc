#include "common/transport/listener.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <deque>

#include "common/base/log.h"
#include "common/transport/socket.h"
#include "common/transport/zap.h"

namespace consilium {
namespace {

using transport::Context;
using transport::Message;
using transport::Socket;

constexpr int kBacklog = 4096;
constexpr int kZapEnforceDomain = 93;  // The library has it; Debian's header hides it among the drafts.
constexpr std::string_view kMonitor = "inproc://monitor";
// A refusal sent in the same turn as a disconnect should still get out.
constexpr Duration kGraceOfDisconnect = std::chrono::milliseconds(200);

// Routing ids that ROUTER makes are a zero byte and a counter from a random start, which no peer is told and which is
// not used twice; so an id names one connection for ever. ZeroMQ lets nobody set an id that begins with zero.
std::optional<std::uint32_t> CounterOf(ByteView routing_id) {
  if (routing_id.size() != 5 || routing_id[0] != 0) return std::nullopt;
  return std::uint32_t{routing_id[1]} << 24 | std::uint32_t{routing_id[2]} << 16 | std::uint32_t{routing_id[3]} << 8 |
         routing_id[4];
}
std::array<std::uint8_t, 5> RoutingId(std::uint32_t counter) {
  return {0, static_cast<std::uint8_t>(counter >> 24), static_cast<std::uint8_t>(counter >> 16),
          static_cast<std::uint8_t>(counter >> 8), static_cast<std::uint8_t>(counter)};
}
bool Newer(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) > 0; }

struct Session {
  bool seen = false;
  std::uint32_t counter = 0;  // Of the newest connection of this key.
  int descriptor = -1;
  bool up = false;           // False: everything that still comes by this connection is ignored.
  bool unreachable = false;  // Nothing can be sent any more; what it had sent before is still to be read.
  std::deque<Message> queue;
  std::size_t queued_bytes = 0;
};

struct Arrival {
  PeerKey peer;
  std::optional<std::uint32_t> counter;
  int descriptor = -1;
  bool good = true;  // One frame of bounded size, as the protocol has it.
  Bytes frame;
};

}  // namespace

struct Listener::Impl {
  Context context{2};
  std::unique_ptr<transport::Zap> zap;
  Socket router, monitor;
  std::string endpoint;
  std::set<PeerKey> admitted;
  std::map<PeerKey, Session> sessions;
  struct Owner {
    PeerKey peer;
    std::uint32_t counter = 0;
    bool operator==(const Owner&) const = default;
  };
  std::map<int, Owner> owners;  // Which session a descriptor belongs to; descriptors are used again.
  std::set<int> open;           // Descriptors of live connections, as the monitor tells.
  struct Closing {
    Instant at;
    int descriptor;
    Owner owner;
  };
  std::vector<Closing> closings;
  std::vector<Event> events;  // Made between two calls of Receive.
  bool waiting = false;       // Some queue has frames.
  bool missed = false;        // Some session is unreachable.
  Instant next_flush;

  ~Impl() { Close(); }

  void Close() {
    if (!router) return;
    zmq_socket_monitor(router.handle(), nullptr, 0);
    monitor.Close();
    router.Close();
    zap->Release();
    context.Shutdown();
    zap.reset();
  }

  Status Bind(const ListenerOptions& options) {
    router = Socket(context, ZMQ_ROUTER);
    transport::Configure(router, options.handshake, options.heartbeat, options.heartbeat_timeout);
    router.Set(ZMQ_CURVE_SERVER, 1)
        .Set(ZMQ_CURVE_SECRETKEY, options.key->secret())
        .Set(ZMQ_ZAP_DOMAIN, View(transport::kZapDomain))
        .Set(kZapEnforceDomain, 1)
        .Set(ZMQ_ROUTER_MANDATORY, 1)
        .Set(ZMQ_BACKLOG, kBacklog);
    if (options.endpoint.find('[') != std::string::npos) router.Set(ZMQ_IPV6, 1);
    monitor = transport::Watch(context, router, std::string(kMonitor), ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED);
    if (!options.endpoint.starts_with("tcp://") || zmq_bind(router.handle(), options.endpoint.c_str()) != 0) {
      const int code = options.endpoint.starts_with("tcp://") ? errno : EINVAL;
      return Fail(code == EADDRINUSE                 ? Code::kConflict
                  : code == EINVAL || code == ENODEV ? Code::kInvalid
                                                     : Code::kIo,
                  fmt::format("cannot listen on {}: {}; write `listen` as tcp://ADDRESS:PORT with an address of this "
                              "machine and a free port",
                              options.endpoint, zmq_strerror(code)));
    }
    char bound[256] = {};
    std::size_t size = sizeof bound;
    CHECK(zmq_getsockopt(router.handle(), ZMQ_LAST_ENDPOINT, bound, &size) == 0);
    endpoint = bound;
    return {};
  }

  // ---- receiving ----

  std::vector<Arrival> ReadFrames(std::size_t most) {
    std::vector<Arrival> out;
    std::size_t bytes = 0;
    while (out.size() < most && bytes < transport::kReceiveBytes) {
      Message id;
      Message body;
      if (!id.Receive(router.handle(), ZMQ_DONTWAIT)) break;
      Arrival arrival;
      arrival.counter = CounterOf(id.span());
      if (!id.more() || !body.Receive(router.handle(), ZMQ_DONTWAIT)) continue;
      const auto peer = PeerKey::FromHexText(body.property("User-Id"));
      arrival.descriptor = body.descriptor();
      arrival.frame = ToBytes(body.span());
      arrival.good = !body.more() && body.size() <= kMaxFrameBytes;
      while (body.more()) {
        if (!body.Receive(router.handle(), ZMQ_DONTWAIT)) break;
      }
      if (!peer) continue;  // Nothing comes without authentication.
      arrival.peer = *peer;
      bytes += arrival.frame.size();
      out.push_back(std::move(arrival));
    }
    return out;
  }

  // Frames are read before the monitor: whatever closed before a frame's connection was opened is then known, and a
  // descriptor is never taken for its former owner. After a close they are read again, for what came right before it.
  void TakeAll(std::size_t most) {
    constexpr int kLaps = 4;
    std::vector<Arrival> arrivals;
    std::vector<transport::MonitorEvent> told;
    bool closing = true;
    for (int lap = 0; closing && lap < kLaps; ++lap) {
      std::ranges::move(ReadFrames(most), std::back_inserter(arrivals));
      closing = false;
      for (const transport::MonitorEvent& event : transport::Drain(monitor)) {
        closing = closing || event.kind == ZMQ_EVENT_DISCONNECTED;
        told.push_back(event);
      }
    }
    // A session's last frames count, even though its connection is closed by now.
    std::erase_if(arrivals, [&](Arrival& arrival) {
      const auto session = sessions.find(arrival.peer);
      const bool own = session != sessions.end() && session->second.up && arrival.counter == session->second.counter;
      if (own) OnArrival(std::move(arrival));
      return own;
    });
    std::set<int> closed;
    for (const transport::MonitorEvent& event : told) {
      if (event.kind == ZMQ_EVENT_ACCEPTED) open.insert(event.value);
      if (event.kind != ZMQ_EVENT_DISCONNECTED) continue;
      open.erase(event.value);
      closed.insert(event.value);
      OnClosed(event.value);
    }
    for (Arrival& arrival : arrivals) {
      const bool gone = closed.contains(arrival.descriptor) && !open.contains(arrival.descriptor);
      if (!gone) OnArrival(std::move(arrival));
    }
  }

  void OnClosed(int descriptor) {
    const auto found = owners.find(descriptor);
    if (found == owners.end()) return;
    const Owner owner = found->second;
    owners.erase(found);
    Session& session = sessions[owner.peer];
    if (session.counter == owner.counter) Lose(owner.peer, &session, "closed");
  }

  void OnArrival(Arrival arrival) {
    if (!admitted.contains(arrival.peer) || !arrival.counter) {
      const bool closing = std::ranges::find(closings, arrival.descriptor, &Closing::descriptor) != closings.end();
      return closing ? void() : Cut(arrival.descriptor);
    }
    Session& session = sessions[arrival.peer];
    if (!session.seen || Newer(*arrival.counter, session.counter)) {
      Begin(arrival, &session);
    } else if (*arrival.counter != session.counter) {
      return Cut(arrival.descriptor);
    }
    if (!session.up) return;
    if (!arrival.good) return Drop(arrival.peer, "a message of several parts or too large");
    events.emplace_back(FrameReceived{arrival.peer, std::move(arrival.frame)});
  }

  void Begin(const Arrival& arrival, Session* session) {
    if (session->up) {
      const Owner before{arrival.peer, session->counter};
      const int descriptor = session->descriptor;
      Lose(arrival.peer, session, "replaced by a newer connection");
      const auto at = owners.find(descriptor);
      if (descriptor != arrival.descriptor && at != owners.end() && at->second == before) Cut(descriptor);
    }
    const auto former = owners.find(arrival.descriptor);
    if (former != owners.end()) OnClosed(arrival.descriptor);  // Its end was not told in time.
    session->seen = true;
    session->counter = *arrival.counter;
    session->descriptor = arrival.descriptor;
    session->up = true;
    if (arrival.descriptor >= 0) owners[arrival.descriptor] = {arrival.peer, session->counter};
    events.emplace_back(PeerConnected{arrival.peer});
  }

  void Lose(const PeerKey& peer, Session* session, std::string reason) {
    session->queue.clear();
    session->queued_bytes = 0;
    session->unreachable = false;
    if (!session->up) return;
    session->up = false;
    events.emplace_back(PeerLost{peer, std::move(reason)});
  }

  // ZeroMQ has no call to close one connection of many.
  static void Cut(int descriptor) {
    if (descriptor >= 0) shutdown(descriptor, SHUT_RDWR);
  }

  void Drop(const PeerKey& peer, const std::string& reason) {
    const auto found = sessions.find(peer);
    if (found == sessions.end() || !found->second.up) return;
    Session& session = found->second;
    Lose(peer, &session, reason);
    closings.push_back({BootClock::now() + kGraceOfDisconnect, session.descriptor, {peer, session.counter}});
  }

  void CloseDue(Instant now) {
    std::erase_if(closings, [&](const Closing& closing) {
      if (closing.at > now) return false;
      const auto found = owners.find(closing.descriptor);
      if (found != owners.end() && found->second == closing.owner) Cut(closing.descriptor);
      return true;
    });
  }

  // ---- sending ----

  // 0, EAGAIN (full; try later), or another error (gone).
  int TrySend(const Session& session, Message* message) {
    for (int attempt = 0;; ++attempt) {
      Message id = Message::Copy(RoutingId(session.counter));
      int error = id.Send(router.handle(), ZMQ_DONTWAIT | ZMQ_SNDMORE);
      if (error == 0) error = message->Send(router.handle(), ZMQ_DONTWAIT);
      if (error != EAGAIN || attempt > 0) return error;
      transport::Writable(router.handle());  // Lets it notice that there is room again.
    }
  }

  void Miss(Session* session) {
    session->queue.clear();
    session->queued_bytes = 0;
    session->unreachable = true;
    missed = true;
  }

  void LoseMissed() {
    if (!missed) return;
    missed = false;
    for (auto& [peer, session] : sessions) {
      if (session.unreachable) Lose(peer, &session, "closed");
    }
  }

  void Flush(Session* session) {
    while (!session->queue.empty()) {
      const std::size_t size = session->queue.front().size();
      const int error = TrySend(*session, &session->queue.front());
      if (error == EAGAIN) {
        waiting = true;
        return;
      }
      if (error != 0) return Miss(session);
      session->queue.pop_front();
      session->queued_bytes -= size;
    }
  }

  void FlushAll(Instant now) {
    if (!waiting || now < next_flush) return;
    waiting = false;
    for (auto& [peer, session] : sessions) Flush(&session);
    next_flush = now + transport::kRetrySend;
  }

  void Enqueue(const PeerKey& peer, Message message) {
    CHECK(message.size() <= kMaxFrameBytes);
    const auto found = sessions.find(peer);
    if (found == sessions.end() || !found->second.up || found->second.unreachable) return;
    Session& session = found->second;
    if (session.queue.empty()) {
      const int error = TrySend(session, &message);
      if (error == 0) return;
      if (error != EAGAIN) return Miss(&session);
    }
    if (session.queue.size() >= kPeerQueue || session.queued_bytes + message.size() > transport::kQueueBytes) {
      return Drop(peer, "it does not read what it is sent");
    }
    session.queued_bytes += message.size();
    session.queue.push_back(std::move(message));
    if (!waiting) next_flush = BootClock::now() + transport::kRetrySend;
    waiting = true;
  }

  void Admit(const std::set<PeerKey>& keys) {
    zap->Admit(keys);
    for (auto& [peer, session] : sessions) {
      if (keys.contains(peer)) continue;
      if (session.up)
        Log(LogLevel::kInfo, "session_closed",
            {{"key", peer.Hex().substr(0, 16)}, {"reason", "not admitted any more"}});
      Drop(peer, "not admitted any more");  // Nothing is heard from now on; why, still arrives.
    }
    admitted = keys;
  }
};

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() = default;

Result<std::unique_ptr<Listener>> Listener::Start(const ListenerOptions& options) {
  CHECK(options.key != nullptr);
  auto impl = std::make_unique<Impl>();
  impl->zap = std::make_unique<transport::Zap>(impl->context);
  TRY(impl->Bind(options));
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

std::string Listener::endpoint() const { return impl_->endpoint; }

std::vector<void*> Listener::Sockets() const {
  if (!impl_->router) return {};
  return {impl_->router.handle(), impl_->monitor.handle()};
}

std::optional<Instant> Listener::NextDeadline() const {
  std::optional<Instant> next;
  const auto consider = [&](Instant at) { next = next ? std::min(*next, at) : at; };
  if (!impl_->events.empty() || impl_->missed) consider(BootClock::now());
  if (impl_->waiting) consider(impl_->next_flush);
  for (const Impl::Closing& closing : impl_->closings) consider(closing.at);
  return next;
}

std::vector<Event> Listener::Receive(std::size_t most, Instant now) {
  if (impl_->router) {
    impl_->FlushAll(now);
    impl_->TakeAll(most);
    impl_->LoseMissed();
    impl_->CloseDue(now);
  }
  return std::exchange(impl_->events, {});
}

void Listener::Transmit(const Send& send) {
  if (impl_->router) impl_->Enqueue(send.to, Message::Copy(send.frame));
}

void Listener::Transmit(const SendChunk& chunk, const BlobStore& blobs) {
  const auto found = impl_->sessions.find(chunk.to);
  if (!impl_->router || found == impl_->sessions.end() || !found->second.up) return;
  auto message = transport::ChunkMessage(chunk, blobs);
  if (message) return impl_->Enqueue(chunk.to, std::move(*message));
  Log(LogLevel::kWarning, "chunk_not_sent", {{"blob", chunk.root.Hex()}, {"reason", message.error().what}});
}

void Listener::Admit(const std::set<PeerKey>& keys) {
  if (impl_->router) impl_->Admit(keys);
}

void Listener::Disconnect(const PeerKey& peer, const std::string& reason) {
  if (impl_->router) impl_->Drop(peer, reason);
}

void Listener::Stop() { impl_->Close(); }

}  // namespace consilium
