#include "common/transport/zap.h"

#include "common/base/log.h"

namespace consilium::transport {

// RFC 27: version, id, domain, address, routing id, mechanism, credentials.
struct Zap::Request {
  std::vector<Message> frames;
  std::string_view At(std::size_t i) { return i < frames.size() ? Text(frames[i].span()) : std::string_view(); }
  std::string_view credentials() { return At(6); }

  bool Receive(void* socket) {
    frames.clear();
    do {
      frames.emplace_back();
      if (!frames.back().Receive(socket, 0)) return false;
    } while (frames.back().more());
    return true;
  }
};

Zap::Zap(Context& context) : socket_(context, ZMQ_REP) {
  socket_.Set(ZMQ_LINGER, 0);
  CHECK(zmq_bind(socket_.handle(), "inproc://zeromq.zap.01") == 0);
  thread_ = std::thread([this] { Serve(); });  // Hands the socket over with a full fence.
}

Zap::~Zap() {
  Release();
  thread_.join();
}

void Zap::Admit(const std::set<PeerKey>& keys) {
  const std::lock_guard lock(mutex_);
  admitted_ = keys;
  known_.notify_all();
}

void Zap::Release() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  known_.notify_all();
}

bool Zap::Allows(Request& request) {
  if (request.frames.size() != 7 || request.At(0) != "1.0" || request.At(2) != kZapDomain || request.At(5) != "CURVE")
    return false;
  const Result<PeerKey> key = PeerKey::From(View(request.credentials()));
  if (!key) return false;
  std::unique_lock lock(mutex_);
  known_.wait(lock, [this] { return admitted_.has_value() || ending_; });
  return !ending_ && admitted_->contains(*key);
}

// Anybody can knock, so not every knock is worth a line.
void Zap::LogRefusal(Request& request) {
  const Instant now = BootClock::now();
  ++unlogged_;
  if (now - logged_ < std::chrono::seconds(1)) return;
  Log(LogLevel::kInfo, "key_refused",
      {{"key", Hex(View(request.credentials().substr(0, 8)))},
       {"address", std::string(request.At(3))},
       {"refusals", std::to_string(unlogged_)}});
  logged_ = now;
  unlogged_ = 0;
}

void Zap::Serve() {
  Request request;
  while (request.Receive(socket_.handle())) {
    const bool allowed = Allows(request);
    if (!allowed) LogRefusal(request);
    const std::string user = allowed ? Hex(View(request.credentials())) : "";
    const std::string_view reply[] = {"1.0", request.At(1), allowed ? "200" : "400", allowed ? "OK" : "refused", user,
                                      ""};
    for (std::size_t i = 0; i < std::size(reply); ++i) {
      if (Message::Copy(View(reply[i])).Send(socket_.handle(), i + 1 < std::size(reply) ? ZMQ_SNDMORE : 0) != 0) break;
    }
  }
  socket_.Close();
}

}  // namespace consilium::transport
