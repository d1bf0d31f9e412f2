// Who is not admitted gets nothing, who is admitted speaks only for itself, and no peer can stop the coordinator.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/transport/peers.h"

namespace consilium {
namespace {

// A hospital's ZeroMQ socket in wrong hands: it sets whatever it likes.
class Rogue {
 public:
  Rogue(const CurveKey& key, const TransportKey& server, const std::string& routing_id = "") {
    Set(ZMQ_CURVE_SERVERKEY, server);
    Set(ZMQ_CURVE_PUBLICKEY, key.public_key());
    Set(ZMQ_CURVE_SECRETKEY, key.secret());
    if (!routing_id.empty()) Set(ZMQ_ROUTING_ID, View(routing_id));
    const int linger = 0;
    zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof linger);
    const int few = 1;  // Or its library would read a thousand messages for it.
    zmq_setsockopt(socket_, ZMQ_RCVHWM, &few, sizeof few);
  }
  Rogue(const Rogue&) = delete;
  Rogue& operator=(const Rogue&) = delete;
  ~Rogue() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  void Connect(const std::string& endpoint) { ASSERT_EQ(zmq_connect(socket_, endpoint.c_str()), 0); }
  void Say(ByteView bytes, int flags = 0) { zmq_send(socket_, bytes.data(), bytes.size(), flags | ZMQ_DONTWAIT); }
  [[nodiscard]] bool Hears() {
    zmq_pollitem_t item = {socket_, 0, ZMQ_POLLIN, 0};
    return zmq_poll(&item, 1, 0) == 1;
  }

 private:
  void Set(int option, ByteView value) { ASSERT_EQ(zmq_setsockopt(socket_, option, value.data(), value.size()), 0); }
  void* context_ = zmq_ctx_new();
  void* socket_ = zmq_socket(context_, ZMQ_DEALER);
};

class ListenerTest : public TransportTest {};

TEST_F(ListenerTest, CarriesFramesBothWays) {
  Ear coordinator = Coordinator({a_.public_key(), b_.public_key()});
  Ear a = Node(a_);
  Ear b = Node(b_);
  Greet(coordinator, a, a_);
  Greet(coordinator, b, b_);
  EXPECT_EQ(coordinator.All<PeerConnected>().size(), 2U);
  coordinator.link->Transmit(Send{a_.public_key(), Frame("for a")});
  coordinator.link->Transmit(Send{b_.public_key(), Frame("for b")});
  coordinator.link->Transmit(Send{CurveKey::Generate().public_key(), Frame("for nobody")});
  ASSERT_TRUE(Until({&coordinator, &a, &b}, [&] { return a.Has("for a") && b.Has("for b"); }));
  EXPECT_EQ(a.All<FrameReceived>().size(), 1U);
  EXPECT_EQ(b.All<FrameReceived>().size(), 1U);
  EXPECT_EQ(a.All<FrameReceived>()[0].peer, server_.public_key());
}

TEST_F(ListenerTest, RefusesAnUnknownKeyAndTheNodeIsTold) {
  Ear coordinator = Coordinator({a_.public_key()});
  Ear stranger = Node(b_);
  ASSERT_TRUE(Until({&coordinator, &stranger}, [&] { return stranger.All<PeerLost>().size() >= 2; }));
  EXPECT_EQ(stranger.All<PeerLost>()[0].reason, "key refused");
  EXPECT_FALSE(stranger.Connected());
  EXPECT_TRUE(coordinator.events.empty());
  // It tries on, and gets in once it is admitted.
  coordinator.link->Admit({a_.public_key(), b_.public_key()});
  Greet(coordinator, stranger, b_);
}

TEST_F(ListenerTest, NobodyIsAdmittedBeforeTheFirstAdmit) {
  auto listener = Listener::Start({.endpoint = "tcp://127.0.0.1:0", .key = &server_});
  endpoint_ = (*listener)->endpoint();
  Ear coordinator{std::move(*listener), {}};
  Rogue rogue(a_, server_.public_key());
  rogue.Connect(endpoint_);
  rogue.Say(View("hello"));
  const Instant end = BootClock::now() + std::chrono::milliseconds(200);
  Until({&coordinator}, [&] { return BootClock::now() > end; });
  EXPECT_TRUE(coordinator.events.empty());
  coordinator.link->Admit({});
  Until({&coordinator}, [&] { return BootClock::now() > end + std::chrono::milliseconds(200); });
  EXPECT_TRUE(coordinator.events.empty());
}

TEST_F(ListenerTest, APlainSocketGetsNowhere) {
  Ear coordinator = Coordinator({a_.public_key()});
  void* context = zmq_ctx_new();
  void* plain = zmq_socket(context, ZMQ_DEALER);
  const int linger = 0;
  zmq_setsockopt(plain, ZMQ_LINGER, &linger, sizeof linger);
  ASSERT_EQ(zmq_connect(plain, endpoint_.c_str()), 0);
  zmq_send(plain, "hello", 5, ZMQ_DONTWAIT);
  Ear a = Node(a_);
  Greet(coordinator, a, a_);
  EXPECT_EQ(coordinator.All<FrameReceived>().size(), 1U);
  zmq_close(plain);
  zmq_ctx_term(context);
}

TEST_F(ListenerTest, ARoutingIdOfItsOwnGetsAPeerCutOff) {
  Ear coordinator = Coordinator({a_.public_key(), b_.public_key()});
  Ear a = Node(a_);
  Greet(coordinator, a, a_);
  // Neither a made-up id nor one that looks like a hospital's works; and what it says is never taken for a's word.
  Rogue rogue(b_, server_.public_key(), "hospital-a");
  rogue.Connect(endpoint_);
  rogue.Say(View("I am a"));
  coordinator.link->Transmit(Send{a_.public_key(), Frame("secret")});
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return a.Has("secret"); }));
  coordinator.link->Transmit(Send{b_.public_key(), Frame("for b")});
  const Instant end = BootClock::now() + std::chrono::milliseconds(200);
  Until({&coordinator, &a}, [&] { return BootClock::now() > end; });
  EXPECT_FALSE(coordinator.Has("I am a"));
  EXPECT_FALSE(rogue.Hears());
  EXPECT_FALSE(coordinator.Lost());
}

TEST_F(ListenerTest, TheNewestConnectionOfAKeyIsItsSession) {
  Ear coordinator = Coordinator({a_.public_key()});
  Ear old = Node(a_);
  Greet(coordinator, old, a_);
  Rogue fresh(a_, server_.public_key());
  fresh.Connect(endpoint_);
  fresh.Say(View("fresh"));
  ASSERT_TRUE(Until({&coordinator}, [&] { return coordinator.Has("fresh"); }));
  ASSERT_EQ(coordinator.All<PeerConnected>().size(), 2U);
  ASSERT_EQ(coordinator.All<PeerLost>().size(), 1U);
  coordinator.link->Transmit(Send{a_.public_key(), Frame("to the newest")});
  ASSERT_TRUE(Until({&coordinator}, [&] { return fresh.Hears(); }));
  ASSERT_TRUE(Until({&coordinator, &old}, [&] { return old.Lost(); }));
  EXPECT_FALSE(old.Has("to the newest"));
}

TEST_F(ListenerTest, AMessageOverTheLimitClosesItsSessionOnly) {
  Ear coordinator = Coordinator({a_.public_key(), b_.public_key()});
  Ear a = Node(a_);
  Greet(coordinator, a, a_);
  Rogue rogue(b_, server_.public_key());
  rogue.Connect(endpoint_);
  rogue.Say(View("hello"));
  ASSERT_TRUE(Until({&coordinator}, [&] { return Hellos(coordinator, b_) == 1; }));
  rogue.Say(Bytes(kMaxFrameBytes + 1));
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return coordinator.Lost(); }));
  EXPECT_EQ(coordinator.All<PeerLost>()[0].peer, b_.public_key());
  EXPECT_EQ(coordinator.All<FrameReceived>().size(), 2U);
  a.link->Transmit(Send{{}, Bytes(kMaxFrameBytes, 7)});
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return coordinator.All<FrameReceived>().size() == 3; }));
  EXPECT_EQ(coordinator.All<FrameReceived>()[2].frame, Bytes(kMaxFrameBytes, 7));
}

TEST_F(ListenerTest, AMessageOfSeveralPartsClosesItsSession) {
  Ear coordinator = Coordinator({b_.public_key()});
  Rogue rogue(b_, server_.public_key());
  rogue.Connect(endpoint_);
  rogue.Say(View("one"), ZMQ_SNDMORE);
  rogue.Say(View("two"));
  ASSERT_TRUE(Until({&coordinator}, [&] { return coordinator.Lost(); }));
  EXPECT_TRUE(coordinator.All<FrameReceived>().empty());
}

TEST_F(ListenerTest, GarbageOnThePortHarmsNobody) {
  Ear coordinator = Coordinator({a_.public_key()});
  Ear a = Node(a_);
  Greet(coordinator, a, a_);
  const auto port = static_cast<std::uint16_t>(std::stoi(endpoint_.substr(endpoint_.rfind(':') + 1)));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  // What a scanner, a browser and a half-known protocol would send.
  const std::string greeting("\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32);
  const std::vector<std::string> garbage = {"",
                                            "GET / HTTP/1.1\r\n\r\n",
                                            std::string(100'000, '\xff'),
                                            greeting,
                                            greeting + std::string(5000, '\x04'),
                                            std::string(64, '\0'),
                                            greeting + std::string("\0\0\0\0\2\x7f\xff\xff\xff\xff\xff\xff\xff", 13)};
  std::vector<int> sockets;
  for (const std::string& bytes : garbage) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_GE(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    sockets.push_back(fd);
  }
  a.link->Transmit(Send{{}, Frame("still here")});
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return coordinator.Has("still here"); }));
  for (const int fd : sockets) close(fd);
  coordinator.link->Transmit(Send{a_.public_key(), Frame("me too")});
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return a.Has("me too"); }));
  EXPECT_EQ(coordinator.All<FrameReceived>().size(), 2U);
  EXPECT_FALSE(coordinator.Lost());
}

TEST_F(ListenerTest, ARevokedKeysLiveSessionCloses) {
  Ear coordinator = Coordinator({a_.public_key(), b_.public_key()});
  Ear a = Node(a_);
  Ear b = Node(b_);
  Greet(coordinator, a, a_);
  Greet(coordinator, b, b_);
  coordinator.link->Transmit(Send{a_.public_key(), Frame("the last word")});
  coordinator.link->Admit({b_.public_key()});
  a.link->Transmit(Send{{}, Frame("too late")});
  ASSERT_TRUE(Until({&coordinator, &a, &b}, [&] { return a.Lost() && coordinator.Lost(); }));
  EXPECT_TRUE(a.Has("the last word"));
  ASSERT_TRUE(Until({&coordinator, &a, &b}, [&] { return a.All<PeerLost>().back().reason == "key refused"; }));
  EXPECT_EQ(coordinator.All<PeerLost>()[0].peer, a_.public_key());
  EXPECT_FALSE(coordinator.Has("too late"));
  coordinator.link->Transmit(Send{a_.public_key(), Frame("nothing any more")});
  coordinator.link->Transmit(Send{b_.public_key(), Frame("b goes on")});
  ASSERT_TRUE(Until({&coordinator, &a, &b}, [&] { return b.Has("b goes on"); }));
  EXPECT_FALSE(a.Has("nothing any more"));
  EXPECT_FALSE(b.Lost());
}

TEST_F(ListenerTest, WhatWasSentBeforeADisconnectStillArrives) {
  Ear coordinator = Coordinator({a_.public_key()});
  Ear a = Node(a_);
  Greet(coordinator, a, a_);
  coordinator.link->Transmit(Send{a_.public_key(), Frame("refused")});
  coordinator.link->Disconnect(a_.public_key(), "wrong version");
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return a.Has("refused") && a.Lost(); }));
  EXPECT_EQ(coordinator.All<PeerLost>().size(), 1U);
  EXPECT_EQ(coordinator.All<PeerLost>()[0].reason, "wrong version");
  a.events.clear();
  coordinator.events.clear();
  Greet(coordinator, a, a_);  // It may come back.
}

// A chunk that came over whole is not asked for again only because the line broke behind it.
TEST_F(ListenerTest, WhatCameBeforeTheConnectionClosedStillCounts) {
  Ear coordinator = Coordinator({a_.public_key()});
  Ear a = Node(a_);
  Greet(coordinator, a, a_);
  constexpr std::size_t kFrames = 8;
  for (std::size_t i = 0; i < kFrames; ++i)
    a.link->Transmit(Send{server_.public_key(), Bytes(std::size_t{200} * 1024, std::uint8_t{1})});
  a.link->Stop();  // What was sent still leaves.
  a.link.reset();
  usleep(300'000);  // So that frames and the end are there together; the order must not depend on it.
  coordinator.link->Transmit(Send{a_.public_key(), Frame("too late")});
  ASSERT_TRUE(Until({&coordinator}, [&] { return coordinator.Lost(); }));
  EXPECT_EQ(coordinator.All<FrameReceived>().size(), 1 + kFrames);
  EXPECT_TRUE(std::holds_alternative<PeerLost>(coordinator.events.back()));
}

TEST_F(ListenerTest, ASlowReaderBlocksNobodyAndLosesItsSessionInTheEnd) {
  Ear coordinator = Coordinator({a_.public_key(), b_.public_key()});
  Ear a = Node(a_);
  Greet(coordinator, a, a_);
  Rogue slow(b_, server_.public_key());
  slow.Connect(endpoint_);
  slow.Say(View("hello"));
  ASSERT_TRUE(Until({&coordinator}, [&] { return Hellos(coordinator, b_) == 1; }));
  // Far more than the high-water marks, the kernel's buffers and the queue hold.
  for (int i = 0; i < 400 && !coordinator.Lost(); ++i) {
    coordinator.link->Transmit(Send{b_.public_key(), Bytes(1 << 20)});
    coordinator.link->Transmit(Send{a_.public_key(), Frame("n" + std::to_string(i))});
    ASSERT_TRUE(Until({&coordinator, &a}, [&] { return a.Has("n" + std::to_string(i)); }));
  }
  ASSERT_TRUE(coordinator.Lost());
  EXPECT_EQ(coordinator.All<PeerLost>()[0].peer, b_.public_key());
  EXPECT_FALSE(a.Lost());
}

TEST_F(ListenerTest, AnAddressHasOneListener) {
  Ear coordinator = Coordinator({});
  const auto second = Listener::Start({.endpoint = endpoint_, .key = &server_});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kConflict) << second.error().what;
  EXPECT_EQ(Listener::Start({.endpoint = "ipc:///x", .key = &server_}).error().code, Code::kInvalid);
  EXPECT_EQ(Listener::Start({.endpoint = "tcp://nonsense", .key = &server_}).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace consilium
