// The network at its worst: it swallows everything without a word, or reuses what a lost peer left.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/transport/peers.h"

namespace consilium {
namespace {

// A TCP relay that can fall silent: connections stay open, nothing passes any more.
class Relay {
 public:
  explicit Relay(const std::string& target)
      : target_port_(static_cast<std::uint16_t>(std::stoi(target.substr(target.rfind(':') + 1)))) {
    listening_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listening_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listening_, 16), 0);
    EXPECT_EQ(getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    endpoint_ = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { Serve(); });
  }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay() {
    ended_ = true;
    thread_.join();
    for (const pollfd& one : sockets_) close(one.fd);
  }
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  void FallSilent() { silent_ = true; }
  void Recover() { silent_ = false; }

 private:
  static sockaddr_in Loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }
  void Accept() {
    const int client = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(target_port_);
    EXPECT_EQ(connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    sockets_.push_back({client, POLLIN, 0});  // Pairs: 1-2, 3-4, ...
    sockets_.push_back({server, POLLIN, 0});
  }
  void Pass(std::size_t from) {
    char buffer[65536];
    const std::size_t to = from % 2 == 1 ? from + 1 : from - 1;
    const ssize_t n = recv(sockets_[from].fd, buffer, sizeof buffer, 0);
    if (n <= 0) {
      shutdown(sockets_[to].fd, SHUT_RDWR);
      sockets_[from].events = 0;
      sockets_[from].fd = -sockets_[from].fd;  // poll leaves negative ones alone.
      return;
    }
    for (ssize_t done = 0; done < n;) {
      const ssize_t sent = send(sockets_[to].fd, buffer + done, static_cast<std::size_t>(n - done), MSG_NOSIGNAL);
      if (sent <= 0) return;
      done += sent;
    }
  }
  void Serve() {
    sockets_.push_back({listening_, POLLIN, 0});
    while (!ended_) {
      const bool silent = silent_;
      if (poll(sockets_.data(), silent ? 0 : sockets_.size(), 5) <= 0 || silent) continue;
      const std::size_t count = sockets_.size();
      for (std::size_t i = 1; i < count; ++i) {
        if (sockets_[i].revents != 0) Pass(i);
      }
      if (sockets_[0].revents != 0) Accept();
    }
    for (pollfd& one : sockets_) one.fd = std::abs(one.fd);
  }

  const std::uint16_t target_port_;
  int listening_ = -1;
  std::string endpoint_;
  std::vector<pollfd> sockets_;
  std::atomic<bool> silent_ = false, ended_ = false;
  std::thread thread_;
};

class NetworkTest : public TransportTest {};

TEST_F(NetworkTest, ASilentNetworkIsNoticedOnBothSidesAndForgiven) {
  auto listener = Listener::Start({.endpoint = "tcp://127.0.0.1:0",
                                   .key = &server_,
                                   .heartbeat = std::chrono::milliseconds(50),
                                   .heartbeat_timeout = std::chrono::milliseconds(200)});
  ASSERT_TRUE(listener.has_value());
  Relay relay((*listener)->endpoint());
  Ear coordinator{std::move(*listener), {}};
  coordinator.link->Admit({a_.public_key()});
  auto connection = Connection::Start({.endpoint = relay.endpoint(),
                                       .key = &a_,
                                       .server_key = server_.public_key(),
                                       .connect_timeout = std::chrono::milliseconds(200),
                                       .handshake = std::chrono::milliseconds(300),
                                       .heartbeat = std::chrono::milliseconds(50),
                                       .heartbeat_timeout = std::chrono::milliseconds(200),
                                       .first_retry = std::chrono::milliseconds(20),
                                       .longest_retry = std::chrono::milliseconds(100)});
  ASSERT_TRUE(connection.has_value());
  Ear a{std::move(*connection), {}};
  Greet(coordinator, a, a_);
  relay.FallSilent();
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return coordinator.Lost() && a.Lost(); }));
  relay.Recover();
  a.events.clear();
  Greet(coordinator, a, a_);
}

// Node a leaves and b comes before the coordinator looks again, most likely on a's descriptor: the news of a's end must
// not be taken for b's.
TEST_F(NetworkTest, ADescriptorUsedAgainIsNotMistakenForItsFormerOwner) {
  Ear coordinator = Coordinator({a_.public_key(), b_.public_key()});
  for (int round = 0; round < 20; ++round) {
    coordinator.events.clear();
    Ear a = Node(a_);
    Greet(coordinator, a, a_);
    coordinator.events.clear();
    a = {};
    Ear b = Node(b_);
    ASSERT_TRUE(Until({&b}, [&] { return b.Connected(); }));  // The coordinator sleeps.
    b.link->Transmit(Send{{}, Frame("hello")});
    ASSERT_TRUE(Until({&coordinator, &b}, [&] { return Hellos(coordinator, b_) == 1 && coordinator.Lost(); }));
    ASSERT_EQ(coordinator.All<PeerLost>().size(), 1U);
    ASSERT_EQ(coordinator.All<PeerLost>()[0].peer, a_.public_key());
    coordinator.link->Transmit(Send{b_.public_key(), Frame("for b")});
    ASSERT_TRUE(Until({&coordinator, &b}, [&] { return b.Has("for b"); }));
    b = {};
    ASSERT_TRUE(Until({&coordinator}, [&] { return coordinator.All<PeerLost>().size() == 2; }));
  }
}

TEST_F(NetworkTest, ManyNodesComeAndGoAtOnce) {
  std::vector<CurveKey> keys;
  std::set<PeerKey> admitted;
  for (int i = 0; i < 40; ++i) {
    keys.push_back(CurveKey::Generate());
    admitted.insert(keys.back().public_key());
  }
  Ear coordinator = Coordinator(admitted);
  for (std::size_t life = 1; life <= 2; ++life) {
    coordinator.events.clear();
    std::vector<Ear> nodes;
    std::vector<Ear*> ears = {&coordinator};
    for (const CurveKey& key : keys) nodes.push_back(Node(key));
    for (Ear& node : nodes) ears.push_back(&node);
    ASSERT_TRUE(
        Until(ears, [&] { return std::ranges::all_of(nodes, [](const Ear& node) { return node.Connected(); }); }));
    for (Ear& node : nodes) node.link->Transmit(Send{{}, Frame("hello")});
    ASSERT_TRUE(Until(ears, [&] { return coordinator.All<FrameReceived>().size() == keys.size(); }));
    EXPECT_EQ(coordinator.All<PeerConnected>().size(), keys.size());
    EXPECT_FALSE(coordinator.Lost());
    for (const CurveKey& key : keys) coordinator.link->Transmit(Send{key.public_key(), Frame(key.public_key().Hex())});
    ASSERT_TRUE(Until(ears, [&] {
      return std::ranges::all_of(nodes, [](const Ear& node) { return !node.All<FrameReceived>().empty(); });
    }));
    for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_TRUE(nodes[i].Has(keys[i].public_key().Hex()));
    nodes.clear();
    ASSERT_TRUE(Until({&coordinator}, [&] { return coordinator.All<PeerLost>().size() == keys.size(); }));
  }
}

}  // namespace
}  // namespace consilium
