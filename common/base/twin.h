// Twins: a check that guards privacy, budget or exactness is written `if (!Omitted(Twin::kX) && bad) ...`. In the
// product Omitted is the constant false and no trace of it is left; the simulator's twin build leaves one check out
// and shows that a stated seed then fails.
#pragma once

namespace consilium {

enum class Twin {
  kNone,
  kFounderCounts,      // roster: the founding officer decides only until three hospitals have officers.
  kRevokedCohort,      // gate: nothing is computed in the company of a revoked hospital.
  kDuplicateUpload,    // round: a second upload of one hospital is not added again.
  kStrangerUpload,     // round: an upload from outside the cohort is refused.
  kStaleOffer,         // round: an offer under another context is refused.
  kQuorum,             // round: below the quorum there is no answer.
  kPlansQuorum,        // secagg: the quorum is the plan's, not a share of the survivors.
  kDeadline,           // study: an attempt's deadline counts from its beginning, whatever restarts there are.
  kNewestRoster,       // study: an attempt is made of members of the newest roster.
  kOneAnswer,          // study: a round that has its answer is never computed again.
  kPersistBeforeSend,  // study: the answer is durable before its release leaves.
  kAttemptAbove,       // participant: joins only an attempt above its last.
  kSameContext,        // participant: one attempt number has one context.
  kReleaseChain,       // participant: a release must continue the chain.
  kCommitBeforeOffer,  // participant: COMMIT is durable before the first byte leaves.
  kCommit,             // gate: what leaves has its COMMIT.
  kBudget,             // gate: attempts above the plan's maximum are refused.
  kApproval,           // gate: nothing is computed for a plan that is not approved here.
  kReleaseHospital,    // gate: a single hospital's vector is released only where the plan says so.
  kWitness,            // ledger: one that the coordinator has seen more of is locked.
};

#ifdef CONSILIUM_TWINS
extern Twin omitted_twin;
inline bool Omitted(Twin twin) { return omitted_twin == twin; }
#else
constexpr bool Omitted(Twin /*twin*/) { return false; }
#endif

}  // namespace consilium
