#include "hospital_node/participant.h"

#include <algorithm>

#include "common/base/twin.h"

namespace consilium::node {
namespace {

bool IsEnd(StudyPhase phase) {
  return phase == StudyPhase::kComplete || phase == StudyPhase::kAborted || phase == StudyPhase::kFailed;
}

bool IsOffer(const Effect& effect) {
  const auto* say = std::get_if<Say>(&effect);
  return say != nullptr && std::holds_alternative<Offer>(say->message);
}

}  // namespace

std::string_view Name(ParticipantRecord::Consent consent) {
  switch (consent) {
    case ParticipantRecord::Consent::kPending:
      return "pending";
    case ParticipantRecord::Consent::kApproved:
      return "approved";
    case ParticipantRecord::Consent::kRejected:
      return "rejected";
  }
  return "unknown";
}

std::string_view Name(ParticipantRecord::OwnFigures own) {
  switch (own) {
    case ParticipantRecord::OwnFigures::kWithheld:
      return "withheld";
    case ParticipantRecord::OwnFigures::kAllowed:
      return "allowed";
    case ParticipantRecord::OwnFigures::kReleased:
      return "released";
  }
  return "unknown";
}

std::string_view Name(Participant::Stage stage) {
  switch (stage) {
    case Participant::Stage::kIdle:
      return "idle";
    case Participant::Stage::kJoining:
      return "joining";
    case Participant::Stage::kComputing:
      return "computing";
    case Participant::Stage::kOffered:
      return "offered";
    case Participant::Stage::kReceipted:
      return "waiting";
  }
  return "unknown";
}

Participant::Participant(const StudyId& study, std::shared_ptr<const Plan> plan, ParticipantRecord record)
    : id_(study), plan_(std::move(plan)), record_(std::move(record)) {}

Result<Participant> Participant::Offered(const StudyId& study, ByteView plan) {
  if (Blake2b(plan).bytes != study.bytes) return Fail(Code::kProtocol, "the plan's bytes do not have the study's hash");
  ParticipantRecord record;
  record.plan = ToBytes(plan);
  auto parsed = ParsePlan(plan);
  if (!parsed) return Fail(Code::kProtocol, "the plan does not parse: " + parsed.error().what);
  Participant participant(study, std::make_shared<const Plan>(std::move(*parsed)), std::move(record));
  participant.Audit("offered", Value().Set("name", participant.plan().name));
  participant.changed_ = true;
  return participant;
}

Result<Participant> Participant::Restore(const StudyId& study, ParticipantRecord record) {
  auto plan = ParsePlan(record.plan);
  if (!plan)
    return Fail(Code::kCorrupt, "the stored plan of study " + study.Hex() + " does not parse: " + plan.error().what);
  return Participant(study, std::make_shared<const Plan>(std::move(*plan)), std::move(record));
}

bool Participant::Ended() const { return IsEnd(record_.phase); }

bool Participant::LacksResults() const {
  return record_.phase == StudyPhase::kComplete && Approved() && !record_.last_query.empty() &&
         record_.model.bytes > 0 && record_.results.empty();
}

void Participant::Audit(std::string event, Value fields) {
  fields.Set("study", id_.Hex());
  effects_.emplace_back(Note{std::move(event), std::move(fields)});
}

void Participant::Approve(const std::string& officer, const Site& site) {
  record_.consent = ParticipantRecord::Consent::kApproved;
  record_.officer = officer;
  record_.pinned_roster = site.rosters == nullptr ? Digest{} : site.rosters->hash();
  if (record_.own_figures != ParticipantRecord::OwnFigures::kReleased) {
    record_.own_figures = ReleasesOwnFigures(*plan_) && site.policy->release_own_figures
                              ? ParticipantRecord::OwnFigures::kAllowed
                              : ParticipantRecord::OwnFigures::kWithheld;
  }
  changed_ = true;
  if (!record_.reserved) {
    record_.reserved = true;
    effects_.emplace_back(Charge{{LedgerRow::Kind::kReserve, id_, 1, std::max(1U, plan_->maximum_attempts),
                                  std::string(kNoMechanism), 0, 0, site.wall_ms}});
  }
  Value fields = Value().Set("officer", officer).Set("roster", record_.pinned_roster.Hex());
  if (ReleasesOwnFigures(*plan_)) fields.Set("own_figures", Name(record_.own_figures));
  Audit("approved", std::move(fields));
  effects_.emplace_back(Say{*Verdict()});
}

void Participant::Reject(const std::string& officer, const Site& /*site*/) {
  const bool repeated = record_.consent == ParticipantRecord::Consent::kRejected;
  record_.consent = ParticipantRecord::Consent::kRejected;
  record_.officer = officer;
  changed_ = true;
  if (!repeated) Audit("rejected", Value().Set("officer", officer));
  if (auto verdict = Verdict()) effects_.emplace_back(Say{*verdict});
  if (standing_) DeclineStanding(Reason::kRejected);
  record_.contribution = {};  // What was not pulled yet stays here.
}

std::optional<PlanVerdict> Participant::Verdict() const {
  if (record_.consent == ParticipantRecord::Consent::kPending || Ended()) return std::nullopt;
  return PlanVerdict{id_, Approved(), Approved() ? Reason::kNone : Reason::kRejected, record_.pinned_roster};
}

void Participant::Leave() {
  standing_.reset();
  stage_ = Stage::kIdle;
}

void Participant::Decline(const Invite& invite, Reason reason) {
  effects_.emplace_back(Say{consilium::Decline{id_, invite.attempt, reason}});
  const std::pair<std::uint32_t, Reason> now{invite.attempt, reason};
  if (declined_ == now) return;
  declined_ = now;
  Audit("declined", Value().Set("attempt", invite.attempt).Set("round", invite.round).Set("reason", Name(reason)));
}

void Participant::DeclineStanding(Reason reason) {
  if (!standing_) return;
  const Invite invite = std::move(standing_->invite);
  Leave();
  Decline(invite, reason);
}

void Participant::Repeat() {
  auto offer = Gate::OfferOf(id_, record_);
  if (!offer) return;
  stage_ = Stage::kOffered;
  effects_.emplace_back(Say{std::move(*offer)});
}

Reason Participant::JudgeAttempt(const Invite& invite, const Digest& context) const {
  if (standing_ && stage_ <= Stage::kComputing) {  // Begun, but not committed yet: the same rules.
    if (!Omitted(Twin::kSameContext) && invite.attempt == standing_->invite.attempt && context != standing_->context)
      return Reason::kContext;
    if (!Omitted(Twin::kAttemptAbove) && invite.attempt < standing_->invite.attempt) return Reason::kStaleAttempt;
  }
  if (invite.attempt == record_.last_attempt && context != record_.context) {
    return Omitted(Twin::kSameContext) ? Reason::kNone : Reason::kContext;
  }
  if (!Omitted(Twin::kAttemptAbove) && invite.attempt <= record_.last_attempt) return Reason::kStaleAttempt;
  return Reason::kNone;
}

void Participant::OnInvite(const Invite& invite, const Site& site) {
  if (const Reason reason = JudgeConsent(record_); reason != Reason::kNone) return Decline(invite, reason);
  auto query = ParseQuery(invite.query.content);
  if (!query || site.rosters == nullptr) return Decline(invite, query ? Reason::kCohort : Reason::kMalformed);
  const Digest context =
      PlainContext(site.rosters->current().federation, invite.roster, id_, invite.round, invite.attempt,
                   Blake2b(invite.query.content), invite.last_release, invite.cohort);
  if (standing_ && stage_ <= Stage::kComputing && context == standing_->context) return;  // Under way already.
  if (invite.attempt == record_.last_attempt && context == record_.context && record_.contribution.bytes > 0) {
    standing_ = Standing{invite, std::move(*query), context};
    return Repeat();
  }
  if (const Reason reason = JudgeAttempt(invite, context); reason != Reason::kNone) return Decline(invite, reason);
  const Roster* pinned = site.rosters->Find(record_.pinned_roster);
  const std::uint32_t pinned_members = pinned == nullptr ? 0 : static_cast<std::uint32_t>(pinned->members.size());
  const Invitation invitation{
      &invite,        &*query,     plan_.get(), site.rosters->Find(invite.roster), &site.rosters->current(),
      pinned_members, site.number, site.wall_ms};
  if (const Reason reason = Judge(invitation, record_, *site.policy, *site.ledger); reason != Reason::kNone) {
    return Decline(invite, reason);
  }
  if (record_.phase != StudyPhase::kRunning) {
    record_.phase = StudyPhase::kRunning;
    changed_ = true;
  }
  standing_ = Standing{invite, std::move(*query), context};
  stage_ = Stage::kJoining;
  effects_.emplace_back(Fetch{});
}

void Participant::OnInputs() {
  if (standing_ && stage_ == Stage::kJoining) stage_ = Stage::kComputing;
}

bool Participant::OnJob(const Digest& context, const Result<Sealed>& sealed, const Site& site) {
  if (!standing_ || stage_ != Stage::kComputing || standing_->context != context) return false;
  const Invite& invite = standing_->invite;
  if (!sealed) {
    effects_.emplace_back(Say{Abandon{id_, invite.attempt, Reason::kFailedHere}});
    Audit("declined",
          Value().Set("attempt", invite.attempt).Set("round", invite.round).Set("reason", Name(Reason::kFailedHere)));
    Leave();
    return true;
  }
  auto row = Gate::Commit(*sealed, invite, standing_->query, site.wall_ms, &record_);
  if (row) effects_.emplace_back(Charge{std::move(*row)});
  changed_ = true;
  Audit("committed", Value()
                         .Set("attempt", invite.attempt)
                         .Set("round", invite.round)
                         .Set("context", context.Hex())
                         .Set("root", record_.contribution.root.Hex()));
  if (standing_->query.release == ReleaseTo::kHospital) {
    Audit("released_figures",
          Value().Set("attempt", invite.attempt).Set("round", invite.round).Set("released", !sealed->blank()));
  }
  Repeat();
  return true;
}

void Participant::OnUnlocked(const Site& site) {
  const Ledger::Account* account = site.ledger->Find(id_);
  if (account == nullptr) {  // Its RESERVE is lost: an officer decides anew.
    if (record_.reserved) record_.consent = ParticipantRecord::Consent::kPending;
    changed_ |= record_.reserved;
    record_.reserved = false;
    return;
  }
  if (account->last_committed <= record_.last_attempt) return;
  record_.last_attempt = account->last_committed;  // Used by a contribution that this record forgot.
  record_.context = {};
  record_.contribution = {};
  changed_ = true;
  Leave();
}

void Participant::OnReceipt(const Receipt& receipt) {
  if (stage_ != Stage::kOffered || receipt.attempt != record_.last_attempt) return;
  if (receipt.root == record_.contribution.root) stage_ = Stage::kReceipted;
}

void Participant::OnAbandon(const Abandon& abandon) {
  // The contribution stays until a newer attempt or a release: only the number says what was joined.
  if (standing_ && abandon.attempt == standing_->invite.attempt) Leave();
}

void Participant::OnRelease(const Release& release, const Digest& envelope, const Site& site) {
  if (!Omitted(Twin::kReleaseChain)) {
    if (release.seq < record_.releases || (release.seq == record_.releases && envelope == record_.last_release)) return;
    // After an absence the chain binds from this release on.
    const bool continues = release.seq > record_.releases + 1 ||
                           (release.seq == record_.releases + 1 && release.previous == record_.last_release);
    if (!continues) {
      effects_.emplace_back(Say{Refused{Reason::kChain, id_, release.attempt}});
      return Audit("declined", Value().Set("release", release.seq).Set("reason", Name(Reason::kChain)));
    }
  }
  record_.releases = release.seq;
  record_.last_release = envelope;
  record_.model = release.model;
  record_.contribution = {};
  changed_ = true;
  Leave();
  Audit("released", Value()
                        .Set("seq", release.seq)
                        .Set("round", release.round)
                        .Set("attempt", release.attempt)
                        .Set("answer", release.answer.Hex())
                        .Set("model", release.model.root.Hex()));
  if (release.last) {
    record_.phase =
        StudyPhase::kRunning;  // A state that ran ahead of its release ends the study once more, with its model.
    End(StudyPhase::kComplete, Reason::kNone, site);
  }
}

bool Participant::Missed(const StudyState& state) const {
  const bool took_part = Approved() && (record_.last_attempt > 0 || record_.releases > 0);
  return took_part && IsEnd(state.phase) && state.releases > record_.releases;
}

void Participant::OnStudyState(const StudyState& state, const Site& site) {
  if (Ended() || (state.phase == record_.phase && state.reason == record_.reason)) return;
  if (IsEnd(state.phase)) return End(state.phase, state.reason, site);
  record_.phase = state.phase;
  record_.reason = state.reason;
  changed_ = true;
}

void Participant::End(StudyPhase phase, Reason reason, const Site& site) {
  record_.phase = phase;
  record_.reason = reason;
  record_.contribution = {};
  changed_ = true;
  Leave();
  const Ledger::Account* account = site.ledger->Find(id_);
  const std::uint32_t unused = record_.last_attempt + 1;
  const bool open = account != nullptr && account->released_from == 0 && !account->in_doubt;
  if (open && unused <= account->reserved && !site.ledger->locked()) {
    effects_.emplace_back(Charge{
        {LedgerRow::Kind::kRelease, id_, unused, account->reserved, std::string(kNoMechanism), 0, 0, site.wall_ms}});
  }
  if (LacksResults()) effects_.emplace_back(Conclude{});
}

void Participant::OnResults(const Value& results) {
  record_.results = ToBytes(View(CanonicalJson(results)));
  changed_ = true;
  Audit("results", {});
}

std::vector<Effect> Participant::TakeEffects() {
  std::vector<Effect> effects = std::exchange(effects_, {});
  if (Omitted(Twin::kCommitBeforeOffer) && std::ranges::any_of(effects, IsOffer)) {  // The row comes with what is next.
    const auto charges =
        std::ranges::stable_partition(effects, [](const Effect& e) { return !std::holds_alternative<Charge>(e); });
    std::ranges::move(charges, std::back_inserter(effects_));
    effects.erase(charges.begin(), charges.end());
  }
  return effects;
}

bool Participant::TakeChanged() { return std::exchange(changed_, false); }

}  // namespace consilium::node
