// What the daemons keep (schemas/storage.capnp): structs and their codec. Audit rows are canonical JSON instead, so
// that an exported log verifies with any JSON tool.
#pragma once

#include <map>
#include <optional>

#include "common/algorithms/algorithm.h"
#include "common/wire/messages.h"

namespace consilium {

Bytes Encode(const AlgorithmState& state);
Result<AlgorithmState> DecodeAlgorithmState(ByteView bytes);

// coordinator: one attempt in flight. Durable before its invitations leave.
struct RoundRecord {
  std::uint32_t round = 0, attempt = 0;
  Bytes query;                        // Canonical.
  std::vector<std::uint32_t> cohort;  // U
  Digest roster, last_release;
  std::vector<Blob> inputs;
  BootId boot = {};     // The boot that `opened` counts from.
  Instant opened = {};  // The deadline counts from here, whatever restarts there are.
  bool operator==(const RoundRecord&) const = default;
};
// coordinator: one study.
struct StudyRecord {
  Bytes plan;  // Canonical.
  StudyPhase phase = StudyPhase::kAwaitingConsent;
  Reason reason = Reason::kNone;
  std::uint32_t attempts = 0;  // Attempts begun.
  std::uint32_t releases = 0;
  Digest last_release;  // H of the last Release envelope.
  Bytes release_frame;  // The last Release as sent, to repeat it.
  AlgorithmState algorithm;
  std::optional<RoundRecord> open;                // The attempt in flight.
  std::map<std::uint32_t, PlanVerdict> verdicts;  // By roster number.
  std::int64_t submitted_ms = 0, ended_ms = 0;    // Wall.
  bool operator==(const StudyRecord&) const = default;
};
Bytes Encode(const StudyRecord& record);
Result<StudyRecord> DecodeStudyRecord(ByteView bytes);

// node: one study. The contribution of the last attempt is kept until its release, a newer attempt or the study's end.
struct ParticipantRecord {
  Bytes plan;
  enum class Consent : std::uint8_t { kPending, kApproved, kRejected } consent = Consent::kPending;
  std::string officer;
  Digest pinned_roster;
  StudyPhase phase = StudyPhase::kAwaitingConsent;
  Reason reason = Reason::kNone;
  std::uint32_t last_attempt = 0;  // Joined and committed.
  std::uint32_t last_round = 0;
  Digest context;     // ctx of last_attempt.
  Blob contribution;  // Inline when small, else in the blob store; bytes 0 when none is kept.
  std::uint32_t releases = 0;
  Digest last_release;
  Blob model;        // Of the last release.
  Bytes results;     // Canonical JSON of the hospital's own figures; never leaves.
  Bytes last_query;  // Canonical; the last "train" query joined, for the results at the end.
  bool reserved = false;
  // Under its name: not by plan and policy; as an officer approved; a contribution with them was committed.
  enum class OwnFigures : std::uint8_t { kWithheld, kAllowed, kReleased } own_figures = OwnFigures::kWithheld;
  bool operator==(const ParticipantRecord&) const = default;
};
Bytes Encode(const ParticipantRecord& record);
Result<ParticipantRecord> DecodeParticipantRecord(ByteView bytes);

// node: a row of the ledger's chain.
struct LedgerRow {
  enum class Kind : std::uint8_t { kReserve, kCommit, kRelease, kUnlock } kind = Kind::kReserve;
  StudyId study;
  std::uint32_t first_attempt = 0, last_attempt = 0;
  std::string mechanism;  // "none": no differential privacy. Others come with the accountant.
  double q = 0, z = 0;
  std::int64_t wall_ms = 0;
  Digest after = {};    // kUnlock: the head's hash that it follows.
  ChainHead seen = {};  // kUnlock: the coordinator's witness that it lets go of.
  bool operator==(const LedgerRow&) const = default;
};
Bytes Encode(const LedgerRow& row);
Result<LedgerRow> DecodeLedgerRow(ByteView bytes);

}  // namespace consilium
