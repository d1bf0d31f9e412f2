#include "hospital_node/gate/gate.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/algorithms/derive.h"
#include "common/base/twin.h"

namespace consilium::node {
namespace {

constexpr std::int64_t kClockGraceMs = 24LL * 3600 * 1000;

bool Contains(const std::vector<std::string>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

// The kinds of query that a plan can ask.
std::vector<std::string> KindsOf(const Plan& plan) {
  if (plan.task == Plan::Task::kDescribe) return {"describe"};
  std::vector<std::string> kinds = {"train", "evaluate"};
  if (plan.standardize == "federated" || plan.impute == "mean") kinds.emplace_back("describe");  // The moments.
  return kinds;
}

// U: ascending members of the named roster, none revoked or expired since, all shown at approval, this hospital among
// them.
Reason JudgeCohort(const Invitation& invitation, const SitePolicy& policy) {
  const std::vector<std::uint32_t>& cohort = invitation.invite->cohort;
  if (invitation.named == nullptr || invitation.current == nullptr) return Reason::kCohort;
  if (!std::ranges::is_sorted(cohort) || std::ranges::adjacent_find(cohort) != cohort.end()) return Reason::kCohort;
  for (const std::uint32_t number : cohort) {
    const Member* member = invitation.current->ByNumber(number);
    if (invitation.named->ByNumber(number) == nullptr || member == nullptr) return Reason::kCohort;
    if (!Omitted(Twin::kRevokedCohort) && member->revoked) return Reason::kCohort;
    // The coordinator holds the date; a day later a hospital that is still invited is invited wrongly.
    if (member->valid_until_ms != 0 && invitation.wall_ms - kClockGraceMs >= member->valid_until_ms)
      return Reason::kExpired;
    // Approval is of named hospitals: a fingerprint that nobody here has seen needs a new one.
    if (!Omitted(Twin::kApproval) && number > invitation.pinned_members) return Reason::kCohort;
  }
  if (!std::ranges::binary_search(cohort, invitation.own_number)) return Reason::kCohort;
  // A sum of one is that hospital's data, whatever plan and policy say.
  const std::uint32_t least = std::max({2U, invitation.plan->minimum_hospitals, policy.minimum_hospitals});
  return cohort.size() < least ? Reason::kTooFewHospitals : Reason::kNone;
}

bool InputsGiven(const Invite& invite, const Query& query) {
  for (const auto& [name, root] : query.params["inputs"].AsObject()) {
    const std::string& wanted = root.AsString();
    const bool given =
        std::ranges::any_of(invite.inputs, [&wanted](const Blob& blob) { return blob.root.Hex() == wanted; });
    if (!given) return false;
  }
  return invite.inputs.size() <= query.params["inputs"].AsObject().size();
}

// The attempt is one that was reserved at approval, and not given back.
Reason JudgeBudget(const Invitation& invitation, const Ledger& ledger) {
  const Ledger::Account* account = ledger.Find(invitation.invite->study);
  if (!Omitted(Twin::kApproval) && account == nullptr) return Reason::kNotApproved;
  const std::uint32_t most = account == nullptr ? invitation.plan->maximum_attempts : account->available();
  if (!Omitted(Twin::kBudget) && invitation.invite->attempt > most) return Reason::kBudget;
  return Reason::kNone;
}

// The query is one that the plan can ask; bounds and lengths block by block.
Reason JudgeQuery(const Invitation& invitation, const SitePolicy& policy) {
  const Query& query = *invitation.query;
  const Plan& plan = *invitation.plan;
  if (query.plan != invitation.invite->study || query.round != invitation.invite->round)
    return Reason::kQueryNotDerived;
  if (!Contains(policy.allowed_kinds, query.kind)) return Reason::kPolicy;
  if (!Contains(KindsOf(plan), query.kind)) return Reason::kQueryNotDerived;
  for (const Block& block : query.blocks) {
    if (block.role == Role::kDelta && block.bound > plan.update_bound) return Reason::kQueryNotDerived;
    if (block.sigma != 0) return Reason::kQueryNotDerived;  // Mode none adds no noise.
  }
  return InputsGiven(*invitation.invite, query) ? Reason::kNone : Reason::kQueryNotDerived;
}

// What leaves under the hospital's name is what the plan says and nothing else: once, as its last query, of the model
// that the last release published, in these very blocks.
Reason JudgeRelease(const Invitation& invitation, const ParticipantRecord& record) {
  const Query& query = *invitation.query;
  if (query.release == ReleaseTo::kSum || Omitted(Twin::kReleaseHospital)) return Reason::kNone;
  const auto asked = ReadOwnFiguresQuery(*invitation.plan, query);
  const bool last = query.round == TotalSums(*invitation.plan) && query.round == record.releases + 1;
  return asked && last && asked->model == record.model.root ? Reason::kNone : Reason::kQueryNotDerived;
}

}  // namespace

Status JudgePlan(const Plan& plan, const SitePolicy& policy) {
  for (const std::string& kind : KindsOf(plan)) {
    if (Contains(policy.allowed_kinds, kind)) continue;
    return Fail(Code::kRefused,
                fmt::format("the plan asks queries of kind \"{}\", which this site's policy does not allow; to "
                            "allow them, add it to allowed_kinds in node.toml and restart",
                            kind));
  }
  if (!policy.allowed_researchers.empty() && !Contains(policy.allowed_researchers, plan.researcher)) {
    return Fail(Code::kRefused,
                fmt::format("the plan's researcher is \"{}\", which this site's policy does not allow; to allow "
                            "this researcher, add the name to allowed_researchers in node.toml and restart",
                            plan.researcher));
  }
  return {};
}

bool LetsOwnFiguresOut(const ParticipantRecord& record, const SitePolicy& policy) {
  return policy.release_own_figures && record.own_figures != ParticipantRecord::OwnFigures::kWithheld;
}

Plan Stricter(Plan plan, const SitePolicy& policy) {
  plan.minimum_patients = std::max(plan.minimum_patients, policy.minimum_patients);
  return plan;
}

Reason JudgeConsent(const ParticipantRecord& record) {
  if (!Omitted(Twin::kApproval) && record.consent != ParticipantRecord::Consent::kApproved) {
    return record.consent == ParticipantRecord::Consent::kRejected ? Reason::kRejected : Reason::kNotApproved;
  }
  switch (record.phase) {
    case StudyPhase::kComplete:
    case StudyPhase::kFailed:
      return Reason::kWrongState;
    case StudyPhase::kAborted:
      return Reason::kAborted;
    default:
      return Reason::kNone;
  }
}

Reason Judge(const Invitation& invitation, const ParticipantRecord& record, const SitePolicy& policy,
             const Ledger& ledger) {
  if (const Reason reason = JudgeConsent(record); reason != Reason::kNone) return reason;
  if (ledger.locked()) return Reason::kLocked;
  if (const Reason reason = JudgeCohort(invitation, policy); reason != Reason::kNone) return reason;
  if (const Reason reason = JudgeQuery(invitation, policy); reason != Reason::kNone) return reason;
  const auto& researchers = policy.allowed_researchers;
  if (!researchers.empty() && !Contains(researchers, invitation.plan->researcher)) return Reason::kPolicy;
  if (invitation.invite->last_release != record.last_release) return Reason::kChain;
  if (const Reason reason = JudgeRelease(invitation, record); reason != Reason::kNone) return reason;
  return JudgeBudget(invitation, ledger);
}

Result<Sealed> Gate::Seal(const Query& query, const RawContribution& raw, const Digest& context,
                          const SumClient& client, BlobStore* blobs) {
  EncodeReport report;
  Bytes words = TRY(Encode(query, raw, &report));
  client.Mask(words, 0);
  Sealed sealed;
  sealed.context_ = context;
  sealed.saturated_ = report.saturated;
  sealed.not_finite_ = report.not_finite;
  sealed.blank_ = std::ranges::all_of(raw.blocks, [](const std::vector<double>& block) {
    return std::ranges::all_of(block, [](double v) { return v == 0; });
  });
  if (words.size() <= kInlineBlob) {
    sealed.vector_ = InlineBlob(words);
    return sealed;
  }
  sealed.vector_.leaves = BlobLeaves(words);
  sealed.vector_.bytes = words.size();
  sealed.vector_.root = TRY(blobs->Put(words));
  return sealed;
}

RawContribution Gate::Withheld(const Query& query) {
  RawContribution raw;
  for (const Block& block : query.blocks) {
    if (block.name != kCountBlock) raw.blocks.emplace_back(block.length, 0.0);
  }
  return raw;
}

std::optional<LedgerRow> Gate::Commit(const Sealed& sealed, const Invite& invite, const Query& query,
                                      std::int64_t wall_ms, ParticipantRecord* record) {
  record->last_attempt = invite.attempt;
  record->last_round = invite.round;
  record->context = sealed.context();
  record->contribution = sealed.vector();
  if (query.kind == "train") record->last_query = invite.query.content;
  if (query.release == ReleaseTo::kHospital && !sealed.blank())
    record->own_figures = ParticipantRecord::OwnFigures::kReleased;
  if (Omitted(Twin::kCommit)) return std::nullopt;
  return LedgerRow{
      LedgerRow::Kind::kCommit, invite.study, invite.attempt, invite.attempt, std::string(kNoMechanism), 0, 0, wall_ms};
}

std::optional<Offer> Gate::OfferOf(const StudyId& study, const ParticipantRecord& record) {
  if (record.contribution.bytes == 0) return std::nullopt;
  return Offer{study, record.last_attempt, record.context, record.contribution};
}

}  // namespace consilium::node
