// Invitation tokens. After "consilium1." comes the base64 of
//
//   secret (16) | server CURVE key (32) | roster 0's fingerprint (32) | u8 length, name | u8 length, endpoint
//   | u8 length, federation | checksum (4)
//
// with the first four bytes of BLAKE2b-256 over all before it as the checksum: a slip of the hand, not an attack, is
// what it finds. The text is as secret as what is in it, so every copy lies in a Secret or is wiped.
#include <fmt/format.h>

#include <charconv>

#include "common/base/check.h"
#include "common/roster/roster.h"

namespace consilium {
namespace {

constexpr std::string_view kPrefix = "consilium1.";
constexpr std::size_t kSecretBytes = 16, kChecksumBytes = 4, kMaxTextBytes = 1024, kMaxEndpointBytes = 255;

std::unexpected<Error> Bad(std::string_view why) {  // Never with the text itself: it would end in a log.
  return Fail(Code::kInvalid,
              fmt::format("this token cannot be used: {}; copy the whole line that `consilium invite` printed, "
                          "from \"{}\" to its end",
                          why, kPrefix));
}

class Writer {
 public:
  explicit Writer(std::span<std::uint8_t> out) : out_(out) {}
  void Put(ByteView bytes) {
    CHECK(bytes.size() <= out_.size());
    std::copy(bytes.begin(), bytes.end(), out_.begin());
    out_ = out_.subspan(bytes.size());
  }
  void PutShort(std::string_view text) {
    const auto size = static_cast<std::uint8_t>(text.size());
    Put({&size, 1});
    Put(View(text));
  }
  [[nodiscard]] bool full() const { return out_.empty(); }

 private:
  std::span<std::uint8_t> out_;
};

// Takes what is there; an empty view, and `cut`, when less is left.
class Scanner {
 public:
  explicit Scanner(ByteView in) : in_(in) {}
  ByteView Take(std::size_t size) {
    if (size > in_.size()) {
      cut_ = true;
      return {};
    }
    const ByteView out = in_.first(size);
    in_ = in_.subspan(size);
    return out;
  }
  std::string TakeShort() {
    const ByteView size = Take(1);
    return size.empty() ? std::string() : std::string(Text(Take(size.front())));
  }
  [[nodiscard]] bool done() const { return !cut_ && in_.empty(); }

 private:
  ByteView in_;
  bool cut_ = false;
};

Result<Secret> Decode(std::string_view text) {
  auto decoded = FromBase64(text);
  if (!decoded) return Bad("a character is wrong or missing");
  Secret payload = Secret::Copy(*decoded);
  Wipe(*decoded);
  if (payload.size() <= kChecksumBytes) return Bad("it is cut off");
  const ByteView body = payload.view().first(payload.size() - kChecksumBytes);
  const Digest sum = Blake2b(body);
  if (!EqualConstantTime(ByteView(sum).first(kChecksumBytes), payload.view().last(kChecksumBytes))) {
    return Bad("a character is wrong or missing");
  }
  return payload;
}

}  // namespace

Status CheckEndpoint(std::string_view endpoint) {
  const auto bad = [&] {
    return Fail(Code::kInvalid,
                fmt::format("{} is no address of a coordinator; write tcp://HOST:PORT, as the hospitals reach it",
                            CanonicalJson(Value(endpoint.substr(0, 300)))));
  };
  if (!endpoint.starts_with("tcp://") || endpoint.size() > kMaxEndpointBytes) return bad();
  const std::string_view rest = endpoint.substr(6);
  const std::size_t colon = rest.rfind(':');
  if (colon == rest.npos || colon == 0) return bad();
  std::string_view host = rest.substr(0, colon);
  const std::string_view port = rest.substr(colon + 1);
  const bool six = host.size() > 2 && host.front() == '[' && host.back() == ']';  // IPv6 in brackets.
  if (six) host = host.substr(1, host.size() - 2);
  const auto allowed = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           (six ? c == ':' || c == '%' : c == '-' || c == '_');
  };
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool whole = error == std::errc() && end == port.data() + port.size() && port.front() != '0';
  if (!whole || number > 65535 || !std::all_of(host.begin(), host.end(), allowed)) return bad();
  return {};
}

Secret FormatToken(const Token& token) {
  CHECK(token.secret.size() == kSecretBytes);
  CHECK(CheckHospitalName(token.name).has_value() && CheckEndpoint(token.endpoint).has_value());
  CHECK(CheckFederationName(token.federation).has_value());
  const std::size_t body = kSecretBytes + TransportKey::kSize + Digest::kSize + 3 + token.name.size() +
                           token.endpoint.size() + token.federation.size();
  Secret payload(body + kChecksumBytes);
  Writer writer(payload.bytes());
  writer.Put(token.secret.view());
  writer.Put(token.server);
  writer.Put(token.roster_fingerprint);
  writer.PutShort(token.name);
  writer.PutShort(token.endpoint);
  writer.PutShort(token.federation);
  writer.Put(ByteView(Blake2b(payload.view().first(body))).first(kChecksumBytes));
  CHECK(writer.full());
  std::string text = Base64(payload.view());
  Secret line(kPrefix.size() + text.size());
  Writer out(line.bytes());
  out.Put(View(kPrefix));
  out.Put(View(text));
  Wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return line;
}

Result<Token> ParseToken(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return Bad("it is empty");
  text = text.substr(first, text.find_last_not_of(kSpace) - first + 1);
  if (text.size() > kMaxTextBytes) return Bad("it is too long");
  if (!text.starts_with(kPrefix)) return Bad("it does not begin as one");
  const Secret payload = TRY(Decode(text.substr(kPrefix.size())));
  Scanner scanner(payload.view().first(payload.size() - kChecksumBytes));
  Token token;
  token.secret = Secret::Copy(scanner.Take(kSecretBytes));
  const auto server = TransportKey::From(scanner.Take(TransportKey::kSize));
  const auto fingerprint = Digest::From(scanner.Take(Digest::kSize));
  token.name = scanner.TakeShort();
  token.endpoint = scanner.TakeShort();
  token.federation = scanner.TakeShort();
  if (!scanner.done() || !server || !fingerprint) return Bad("it was made by another version");
  token.server = *server;
  token.roster_fingerprint = *fingerprint;
  TRY(CheckHospitalName(token.name));
  TRY(CheckEndpoint(token.endpoint));
  TRY(CheckFederationName(token.federation));
  return token;
}

CurveKey TokenKey(const Token& token) {
  Digest secret = Fields("consilium/token").KeyedHash(token.secret.view());
  CurveKey key = CurveKey::FromSecret(secret);
  Wipe(secret.bytes);
  return key;
}

}  // namespace consilium
