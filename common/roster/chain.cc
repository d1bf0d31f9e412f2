// Signed rosters and the chain they form. A link is believed as a whole or not at all, and only with exactly the
// signatures that it needs: a further one would be bytes that nobody vouches for.
#include <fmt/format.h>

#include "common/roster/roster.h"

namespace consilium {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;

Fields SignedFields(std::string_view kind, ByteView payload) {
  return std::move(Fields("HSA1/msg").AddText(kind).Add(Blake2b(payload)));
}

std::unexpected<Error> Broken(Code code, std::string why) {
  return Fail(code, "the roster does not continue the federation's: " + std::move(why));
}

Status RequireSignature(const SignedRoster& link, const VerifyKey& key, const Fields& fields, std::string_view whose) {
  const auto found = std::find_if(link.signatures.begin(), link.signatures.end(),
                                  [&](const RosterSignature& s) { return s.key == key; });
  if (found != link.signatures.end() && Verify(key, fields.bytes(), found->signature)) return {};
  return Fail(Code::kUnauthorised,
              fmt::format("the roster is not signed by {}; ask the founding officer for the one that is", whose));
}

Status CheckFounder(const SignedRoster& link, const VerifyKey& founder) {
  return RequireSignature(link, founder, SignedFields("Roster", link.roster), "the founding officer");
}

Status CheckSize(const SignedRoster& link, std::size_t signatures) {
  if (link.signatures.size() != signatures) {
    return Fail(Code::kUnauthorised,
                fmt::format("the roster needs exactly {} signatures (the founding officer's and one of "
                            "each new hospital) and has {}",
                            signatures, link.signatures.size()));
  }
  if (Encode(link).size() <= kMaxBytes) return {};
  return Fail(Code::kInvalid, fmt::format("the signed roster has more than {} bytes", kMaxBytes));
}

Status CheckKept(const Member& was, const Member& is) {
  Member expected = was;
  expected.revoked = was.revoked || is.revoked;  // Revocation is for good.
  if (expected == is) return {};
  return Broken(Code::kInvalid,
                fmt::format("the entry of {} (number {}) was changed; only a revocation is allowed, and it stays",
                            was.name, was.number));
}

Status CheckAdded(const SignedRoster& link, const Roster& roster, const Member& added) {
  if (added.revoked) return Broken(Code::kInvalid, fmt::format("{} is new and revoked at once", added.name));
  if (added.officers.size() > 1) {
    return Broken(Code::kInvalid,
                  fmt::format("{} is new and may bring one officer, the one it enrolled with", added.name));
  }
  const VerifyKey officer = added.officers.empty() ? VerifyKey{} : added.officers.front();
  const Bytes membership = MembershipBytes(roster.federation, added.name, added.identity, added.transport, officer);
  return RequireSignature(link, added.identity, SignedFields("Enroll", membership), "the new hospital " + added.name);
}

}  // namespace

Bytes MembershipBytes(std::string_view federation, std::string_view name, const VerifyKey& identity,
                      const TransportKey& transport, const VerifyKey& officer) {
  Value out;
  out.Set("federation", federation).Set("name", name).Set("identity", identity.Hex());
  out.Set("transport", transport.Hex()).Set("officer", officer.Hex());
  return ToBytes(View(CanonicalJson(out)));
}

RosterSignature SignMembership(ByteView membership, const IdentityKey& identity) {
  return {identity.verify_key(), identity.Sign(SignedFields("Enroll", membership).bytes())};
}

RosterSignature SignRoster(ByteView roster, const IdentityKey& key) {
  return {key.verify_key(), key.Sign(SignedFields("Roster", roster).bytes())};
}

Bytes Encode(const SignedRoster& signed_roster) {
  Value signatures{Value::Array()};
  for (const RosterSignature& s : signed_roster.signatures) {
    signatures.Push(Value().Set("key", s.key.Hex()).Set("signature", s.signature.Hex()));
  }
  Value out;
  out.Set("roster", Base64(signed_roster.roster)).Set("signatures", std::move(signatures));
  return ToBytes(View(CanonicalJson(out)));
}

Result<SignedRoster> ParseSignedRoster(ByteView bytes) {
  const Value value = TRY(ParseJson(Text(bytes), {.bytes = kMaxBytes, .depth = 4}));
  SignedRoster out{TRY(FromBase64(value["roster"].AsString())), {}};
  for (const Value& entry : value["signatures"].AsArray()) {
    out.signatures.push_back({TRY(VerifyKey::FromHexText(entry["key"].AsString())),
                              TRY(Signature::FromHexText(entry["signature"].AsString()))});
  }
  // One content has one form, so whatever else the bytes held is refused here.
  if (Encode(out) != ToBytes(bytes)) return Fail(Code::kInvalid, "the signed roster's bytes are not canonical");
  return out;
}

Result<RosterChain> RosterChain::Found(const SignedRoster& roster0, const Digest& fingerprint) {
  if (roster0.hash() != fingerprint) {
    return Fail(Code::kUnauthorised,
                fmt::format("this is not the federation of the invitation: its founding roster is {}, the "
                            "invitation names {}; ask for a new token",
                            roster0.hash().Hex(), fingerprint.Hex()));
  }
  TRY(CheckSize(roster0, 1));
  Roster roster = TRY(ParseRoster(roster0.roster));
  if (roster.seq != 0 || !roster.previous.IsZero() || !roster.members.empty()) {
    return Fail(Code::kInvalid,
                "a founding roster has number 0, no predecessor and no hospitals; this one is a later roster");
  }
  TRY(CheckFounder(roster0, roster.founder));
  RosterChain chain;
  chain.Append(roster0, std::move(roster));
  return chain;
}

void RosterChain::Append(SignedRoster link, Roster roster) {
  hash_ = link.hash();
  rosters_[hash_] = std::make_shared<const Roster>(std::move(roster));
  links_.push_back(std::move(link));
}

const Roster* RosterChain::Find(const Digest& hash) const {
  const auto found = rosters_.find(hash);
  return found == rosters_.end() ? nullptr : found->second.get();
}

Status RosterChain::Extend(const SignedRoster& next) {
  const Roster& last = current();
  Roster roster = TRY(ParseRoster(next.roster));
  if (roster.seq != last.seq + 1 || roster.previous != hash()) {
    return Broken(Code::kConflict,
                  fmt::format("it is number {} and should follow number {} with its hash; another one came "
                              "first, or one is missing: fetch the current roster and start from it",
                              roster.seq, last.seq));
  }
  if (roster.federation != last.federation || roster.founder != last.founder) {
    return Broken(Code::kInvalid, "it names another federation or founding officer");
  }
  if (roster.members.size() < last.members.size()) {
    return Broken(Code::kInvalid, "a hospital is left out; hospitals are revoked, never removed");
  }
  const std::size_t old = last.members.size();
  for (std::size_t i = 0; i < old; ++i) TRY(CheckKept(last.members[i], roster.members[i]));
  TRY(CheckSize(next, 1 + roster.members.size() - old));
  TRY(CheckFounder(next, last.founder));
  for (std::size_t i = old; i < roster.members.size(); ++i) TRY(CheckAdded(next, roster, roster.members[i]));
  Append(next, std::move(roster));
  return {};
}

}  // namespace consilium
