// RapidCheck generators of every message and record that a decoder must take.
#pragma once

#include <rapidcheck.h>

#include "common/wire/records.h"
#include "tests/wire/examples.h"

namespace consilium {

template <class T>
T Any() {
  return *rc::gen::arbitrary<T>();
}
template <class T>
T Below(T end) {
  return *rc::gen::inRange<T>(0, end);
}
template <class F>
F AnyFixed() {
  F out;
  for (auto& byte : out.bytes) byte = Any<std::uint8_t>();
  return out;
}
inline Digest AnyDigest() { return AnyFixed<Digest>(); }
inline StudyId AnyStudy() { return AnyFixed<StudyId>(); }
inline Reason AnyReason() { return static_cast<Reason>(Below<int>(static_cast<int>(Reason::kExpired) + 1)); }
inline StudyPhase AnyStudyPhase() {
  return static_cast<StudyPhase>(Below<int>(static_cast<int>(StudyPhase::kFailed) + 1));
}
inline std::string AnyText(std::size_t least = 0) {
  std::string text = *rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '~'));
  text.resize(std::max(least, std::min(text.size(), kMaxText - 4)), 'x');
  return Any<bool>() ? text + "\u00e4\u6f22" : text;
}
inline Bytes AnyBytes(std::size_t most) {
  Bytes bytes(Below<std::size_t>(most + 1));
  std::uint8_t byte = Any<std::uint8_t>();
  for (auto& b : bytes) b = byte += 37;
  return bytes;
}
inline Blob AnyFullBlob() {
  if (Any<bool>()) return LargeBlob(*rc::gen::inRange<std::uint64_t>(kInlineBlob + 1, 40 * kLeafBytes));
  Bytes content = AnyBytes(Any<bool>() ? 300 : kInlineBlob);
  content.push_back(1);
  content.resize(std::min(content.size(), kInlineBlob));
  return InlineBlob(content);
}
inline Blob AnyBlob() { return Below(4) == 0 ? Blob{} : AnyFullBlob(); }
inline std::vector<Blob> AnyBlobs(std::size_t most, Blob (*one)()) {
  std::vector<Blob> blobs(Below<std::size_t>(most + 1));
  for (Blob& blob : blobs) blob = one();
  return blobs;
}
inline std::vector<std::uint32_t> AnySet() {
  std::vector<std::uint32_t> set;
  std::uint32_t number = 0;
  for (std::size_t i = Below<std::size_t>(50); i > 0; --i) set.push_back(number += 1 + Below<std::uint32_t>(1000));
  return set;
}
inline std::vector<Absence> AnyAbsent() {
  std::vector<Absence> absent;
  for (std::uint32_t number : AnySet()) absent.push_back({number, AnyReason()});
  return absent;
}
inline std::vector<StudyMark> AnyMarks() {
  std::vector<StudyMark> marks(Below<std::size_t>(20));
  for (StudyMark& mark : marks) mark = {AnyStudy(), Any<std::uint32_t>(), AnyDigest()};
  return marks;
}
inline PlanVerdict AnyVerdict() { return {AnyStudy(), Any<bool>(), AnyReason(), AnyDigest()}; }

// Of the alternative `kind` of Message; Later is made by the caller.
inline ChainHead AnyHead() { return {Any<std::uint64_t>() & kMaxChainSeq, AnyDigest()}; }
inline Message AnyMessage(std::size_t kind) {
  using U32 = std::uint32_t;
  switch (kind) {
    case 0: {
      const auto low = Any<std::uint16_t>();
      return Hello{low,        static_cast<std::uint16_t>(low + Below<std::uint32_t>(65536U - low)),
                   AnyText(),  Any<std::uint64_t>(),
                   AnyMarks(), AnyHead(),
                   AnyHead()};
    }
    case 1:
      return Welcome{Any<std::uint16_t>(),       AnyText(), AnyText(), Any<std::uint64_t>(), Any<bool>(),
                     1 + Below(kMaxHeartbeatMs), AnyHead()};
    case 2:
      return Refused{AnyReason(), AnyStudy(), Any<U32>()};
    case 3:
      return Enroll{AnyFixed<TransportKey>(), AnyText(1),  AnyFixed<VerifyKey>(), AnyFixed<TransportKey>(),
                    AnyFixed<VerifyKey>(),    AnyDigest(), AnyFixed<Signature>()};
    case 4:
      return RosterUpdate{Any<std::uint64_t>(), AnyBlobs(kMaxRostersPerUpdate, AnyFullBlob)};
    case 5:
      return PlanOffer{AnyStudy(), AnyFullBlob()};
    case 6:
      return AnyVerdict();
    case 7:
      return Invite{AnyStudy(),  Any<U32>(),    Any<U32>(),
                    Any<U32>(),  AnyFullBlob(), AnySet(),
                    AnyDigest(), AnyDigest(),   AnyBlobs(kMaxInputs, AnyBlob),
                    Any<U32>()};
    case 8:
      return Decline{AnyStudy(), Any<U32>(), AnyReason()};
    case 9:
      return Offer{AnyStudy(), Any<U32>(), AnyDigest(), AnyFullBlob(), AnyHead()};
    case 10:
      return Pull{AnyDigest(), Below<U32>(16384), 1 + Below<U32>(4)};
    case 11:
      return Receipt{AnyStudy(), Any<U32>(), AnyDigest()};
    case 12:
      return Release{AnyStudy(),  Any<U32>(), Any<U32>(),  Any<U32>(),  AnyDigest(), AnyDigest(),
                     AnyDigest(), AnySet(),   AnyAbsent(), AnyDigest(), AnyBlob(),   Any<bool>()};
    case 13:
      return Abandon{AnyStudy(), Any<U32>(), AnyReason()};
    case 14:
      return Heartbeat{static_cast<Phase>(Below(5)), AnyStudy(), Any<std::uint64_t>(), Any<std::uint64_t>()};
    case 15:
      return StudyState{AnyStudy(), AnyStudyPhase(), AnyReason(), Any<U32>()};
    default: {
      if (Below(5) == 0) return RosterDraft{};
      RosterDraft draft{AnyDigest(), AnyBlob(), {}};
      draft.hash.bytes[0] |= 1;
      for (int i = Below(20); i > 0; --i) {
        auto key = AnyFixed<VerifyKey>();
        key.bytes[0] = static_cast<std::uint8_t>(i);
        draft.signatures.push_back({key, AnyFixed<Signature>()});
      }
      return draft;
    }
  }
}

// ---- records ----

inline AlgorithmState AnyState() {
  AlgorithmState state{.step = Any<std::uint32_t>(), .vectors = {}, .results = Value::Object{}, .bases = {}};
  for (int i = Below(4); i > 0; --i) state.vectors[AnyText()] = Any<std::vector<double>>();
  for (int i = Below(4); i > 0; --i) state.bases.push_back(AnyDigest());
  Value rounds;
  for (int i = Below(4); i > 0; --i) rounds.Push(Value(Any<std::int32_t>() / 4 + 0.25));
  state.results.Set("rounds", rounds).Set("kind", AnyText());
  return state;
}
inline RoundRecord AnyRound() {
  return {Any<std::uint32_t>(),
          Any<std::uint32_t>(),
          AnyBytes(500),
          AnySet(),
          AnyDigest(),
          AnyDigest(),
          AnyBlobs(kMaxInputs, AnyBlob),
          AnyFixed<BootId>(),
          Instant(Duration(Any<std::int32_t>()))};
}
inline StudyRecord AnyStudyRecord() {
  StudyRecord record{.plan = AnyBytes(3000),
                     .phase = AnyStudyPhase(),
                     .reason = AnyReason(),
                     .attempts = Any<std::uint32_t>(),
                     .releases = Any<std::uint32_t>(),
                     .last_release = AnyDigest(),
                     .release_frame = AnyBytes(5000),
                     .algorithm = AnyState(),
                     .open = std::nullopt,
                     .verdicts = {},
                     .submitted_ms = Any<std::int64_t>(),
                     .ended_ms = Any<std::int64_t>()};
  if (Any<bool>()) record.open = AnyRound();
  for (std::uint32_t number : AnySet()) record.verdicts[number] = AnyVerdict();
  return record;
}
inline ParticipantRecord AnyParticipant() {
  return {.plan = AnyBytes(3000),
          .consent = static_cast<ParticipantRecord::Consent>(Below(3)),
          .officer = AnyText(),
          .pinned_roster = AnyDigest(),
          .phase = AnyStudyPhase(),
          .reason = AnyReason(),
          .last_attempt = Any<std::uint32_t>(),
          .last_round = Any<std::uint32_t>(),
          .context = AnyDigest(),
          .contribution = AnyBlob(),
          .releases = Any<std::uint32_t>(),
          .last_release = AnyDigest(),
          .model = AnyBlob(),
          .results = AnyBytes(1000),
          .last_query = AnyBytes(1000),
          .reserved = Any<bool>(),
          .own_figures = static_cast<ParticipantRecord::OwnFigures>(Below(3))};
}
inline LedgerRow AnyLedgerRow() {
  return {static_cast<LedgerRow::Kind>(Below(4)),
          AnyStudy(),
          Any<std::uint32_t>(),
          Any<std::uint32_t>(),
          AnyText(),
          Any<double>(),
          Any<double>(),
          Any<std::int64_t>(),
          AnyDigest(),
          AnyHead()};
}

}  // namespace consilium
