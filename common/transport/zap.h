// Who may connect: answers ZeroMQ's ZAP requests on a thread of its own, so that a long turn delays no handshake.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "common/transport/link.h"
#include "common/transport/socket.h"

namespace consilium::transport {

inline constexpr std::string_view kZapDomain = "consilium";

class Zap {
 public:
  explicit Zap(Context& context);  // Bound on return: a CURVE socket without a handler would admit everybody.
  ~Zap();                          // After Context::Shutdown and Release.
  Zap(const Zap&) = delete;
  Zap& operator=(const Zap&) = delete;

  void Admit(const std::set<PeerKey>& keys);
  void Release();  // Ends the wait for the first Admit.

 private:
  struct Request;
  void Serve();
  bool Allows(Request& request);
  void LogRefusal(Request& request);

  Socket socket_;
  std::mutex mutex_;
  std::condition_variable known_;
  std::optional<std::set<PeerKey>> admitted_;
  bool ending_ = false;
  Instant logged_;
  std::uint64_t unlogged_ = 0;
  std::thread thread_;
};

}  // namespace consilium::transport
