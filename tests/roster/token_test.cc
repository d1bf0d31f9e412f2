// A token survives copying as a whole line, and a slip in copying is named as one.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "tests/roster/federation.h"

namespace consilium {
namespace {

Token TestToken() {
  Token token;
  token.secret = Secret::Copy(Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  token.name = "hospital-a";
  token.endpoint = "tcp://coordinator.example:7400";
  token.server = TestTransport(91);
  token.roster_fingerprint = Blake2b(Canonical(FoundingRoster()));
  token.federation = "heart network";
  return token;
}

std::string Line(const Token& token) { return std::string(Text(FormatToken(token).view())); }

TEST(Token, ComesBackFromItsLine) {
  const Token token = TestToken();
  const std::string line = Line(token);
  EXPECT_TRUE(line.starts_with("consilium1."));
  EXPECT_EQ(line.find_first_of(" \n\t"), std::string::npos);
  for (const std::string& text : {line, line + "\n", "  " + line + "\r\n"}) {
    const auto parsed = ParseToken(text);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().what;
    EXPECT_TRUE(EqualConstantTime(parsed->secret.view(), token.secret.view()));
    EXPECT_EQ(parsed->name, token.name);
    EXPECT_EQ(parsed->endpoint, token.endpoint);
    EXPECT_EQ(parsed->server, token.server);
    EXPECT_EQ(parsed->roster_fingerprint, token.roster_fingerprint);
    EXPECT_EQ(parsed->federation, token.federation);
  }
}

TEST(Token, TheLongestNamesFit) {
  Token token = TestToken();
  token.name = std::string(63, 'n');
  token.endpoint = "tcp://" + std::string(243, 'h') + ":65535";
  ASSERT_EQ(token.endpoint.size(), 255U);
  token.federation = std::string(128, 'f');
  const auto parsed = ParseToken(Line(token));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().what;
  EXPECT_EQ(parsed->endpoint, token.endpoint);
}

TEST(Token, AChangedLostOrAddedCharacterIsNoticedAndTheTokenIsNotRepeated) {
  const std::string line = Line(TestToken());
  EXPECT_TRUE(rc::check([&] {
    std::string bad = line;
    const auto at = *rc::gen::inRange<std::size_t>(0, bad.size());
    const char c = static_cast<char>(*rc::gen::inRange<int>(0, 256));
    switch (*rc::gen::inRange(0, 5)) {
      case 0:
        bad.erase(at, 1);
        break;
      case 1:
        bad.insert(at, 1, c);
        break;
      case 2:
        bad.resize(at);
        break;
      default:
        bad[at] = c;
    }
    RC_PRE(bad != line);
    const auto parsed = ParseToken(bad);
    if (parsed) {  // Only white space around it may differ.
      RC_ASSERT(bad.find(line) != std::string::npos && bad.size() == line.size() + 1);
      return;
    }
    RC_ASSERT(parsed.error().code == Code::kInvalid);
    RC_ASSERT(parsed.error().what.find(line.substr(20, 20)) == std::string::npos);
  }));
}

TEST(Token, NamesTheMend) {
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("consilium1."), std::string("consilium1.AAAA"),
        std::string("consilium2.abc"), std::string(5000, 'x'), Line(TestToken()).substr(0, 100)}) {
    const auto parsed = ParseToken(text);
    ASSERT_FALSE(parsed.has_value());
    EXPECT_EQ(parsed.error().code, Code::kInvalid);
    EXPECT_NE(parsed.error().what.find("copy the whole line"), std::string::npos) << parsed.error().what;
  }
}

// A token with a right checksum over wrong content: what somebody else's program may have made.
std::string WithChecksum(Bytes body) {
  const Digest sum = Blake2b(body);
  body.insert(body.end(), sum.bytes.begin(), sum.bytes.begin() + 4);
  return "consilium1." + Base64(body);
}
Bytes Body(std::string_view name, std::string_view endpoint, std::string_view federation = "f") {
  Bytes body(80, 1);
  for (std::string_view text : {name, endpoint, federation}) {
    body.push_back(static_cast<std::uint8_t>(text.size()));
    body.insert(body.end(), text.begin(), text.end());
  }
  return body;
}

TEST(Token, ChecksItsContentBehindTheChecksum) {
  EXPECT_TRUE(ParseToken(WithChecksum(Body("hospital-a", "tcp://host:1"))).has_value());
  EXPECT_FALSE(ParseToken(WithChecksum(Body("../etc", "tcp://host:1"))).has_value());
  EXPECT_FALSE(ParseToken(WithChecksum(Body("", "tcp://host:1"))).has_value());
  EXPECT_FALSE(ParseToken(WithChecksum(Body("hospital-a", "ipc://file"))).has_value());
  EXPECT_FALSE(ParseToken(WithChecksum(Body("hospital-a", ""))).has_value());
  const auto endless = ParseToken(WithChecksum(Bytes(2000, 1)));
  ASSERT_FALSE(endless.has_value());
  EXPECT_NE(endless.error().what.find("too long"), std::string::npos) << "refused before it is decoded";
  EXPECT_FALSE(ParseToken(WithChecksum(Body("hospital-a", "tcp://host:1", ""))).has_value());
  EXPECT_FALSE(ParseToken(WithChecksum(Body("hospital-a", "tcp://host:1", "a\nb"))).has_value());
  Bytes longer = Body("hospital-a", "tcp://host:1");
  longer.push_back(0);
  EXPECT_FALSE(ParseToken(WithChecksum(longer)).has_value()) << "bytes left over";
  Bytes shorter = Body("hospital-a", "tcp://host:1");
  for (; !shorter.empty(); shorter.pop_back()) {
    if (shorter.size() == Body("hospital-a", "tcp://host:1").size()) continue;
    EXPECT_FALSE(ParseToken(WithChecksum(shorter)).has_value()) << shorter.size();
  }
}

TEST(Token, AnEndpointIsTcpHostAndPort) {
  for (std::string_view good : {"tcp://host:1", "tcp://10.0.0.1:65535", "tcp://[::1]:7400", "tcp://a_b-c.example:80"}) {
    EXPECT_TRUE(CheckEndpoint(good).has_value()) << good;
  }
  for (std::string_view bad :
       {"", "tcp://", "tcp://:1", "tcp://host", "tcp://host:", "tcp://host:0", "tcp://host:65536", "tcp://host:01",
        "tcp://host:1x", "tcp://host:-1", "tcp://*:1", "tcp://ho st:1", "tcp://a:b:1", "udp://host:1", "tcp://host:1/",
        "tcp://host:99999999999999999999", "tcp://[]:1"}) {
    EXPECT_FALSE(CheckEndpoint(bad).has_value()) << bad;
  }
  EXPECT_FALSE(CheckEndpoint("tcp://" + std::string(260, 'h') + ":1").has_value());
}

TEST(Token, ItsKeyDependsOnTheSecretAlone) {
  Token token = TestToken();
  const TransportKey key = TokenKey(token).public_key();
  EXPECT_EQ(key, CurveKey::FromSecret(Fields("consilium/token").KeyedHash(token.secret.view())).public_key());
  token.name = "hospital-b";
  EXPECT_EQ(TokenKey(token).public_key(), key);
  token.secret.bytes()[15] ^= 1;
  EXPECT_NE(TokenKey(token).public_key(), key);
}

}  // namespace
}  // namespace consilium
