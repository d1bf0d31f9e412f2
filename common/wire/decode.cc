// Payload bytes -> messages. Every list is bounded before it is looked at; Malformed leaves through framing::Guarded.
#include <set>

#include "common/wire/codec.h"
#include "common/wire/kinds.h"
#include "common/wire/payload.h"

namespace consilium {
namespace {

void Bound(std::size_t size, std::size_t most, std::string_view what) {
  if (size > most) throw Malformed("more " + std::string(what) + " than " + std::to_string(most));
}

// Length of the UTF-8 sequence that begins at `at`, 0 when it is none (RFC 3629: no overlong forms, no surrogates).
std::size_t SequenceLength(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return at + i < text.size() ? static_cast<std::uint8_t>(text[at + i]) : 0;
  };
  const std::uint32_t lead = byte(0);
  const std::size_t length = lead < 0x80                   ? 1
                             : lead >= 0xC2 && lead < 0xE0 ? 2
                             : (lead & 0xF0) == 0xE0       ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const std::uint32_t second = byte(1);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second >= 0xA0)) return 0;
  if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second >= 0x90)) return 0;
  return length;
}

// Names end up on terminals and in logs: control characters (C0, DEL, C1) have no business there.
std::string GetText(capnp::Text::Reader in) {
  Bound(in.size(), kMaxText, "bytes in a text");
  const std::string_view text(in.cStr(), in.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = SequenceLength(text, at);
    const auto lead = static_cast<std::uint8_t>(text[at]);
    const bool control =
        lead < 0x20 || lead == 0x7F || (lead == 0xC2 && length == 2 && static_cast<std::uint8_t>(text[at + 1]) < 0xA0);
    if (length == 0 || control) throw Malformed("a text has a control character or is not UTF-8");
    at += length;
  }
  return std::string(text);
}

Reason GetReason(schema::Reason in) { return GetEnum<Reason>(in, kReasons); }

Blob GetChecked(schema::Blob::Reader in) {
  Blob blob = GetBlob(in);
  if (Status status = CheckBlob(blob); !status) throw Malformed(status.error().what);
  return blob;
}
Blob GetFull(schema::Blob::Reader in) {
  if (in.getBytes() == 0) throw Malformed("a blob that must be there is empty");
  return GetChecked(in);
}

template <class List>
std::vector<Blob> GetBlobs(List in, std::size_t most, Blob (*get)(schema::Blob::Reader)) {
  Bound(in.size(), most, "blobs");
  std::vector<Blob> out;
  for (auto blob : in) out.push_back(get(blob));
  return out;
}

std::vector<std::uint32_t> GetSet(capnp::List<std::uint32_t>::Reader in) {
  Bound(in.size(), kMaxHospitals, "hospitals");
  std::vector<std::uint32_t> out(in.size());
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < in.size(); ++i) {
    if (in[i] <= last) throw Malformed("a set of hospitals is not ascending");
    out[i] = last = in[i];
  }
  return out;
}

ChainHead GetHead(schema::ChainHead::Reader in) {
  ChainHead head;
  head.seq = in.getSeq();
  if (head.seq > kMaxChainSeq) throw Malformed("a chain is longer than any");
  GetFixed(in.getHash(), head.hash);
  return head;
}

Hello Get(schema::Hello::Reader in) {
  Hello m{.version_low = in.getVersionLow(),
          .version_high = in.getVersionHigh(),
          .build = GetText(in.getBuild()),
          .rosters = in.getRosters(),
          .studies = {},
          .ledger = GetHead(in.getLedger()),
          .unlocked = GetHead(in.getUnlocked())};
  if (m.version_low > m.version_high) throw Malformed("a version range is empty");
  const auto studies = in.getStudies();
  Bound(studies.size(), kMaxStudyMarks, "study marks");
  for (auto mark : studies) {
    StudyMark& out = m.studies.emplace_back();
    GetFixed(mark.getStudy(), out.study);
    out.releases = mark.getReleases();
    GetFixed(mark.getLastRelease(), out.last_release);
  }
  return m;
}

Welcome Get(schema::Welcome::Reader in) {
  Welcome m{.version = in.getVersion(),
            .build = GetText(in.getBuild()),
            .federation = GetText(in.getFederation()),
            .rosters = in.getRosters(),
            .enrolled = in.getEnrolled(),
            .heartbeat_ms = in.getHeartbeatMs(),
            .ledger = GetHead(in.getLedger())};
  if (m.heartbeat_ms == 0 || m.heartbeat_ms > kMaxHeartbeatMs) throw Malformed("a heartbeat is out of range");
  return m;
}

Refused Get(schema::Refused::Reader in) {
  Refused m{.reason = GetReason(in.getReason()), .study = {}, .attempt = in.getAttempt()};
  GetFixed(in.getStudy(), m.study);
  return m;
}

Enroll Get(schema::Enroll::Reader in) {
  Enroll m;
  GetFixed(in.getToken(), m.token);
  m.name = GetText(in.getName());
  if (m.name.empty()) throw Malformed("a name is empty");
  GetFixed(in.getIdentity(), m.identity);
  GetFixed(in.getTransport(), m.transport);
  GetFixed(in.getOfficer(), m.officer);
  GetFixed(in.getRosterFingerprint(), m.roster_fingerprint);
  GetFixed(in.getMembership(), m.membership);
  return m;
}

RosterUpdate Get(schema::Roster::Reader in) {
  return {.first = in.getFirst(), .rosters = GetBlobs(in.getRosters(), kMaxRostersPerUpdate, GetFull)};
}

RosterDraft Get(schema::RosterDraft::Reader in) {
  RosterDraft m{.hash = {}, .roster = GetChecked(in.getRoster()), .signatures = {}};
  GetFixed(in.getHash(), m.hash);
  const auto signatures = in.getSignatures();
  Bound(signatures.size(), kMaxRosterSignatures, "signatures");
  std::set<VerifyKey> keys;
  for (auto signature : signatures) {
    RosterSignature& out = m.signatures.emplace_back();
    GetFixed(signature.getKey(), out.key);
    GetFixed(signature.getSignature(), out.signature);
    if (!keys.insert(out.key).second) throw Malformed("one key signs a roster twice");
  }
  if (m.hash.IsZero() && (m.roster.bytes != 0 || !m.signatures.empty()))
    throw Malformed("a roster is proposed under the zero hash");
  return m;
}

PlanOffer Get(schema::PlanOffer::Reader in) {
  PlanOffer m{.study = {}, .plan = GetFull(in.getPlan())};
  GetFixed(in.getStudy(), m.study);
  return m;
}

PlanVerdict Get(schema::PlanVerdict::Reader in) {
  PlanVerdict m{.study = {}, .approved = in.getApproved(), .reason = GetReason(in.getReason()), .roster = {}};
  GetFixed(in.getStudy(), m.study);
  GetFixed(in.getRoster(), m.roster);
  return m;
}

Invite Get(schema::Invite::Reader in) {
  Invite m;
  GetFixed(in.getStudy(), m.study);
  m.round = in.getRound();
  m.attempt = in.getAttempt();
  m.slot = in.getSlot();
  m.query = GetFull(in.getQuery());
  m.cohort = GetSet(in.getCohort());
  GetFixed(in.getRoster(), m.roster);
  GetFixed(in.getLastRelease(), m.last_release);
  m.inputs = GetBlobs(in.getInputs(), kMaxInputs, GetChecked);
  m.time_left_ms = in.getTimeLeftMs();
  return m;
}

Decline Get(schema::Decline::Reader in) {
  Decline m{.study = {}, .attempt = in.getAttempt(), .reason = GetReason(in.getReason())};
  GetFixed(in.getStudy(), m.study);
  return m;
}

Offer Get(schema::Offer::Reader in) {
  Offer m{.study = {},
          .attempt = in.getAttempt(),
          .context = {},
          .vector = GetFull(in.getVector()),
          .ledger = GetHead(in.getLedger())};
  GetFixed(in.getStudy(), m.study);
  GetFixed(in.getContext(), m.context);
  return m;
}

Pull Get(schema::Pull::Reader in) {
  Pull m{.root = {}, .first = in.getFirst(), .count = in.getCount()};
  GetFixed(in.getRoot(), m.root);
  if (m.count == 0 || m.count > kMaxChunkLeaves) throw Malformed("a pull is not of 1 to 4 leaves");
  if (m.first >= kMaxBlob / kLeafBytes) throw Malformed("a pull is beyond any blob");
  return m;
}

Receipt Get(schema::Receipt::Reader in) {
  Receipt m{.study = {}, .attempt = in.getAttempt(), .root = {}};
  GetFixed(in.getStudy(), m.study);
  GetFixed(in.getRoot(), m.root);
  return m;
}

std::vector<Absence> GetAbsent(capnp::List<schema::Absence>::Reader in) {
  Bound(in.size(), kMaxHospitals, "absent hospitals");
  std::vector<Absence> out;
  out.reserve(in.size());
  for (auto absence : in) {
    if (absence.getHospital() <= (out.empty() ? 0 : out.back().hospital))
      throw Malformed("absent hospitals are not ascending");
    out.push_back({.hospital = absence.getHospital(), .reason = GetReason(absence.getReason())});
  }
  return out;
}

Release Get(schema::Release::Reader in) {
  Release m;
  GetFixed(in.getStudy(), m.study);
  m.seq = in.getSeq();
  m.round = in.getRound();
  m.attempt = in.getAttempt();
  GetFixed(in.getPrevious(), m.previous);
  GetFixed(in.getQuery(), m.query);
  GetFixed(in.getAnswer(), m.answer);
  m.survivors = GetSet(in.getSurvivors());
  m.absent = GetAbsent(in.getAbsent());
  GetFixed(in.getTranscript(), m.transcript);
  m.model = GetChecked(in.getModel());
  m.last = in.getLast();
  m.counted = GetCounted(in.getCounted());
  return m;
}

Abandon Get(schema::Abandon::Reader in) {
  Abandon m{.study = {}, .attempt = in.getAttempt(), .reason = GetReason(in.getReason())};
  GetFixed(in.getStudy(), m.study);
  return m;
}

Heartbeat Get(schema::Heartbeat::Reader in) {
  Heartbeat m{.phase = GetEnum<Phase>(in.getPhase(), kPhases),
              .study = {},
              .bytes_done = in.getBytesDone(),
              .bytes_total = in.getBytesTotal()};
  GetFixed(in.getStudy(), m.study);
  return m;
}

StudyState Get(schema::StudyState::Reader in) {
  StudyState m{.study = {},
               .phase = GetEnum<StudyPhase>(in.getPhase(), kStudyPhases),
               .reason = GetReason(in.getReason()),
               .releases = in.getReleases()};
  GetFixed(in.getStudy(), m.study);
  return m;
}

// An invitation of the secure profile: a set-up, or a sum within one.
bool IsLater(schema::Invite::Reader in) { return in.hasSetup() || in.hasSid() || in.hasAccepts(); }

Message GetMessage(schema::Message::Reader in) {
  const auto kind = static_cast<std::uint16_t>(in.which());
  switch (in.which()) {
    case schema::Message::HELLO:
      return Get(in.getHello());
    case schema::Message::WELCOME:
      return Get(in.getWelcome());
    case schema::Message::REFUSED:
      return Get(in.getRefused());
    case schema::Message::ENROLL:
      return Get(in.getEnroll());
    case schema::Message::ROSTER:
      return Get(in.getRoster());
    case schema::Message::PLAN_OFFER:
      return Get(in.getPlanOffer());
    case schema::Message::PLAN_VERDICT:
      return Get(in.getPlanVerdict());
    case schema::Message::INVITE:
      if (IsLater(in.getInvite())) return Later{kind};
      return Get(in.getInvite());
    case schema::Message::DECLINE:
      return Get(in.getDecline());
    case schema::Message::OFFER:
      return Get(in.getOffer());
    case schema::Message::PULL:
      return Get(in.getPull());
    case schema::Message::RECEIPT:
      return Get(in.getReceipt());
    case schema::Message::RELEASE:
      return Get(in.getRelease());
    case schema::Message::ABANDON:
      return Get(in.getAbandon());
    case schema::Message::HEARTBEAT:
      return Get(in.getHeartbeat());
    case schema::Message::STUDY_STATE:
      return Get(in.getStudyState());
    case schema::Message::ROSTER_DRAFT:
      return Get(in.getRosterDraft());
    default:
      break;
  }
  if (kind >= kWireKinds.size()) throw Malformed("a message's kind is unknown");
  return Later{kind};
}

static_assert(static_cast<std::size_t>(schema::Reason::MEMORY) + 1 == kReasons);
static_assert(static_cast<std::size_t>(schema::StudyPhase::FAILED) + 1 == kStudyPhases);
static_assert(static_cast<std::size_t>(schema::Heartbeat::Phase::WAITING) + 1 == kPhases);
static_assert(static_cast<std::size_t>(schema::Message::ROSTER_DRAFT) + 1 == kWireKinds.size());

}  // namespace

Counted GetCounted(capnp::List<schema::Counted>::Reader in) {
  Bound(in.size(), kMaxHospitals, "counted hospitals");
  Counted out;
  for (auto counted : in) {
    if (counted.getHospital() <= (out.empty() ? 0 : out.rbegin()->first))
      throw Malformed("counted hospitals are not ascending");
    out[counted.getHospital()] = counted.getAttempt();
  }
  return out;
}

Blob GetBlob(schema::Blob::Reader in) {
  Blob blob;
  GetFixed(in.getRoot(), blob.root);
  blob.bytes = in.getBytes();
  const auto leaves = in.getLeaves();
  Bound(leaves.size(), kMaxBlob / kLeafBytes * Digest::kSize, "leaf bytes");
  if (leaves.size() % Digest::kSize != 0) throw Malformed("leaf hashes are cut off");
  blob.leaves.resize(leaves.size() / Digest::kSize);
  for (std::size_t i = 0; i < blob.leaves.size(); ++i) {
    std::memcpy(blob.leaves[i].bytes.data(), leaves.begin() + Digest::kSize * i, Digest::kSize);
  }
  const auto content = in.getContent();
  Bound(content.size(), kInlineBlob, "bytes inside a message");
  blob.content = ToBytes(framing::View(content));
  return blob;
}

Result<std::uint16_t> PeekKind(ByteView payload) {
  return framing::Guarded(Code::kProtocol, "a message", [&]() -> Result<std::uint16_t> {
    auto segment = TRY(framing::OneSegment::Open(payload));
    const auto kind = static_cast<std::uint16_t>(segment.Get<schema::Message>().which());
    if (kind >= kWireKinds.size()) throw Malformed("its kind is unknown");
    return kind;
  });
}

Result<Message> ParsePayload(ByteView payload) {
  return framing::Guarded(Code::kProtocol, "a message", [&]() -> Result<Message> {
    auto segment = TRY(framing::OneSegment::Open(payload));
    return GetMessage(segment.Get<schema::Message>());
  });
}

}  // namespace consilium
