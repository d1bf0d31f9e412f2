// Signed rosters and the chain they form. A link is believed as a whole or not at all, and only with exactly the
// signatures that it needs: a further one would be bytes that nobody vouches for.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/base/twin.h"
#include "common/roster/roster.h"

namespace consilium {
namespace {

constexpr std::uint32_t kFounderUntil = 3;  // Hospitals with officers.

Fields SignedFields(std::string_view kind, ByteView payload) {
  return std::move(Fields("HSA1/msg").AddText(kind).Add(Blake2b(payload)));
}

std::unexpected<Error> Broken(Code code, std::string why) {
  return Fail(code, "the roster does not continue the federation's: " + std::move(why));
}

Status CheckSize(const SignedRoster& link) {
  if (Encode(link).size() <= kMaxRosterBytes) return {};
  return Fail(Code::kInvalid, fmt::format("the signed roster has more than {} bytes", kMaxRosterBytes));
}

std::unexpected<Error> Unsigned(std::string why) {
  return Fail(Code::kUnauthorised, "the roster's signatures do not count: " + std::move(why));
}

std::uint32_t HospitalsWithOfficers(const Roster& roster) {
  return static_cast<std::uint32_t>(std::count_if(roster.members.begin(), roster.members.end(),
                                                  [](const Member& m) { return !m.revoked && m.HasOfficer(); }));
}

bool Has(const std::vector<VerifyKey>& keys, const VerifyKey& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

bool SameKeys(const Member& was, const Member& is) {
  return was.identity == is.identity && was.transport == is.transport;
}

Status CheckKept(const Member& was, const Member& is) {
  if (was.number != is.number || was.id != is.id || was.name != is.name) {
    return Broken(Code::kInvalid, fmt::format("the entry of {} (number {}) was changed: number, id and name stay",
                                              was.name, was.number));
  }
  if (was.revoked && !(was == is)) {
    return Broken(Code::kInvalid,
                  fmt::format("the entry of {} was changed, which is revoked, and that is for good", was.name));
  }
  Member revoked = was;
  revoked.revoked = true;
  if (is.revoked && !(is == revoked))
    return Broken(Code::kInvalid, fmt::format("the entry of {} was changed and revoked at once", was.name));
  if (was.HasOfficer() != is.HasOfficer()) {
    return Broken(Code::kInvalid,
                  fmt::format("{} {}", was.name,
                              was.HasOfficer() ? "would be left without an officer; name another one first"
                                               : "enrolled without an officer and cannot get one; revoke it and "
                                                 "invite it under another name"));
  }
  return {};
}

Status CheckAdded(const Member& added) {
  if (added.revoked) return Broken(Code::kInvalid, fmt::format("{} is new and revoked at once", added.name));
  if (added.officers.size() <= 1) return {};
  return Broken(Code::kInvalid,
                fmt::format("{} is new and may bring one officer, the one it enrolled with", added.name));
}

using KeyBytes = std::array<std::uint8_t, 32>;

// A key that was given up may be in a thief's hands, and one of another owner would sign for two: whatever is new at a
// hospital is new to the whole chain.
Status CheckFresh(const Member* was, const Member& is, const std::set<KeyBytes>& served) {
  bool fresh = (was != nullptr && is.identity == was->identity) || !served.contains(is.identity.bytes);
  fresh &= (was != nullptr && is.transport == was->transport) || !served.contains(is.transport.bytes);
  for (const VerifyKey& key : is.officers)
    fresh &= key.IsZero() || (was != nullptr && Has(was->officers, key)) || !served.contains(key.bytes);
  if (fresh) return {};
  return Broken(Code::kInvalid, fmt::format("a key of {} has served before, there or elsewhere", is.name));
}

// ---- who signs ----

// Counts the signatures of a roster that follows `last`.
class Poll {
 public:
  Poll(const SignedRoster& link, const Roster& last, const Roster& next, const Electorate& electorate)
      : link_(link), last_(last), next_(next), electorate_(electorate) {}

  Status Count() {
    std::set<VerifyKey> seen;
    for (const RosterSignature& signature : link_.signatures) {
      if (!seen.insert(signature.key).second) return Unsigned("one key signed twice");
      TRY(CountOne(signature));
    }
    return {};
  }
  [[nodiscard]] bool Signed(const VerifyKey& key) const { return settled_.contains(key); }
  [[nodiscard]] bool founder() const { return founder_; }
  [[nodiscard]] const std::set<std::uint32_t>& voters() const { return voters_; }

 private:
  Status Check(const RosterSignature& signature, const Fields& fields, const std::string& whose) {
    if (!Verify(signature.key, fields.bytes(), signature.signature)) return Unsigned(whose + "'s is wrong");
    settled_.insert(signature.key);
    return {};
  }
  Status CountOne(const RosterSignature& signature) {
    const Fields fields = SignedFields("Roster", link_.roster);
    if (signature.key == last_.founder) {
      if (!electorate_.founder) return Unsigned("the founding officer counts only until three hospitals have officers");
      TRY(Check(signature, fields, "the founding officer"));
      founder_ = true;
      return {};
    }
    for (const Member& was : last_.members) {
      if (Has(was.officers, signature.key)) {
        if (was.revoked) return Unsigned(was.name + " is revoked");
        TRY(Check(signature, fields, was.name));
        if (!voters_.insert(was.number).second)
          return Unsigned(fmt::format("two officers of {} signed, and a hospital has one signature", was.name));
        return {};
      }
      const Member& is = next_.members[was.number - 1];
      if (!SameKeys(was, is) && (signature.key == was.identity || signature.key == is.identity))
        return Check(signature, fields, was.name);
    }
    for (std::size_t i = last_.members.size(); i < next_.members.size(); ++i) {
      const Member& added = next_.members[i];
      if (signature.key != added.identity) continue;
      const VerifyKey officer = added.officers.empty() ? VerifyKey{} : added.officers.front();
      const Bytes membership = MembershipBytes(next_.federation, added.name, added.identity, added.transport, officer);
      return Check(signature, SignedFields("Enroll", membership), "the new hospital " + added.name);
    }
    return Unsigned("one is by a key that has no say in it");
  }

  const SignedRoster& link_;
  const Roster& last_;
  const Roster& next_;
  const Electorate electorate_;
  std::set<VerifyKey> settled_;
  std::set<std::uint32_t> voters_;
  bool founder_ = false;
};

// Whose signature cannot be replaced by others'.
std::vector<std::string> Indispensable(const Poll& poll, const Roster& last, const Roster& next) {
  std::vector<std::string> out;
  for (const Member& was : last.members) {
    const Member& is = next.members[was.number - 1];
    if (was.officers != is.officers && !poll.voters().contains(was.number))
      out.push_back("an officer of " + was.name + " (its officers change)");
    if (SameKeys(was, is)) continue;
    if (!poll.Signed(was.identity)) out.push_back("the old identity key of " + was.name);
    if (!poll.Signed(is.identity)) out.push_back("the new identity key of " + was.name);
  }
  for (std::size_t i = last.members.size(); i < next.members.size(); ++i) {
    if (!poll.Signed(next.members[i].identity)) out.push_back("the new hospital " + next.members[i].name);
  }
  return out;
}

std::vector<std::string> Changes(const Roster& last, const Roster& next) {
  std::vector<std::string> out;
  for (const Member& is : next.members) {
    const std::string words = Fingerprint(is.identity, is.transport);
    if (is.number > last.members.size()) {
      out.push_back(fmt::format("adds {}: {}", is.name, words));
      if (is.HasOfficer()) out.push_back(fmt::format("  its officer: {}", OfficerWords(is, is.officers.front())));
      if (is.valid_until_ms != 0) out.push_back("  its keys serve until " + UtcDate(is.valid_until_ms));
      continue;
    }
    const Member& was = last.members[is.number - 1];
    if (was == is) continue;
    if (is.revoked) out.push_back(fmt::format("revokes {}, for good", is.name));
    if (!SameKeys(was, is)) {
      out.push_back(fmt::format("gives {} new keys: {}", is.name, words));
      out.push_back(fmt::format("  its keys before: {}", Fingerprint(was.identity, was.transport)));
    }
    for (const VerifyKey& key : is.officers) {
      if (!Has(was.officers, key))
        out.push_back(fmt::format("names an officer of {}: {}", is.name, OfficerWords(is, key)));
    }
    for (const VerifyKey& key : was.officers) {
      if (!Has(is.officers, key))
        out.push_back(fmt::format("removes an officer of {}: {}", is.name, OfficerWords(was, key)));
    }
    if (was.valid_until_ms != is.valid_until_ms || was.valid_from_ms != is.valid_from_ms) {
      out.push_back(fmt::format("lets the keys of {} serve {}", is.name,
                                is.valid_until_ms == 0 ? "without end" : "until " + UtcDate(is.valid_until_ms)));
    }
  }
  return out;
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
  const Value value = TRY(ParseJson(Text(bytes), {.bytes = kMaxRosterBytes, .depth = 4}));
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
  TRY(CheckSize(roster0));
  Roster roster = TRY(ParseRoster(roster0.roster));
  if (roster.seq != 0 || !roster.previous.IsZero() || !roster.members.empty()) {
    return Fail(Code::kInvalid,
                "a founding roster has number 0, no predecessor and no hospitals; this one is a later roster");
  }
  const bool signed_by_founder =
      roster0.signatures.size() == 1 && roster0.signatures[0].key == roster.founder &&
      Verify(roster.founder, SignedFields("Roster", roster0.roster).bytes(), roster0.signatures[0].signature);
  if (!signed_by_founder) return Unsigned("a founding roster has one, the founding officer's");
  RosterChain chain;
  chain.Append(roster0, std::move(roster));
  return chain;
}

void RosterChain::Append(SignedRoster link, Roster roster) {
  if (state_.use_count() > 1) state_ = std::make_shared<State>(*state_);
  state_->hash = link.hash();
  if (HospitalsWithOfficers(roster) >= kFounderUntil) state_->founder_counts = false;
  state_->keys.insert({roster.server_identity.bytes, roster.server_transport.bytes, roster.founder.bytes});
  for (const Member& member : roster.members) {
    state_->keys.insert({member.identity.bytes, member.transport.bytes});
    for (const VerifyKey& officer : member.officers) state_->keys.insert(officer.bytes);
  }
  state_->rosters[state_->hash] = std::make_shared<const Roster>(std::move(roster));
  state_->links.push_back(std::move(link));
}

const Roster* RosterChain::Find(const Digest& hash) const {
  const auto found = state_->rosters.find(hash);
  return found == state_->rosters.end() ? nullptr : found->second.get();
}

Electorate RosterChain::electorate() const {
  if (state_->founder_counts || Omitted(Twin::kFounderCounts)) return {};
  const std::uint32_t n = HospitalsWithOfficers(current());
  return {false, n, n / 2 + 1};
}

Status RosterChain::CheckSuccessor(const Roster& roster) const {
  const Roster& last = current();
  if (roster.seq != last.seq + 1 || roster.previous != hash()) {
    return Broken(Code::kConflict,
                  fmt::format("it is number {} and should follow number {} with its hash; another one came "
                              "first, or one is missing: fetch the current roster and start from it",
                              roster.seq, last.seq));
  }
  if (roster.federation != last.federation || roster.founder != last.founder ||
      roster.server_identity != last.server_identity || roster.server_transport != last.server_transport) {
    return Broken(Code::kInvalid, "it names another federation, server or founding officer");
  }
  if (roster.members.size() < last.members.size()) {
    return Broken(Code::kInvalid, "a hospital is left out; hospitals are revoked, never removed");
  }
  if (roster.members == last.members) return Broken(Code::kInvalid, "it changes nothing");
  const std::size_t old = last.members.size();
  for (std::size_t i = 0; i < old; ++i) TRY(CheckKept(last.members[i], roster.members[i]));
  for (std::size_t i = old; i < roster.members.size(); ++i) TRY(CheckAdded(roster.members[i]));
  if (!state_->founder_counts && HospitalsWithOfficers(roster) == 0)
    return Broken(Code::kInvalid, "no hospital with an officer would be left to sign the next one");
  for (const Member& member : roster.members)
    TRY(CheckFresh(member.number <= old ? &last.members[member.number - 1] : nullptr, member, state_->keys));
  return {};
}

Result<Draft> RosterChain::Examine(const SignedRoster& next) const {
  TRY(CheckSize(next));
  Draft draft;
  draft.roster = TRY(ParseRoster(next.roster));
  TRY(CheckSuccessor(draft.roster));
  draft.electorate = electorate();
  Poll poll(next, current(), draft.roster, draft.electorate);
  TRY(poll.Count());
  draft.changes = Changes(current(), draft.roster);
  draft.must_sign = Indispensable(poll, current(), draft.roster);
  if (draft.electorate.founder) {
    (poll.founder() ? draft.signed_by : draft.may_sign).emplace_back("the founding officer");
    return draft;
  }
  for (const Member& member : current().members) {
    if (member.revoked || !member.HasOfficer()) continue;
    (poll.voters().contains(member.number) ? draft.signed_by : draft.may_sign).push_back(member.name);
  }
  return draft;
}

std::string Draft::Missing() const {
  std::string out;
  if (signed_by.size() < electorate.m) {
    const std::size_t lacking = electorate.m - signed_by.size();
    out = electorate.founder ? "the founding officer"
                             : fmt::format("officers of {} more of {}", lacking, fmt::join(may_sign, ", "));
  }
  if (!must_sign.empty()) out += fmt::format("{}{}", out.empty() ? "" : "; and ", fmt::join(must_sign, ", "));
  return out;
}

Status RosterChain::Extend(const SignedRoster& next) {
  Draft draft = TRY(Examine(next));
  if (!draft.Complete()) {
    return Fail(Code::kUnauthorised,
                fmt::format("the roster is not signed by enough officers; it still needs {}", draft.Missing()));
  }
  Append(next, std::move(draft.roster));
  return {};
}

Roster NextRoster(const RosterChain& chain) {
  Roster next = chain.current();
  next.seq += 1;
  next.previous = chain.hash();
  return next;
}

}  // namespace consilium
