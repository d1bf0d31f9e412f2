// Who is in: invitations, the next roster as it is proposed, its signatures, and what a new roster does to sessions and
// studies.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "coordinator/core.h"

namespace consilium::coordinator {
namespace {

constexpr std::int64_t kLongestInvitation = 72LL * 3600;
constexpr std::int64_t kDayMs = 24LL * 3600 * 1000, kMostDays = 36500;

std::vector<std::string> Names(const std::string& list) {
  std::vector<std::string> names;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    if (comma > at) names.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return names;
}

// How long keys shall serve; 0: without end.
Result<std::int64_t> Days(const std::string& text) {
  if (text.empty()) return 0;
  const bool digits = text.size() <= 5 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  const std::int64_t days = digits ? std::stoll(text) : 0;
  if (days >= 1 && days <= kMostDays) return days;
  return Fail(Code::kInvalid, fmt::format("valid_days must be 1 to {}", kMostDays));
}

// What happened to a hospital, for the audit.
std::vector<std::string_view> EventsOf(const Member* was, const Member& is) {
  if (was == nullptr) return {"confirmed"};
  std::vector<std::string_view> events;
  if (is.revoked && !was->revoked) events.emplace_back("revoked");
  if (is.identity != was->identity || is.transport != was->transport) events.emplace_back("keys_rotated");
  if (is.officers != was->officers) events.emplace_back("officers_changed");
  if (is.valid_until_ms != was->valid_until_ms || is.valid_from_ms != was->valid_from_ms)
    events.emplace_back("validity_changed");
  return events;
}

}  // namespace

Result<Value> CoordinatorCore::PostInvitation(const RequestReceived& request) {
  const std::string& name = request.body["name"].AsString();
  TRY(CheckHospitalName(name));
  const TransportKey key = TRY(TransportKey::FromHexText(request.body["key"].AsString()));
  const std::int64_t seconds = request.body["expires_s"].AsInteger(kLongestInvitation);
  if (seconds < 1 || seconds > kLongestInvitation)
    return Fail(Code::kInvalid, "expires_s must be 1 to 259200 (72 hours)");
  if (chain_.current().ByName(name) != nullptr) {
    return Fail(Code::kConflict,
                fmt::format("'{}' is or was a member; use another name, see: consilium hospital list", name));
  }
  // A second invitation replaces the first, and an enrolment that was never confirmed: its words may have been wrong.
  if (enrolments_.erase(name) > 0) {
    result_.transaction.emplace_back(EraseState{"enrolment", name});
    Audit(Value().Set("event", "enrolment_dropped").Set("hospital", name));
  }
  // A proposal to take in the keys that were never confirmed is void with them.
  const auto proposed = draft_ ? ParseRoster(draft_->roster) : Result<Roster>(Roster{});
  if (proposed && proposed->ByName(name) != nullptr) TRY(WithdrawDraft());
  Invitation invitation{name, key, now_.wall_ms + seconds * 1000, false};
  Value value;
  value.Set("key", key.Hex()).Set("expires_ms", invitation.expires_ms).Set("spent", false);
  result_.transaction.emplace_back(PutState{"invitation", name, ToBytes(View(CanonicalJson(value)))});
  invitations_[name] = std::move(invitation);
  Audit(Value().Set("event", "invited").Set("hospital", name));
  Admit();
  return Value()
      .Set("name", name)
      .Set("endpoint", options_.endpoint)
      .Set("server_key", options_.server_key.Hex())
      .Set("roster_fingerprint", chain_.links().front().hash().Hex());
}

// ---- the next roster ----

Status CoordinatorCore::ProposeMember(const std::string& name, std::int64_t until_ms, Roster* next,
                                      std::vector<RosterSignature>* signatures) const {
  if (const Member* member = next->ByName(name); member != nullptr) {
    if (member->revoked) return Fail(Code::kConflict, fmt::format("{} is revoked, and that is for good", name));
    if (member->valid_until_ms == until_ms) return Fail(Code::kConflict, name + " is a member already");
    next->members[member->number - 1].valid_until_ms = until_ms;
    return {};
  }
  const auto enrolment = enrolments_.find(name);
  if (enrolment == enrolments_.end()) {
    return Fail(Code::kNotFound, fmt::format("no hospital '{}' has enrolled; see: consilium hospital list", name));
  }
  const Enroll& enroll = enrolment->second.enroll;
  next->members.push_back(AsMember(enroll, next->members.size() + 1));
  next->members.back().valid_until_ms = until_ms;
  signatures->push_back({enroll.identity, enroll.membership});
  return {};
}

Result<Value> CoordinatorCore::GetNextRoster(const RequestReceived& request) const {
  const auto text = [&](const char* key) {
    const auto found = request.query.find(key);
    return found == request.query.end() ? std::string() : found->second;
  };
  const std::int64_t days = TRY(Days(text("valid_days")));
  const std::vector<std::string> added = Names(text("add"));
  const std::string revoked = text("revoke");
  Roster next = NextRoster(chain_);
  std::vector<RosterSignature> signatures;
  const std::int64_t today = now_.wall_ms / kDayMs;  // Whole days, so that the same question has the same answer.
  for (const std::string& name : added)
    TRY(ProposeMember(name, days == 0 ? 0 : (today + days + 1) * kDayMs, &next, &signatures));
  if (!revoked.empty()) {
    const Member* member = next.ByName(revoked);
    if (member == nullptr)
      return Fail(Code::kNotFound, fmt::format("no member is called '{}'; see: consilium hospital list", revoked));
    if (member->revoked) return Fail(Code::kConflict, revoked + " is revoked already");
    next.members[member->number - 1].revoked = true;
  }
  if (next.members == chain_.current().members)
    return Fail(Code::kNotFound, "no change is named; see: consilium hospital list");
  const SignedRoster link{Canonical(next), std::move(signatures)};
  const Draft draft = TRY(chain_.Examine(link));
  Value membership{Value::Array{}};
  for (const RosterSignature& s : link.signatures)
    membership.Push(Value().Set("key", s.key.Hex()).Set("signature", s.signature.Hex()));
  Value changes{Value::Array{}};
  for (const std::string& change : draft.changes) changes.Push(change);
  return Value()
      .Set("roster", Base64(link.roster))
      .Set("hash", link.hash().Hex())
      .Set("founder", draft.electorate.founder)
      .Set("changes", std::move(changes))
      .Set("membership", std::move(membership));
}

Result<Value> CoordinatorCore::PostRoster(const RequestReceived& request) {
  SignedRoster next;
  next.roster = TRY(FromBase64(request.body["roster"].AsString()));
  for (const Value& item : request.body["signatures"].AsArray()) {
    const VerifyKey key = TRY(VerifyKey::FromHexText(item["key"].AsString()));
    next.signatures.push_back({key, TRY(Signature::FromHexText(item["signature"].AsString()))});
  }
  if (next.hash() != chain_.hash()) TRY(TakeSignatures(next));  // The same again is done already.
  const bool complete = next.hash() == chain_.hash();
  Value out;
  out.Set("seq", complete ? chain_.current().seq : chain_.current().seq + 1).Set("hash", next.hash().Hex());
  std::string missing;
  if (!complete) missing = TRY(chain_.Examine(*draft_)).Missing();
  return out.Set("complete", complete).Set("missing", missing);
}

Result<Value> CoordinatorCore::WithdrawDraft() {
  if (!draft_) return Fail(Code::kNotFound, "no change of the roster is proposed");
  Audit(Value().Set("event", "roster_withdrawn").Set("roster", draft_->hash().Hex()));
  const std::string hash = draft_->hash().Hex();
  ForgetDraft();
  for (const auto& [peer, session] : sessions_) {
    if (session.greeted) SendDraft(peer);
  }
  return Value().Set("hash", hash);
}

void CoordinatorCore::ForgetDraft() {
  if (draft_) result_.transaction.emplace_back(EraseState{"draft", "next"});
  draft_.reset();
}

// Adds signatures to the proposal, or makes it one when there is none; extends the chain as soon as they suffice.
Status CoordinatorCore::TakeSignatures(const SignedRoster& given) {
  SignedRoster all = given;
  const bool known = draft_ && draft_->roster == given.roster;
  if (known) {
    for (const RosterSignature& s : draft_->signatures) {
      if (std::ranges::find(all.signatures, s.key, &RosterSignature::key) == all.signatures.end())
        all.signatures.push_back(s);
    }
  }
  std::ranges::sort(all.signatures, {}, &RosterSignature::key);
  const Draft draft = TRY(chain_.Examine(all));
  if (draft.Complete()) return ExtendChain(all);
  if (draft_ && !known) {
    return Fail(
        Code::kConflict,
        "another change of the roster is proposed (consilium roster show); have it signed first, or withdraw it: "
        "consilium roster withdraw");
  }
  if (known && draft_->signatures.size() == all.signatures.size()) return {};
  Value signers{Value::Array{}};
  for (const std::string& name : draft.signed_by) signers.Push(name);
  Audit(Value()
            .Set("event", known ? "roster_signed" : "roster_proposed")
            .Set("roster", all.hash().Hex())
            .Set("signed_by", std::move(signers)));
  Log(LogLevel::kInfo, known ? "roster_signed" : "roster_proposed",
      {{"seq", std::to_string(draft.roster.seq)}, {"missing", draft.Missing()}});
  result_.transaction.emplace_back(PutState{"draft", "next", Encode(all)});
  draft_ = std::move(all);
  for (const auto& [peer, session] : sessions_) {
    if (session.greeted) SendDraft(peer);
  }
  return {};
}

Status CoordinatorCore::ExtendChain(const SignedRoster& next) {
  const std::vector<Member> before = chain_.current().members;
  TRY(chain_.Extend(next));
  const Roster& roster = chain_.current();
  result_.transaction.emplace_back(PutState{"roster", fmt::format("{:020}", roster.seq), Encode(next)});
  ForgetDraft();
  for (const Member& member : roster.members) {
    const Member* was = member.number <= before.size() ? &before[member.number - 1] : nullptr;
    for (const std::string_view event : EventsOf(was, member)) {
      Audit(Value().Set("event", event).Set("hospital", member.name).Set("roster", chain_.hash().Hex()));
      Log(LogLevel::kInfo, std::string(event), {{"hospital", member.name}, {"roster", std::to_string(roster.seq)}});
    }
  }
  Admit();
  for (const auto& [peer, session] : sessions_) {
    if (session.greeted) SendRosters(peer, roster.seq);
  }
  for (auto& [id, study] : studies_) {
    study->OnRosterChanged(now_);
    Carry(*study);
  }
  CloseUnfit();
  return {};
}

// Sessions of members that are revoked, expired, or known by another key now.
void CoordinatorCore::CloseUnfit() {
  std::vector<std::pair<PeerKey, Reason>> unfit;
  for (const auto& [peer, session] : sessions_) {
    if (session.number == 0) continue;
    const Member* member = chain_.current().ByTransport(peer);
    if (member == nullptr) unfit.emplace_back(peer, Reason::kUnknownPeer);
    if (member != nullptr && member->revoked) unfit.emplace_back(peer, Reason::kRevoked);
    if (member != nullptr && !member->revoked && member->ExpiredAt(now_.wall_ms))
      unfit.emplace_back(peer, Reason::kExpired);
  }
  for (const auto& [peer, reason] : unfit) {
    SendMessage(peer, Refused{reason, {}, 0});
    result_.disconnects.push_back({peer, std::string(Name(reason))});
    OnPeerLost(peer);
  }
}

void CoordinatorCore::SendDraft(const PeerKey& peer) {
  if (!draft_) return SendMessage(peer, RosterDraft{});
  SendMessage(peer, RosterDraft{draft_->hash(), ServeBlob(peer, draft_->roster), draft_->signatures});
}

void CoordinatorCore::OnRosterDraft(const PeerKey& peer, const RosterDraft& message) {
  const auto refuse = [&](Reason reason, const std::string& why) {
    Log(LogLevel::kWarning, "roster_signature_refused",
        {{"hospital", HospitalName(sessions_[peer].number)}, {"why", why}});
    SendMessage(peer, Refused{reason, {}, 0});
  };
  if (message.signatures.empty()) return refuse(Reason::kWrongState, "no signature");
  if (message.hash == chain_.hash()) return SendRosters(peer, chain_.current().seq);  // Enough had signed before.
  const bool known = draft_ && draft_->hash() == message.hash;
  if (!known && message.roster.content.empty()) return refuse(Reason::kWrongState, "no such roster is proposed");
  if (!known && Blake2b(message.roster.content) != message.hash) return RefusePeer(peer, Reason::kMalformed, true);
  const SignedRoster given{known ? draft_->roster : message.roster.content, message.signatures};
  const std::size_t before = draft_ ? draft_->signatures.size() : 0;
  if (const Status taken = TakeSignatures(given); !taken) {
    return refuse(taken.error().code == Code::kConflict && draft_ ? Reason::kBusy : Reason::kWrongState,
                  taken.error().what);
  }
  if (known && draft_ && draft_->signatures.size() == before) SendDraft(peer);  // Nothing new: said again.
}

}  // namespace consilium::coordinator
