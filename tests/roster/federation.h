// A federation with fixed keys: roster 0, hospital-a in roster 1, hospital-b in roster 2; and the next rosters of
// tests.
#pragma once

#include "common/base/check.h"
#include "common/roster/roster.h"

namespace consilium {

// The fault's code; nullopt for a success, which has none to compare.
template <class Outcome>
std::optional<Code> CodeOf(const Outcome& outcome) {
  if (outcome.has_value()) return std::nullopt;
  return outcome.error().code;
}

inline IdentityKey TestIdentity(std::uint8_t n) { return IdentityKey::FromSeed(Bytes(32, n)); }
inline TransportKey TestTransport(std::uint8_t n) { return CurveKey::FromSecret(Bytes(32, n)).public_key(); }

// Keys of hospital n are made from n, n + 100 and n + 200; the founder's and the server's from 90 and 91.
inline Member TestMember(std::uint32_t number) {
  const auto n = static_cast<std::uint8_t>(number);
  Member member;
  member.number = number;
  member.id.bytes.fill(n);
  member.name = std::string("hospital-") + static_cast<char>('a' + n - 1);
  member.identity = TestIdentity(n).verify_key();
  member.transport = TestTransport(static_cast<std::uint8_t>(n + 100));
  member.officers = {TestIdentity(static_cast<std::uint8_t>(n + 200)).verify_key()};
  member.valid_from_ms = 1'700'000'000'000;
  return member;
}

inline Roster FoundingRoster() {
  Roster roster;
  roster.federation = "heart study";
  roster.founder = TestIdentity(90).verify_key();
  roster.server_identity = TestIdentity(91).verify_key();
  roster.server_transport = TestTransport(91);
  return roster;
}

inline RosterSignature Enrolled(const Roster& roster, const Member& member, const IdentityKey& identity) {
  const VerifyKey officer = member.officers.empty() ? VerifyKey{} : member.officers.front();
  return SignMembership(MembershipBytes(roster.federation, member.name, member.identity, member.transport, officer),
                        identity);
}

// Signed by the founder and by hospital n for each member from number `added_from` on.
inline SignedRoster SignAs(const Roster& roster, std::uint32_t added_from) {
  SignedRoster out{Canonical(roster), {}};
  out.signatures.push_back(SignRoster(out.roster, TestIdentity(90)));
  for (const Member& member : roster.members) {
    if (member.number < added_from) continue;
    out.signatures.push_back(Enrolled(roster, member, TestIdentity(static_cast<std::uint8_t>(member.number))));
  }
  return out;
}

inline Roster After(const RosterChain& chain) { return NextRoster(chain); }

inline IdentityKey TestOfficer(std::uint32_t number) { return TestIdentity(static_cast<std::uint8_t>(number + 200)); }

// Signed by the officers of these hospitals, and by each hospital from number `added_from` on.
inline SignedRoster SignByOfficers(const Roster& roster, const std::vector<std::uint32_t>& hospitals,
                                   std::uint32_t added_from = 100) {
  SignedRoster out = SignAs(roster, added_from);
  out.signatures.erase(out.signatures.begin());
  for (const std::uint32_t number : hospitals) out.signatures.push_back(SignRoster(out.roster, TestOfficer(number)));
  return out;
}

inline Roster WithNextMember(const RosterChain& chain) {
  Roster next = After(chain);
  next.members.push_back(TestMember(static_cast<std::uint32_t>(next.members.size() + 1)));
  return next;
}

// A roster a hospital: the founder signs until three are in, then the first two hospitals' officers do and as many more
// as are needed.
inline RosterChain TestChain(std::uint32_t hospitals) {
  const SignedRoster founding = SignAs(FoundingRoster(), 1);
  auto chain = RosterChain::Found(founding, founding.hash());
  CHECK(chain.has_value());
  for (std::uint32_t n = 1; n <= hospitals; ++n) {
    std::vector<std::uint32_t> signers(chain->electorate().m);
    for (std::uint32_t i = 0; i < signers.size(); ++i) signers[i] = i + 1;
    const Roster next = WithNextMember(*chain);
    CHECK(chain->Extend(chain->electorate().founder ? SignAs(next, n) : SignByOfficers(next, signers, n)).has_value());
  }
  return std::move(*chain);
}

}  // namespace consilium
