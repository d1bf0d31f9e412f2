// The messages, as plain structs: the vocabulary of both services. schemas/wire.capnp is the specification (who sends
// what, when, within which limits); codec.h turns these into bytes and back.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/crypto/hash.h"
#include "common/roster/roster.h"

namespace consilium {

inline constexpr std::uint16_t kVersionLow = 1, kVersionHigh = 1;
inline constexpr std::size_t kInlineBlob = std::size_t{64} * 1024;        // Smaller blobs ride inside their message.
inline constexpr std::size_t kMaxMessage = std::size_t{2} * 1024 * 1024;  // Any frame.
inline constexpr std::uint64_t kMaxBlob = 4ULL << 30;
inline constexpr std::size_t kMaxHospitals = 10000;
inline constexpr std::uint64_t kMaxChainSeq = (1ULL << 53) - 1;  // It is written as JSON too.
inline constexpr std::size_t kMaxText = 128;                     // Bytes of a name or a build.
inline constexpr std::size_t kMaxStudyMarks = 4096;              // In one Hello.
inline constexpr std::size_t kMaxRostersPerUpdate = 16;          // More take several RosterUpdates.
inline constexpr std::size_t kMaxRosterSignatures = 10000;
inline constexpr std::size_t kMaxInputs = 16;  // Of one query.
inline constexpr std::uint32_t kMaxChunkLeaves = 4;
inline constexpr std::uint32_t kMaxHeartbeatMs = 600000;

// Why a peer or a request is refused. An enum: no free text crosses a hospital's border.
enum class Reason : std::uint16_t {
  kNone,
  kVersion,      // No common protocol version.
  kUnknownPeer,  // Key not in the roster.
  kRevoked,
  kBadToken,  // Unknown, spent or expired.
  kNameTaken,
  kMalformed,  // Does not parse or breaks a limit.
  kBadSignature,
  kWrongState,  // Not now.
  kUnknownStudy,
  kNotApproved,  // No officer here has approved the plan.
  kRejected,     // An officer rejected it.
  kPolicy,       // The site's policy forbids it.
  kTooFewHospitals,
  kTooFewPatients,
  kDataUnfit,        // The data set is absent or does not fit the plan's schema.
  kBudget,           // Attempts or privacy budget used up.
  kStaleAttempt,     // At or below an attempt already joined.
  kContext,          // Another context under a number already used.
  kCohort,           // Not in it, or not as the roster says.
  kQueryNotDerived,  // Not a query that the plan and the answers give.
  kChain,            // A release that does not continue the chain.
  kLocked,           // The ledger is in doubt; an officer must unlock.
  kDeadline,         // Did not arrive in time.
  kQuorum,           // Below the quorum.
  kOffline,
  kAborted,     // By the researcher.
  kFailedHere,  // The computation failed at this hospital.
  kBusy,
  kShuttingDown,
  kExpired,      // The hospital's keys are past their validity in the roster.
  kSingleClass,  // All labelled patients of the cohort are of one class: there is nothing to learn.
  kDiverged,     // The training gives no usable model any more.
  kMemory,       // The hospital's memory of the study is not the one of its last counted contribution.
};
std::string_view Name(Reason reason);  // "not_approved"

// A byte string named by its RFC 6962 root. At most kInlineBlob bytes: whole, in `content`, and no leaves. Larger: leaf
// hashes, and the receiver pulls.
struct Blob {
  Digest root;
  std::uint64_t bytes = 0;
  std::vector<Digest> leaves;
  Bytes content;
  bool operator==(const Blob&) const = default;
};
Blob InlineBlob(ByteView content);   // CHECKs the size.
Status CheckBlob(const Blob& blob);  // Root over content or leaves, count of leaves, limits.

struct StudyMark {  // Where a hospital is in a study.
  StudyId study;
  std::uint32_t releases = 0;  // Releases seen, in order.
  Digest last_release;         // H of the last one's envelope; zero when none.
  bool operator==(const StudyMark&) const = default;
};

// node -> coordinator, first on every connection.
struct Hello {
  std::uint16_t version_low = kVersionLow, version_high = kVersionHigh;
  std::string build;
  std::uint64_t rosters = 0;  // Roster versions held (roster 0 counts).
  std::vector<StudyMark> studies;
  ChainHead ledger;
  ChainHead unlocked = {};  // The witness that the ledger's last UNLOCK row let go of.
  bool operator==(const Hello&) const = default;
};
// coordinator -> node, the answer to Hello and Enroll.
struct Welcome {
  std::uint16_t version = kVersionHigh;
  std::string build, federation;
  std::uint64_t rosters = 0;
  bool enrolled = false;  // In the roster; false while `hospital confirm` is awaited.
  std::uint32_t heartbeat_ms = 10000;
  ChainHead ledger = {};  // The witness: the highest head of the node's ledger that the coordinator was told.
  bool operator==(const Welcome&) const = default;
};
// Both ways: a message was refused. `study` and `attempt` are zero when it concerned none.
struct Refused {
  Reason reason = Reason::kNone;
  StudyId study;
  std::uint32_t attempt = 0;
  bool operator==(const Refused&) const = default;
};
// node -> coordinator over the token's CURVE key; signed by `identity`.
struct Enroll {
  TransportKey token;
  std::string name;
  VerifyKey identity;
  TransportKey transport;
  VerifyKey officer;
  Digest roster_fingerprint;
  Signature membership;  // By identity over MembershipBytes; kept in the roster's signatures.
  bool operator==(const Enroll&) const = default;
};
// coordinator -> node: roster versions the node lacks, in order, each a SignedRoster.
struct RosterUpdate {
  std::uint64_t first = 0;
  std::vector<Blob> rosters;
  bool operator==(const RosterUpdate&) const = default;
};
// coordinator -> node: the proposed next roster with its signatures so far; all empty when there is none.
// node -> coordinator: signatures of that roster; or a proposal, with `roster`.
struct RosterDraft {
  Digest hash;  // Of the roster's bytes; zero: none.
  Blob roster;  // Canonical.
  std::vector<RosterSignature> signatures;
  bool operator==(const RosterDraft&) const = default;
};
// coordinator -> node: a study that asks for consent.
struct PlanOffer {
  StudyId study;
  Blob plan;
  bool operator==(const PlanOffer&) const = default;
};
// node -> coordinator: what the hospital's officer said.
struct PlanVerdict {
  StudyId study;
  bool approved = false;
  Reason reason = Reason::kNone;
  Digest roster;  // H of the roster whose members were shown and pinned.
  bool operator==(const PlanVerdict&) const = default;
};
// coordinator -> node: take part in an attempt at a round's sum. Repeated as it was after a restart or reconnection.
struct Invite {
  StudyId study;
  std::uint32_t round = 0, attempt = 0, slot = 0;
  Blob query;                         // Canonical bytes.
  std::vector<std::uint32_t> cohort;  // U, roster numbers ascending.
  Digest roster;                      // H of the roster that numbers them.
  Digest last_release;                // H of the study's last Release envelope; zero before the first.
  std::vector<Blob> inputs;           // What params["inputs"] names.
  std::uint32_t time_left_ms = 0;
  bool operator==(const Invite&) const = default;
};
// node -> coordinator: no, and why.
struct Decline {
  StudyId study;
  std::uint32_t attempt = 0;
  Reason reason = Reason::kNone;
  bool operator==(const Decline&) const = default;
};
// node -> coordinator: the contribution is committed and may be pulled (or is inside).
struct Offer {
  StudyId study;
  std::uint32_t attempt = 0;
  Digest context;  // ctx
  Blob vector;
  ChainHead ledger = {};  // The node's ledger has at least this row.
  bool operator==(const Offer&) const = default;
};
// receiver -> sender: leaves [first, first + count) of a blob, 1 to 4 of them; the credit of one Chunk.
struct Pull {
  Digest root;
  std::uint32_t first = 0, count = 0;
  bool operator==(const Pull&) const = default;
};
// sender -> receiver: unsigned; each leaf is checked against its hash. Travels as u32 LE head length | head | raw
// bytes.
struct Chunk {
  Digest root;
  std::uint32_t first = 0, count = 0;
  Bytes content;
  bool operator==(const Chunk&) const = default;
};
// coordinator -> node: your contribution of this attempt has arrived whole.
struct Receipt {
  StudyId study;
  std::uint32_t attempt = 0;
  Digest root;
  bool operator==(const Receipt&) const = default;
};
struct Absence {
  std::uint32_t hospital = 0;
  Reason reason = Reason::kNone;
  bool operator==(const Absence&) const = default;
};
// coordinator -> all: R6. The chain of a study's releases binds all to one model.
struct Release {
  StudyId study;
  std::uint32_t seq = 0;  // From 1.
  std::uint32_t round = 0, attempt = 0;
  Digest previous;  // H of the previous Release envelope; zero for the first.
  Digest query;     // H(query)
  Digest answer;    // AnswerDigest
  std::vector<std::uint32_t> survivors;
  std::vector<Absence> absent;  // Approved hospitals that are not in the sum, and why.
  Digest transcript;            // H over the receipted roots, ascending.
  Blob model;                   // The next model's parameters; empty blob when the algorithm has none.
  bool last = false;            // The study is complete with this release.
  std::map<std::uint32_t, std::uint32_t> counted;  // Hospital -> its last attempt that is in an answer of this study.
  bool operator==(const Release&) const = default;
};
// coordinator -> node: the attempt is over without an answer.   node -> coordinator: this attempt cannot go on here.
struct Abandon {
  StudyId study;
  std::uint32_t attempt = 0;
  Reason reason = Reason::kNone;
  bool operator==(const Abandon&) const = default;
};
enum class Phase : std::uint8_t { kIdle, kComputing, kOffering, kUploading, kWaiting };
// Both ways, every heartbeat_ms, and from a node whenever its phase changes. Phase and bytes only: never patients or
// metrics.
struct Heartbeat {
  Phase phase = Phase::kIdle;
  StudyId study;
  std::uint64_t bytes_done = 0, bytes_total = 0;
  bool operator==(const Heartbeat&) const = default;
};
enum class StudyPhase : std::uint8_t { kAwaitingConsent, kRunning, kPaused, kComplete, kAborted, kFailed };
std::string_view Name(StudyPhase phase);  // "awaiting consent"
// coordinator -> node: where a study stands.
struct StudyState {
  StudyId study;
  StudyPhase phase = StudyPhase::kAwaitingConsent;
  Reason reason = Reason::kNone;
  std::uint32_t releases = 0;
  bool operator==(const StudyState&) const = default;
};

// Declared in the schema, sent only from the secure profile on: Advert, Adverts, Shares, Delivery, Accept, Complaint,
// Survivors, ConsistencySignature, Unmask, UnmaskShares. A peer that sends one is answered Refused{kWrongState}.
struct Later {
  std::uint16_t kind = 0;
  bool operator==(const Later&) const = default;
};

using Message = std::variant<Hello, Welcome, Refused, Enroll, RosterUpdate, PlanOffer, PlanVerdict, Invite, Decline,
                             Offer, Pull, Receipt, Release, Abandon, Heartbeat, StudyState, RosterDraft, Later>;
std::string_view KindName(const Message& message);  // The wire kind's name: "Hello", "Roster", ...

}  // namespace consilium
