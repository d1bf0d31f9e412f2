// What comes from outside and is wrong is refused with a reason, and the daemons run on.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/roster/roster.h"
#include "coordinator/daemon.h"
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

// Sends bytes to HOST:PORT of an address "...://127.0.0.1:PORT" and closes.
void Throw(const std::string& address, const std::string& bytes) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  close(fd);
}

std::string Garbage(std::size_t size) {
  std::string out(size, '\0');
  RandomBytes({reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  return out;
}

TEST(BadPeer, GarbageOnEveryPortChangesNothing) {
  Federation federation;
  federation.StartAll();
  const auto endpoints = coordinator::ReadEndpoints(federation.coordinator());
  ASSERT_TRUE(endpoints.has_value());
  const std::string study = federation.Submit({.rounds = 4});
  for (const std::string& address : {endpoints->hospitals, endpoints->http}) {
    for (std::size_t size : {1U, 9U, 64U, 4096U, 1U << 20}) Throw(address, Garbage(size));
    Throw(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    Throw(address, std::string("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03", 11) +
                       Garbage(100));  // ZMTP's greeting, then noise.
  }
  federation.ApproveAll(study);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  EXPECT_TRUE(federation.coordinator_process().Running());
  federation.ExpectOneAnswerPerRound(study);
}

TEST(BadPeer, AWrongServerKeyNeverConnects) {
  Federation federation;
  const auto config = federation.node(0) / "node.toml";
  std::string toml = ReadText(config);
  const auto at = toml.find("server_key = \"");
  ASSERT_NE(at, std::string::npos);
  WriteText(config, toml.replace(at + 14, 64, CurveKey::Generate().public_key().Hex()));
  federation.StartCoordinator();
  auto node = Process::Start({.argv = {Binary("consilium-node"), "run", federation.node(0)},
                              .input = "",
                              .out = {},
                              .err = federation.root() / "wrong.log",
                              .environment = {}});
  ASSERT_TRUE(node.has_value());
  const HttpClient control = HttpClient::Unix(federation.node(0) / "control.sock");
  Value status;
  ASSERT_TRUE(WaitUntil([&] {
    if (!node->Running()) return true;  // It may refuse a key that its own roster contradicts.
    const auto reply = control.Get("/v1/status");
    if (reply) status = JsonOf(*reply).value_or(Value());
    return !status["link"].AsString().empty();
  }));
  EXPECT_FALSE(status["connected"].AsBool());
  EXPECT_EQ(federation.CliJson({"status"})["hospitals"]["online"].AsInteger(), 0);
}

TEST(BadPeer, AHospitalWhoseKeyIsNotInTheRosterIsNotAdmitted) {
  Federation federation;
  federation.StartCoordinator();
  const ProgramOutput invited = federation.Cli({"invite", "hospital-x"});
  ASSERT_EQ(invited.status, 0) << invited.err;
  const auto directory = federation.root() / "hospital-x";
  const auto joined = RunProgram({Binary("consilium-node"), "join", directory}, invited.out);
  ASSERT_TRUE(joined && joined->status == 0) << joined->err;
  auto node = Process::Start({.argv = {Binary("consilium-node"), "run", directory},
                              .input = "",
                              .out = {},
                              .err = federation.root() / "x.log",
                              .environment = {}});
  ASSERT_TRUE(node.has_value());
  const HttpClient control = HttpClient::Unix(directory / "control.sock");
  Value status;
  ASSERT_TRUE(WaitUntil([&] {
    const auto reply = control.Get("/v1/status");
    if (reply) status = JsonOf(*reply).value_or(Value());
    return !status["link"].AsString().empty();
  }));
  EXPECT_FALSE(status["connected"].AsBool()) << "not confirmed, yet admitted";
  EXPECT_EQ(federation.CliJson({"status"})["hospitals"]["online"].AsInteger(), 0);

  // Once two of the three hospitals' officers have signed, the same process gets in by itself.
  EXPECT_EQ(federation.Cli({"hospital", "confirm", "hospital-x"}, "n\n").status, 3);
  EXPECT_EQ(federation.Cli({"hospital", "confirm", "hospital-x"}, "y\n").status, 0);
  for (int i : {0, 1}) {
    federation.StartNode(i);
    ASSERT_TRUE(federation.WaitOnline(i));
    EXPECT_EQ(federation.CliJson({"status"})["hospitals"]["online"].AsInteger(), i + 1) << "not before enough signed";
    ASSERT_TRUE(WaitUntil([&] { return federation.NodeJson(i, {"roster", "show", "DIR"})["proposal"].IsObject(); }));
    EXPECT_EQ(federation.Node(i, {"roster", "sign", "DIR"}, "n\n").status, 3);
    EXPECT_EQ(federation.Node(i, {"roster", "sign", "DIR"}, "y\n").status, 0);
  }
  EXPECT_TRUE(WaitUntil([&] { return federation.CliJson({"status"})["hospitals"]["online"].AsInteger() == 3; }));
}

TEST(BadPeer, ATokenServesOneHospitalOnce) {
  Federation federation;
  federation.StartCoordinator();
  const std::string token = federation.Cli({"invite", "hospital-x"}).out;
  const auto join = [&](const std::string& name, const std::string& text) {
    return RunProgram({Binary("consilium-node"), "join", federation.root() / name}, text).value_or(ProgramOutput{});
  };
  const ProgramOutput first = join("x", token), again = join("x", token);
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(first.out, again.out) << "the same keys, the same eight words";
  EXPECT_EQ(join("y", token).status, 4) << "a spent token";

  std::string changed = token;
  changed[changed.size() / 2] = changed[changed.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_EQ(join("z", changed).status, 2);
  EXPECT_EQ(join("z", "").status, 2);
  const std::string other = federation.Cli({"invite", "hospital-z"}).out;
  EXPECT_EQ(join("x", other).status, 1) << "the directory belongs to another enrolment";
  EXPECT_EQ(federation.Cli({"invite", "hospital-a"}).status, 1) << "the name is taken";
  EXPECT_EQ(federation.Cli({"invite", "Bad Name"}).status, 2);
}

TEST(BadPeer, ATokenOfAnotherFederationIsNotTrusted) {
  Federation federation;
  federation.StartCoordinator();
  const std::string line = federation.Cli({"invite", "hospital-x"}).out;
  auto token = ParseToken(line);
  ASSERT_TRUE(token.has_value());
  token->roster_fingerprint.bytes[0] ^= 1;  // Somebody else's founding roster under the right server key.
  const std::string forged(Text(FormatToken(*token).view()));
  const auto joined = RunProgram({Binary("consilium-node"), "join", federation.root() / "x"}, forged);
  ASSERT_TRUE(joined.has_value());
  EXPECT_EQ(joined->status, 4) << joined->err;
  EXPECT_FALSE(std::filesystem::exists(federation.root() / "x" / "node.toml"));
}

TEST(BadPeer, AWrongBearerTokenIsRefused) {
  Federation federation;
  federation.StartCoordinator();
  const auto endpoints = coordinator::ReadEndpoints(federation.coordinator());
  const auto api = cli::HttpApi::Open({endpoints->http, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ""});
  ASSERT_TRUE(api.has_value());
  for (const char* path : {"/v1/status", "/v1/studies", "/v1/audit/export", "/v1/hospitals"}) {
    const auto answer = api->Get(path);
    ASSERT_FALSE(answer.has_value()) << path;
    EXPECT_EQ(answer.error().code, Code::kUnauthorised) << path;
  }
  EXPECT_EQ(federation.Cli({"login", endpoints->http}, "wrong-token\n").status, 4);
}

}  // namespace
}  // namespace consilium::e2e
