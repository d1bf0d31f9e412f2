// A node always comes back, never to a false coordinator, and large blobs cross in chunks.
#include "tests/transport/peers.h"

namespace consilium {
namespace {

class ConnectionTest : public TransportTest {};

TEST_F(ConnectionTest, AWrongServerKeyIsSeenAndTriedAgain) {
  Ear coordinator = Coordinator({a_.public_key()});
  Ear a = Node(a_, b_.public_key());
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return a.All<PeerLost>().size() >= 2; }));
  EXPECT_FALSE(a.Connected());
  EXPECT_NE(a.All<PeerLost>()[0].reason, "key refused");
  EXPECT_TRUE(coordinator.events.empty());
}

TEST_F(ConnectionTest, ComesBackAfterTheCoordinatorsRestart) {
  Ear coordinator = Coordinator({a_.public_key()});
  Ear a = Node(a_);
  Greet(coordinator, a, a_);
  coordinator = {};
  ASSERT_TRUE(Until({&a}, [&] { return a.All<PeerLost>().size() >= 3; }));
  EXPECT_EQ(a.All<PeerLost>()[0].reason, "closed");
  EXPECT_EQ(a.All<PeerLost>()[2].reason, "no answer");
  a.events.clear();
  coordinator = Coordinator({a_.public_key()}, endpoint_);
  Greet(coordinator, a, a_);
  coordinator.link->Transmit(Send{a_.public_key(), Frame("welcome back")});
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return a.Has("welcome back"); }));
}

TEST_F(ConnectionTest, TheCoordinatorTakesARestartedNodeBack) {
  Ear coordinator = Coordinator({a_.public_key()});
  for (std::size_t life = 1; life <= 3; ++life) {
    Ear a = Node(a_);
    Greet(coordinator, a, a_);
    EXPECT_EQ(coordinator.All<PeerConnected>().size(), life);
    coordinator.link->Transmit(Send{a_.public_key(), Frame("hello back")});
    ASSERT_TRUE(Until({&coordinator, &a}, [&] { return a.Has("hello back"); }));
    a = {};
    ASSERT_TRUE(Until({&coordinator}, [&] { return coordinator.All<PeerLost>().size() == life; }));
    EXPECT_EQ(coordinator.All<PeerLost>().back().peer, a_.public_key());
  }
}

TEST_F(ConnectionTest, ADisconnectDialsAgain) {
  Ear coordinator = Coordinator({a_.public_key()});
  Ear a = Node(a_);
  Greet(coordinator, a, a_);
  a.link->Disconnect(server_.public_key(), "no heartbeat");
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return a.All<PeerConnected>().size() == 2; }));
  EXPECT_EQ(a.All<PeerLost>()[0].reason, "no heartbeat");
}

TEST_F(ConnectionTest, AWrongEndpointIsRefusedAndAnUnknownHostIsRetried) {
  for (const char* endpoint : {"", "127.0.0.1:7800", "tcp://", "tcp://host", "ipc:///tmp/x:1", "tcp://host:"}) {
    const auto refused = Connection::Start({.endpoint = endpoint, .key = &a_, .server_key = server_.public_key()});
    ASSERT_FALSE(refused.has_value()) << endpoint;
    EXPECT_EQ(refused.error().code, Code::kInvalid);
  }
  endpoint_ = "tcp://no-such-host.invalid:7800";
  Ear a = Node(a_);
  ASSERT_TRUE(Until({&a}, [&] { return a.All<PeerLost>().size() >= 2; }));
  EXPECT_FALSE(a.Connected());
}

// Serves one blob from memory.
class OneBlob : public BlobStore {
 public:
  explicit OneBlob(Bytes content) : content_(std::move(content)) {}
  [[nodiscard]] bool Has(const Digest&) const override { return true; }
  [[nodiscard]] Result<std::uint64_t> Size(const Digest&) const override { return content_.size(); }
  Status Read(const Digest&, std::uint64_t offset, std::span<std::uint8_t> out) const override {
    if (offset + out.size() > content_.size()) return Fail(Code::kInvalid, "outside");
    std::copy_n(content_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }
  Result<Digest> Put(ByteView) override { return Fail(Code::kIo, "read only"); }
  Status Write(const BlobWrite&) override { return Fail(Code::kIo, "read only"); }
  Status Seal(const Digest&) override { return Fail(Code::kIo, "read only"); }
  Status Drop(const Digest&) override { return Fail(Code::kIo, "read only"); }
  [[nodiscard]] Result<std::vector<Digest>> List() const override { return std::vector<Digest>(); }

 private:
  Bytes content_;
};

TEST_F(ConnectionTest, FortyMegabytesCrossBothWaysInChunks) {
  constexpr std::size_t kChunk = 1 << 20;
  constexpr std::size_t kChunks = 40;
  Bytes content(kChunk * kChunks);
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::uint8_t>(i ^ i >> 8 ^ i >> 16);
  const OneBlob blobs(content);
  Ear coordinator = Coordinator({a_.public_key()});
  Ear a = Node(a_);
  Greet(coordinator, a, a_);
  const Bytes head = Frame("head");
  const auto cross = [&](Ear& from, Ear& to, const PeerKey& peer) {
    to.events.clear();
    // Four in flight, as the protocol has it.
    for (std::size_t sent = 0; sent < kChunks; ++sent) {
      ASSERT_TRUE(Until({&coordinator, &a}, [&] { return to.events.size() + 4 > sent; }));
      from.link->Transmit(SendChunk{peer, head, {}, sent * kChunk, kChunk}, blobs);
    }
    ASSERT_TRUE(Until({&coordinator, &a}, [&] { return to.events.size() == kChunks; }));
    Bytes received;
    for (const FrameReceived& frame : to.All<FrameReceived>()) {
      ASSERT_EQ(Text(frame.frame).substr(0, 4), "head");
      received.insert(received.end(), frame.frame.begin() + 4, frame.frame.end());
    }
    EXPECT_TRUE(received == content);
  };
  cross(a, coordinator, server_.public_key());
  cross(coordinator, a, a_.public_key());
  // A part that is not there is not sent, and the session goes on.
  a.link->Transmit(SendChunk{{}, head, {}, content.size(), 1}, blobs);
  a.link->Transmit(Send{{}, Frame("on we go")});
  ASSERT_TRUE(Until({&coordinator, &a}, [&] { return coordinator.Has("on we go"); }));
}

}  // namespace
}  // namespace consilium
