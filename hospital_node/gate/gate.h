// The only way out of the hospital: whether an invitation may be answered at all (Judge, pure), what a contribution
// turns into (Seal, in the job), what must be durable before it leaves (Commit), and the Offer that names it.
#pragma once

#include <optional>

#include "common/plan/plan.h"
#include "common/privacy/encode.h"
#include "common/roster/roster.h"
#include "common/secagg/variant.h"
#include "common/turn/turn.h"
#include "common/wire/records.h"
#include "hospital_node/gate/ledger.h"
#include "hospital_node/gate/policy.h"
#include "hospital_node/gate/sealed.h"

namespace consilium::node {

// An invitation with everything that it names looked up.
struct Invitation {
  const Invite* invite = nullptr;
  const Query* query = nullptr;  // Parsed from invite->query.
  const Plan* plan = nullptr;
  const Roster* named = nullptr;     // The roster that numbers the cohort; null when it is unknown here.
  const Roster* current = nullptr;   // The newest one: who is revoked.
  std::uint32_t pinned_members = 0;  // Members 1..pinned_members were shown to the officer who approved.
  std::uint32_t own_number = 0;      // In the roster; 0 when not in it.
  std::int64_t wall_ms = 0;          // For validity dates.
};

// Whether this site's policy lets the plan be approved at all; the message is for the officer.
Status JudgePlan(const Plan& plan, const SitePolicy& policy);
// Whether the study may compute anything here: approved, not ended.
Reason JudgeConsent(const ParticipantRecord& record);
// Everything else that must hold before a query is computed; kNone accepts. Nothing in it depends on patients' data.
Reason Judge(const Invitation& invitation, const ParticipantRecord& record, const SitePolicy& policy,
             const Ledger& ledger);
// Whether this hospital's own figures leave under its name: the plan asks for them, an officer approved that they do,
// and the policy's switch, which may have been turned since, is on. Nothing in it depends on patients' data.
bool LetsOwnFiguresOut(const ParticipantRecord& record, const SitePolicy& policy);
// The plan as this site runs it: the stricter of both thresholds for patients.
Plan Stricter(Plan plan, const SitePolicy& policy);

class Gate {
 public:
  // In the job: saturates, encodes into the ring, masks; a large vector goes into the blob store. kInvalid when the
  // contribution does not fit the query.
  static Result<Sealed> Seal(const Query& query, const RawContribution& raw, const Digest& context,
                             const SumClient& client, BlobStore* blobs);
  // What a hospital says that withholds: present = 0 and zeros in every block, whatever its data are.
  static RawContribution Withheld(const Query& query);
  // What committing to a sealed contribution means: the record remembers it, and this row is written with the record,
  // in one transaction, before the offer leaves.
  static std::optional<LedgerRow> Commit(const Sealed& sealed, const Invite& invite, const Query& query,
                                         std::int64_t wall_ms, ParticipantRecord* record);
  // The offer of the contribution that the record is committed to; nullopt when it keeps none. There is no other way to
  // an offer, so the same attempt always offers the same bytes.
  static std::optional<Offer> OfferOf(const StudyId& study, const ParticipantRecord& record);
};

}  // namespace consilium::node
