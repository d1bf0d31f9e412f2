#include "common/transport/connection.h"

#include <deque>
#include <future>
#include <thread>

#include "common/base/log.h"
#include "common/transport/socket.h"

namespace consilium {
namespace {

using transport::Context;
using transport::Message;
using transport::Socket;

constexpr int kWatched = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED |
                         ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                         ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;

// Uniform in [0, bound): hospitals that lost the coordinator together do not come back together.
Duration Jitter(Duration bound) {
  std::uint64_t random = 0;
  RandomBytes({reinterpret_cast<std::uint8_t*>(&random), sizeof random});
  return Duration(
      static_cast<Duration::rep>(random % static_cast<std::uint64_t>(std::max<Duration::rep>(bound.count(), 1))));
}

}  // namespace

//   Waiting --retry_at--> Dialling --handshake--> Up
//      ^----- failed ---------'  ^----- lost -----'
struct Connection::Impl {
  enum class Phase { kWaiting, kDialling, kUp, kStopped };

  ConnectionOptions options;
  CurveKey key;
  std::unique_ptr<Context> context = std::make_unique<Context>(1);
  Socket dealer, monitor;
  Phase phase = Phase::kWaiting;
  Instant until;       // Waiting: dials then. Dialling: gives up then.
  Instant since;       // Up: since when.
  bool heard = false;  // A frame came in this session.
  Duration bound;      // Of the next delay.
  std::uint64_t dialled = 0;
  bool tcp = false;     // This attempt got as far as a TCP connection.
  std::string failure;  // Why this attempt fails, as far as it is known.
  std::deque<Message> queue;
  std::size_t queued_bytes = 0;
  Instant next_flush;
  std::vector<Event> events;

  explicit Impl(const ConnectionOptions& given)
      : options(given),
        key(CurveKey::FromSecret(given.key->secret())),
        until(BootClock::now()),
        bound(given.first_retry) {
    options.key = nullptr;
  }
  // An I/O thread that waits for a dead name server would hold up the end of the process for as long; it is left
  // behind.
  ~Impl() {
    Close(transport::kLinger);
    auto ended = std::make_shared<std::promise<void>>();
    const std::future<void> end = ended->get_future();
    std::thread([ended, last = std::move(context)]() mutable {
      last.reset();
      ended->set_value();
    }).detach();
    end.wait_for(std::chrono::seconds(1));
  }

  void Close(int linger) {
    if (!dealer) return;
    zmq_socket_monitor(dealer.handle(), nullptr, 0);
    monitor.Close();
    dealer.Set(ZMQ_LINGER, linger).Close();
  }

  // ZeroMQ's own reconnection has next to no jitter: it is off, and every attempt is a socket of its own.
  void Dial(Instant now) {
    dealer = Socket(*context, ZMQ_DEALER);
    transport::Configure(dealer, options.handshake, options.heartbeat, options.heartbeat_timeout);
    dealer.Set(ZMQ_CURVE_SERVERKEY, options.server_key)
        .Set(ZMQ_CURVE_PUBLICKEY, key.public_key())
        .Set(ZMQ_CURVE_SECRETKEY, key.secret())
        .Set(ZMQ_IMMEDIATE, 1)
        .Set(ZMQ_RECONNECT_IVL, -1)
        .Set(ZMQ_CONNECT_TIMEOUT, transport::Milliseconds(options.connect_timeout));
    if (options.endpoint.find('[') != std::string::npos) dealer.Set(ZMQ_IPV6, 1);
    monitor = transport::Watch(*context, dealer, "inproc://monitor" + std::to_string(++dialled), kWatched);
    tcp = false;
    failure.clear();
    phase = Phase::kDialling;
    until = now + options.connect_timeout + 2 * options.handshake;
    if (zmq_connect(dealer.handle(), options.endpoint.c_str()) != 0) End(now, zmq_strerror(errno));
  }

  void End(Instant now, std::string reason) {
    // A session that worked begins again with short delays; one that broke at once does not.
    const bool worked = phase == Phase::kUp && heard && now - since >= std::chrono::seconds(1);
    if (worked) bound = options.first_retry;
    Close(0);
    queue.clear();
    queued_bytes = 0;
    phase = Phase::kWaiting;
    until = now + Jitter(bound);
    bound = std::min(2 * bound, options.longest_retry);
    events.emplace_back(PeerLost{options.server_key, std::move(reason)});
  }

  void OnMonitor(const transport::MonitorEvent& event, Instant now) {
    switch (event.kind) {
      case ZMQ_EVENT_CONNECTED:
        tcp = true;
        break;
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        if (phase != Phase::kDialling) break;
        phase = Phase::kUp;
        since = now;
        heard = false;
        events.emplace_back(PeerConnected{options.server_key});
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        failure = "key refused";
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        if (failure.empty()) failure = "handshake failed: another server key, or no coordinator";
        break;
      case ZMQ_EVENT_DISCONNECTED:
      case ZMQ_EVENT_CLOSED:
        if (phase == Phase::kUp) return End(now, "closed");
        if (phase == Phase::kDialling)
          return End(now, !failure.empty() ? failure : tcp ? "closed in the handshake" : "no answer");
        break;
      default:
        break;
    }
  }

  void ReadFrames(std::size_t most, Instant now) {
    std::size_t bytes = 0;
    for (std::size_t count = 0; count < most && bytes < transport::kReceiveBytes; ++count) {
      Message body;
      if (!body.Receive(dealer.handle(), ZMQ_DONTWAIT)) return;
      if (phase == Phase::kDialling)
        OnMonitor({ZMQ_EVENT_HANDSHAKE_SUCCEEDED, 0}, now);  // Its event is still on the way.
      if (body.more()) return End(now, "a message of several parts");
      heard = true;
      bytes += body.size();
      events.emplace_back(FrameReceived{options.server_key, ToBytes(body.span())});
    }
  }

  void Turn(std::size_t most, Instant now) {
    if (phase == Phase::kStopped) return;
    if (phase == Phase::kWaiting && now >= until) Dial(now);
    if (dealer) ReadFrames(most, now);
    if (dealer) {
      for (const transport::MonitorEvent& event : transport::Drain(monitor)) {
        OnMonitor(event, now);
        if (!dealer) break;
      }
    }
    if (phase == Phase::kDialling && now >= until) End(now, "no answer");
    if (phase == Phase::kUp) Flush(now);
  }

  int TrySend(Message* message) {
    const int error = message->Send(dealer.handle(), ZMQ_DONTWAIT);
    if (error != EAGAIN || !transport::Writable(dealer.handle())) return error;
    return message->Send(dealer.handle(), ZMQ_DONTWAIT);
  }

  void Flush(Instant now) {
    while (!queue.empty()) {
      const std::size_t size = queue.front().size();
      if (TrySend(&queue.front()) != 0) {
        next_flush = now + transport::kRetrySend;
        return;
      }
      queue.pop_front();
      queued_bytes -= size;
    }
  }

  void Enqueue(Message message) {
    CHECK(message.size() <= kMaxFrameBytes);
    if (phase != Phase::kUp) return;
    if (queue.empty() && TrySend(&message) == 0) return;
    const Instant now = BootClock::now();
    if (queue.size() >= kPeerQueue || queued_bytes + message.size() > transport::kQueueBytes) {
      return End(now, "it does not read what it is sent");
    }
    if (queue.empty()) next_flush = now + transport::kRetrySend;
    queued_bytes += message.size();
    queue.push_back(std::move(message));
  }
};

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::Start(const ConnectionOptions& options) {
  CHECK(options.key != nullptr);
  const std::size_t colon = options.endpoint.rfind(':');
  if (!options.endpoint.starts_with("tcp://") || colon < 7 || colon + 1 >= options.endpoint.size()) {
    return Fail(Code::kInvalid, "'" + options.endpoint + "' is no coordinator's address; write it as tcp://HOST:PORT");
  }
  return std::unique_ptr<Connection>(new Connection(std::make_unique<Impl>(options)));
}

std::vector<void*> Connection::Sockets() const {
  if (!impl_->dealer) return {};
  return {impl_->dealer.handle(), impl_->monitor.handle()};
}

std::optional<Instant> Connection::NextDeadline() const {
  if (impl_->phase == Impl::Phase::kStopped) return std::nullopt;
  if (!impl_->events.empty()) return BootClock::now();
  if (impl_->phase != Impl::Phase::kUp) return impl_->until;
  if (!impl_->queue.empty()) return impl_->next_flush;
  return std::nullopt;
}

std::vector<Event> Connection::Receive(std::size_t most, Instant now) {
  impl_->Turn(most, now);
  return std::exchange(impl_->events, {});
}

void Connection::Transmit(const Send& send) { impl_->Enqueue(Message::Copy(send.frame)); }

void Connection::Transmit(const SendChunk& chunk, const BlobStore& blobs) {
  if (impl_->phase != Impl::Phase::kUp) return;
  auto message = transport::ChunkMessage(chunk, blobs);
  if (message) return impl_->Enqueue(std::move(*message));
  Log(LogLevel::kWarning, "chunk_not_sent", {{"blob", chunk.root.Hex()}, {"reason", message.error().what}});
}

void Connection::Admit(const std::set<PeerKey>& /*keys*/) {}

void Connection::Disconnect(const PeerKey& /*peer*/, const std::string& reason) {
  if (impl_->phase == Impl::Phase::kUp || impl_->phase == Impl::Phase::kDialling) impl_->End(BootClock::now(), reason);
}

void Connection::Stop() {
  impl_->Close(transport::kLinger);
  impl_->phase = Impl::Phase::kStopped;
}

Status TryHandshake(const ConnectionOptions& options, Duration patience) {
  const auto connection = TRY(Connection::Start(options));
  std::string why = "no answer";
  for (const Instant until = BootClock::now() + patience; BootClock::now() < until && why != "key refused";) {
    for (const Event& event : connection->Receive(16, BootClock::now())) {
      if (std::holds_alternative<PeerConnected>(event)) return {};
      if (const auto* lost = std::get_if<PeerLost>(&event)) why = lost->reason;
    }
    std::vector<zmq_pollitem_t> items;
    for (void* socket : connection->Sockets()) items.push_back({socket, 0, ZMQ_POLLIN, 0});
    zmq_poll(items.data(), static_cast<int>(items.size()), 100);
  }
  return Fail(Code::kUnreachable, why);
}

}  // namespace consilium
