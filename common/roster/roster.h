// Who is in the federation: a hash-chained list, each version signed. Both sides verify; a hospital's first trust is
// the fingerprint of roster 0, which rides on its token.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
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
  [[nodiscard]] bool HasOfficer() const;                     // A zero key stands for none.
  [[nodiscard]] bool ExpiredAt(std::int64_t wall_ms) const;  // Past its validity, or more than a day before it.
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
inline constexpr std::size_t kMaxRosterBytes = std::size_t{8} << 20;  // Signed: more than 10,000 hospitals.
Bytes Encode(const SignedRoster& signed_roster);                      // Canonical JSON; at most kMaxRosterBytes.
Result<SignedRoster> ParseSignedRoster(ByteView bytes);
RosterSignature SignRoster(ByteView roster, const IdentityKey& key);

// Who decides about the next roster (docs/decisions/0005-who-signs-a-roster.md).
struct Electorate {
  bool founder = true;         // Three hospitals never had officers yet: the founding officer decides, alone.
  std::uint32_t n = 1, m = 1;  // Else m = floor(n/2) + 1 of the n hospitals that have officers and are not revoked.
};

// A proposed next roster: everything about it but the number of signatures is right.
struct Draft {
  Roster roster;
  Electorate electorate;
  std::vector<std::string> changes;    // In plain words, with fingerprints.
  std::vector<std::string> signed_by;  // Hospitals whose officer signed, or "the founding officer"; by name.
  std::vector<std::string> may_sign;   // Who else may.
  std::vector<std::string> must_sign;  // Without whom it cannot be, however many others sign.
  [[nodiscard]] bool Complete() const { return must_sign.empty() && signed_by.size() >= electorate.m; }
  [[nodiscard]] std::string Missing() const;  // "2 more of hospital-a, hospital-b, hospital-c"; "" when complete.
};

// A chain of rosters from roster 0. The only way to a roster that others rely on. Copies share what they hold.
class RosterChain {
 public:
  // First trust: roster 0 must have this hash (BLAKE2b-256) and the founder's signature.
  static Result<RosterChain> Found(const SignedRoster& roster0, const Digest& fingerprint);
  // The next version: seq + 1, previous = H(last), same federation and founder; hospitals are appended or revoked for
  // good, their officers, keys and validity may change, numbers, ids and names never; no key ever serves twice. Signed
  // by the founding officer while it counts, else by officers of m of the n hospitals, one a hospital; and besides by
  //   the identity key of each added hospital (its membership),
  //   an officer, of those before, of each hospital whose officers change,
  //   the old and the new identity key of each hospital whose keys change.
  // Every signature must be right and have such a part.
  Status Extend(const SignedRoster& next);
  // All of that but how many have signed: what a proposal must satisfy.
  [[nodiscard]] Result<Draft> Examine(const SignedRoster& next) const;
  [[nodiscard]] Electorate electorate() const;
  [[nodiscard]] const Roster& current() const { return *state_->rosters.at(state_->hash); }
  // The version with this hash, of all that the chain has; null when none has it. Valid as long as the chain.
  [[nodiscard]] const Roster* Find(const Digest& hash) const;
  [[nodiscard]] const SignedRoster& current_signed() const { return state_->links.back(); }
  [[nodiscard]] const std::vector<SignedRoster>& links() const { return state_->links; }
  [[nodiscard]] const Digest& hash() const { return state_->hash; }

 private:
  void Append(SignedRoster link, Roster roster);
  [[nodiscard]] Status CheckSuccessor(const Roster& roster) const;

  struct State {
    std::vector<SignedRoster> links;
    std::map<Digest, std::shared_ptr<const Roster>> rosters;  // Every version, parsed once.
    Digest hash;                                              // Of the last one.
    std::set<std::array<std::uint8_t, 32>> keys;              // Every key that any version had.
    bool founder_counts = true;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();  // Changed only while nobody shares it.
};

// The roster after `chain`'s, before anything is changed.
Roster NextRoster(const RosterChain& chain);
// For people (show.cc). The view: {federation, seq, hash, roster (base64), notice, rule: {founder, m, n}, members:
// [{number, name, state, fingerprint, officers: [words], valid_until_ms}], proposal: null or {seq, hash, roster
// (base64), changes, signed_by, needed, missing, may_sign}}; its text.
Value RosterView(const RosterChain& chain, const SignedRoster* proposal, std::int64_t wall_ms);
std::string RosterText(const Value& view);
std::string OfficerWords(const Member& member, const VerifyKey& officer);  // Eight, to compare.
std::string UtcDate(std::int64_t wall_ms);                                 // "2027-01-31"
// What every screen says that lists members or studies of a federation in which one officer alone decides; else "".
std::string DemoNotice(const RosterChain& chain);

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
