// ZeroMQ handles with an owner. Included by this folder's .cc files only.
#pragma once

#include <zmq.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/transport/link.h"

namespace consilium::transport {

// Never blocks a peer's I/O thread for long and never holds more than the window of transfers (4 chunks) and its
// control.
inline constexpr int kHighWaterMark = 16;
inline constexpr int kLinger = 500;                     // ms
inline constexpr std::size_t kQueueBytes = 8 << 20;     // For one slow peer, beside Link's limit by count.
inline constexpr std::size_t kReceiveBytes = 32 << 20;  // One turn takes no more than this.
inline constexpr Duration kRetrySend = std::chrono::milliseconds(5);

class Context {
 public:
  explicit Context(int io_threads) : handle_(zmq_ctx_new()) {
    CHECK(handle_ != nullptr && zmq_ctx_set(handle_, ZMQ_IO_THREADS, io_threads) == 0);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    while (zmq_ctx_term(handle_) != 0 && errno == EINTR) {
    }
  }
  void Shutdown() { zmq_ctx_shutdown(handle_); }  // Blocking calls on its sockets return ETERM.
  [[nodiscard]] void* handle() const { return handle_; }

 private:
  void* handle_;
};

class Socket {
 public:
  Socket() = default;
  Socket(Context& context, int type) : handle_(zmq_socket(context.handle(), type)) { CHECK(handle_ != nullptr); }
  Socket(Socket&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Socket() { Close(); }
  void Close() {
    if (handle_ != nullptr) zmq_close(handle_);
    handle_ = nullptr;
  }
  // Options are ours, so a refused one is our bug.
  Socket& Set(int option, int value) { return SetRaw(option, &value, sizeof value); }
  Socket& Set(int option, std::int64_t value) { return SetRaw(option, &value, sizeof value); }
  Socket& Set(int option, ByteView value) { return SetRaw(option, value.data(), value.size()); }
  [[nodiscard]] void* handle() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  Socket& SetRaw(int option, const void* value, std::size_t size) {
    CHECK(zmq_setsockopt(handle_, option, value, size) == 0);
    return *this;
  }
  void* handle_ = nullptr;
};

class Message {
 public:
  Message() { zmq_msg_init(&message_); }
  explicit Message(std::size_t size) { CHECK(zmq_msg_init_size(&message_, size) == 0); }
  static Message Copy(ByteView bytes) {
    Message out(bytes.size());
    std::ranges::copy(bytes, out.span().begin());
    return out;
  }
  Message(Message&& other) noexcept {
    zmq_msg_init(&message_);
    zmq_msg_move(&message_, &other.message_);
  }
  Message& operator=(Message&& other) noexcept {
    zmq_msg_move(&message_, &other.message_);
    return *this;
  }
  ~Message() { zmq_msg_close(&message_); }

  [[nodiscard]] std::span<std::uint8_t> span() {
    return {static_cast<std::uint8_t*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)};
  }
  [[nodiscard]] std::size_t size() const { return zmq_msg_size(&message_); }
  [[nodiscard]] bool more() const { return zmq_msg_more(&message_) != 0; }
  [[nodiscard]] int descriptor() { return zmq_msg_get(&message_, ZMQ_SRCFD); }  // Of the TCP connection it came by.
  [[nodiscard]] std::string property(const char* name) {
    const char* value = zmq_msg_gets(&message_, name);
    return value == nullptr ? "" : value;
  }
  // False when nothing is there (or the context ended). EINTR is tried again.
  bool Receive(void* socket, int flags) {
    int rc = 0;
    while ((rc = zmq_msg_recv(&message_, socket, flags)) < 0 && errno == EINTR) {
    }
    return rc >= 0;
  }
  // 0, or the error; the message is empty after success.
  int Send(void* socket, int flags) {
    int rc = 0;
    while ((rc = zmq_msg_send(&message_, socket, flags)) < 0 && errno == EINTR) {
    }
    return rc < 0 ? errno : 0;
  }

 private:
  zmq_msg_t message_;
};

// Commands of the I/O threads (a new pipe, room in a full one) are looked at only now and then by sends.
inline bool Writable(void* socket) {
  int events = 0;
  std::size_t size = sizeof events;
  return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLOUT) != 0;
}

struct MonitorEvent {
  int kind = 0;   // ZMQ_EVENT_...
  int value = 0;  // A descriptor or a status, by kind.
};
// Makes a socket on which `watched` tells `events`.
inline Socket Watch(Context& context, const Socket& watched, const std::string& name, int events) {
  CHECK(zmq_socket_monitor(watched.handle(), name.c_str(), events) == 0);
  Socket monitor(context, ZMQ_PAIR);
  monitor.Set(ZMQ_LINGER, 0).Set(ZMQ_RCVHWM, 0);  // I/O threads block on a full monitor.
  CHECK(zmq_connect(monitor.handle(), name.c_str()) == 0);
  return monitor;
}
inline std::vector<MonitorEvent> Drain(const Socket& monitor) {
  std::vector<MonitorEvent> out;
  Message head;
  Message address;
  while (head.Receive(monitor.handle(), ZMQ_DONTWAIT)) {
    std::uint16_t kind = 0;
    std::int32_t value = 0;
    CHECK(head.size() == sizeof kind + sizeof value);
    std::memcpy(&kind, head.span().data(), sizeof kind);
    std::memcpy(&value, head.span().data() + sizeof kind, sizeof value);
    if (head.more()) address.Receive(monitor.handle(), ZMQ_DONTWAIT);
    out.push_back({kind, value});
  }
  return out;
}

inline int Milliseconds(Duration duration) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}
// What both sides set alike. TTL: how long the other side waits for us.
inline void Configure(Socket& socket, Duration handshake, Duration heartbeat, Duration heartbeat_timeout) {
  constexpr std::int64_t kCurveOverhead = 33;  // The limit is on what travels.
  socket.Set(ZMQ_MAXMSGSIZE, static_cast<std::int64_t>(kMaxFrameBytes) + kCurveOverhead)
      .Set(ZMQ_SNDHWM, kHighWaterMark)
      .Set(ZMQ_RCVHWM, kHighWaterMark)
      .Set(ZMQ_LINGER, kLinger)
      .Set(ZMQ_HANDSHAKE_IVL, Milliseconds(handshake))
      .Set(ZMQ_HEARTBEAT_IVL, Milliseconds(heartbeat))
      .Set(ZMQ_HEARTBEAT_TIMEOUT, Milliseconds(heartbeat_timeout))
      .Set(ZMQ_HEARTBEAT_TTL, Milliseconds(2 * heartbeat_timeout));
}
// One frame made of a chunk's head and its part of a blob.
inline Result<Message> ChunkMessage(const SendChunk& chunk, const BlobStore& blobs) {
  if (chunk.head.size() + chunk.length > kMaxFrameBytes)
    return Fail(Code::kInvalid, "the chunk is larger than a frame");
  Message message(chunk.head.size() + chunk.length);
  std::ranges::copy(chunk.head, message.span().begin());
  TRY(blobs.Read(chunk.root, chunk.offset, message.span().subspan(chunk.head.size())));
  return message;
}

}  // namespace consilium::transport
