// Who is in the federation: a hash-chained list, each version signed. Both sides verify; a hospital's first trust is
// the fingerprint of roster 0, which rides on its token.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/crypto/keys.h"
#include "common/settings/value.h"

namespace consilium {

struct Member {
  std::uint32_t number = 0;  // Position, from 1; never reused.
  HospitalId id;
  std::string name;
  VerifyKey identity;      // IK
  TransportKey transport;  // TK
  std::vector<VerifyKey> officers;
  std::int64_t valid_from_ms = 0, valid_until_ms = 0;  // Wall time; until 0: no end.
  bool revoked = false;
  bool operator==(const Member&) const = default;
};

struct Roster {
  std::uint64_t seq = 0;  // 0: the founding roster, without hospitals.
  Digest previous;        // H of the previous roster's bytes; zero for roster 0.
  std::string federation;
  VerifyKey server_identity;      // Signs what the coordinator says.
  TransportKey server_transport;  // CURVE server key.
  VerifyKey founder;              // The founding officer.
  std::vector<Member> members;    // By number.

  [[nodiscard]] const Member* ByNumber(std::uint32_t number) const;
  [[nodiscard]] const Member* ByTransport(const TransportKey& key) const;  // Revoked ones too; look at the flag.
  [[nodiscard]] const Member* ByName(std::string_view name) const;
  bool operator==(const Roster&) const = default;
};

// Canonical JSON of the roster; H of it is the roster's hash.
Bytes Canonical(const Roster& roster);
Result<Roster> ParseRoster(ByteView canonical);

struct RosterSignature {
  VerifyKey key;
  Signature signature;  // Over Fields("HSA1/msg") | "Roster" | H(roster bytes).
  bool operator==(const RosterSignature&) const = default;
};
struct SignedRoster {
  Bytes roster;  // Canonical bytes as received.
  std::vector<RosterSignature> signatures;
  [[nodiscard]] Digest hash() const { return Blake2b(roster); }
};
Bytes Encode(const SignedRoster& signed_roster);  // Canonical JSON; at most 1 MiB.
Result<SignedRoster> ParseSignedRoster(ByteView bytes);
RosterSignature SignRoster(ByteView roster, const IdentityKey& key);

// A chain of rosters from roster 0. The only way to a roster that others rely on.
class RosterChain {
 public:
  // First trust: roster 0 must have this hash (BLAKE2b-256) and the founder's signature.
  static Result<RosterChain> Found(const SignedRoster& roster0, const Digest& fingerprint);
  // The next version: seq + 1, previous = H(last), same federation and founder, members only appended or revoked
  // (numbers, ids, names and keys of the old ones unchanged), no key twice, signed by the founder (until three
  // hospitals have officers this is the rule; M of N follows) and by the IK of every added hospital.
  Status Extend(const SignedRoster& next);
  [[nodiscard]] const Roster& current() const { return *rosters_.at(hash_); }
  // The version with this hash, of all that the chain has; null when none has it. Valid as long as the chain.
  [[nodiscard]] const Roster* Find(const Digest& hash) const;
  [[nodiscard]] const SignedRoster& current_signed() const { return links_.back(); }
  [[nodiscard]] const std::vector<SignedRoster>& links() const { return links_; }
  [[nodiscard]] const Digest& hash() const { return hash_; }

 private:
  void Append(SignedRoster link, Roster roster);

  std::vector<SignedRoster> links_;
  std::map<Digest, std::shared_ptr<const Roster>> rosters_;  // Every version, parsed once.
  Digest hash_;                                              // Of the last one.
};

// Added hospitals sign their own membership at enrolment: over "HSA1/msg" | "Enroll" | H(canonical JSON of the member's
// name, identity, transport, officer, federation). The signature is kept with the roster's signatures (key = IK).
Bytes MembershipBytes(std::string_view federation, std::string_view name, const VerifyKey& identity,
                      const TransportKey& transport, const VerifyKey& officer);
RosterSignature SignMembership(ByteView membership, const IdentityKey& identity);

// A hospital's name: [a-z0-9][a-z0-9-]{0,62}. An endpoint: tcp://HOST:PORT, at most 255 bytes. kInvalid says what is
// wrong. A federation's name: 1 to 128 bytes without control characters.
Status CheckHospitalName(std::string_view name);
Status CheckFederationName(std::string_view name);
Status CheckEndpoint(std::string_view endpoint);

// What `consilium invite` prints and `join` reads: one line, "consilium1." + base64 of
// {secret 16 bytes, name, endpoint, server CURVE key, roster 0 fingerprint, federation}, with a checksum.
struct Token {
  Secret secret;         // 128 bits.
  std::string name;      // The hospital's name, fixed by the officer.
  std::string endpoint;  // tcp://HOST:PORT
  TransportKey server;
  Digest roster_fingerprint;
  std::string federation;  // The hospital signs its membership of it before it has seen a roster.
};
Secret FormatToken(const Token& token);           // Its names and endpoint passed the checks above.
Result<Token> ParseToken(std::string_view text);  // kInvalid names the mend ("copy the whole line").
// The CURVE key of a token: BLAKE2b("consilium/token"; key secret). Coordinators know only its public half.
CurveKey TokenKey(const Token& token);

}  // namespace consilium
