// A line between a hospital and the coordinator, which counts what goes over it, breaks once, or stands still.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace consilium::e2e {

class Proxy {
 public:
  explicit Proxy(int target_port);  // Of the coordinator, on this machine.
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  [[nodiscard]] int port() const { return port_; }
  // Bytes that came from the hospital so far, over all connections; CURVE's and ZeroMQ's own among them.
  [[nodiscard]] std::uint64_t up() const { return up_; }
  [[nodiscard]] std::uint64_t down() const { return down_; }  // And to it.
  // When `bytes` more have come from the hospital, the connection ends, once; what had come is still delivered.
  void CutAfter(std::uint64_t bytes) { cut_at_ = up_ + bytes; }
  // When `bytes` more have come, nothing goes up any more, until Release.
  void HoldAfter(std::uint64_t bytes) { hold_at_ = up_ + bytes; }
  void Release() { hold_at_ = kNever; }
  [[nodiscard]] bool holding() const { return up_ >= hold_at_; }
  [[nodiscard]] int cuts() const { return cuts_; }

 private:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  void Serve();

  const int target_port_;
  int port_ = 0, listener_ = -1;
  std::atomic<std::uint64_t> up_ = 0, down_ = 0, cut_at_ = kNever, hold_at_ = kNever;
  std::atomic<int> cuts_ = 0;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

}  // namespace consilium::e2e
