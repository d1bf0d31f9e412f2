// Both ends of the transport, driven by hand on loopback: real sockets, free ports, no fixed waits.
#pragma once

#include <gtest/gtest.h>
#include <zmq.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/transport/connection.h"
#include "common/transport/listener.h"

namespace consilium {

inline constexpr Duration kLongest = std::chrono::seconds(20);  // A test that waits this long has failed.

// A link and every event that it gave.
struct Ear {
  std::unique_ptr<Link> link;
  std::vector<Event> events;

  void Listen(std::size_t most = kMaxEventsPerTurn) {
    for (Event& event : link->Receive(most, BootClock::now())) events.push_back(std::move(event));
  }
  template <class Kind>
  [[nodiscard]] std::vector<Kind> All() const {
    std::vector<Kind> out;
    for (const Event& event : events) {
      if (const auto* one = std::get_if<Kind>(&event)) out.push_back(*one);
    }
    return out;
  }
  [[nodiscard]] std::size_t Count(const auto& predicate) const {
    return static_cast<std::size_t>(std::ranges::count_if(events, predicate));
  }
  [[nodiscard]] bool Has(std::string_view frame) const {
    return std::ranges::any_of(events, [&](const Event& event) {
      const auto* one = std::get_if<FrameReceived>(&event);
      return one != nullptr && Text(one->frame) == frame;
    });
  }
  [[nodiscard]] bool Connected() const { return !All<PeerConnected>().empty(); }
  [[nodiscard]] bool Lost() const { return !All<PeerLost>().empty(); }
};

// Lets every ear listen until `done`; false when that never comes.
inline bool Until(const std::vector<Ear*>& ears, const std::function<bool()>& done) {
  const Instant end = BootClock::now() + kLongest;
  while (BootClock::now() < end) {
    std::vector<zmq_pollitem_t> items;
    for (Ear* ear : ears) {
      ear->Listen();
      for (void* socket : ear->link->Sockets()) items.push_back({socket, 0, ZMQ_POLLIN, 0});
    }
    if (done()) return true;
    zmq_poll(items.data(), static_cast<int>(items.size()), 5);
  }
  return false;
}

inline Bytes Frame(std::string_view text) { return ToBytes(View(text)); }

class TransportTest : public testing::Test {
 protected:
  static Listener* ListenerOf(Ear& ear) { return static_cast<Listener*>(ear.link.get()); }

  Ear Coordinator(const std::set<PeerKey>& admitted, std::string endpoint = "tcp://127.0.0.1:0") {
    auto listener = Listener::Start({.endpoint = std::move(endpoint), .key = &server_});
    EXPECT_TRUE(listener.has_value()) << (listener ? "" : listener.error().what);
    if (!listener) return {};
    endpoint_ = (*listener)->endpoint();
    (*listener)->Admit(admitted);
    return {std::move(*listener), {}};
  }
  Ear Node(const CurveKey& key) { return Node(key, server_.public_key()); }
  Ear Node(const CurveKey& key, const TransportKey& server) {
    auto connection = Connection::Start({.endpoint = endpoint_,
                                         .key = &key,
                                         .server_key = server,
                                         .connect_timeout = std::chrono::milliseconds(200),
                                         .handshake = std::chrono::seconds(1),
                                         .first_retry = std::chrono::milliseconds(20),
                                         .longest_retry = std::chrono::milliseconds(100)});
    EXPECT_TRUE(connection.has_value());
    return {std::move(*connection), {}};
  }
  // Both know each other: the node said hello.
  void Greet(Ear& coordinator, Ear& node, const CurveKey& key) {
    const std::size_t before = Hellos(coordinator, key);
    ASSERT_TRUE(Until({&coordinator, &node}, [&] { return node.Connected(); }));
    node.link->Transmit(Send{server_.public_key(), Frame("hello")});
    ASSERT_TRUE(Until({&coordinator, &node}, [&] { return Hellos(coordinator, key) > before; }));
  }
  static std::size_t Hellos(const Ear& ear, const CurveKey& key) {
    return ear.Count([&](const Event& event) {
      const auto* one = std::get_if<FrameReceived>(&event);
      return one != nullptr && one->peer == key.public_key() && Text(one->frame) == "hello";
    });
  }

  CurveKey server_ = CurveKey::Generate(), a_ = CurveKey::Generate(), b_ = CurveKey::Generate();
  std::string endpoint_;
};

}  // namespace consilium
