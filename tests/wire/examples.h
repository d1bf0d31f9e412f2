// One message of every kind, with fixed values: golden bytes and mutations start from them.
#pragma once

#include "common/wire/codec.h"

namespace consilium {

template <class F>
F Filled(std::uint8_t first) {
  F out;
  for (std::size_t i = 0; i < F::kSize; ++i) out.bytes[i] = static_cast<std::uint8_t>(first + i);
  return out;
}
inline IdentityKey TestKey(std::uint8_t byte = 1) { return IdentityKey::FromSeed(Bytes(32, byte)); }

inline Blob LargeBlob(std::uint64_t bytes) {
  Blob blob{.root = {}, .bytes = bytes, .leaves = {}, .content = {}};
  for (std::uint64_t i = 0; i * kLeafBytes < bytes; ++i)
    blob.leaves.push_back(Filled<Digest>(static_cast<std::uint8_t>(i)));
  blob.root = MerkleRoot(blob.leaves);
  return blob;
}

inline std::vector<Message> Examples() {
  const auto study = Filled<StudyId>(1);
  const auto digest = Filled<Digest>(64);
  const Blob small = InlineBlob(View("{\"kind\":\"describe\"}"));
  const Blob large = LargeBlob(3 * kLeafBytes + 5);
  return {
      Hello{.version_low = 1,
            .version_high = 2,
            .build = "0.1.0",
            .rosters = 3,
            .studies = {{.study = study, .releases = 7, .last_release = digest}},
            .ledger = {.seq = 9, .hash = digest},
            .unlocked = {.seq = 5, .hash = Filled<Digest>(8)}},
      Welcome{.version = 1,
              .build = "0.1.0",
              .federation = "heart",
              .rosters = 4,
              .enrolled = true,
              .heartbeat_ms = 5000,
              .ledger = {.seq = 9, .hash = digest}},
      Refused{.reason = Reason::kWrongState, .study = study, .attempt = 2},
      Enroll{.token = Filled<TransportKey>(1),
             .name = "hospital-a",
             .identity = TestKey().verify_key(),
             .transport = Filled<TransportKey>(2),
             .officer = Filled<VerifyKey>(3),
             .roster_fingerprint = digest,
             .membership = Filled<Signature>(4)},
      RosterUpdate{.first = 1, .rosters = {small, large}},
      PlanOffer{.study = study, .plan = small},
      PlanVerdict{.study = study, .approved = true, .reason = Reason::kNone, .roster = digest},
      Invite{.study = study,
             .round = 3,
             .attempt = 4,
             .slot = 0,
             .query = small,
             .cohort = {1, 2, 5},
             .roster = digest,
             .last_release = Filled<Digest>(9),
             .inputs = {large, small},
             .time_left_ms = 60000},
      Decline{.study = study, .attempt = 4, .reason = Reason::kNotApproved},
      Offer{.study = study, .attempt = 4, .context = digest, .vector = large, .ledger = {.seq = 9, .hash = digest}},
      Pull{.root = digest, .first = 4, .count = 4},
      Receipt{.study = study, .attempt = 4, .root = digest},
      Release{.study = study,
              .seq = 3,
              .round = 3,
              .attempt = 4,
              .previous = digest,
              .query = Filled<Digest>(5),
              .answer = Filled<Digest>(6),
              .survivors = {1, 5},
              .absent = {{.hospital = 2, .reason = Reason::kOffline}},
              .transcript = Filled<Digest>(7),
              .model = small,
              .last = true,
              .counted = {{1, 4}, {2, 3}, {5, 4}}},
      Abandon{.study = study, .attempt = 4, .reason = Reason::kQuorum},
      Heartbeat{.phase = Phase::kUploading, .study = study, .bytes_done = 10, .bytes_total = 1ULL << 33},
      StudyState{.study = study, .phase = StudyPhase::kPaused, .reason = Reason::kBusy, .releases = 3},
      RosterDraft{
          .hash = digest,
          .roster = small,
          .signatures = {{TestKey().verify_key(), Filled<Signature>(4)}, {Filled<VerifyKey>(3), Filled<Signature>(5)}}},
      Later{9},
  };
}

}  // namespace consilium
