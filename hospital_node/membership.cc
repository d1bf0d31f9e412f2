// The roster at the node: verified link by link, shown to the hospital's officers, and signed with keys that this
// daemon never has. What the coordinator proposes is looked at and relied on for nothing.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "hospital_node/core.h"

namespace consilium::node {
namespace {

constexpr Duration kSigningPatience = std::chrono::seconds(20);

}  // namespace

bool NodeCore::TakeRosters(const RosterUpdate& update) {
  for (std::size_t i = 0; i < update.rosters.size(); ++i) {
    const std::uint64_t seq = update.first + i;
    const std::uint64_t held = chain_ ? chain_->links().size() : 0;
    if (seq < held) continue;
    auto signed_roster = ParseSignedRoster(update.rosters[i].content);
    Status taken;
    if (!signed_roster) {
      taken = std::unexpected(signed_roster.error());
    } else if (seq > held) {
      taken = Fail(Code::kProtocol, "a version is missing before it");
    } else if (chain_) {
      taken = chain_->Extend(*signed_roster);
    } else if (auto founded = RosterChain::Found(*signed_roster, options_.roster_fingerprint); founded) {
      chain_ = std::move(*founded);
    } else {
      taken = std::unexpected(founded.error());
    }
    if (!taken) {
      Log(LogLevel::kError, "roster_refused", {{"seq", std::to_string(seq)}, {"why", taken.error().what}});
      CloseSession("a roster that does not continue the chain");
      return false;
    }
    draft_.reset();  // It followed the last one.
    SettleSigning(Value().Set("seq", seq).Set("hash", chain_->hash().Hex()).Set("complete", true).Set("missing", ""),
                  chain_->hash());
    SettleSigning(
        Fail(Code::kConflict, "another roster was signed meanwhile; look again: consilium-node roster show DIR"));
    result_.transaction.emplace_back(PutState{"roster", fmt::format("{:020}", seq), Encode(*signed_roster)});
    Audit("roster", Value().Set("seq", seq).Set("hash", chain_->hash().Hex()));
    Log(LogLevel::kInfo, "roster", {{"seq", std::to_string(seq)}, {"hash", chain_->hash().Hex()}});
  }
  if (chain_) FindSelf();
  return true;
}

// Which member this node is. A hospital that was revoked ends its studies here: nothing is asked of it any more.
void NodeCore::FindSelf() {
  const Roster& roster = chain_->current();
  const Member* self = roster.ByTransport(options_.transport);
  const std::uint32_t before = std::exchange(number_, self == nullptr ? 0 : self->number);
  const bool given_up = before != 0 && self == nullptr;
  if (given_up) return ReplaceKeys("the roster has other keys of this hospital");
  if (before == 0 && self != nullptr && options_.other_transport)
    return ReplaceKeys("the roster has these keys now, and they take the others' place");
  if (self == nullptr || !self->revoked) return;
  for (auto& [id, participant] : studies_) {
    participant.OnStudyState({id, StudyPhase::kAborted, Reason::kRevoked, participant.record().releases}, Here());
    Carry(participant);
  }
}

void NodeCore::ReplaceKeys(const std::string& why) {
  Log(LogLevel::kInfo, "keys_replaced", {{"why", why}});
  if (options_.keys_replaced == nullptr) return;
  *options_.keys_replaced = true;
  result_.stop = true;
}

std::string NodeCore::Standing() const {
  const Member* self = chain_ ? chain_->current().ByTransport(options_.transport) : nullptr;
  if (self == nullptr) return "not confirmed";
  if (self->revoked || turned_away_ == Reason::kRevoked) return "revoked";
  return self->ExpiredAt(now_.wall_ms) || turned_away_ == Reason::kExpired ? "expired" : "member";
}

std::string NodeCore::LinkText() const {
  if (session_.greeted) return {};
  const std::string standing = Standing();
  if (standing == "revoked") {
    return "this hospital was revoked, which is for good; to come back, ask for an invitation under another name and "
           "join "
           "in a new directory";
  }
  if (standing == "expired") {
    return fmt::format(
        "this hospital's keys have expired; ask the federation to type: consilium hospital confirm {} "
        "--valid-days DAYS",
        options_.name);
  }
  if (session_.lost != "key refused") return session_.lost;
  return fmt::format(
      "key refused: the coordinator does not admit this hospital; it is not confirmed yet (consilium "
      "hospital confirm {}), or it was revoked meanwhile",
      options_.name);
}

// ---- what is proposed ----

void NodeCore::TakeDraft(const RosterDraft& message) {
  draft_.reset();
  if (!chain_ || message.hash.IsZero()) return;
  SignedRoster draft{message.roster.content, message.signatures};
  const auto examined = chain_->Examine(draft);
  if (draft.hash() != message.hash || !examined) {
    Log(LogLevel::kWarning, "roster_draft_refused",
        {{"hash", message.hash.Hex()}, {"why", examined ? "another hash" : examined.error().what}});
    return;
  }
  Log(LogLevel::kInfo, "roster_proposed",
      {{"seq", std::to_string(examined->roster.seq)}, {"missing", examined->Missing()}});
  draft_ = std::move(draft);
  for (const Signing& signing : std::vector<Signing>(signing_)) {
    const bool taken =
        signing.hash == draft_->hash() &&
        std::ranges::find(draft_->signatures, signing.key, &RosterSignature::key) != draft_->signatures.end();
    if (!taken) continue;
    SettleSigning(Value()
                      .Set("seq", examined->roster.seq)
                      .Set("hash", draft_->hash().Hex())
                      .Set("complete", false)
                      .Set("missing", examined->Missing()),
                  signing.hash);
  }
}

Value NodeCore::GetRoster() const {
  Value out = chain_ ? RosterView(*chain_, draft_ ? &*draft_ : nullptr, now_.wall_ms) : Value(Value::Object{});
  out.Set("name", options_.name).Set("number", number_ == 0 ? Value() : Value(number_));
  return out.Set("connected", session_.greeted);
}

// Signatures that an officer made with `consilium-node roster sign` and its like; answered when the coordinator has.
Status NodeCore::StartSigning(const RequestReceived& request, bool* later) {
  if (!chain_) return Fail(Code::kNotFound, "this node has no roster yet; start it: consilium-node run DIR");
  SignedRoster given{TRY(FromBase64(request.body["roster"].AsString())), {}};
  for (const Value& item : request.body["signatures"].AsArray()) {
    const VerifyKey key = TRY(VerifyKey::FromHexText(item["key"].AsString()));
    given.signatures.push_back({key, TRY(Signature::FromHexText(item["signature"].AsString()))});
  }
  if (given.signatures.empty()) return Fail(Code::kInvalid, "no signature is given");
  const Draft draft = TRY(chain_->Examine(given));
  if (!session_.greeted) {
    return Fail(Code::kUnreachable, fmt::format("signatures travel over the session with the coordinator, and there is "
                                                "none ({}); start the node (consilium-node run DIR) and type the same "
                                                "command again",
                                                LinkText()));
  }
  const Digest hash = given.hash();
  const bool known = draft_ && draft_->hash() == hash;
  if (!known && given.roster.size() > kInlineBlob) {
    return Fail(Code::kRefused, fmt::format("a roster of {} bytes is too large to be proposed by a hospital; ask the "
                                            "consortium to propose the change",
                                            given.roster.size()));
  }
  const Member* self = draft.roster.ByNumber(number_);
  if (self != nullptr && self->transport != options_.transport) options_.other_transport = self->transport;
  SendMessage(RosterDraft{hash, known ? Blob{} : InlineBlob(given.roster), given.signatures});
  signing_.push_back({request.id, hash, given.signatures.front().key, now_.instant + kSigningPatience});
  Audit("roster_signed", Value().Set("roster", hash.Hex()).Set("key", given.signatures.front().key.Hex()));
  *later = true;
  return {};
}

// Answers the requests that wait for the word on `only`, or all.
void NodeCore::SettleSigning(const Result<Value>& answer, const std::optional<Digest>& only) {
  std::erase_if(signing_, [&](const Signing& signing) {
    if (only && signing.hash != *only) return false;
    result_.replies.push_back(answer ? JsonReply(signing.request, *answer)
                                     : ErrorReply(signing.request, answer.error()));
    return true;
  });
}

}  // namespace consilium::node
