// Messages -> payload bytes, in one segment sized beforehand.
#include "common/base/check.h"
#include "common/wire/kinds.h"
#include "common/wire/payload.h"

namespace consilium {
namespace {

using framing::Raw;

template <class Builder>
void PutNumbers(const std::vector<std::uint32_t>& numbers, Builder out) {
  for (std::size_t i = 0; i < numbers.size(); ++i) out.set(i, numbers[i]);
}

void PutHead(const ChainHead& head, schema::ChainHead::Builder out) {
  out.setSeq(head.seq);
  out.setHash(Raw(head.hash));
}

void Put(const Hello& m, schema::Hello::Builder out) {
  out.setVersionLow(m.version_low);
  out.setVersionHigh(m.version_high);
  out.setBuild(m.build);
  out.setRosters(m.rosters);
  auto studies = out.initStudies(m.studies.size());
  for (std::size_t i = 0; i < m.studies.size(); ++i) {
    studies[i].setStudy(Raw(m.studies[i].study));
    studies[i].setReleases(m.studies[i].releases);
    studies[i].setLastRelease(Raw(m.studies[i].last_release));
  }
  PutHead(m.ledger, out.initLedger());
  PutHead(m.unlocked, out.initUnlocked());
}

void Put(const Welcome& m, schema::Welcome::Builder out) {
  out.setVersion(m.version);
  out.setBuild(m.build);
  out.setFederation(m.federation);
  out.setRosters(m.rosters);
  out.setEnrolled(m.enrolled);
  out.setHeartbeatMs(m.heartbeat_ms);
  PutHead(m.ledger, out.initLedger());
}

void Put(const Refused& m, schema::Refused::Builder out) {
  out.setReason(static_cast<schema::Reason>(m.reason));
  out.setStudy(Raw(m.study));
  out.setAttempt(m.attempt);
}

void Put(const Enroll& m, schema::Enroll::Builder out) {
  out.setToken(Raw(m.token));
  out.setName(m.name);
  out.setIdentity(Raw(m.identity));
  out.setTransport(Raw(m.transport));
  out.setOfficer(Raw(m.officer));
  out.setRosterFingerprint(Raw(m.roster_fingerprint));
  out.setMembership(Raw(m.membership));
}

void Put(const RosterUpdate& m, schema::Roster::Builder out) {
  out.setFirst(m.first);
  auto rosters = out.initRosters(m.rosters.size());
  for (std::size_t i = 0; i < m.rosters.size(); ++i) PutBlob(m.rosters[i], rosters[i]);
}

void Put(const RosterDraft& m, schema::RosterDraft::Builder out) {
  out.setHash(Raw(m.hash));
  PutBlob(m.roster, out.initRoster());
  auto signatures = out.initSignatures(m.signatures.size());
  for (std::size_t i = 0; i < m.signatures.size(); ++i) {
    signatures[i].setKey(Raw(m.signatures[i].key));
    signatures[i].setSignature(Raw(m.signatures[i].signature));
  }
}

void Put(const PlanOffer& m, schema::PlanOffer::Builder out) {
  out.setStudy(Raw(m.study));
  PutBlob(m.plan, out.initPlan());
}

void Put(const PlanVerdict& m, schema::PlanVerdict::Builder out) {
  out.setStudy(Raw(m.study));
  out.setApproved(m.approved);
  out.setReason(static_cast<schema::Reason>(m.reason));
  out.setRoster(Raw(m.roster));
}

void Put(const Invite& m, schema::Invite::Builder out) {
  out.setStudy(Raw(m.study));
  out.setRound(m.round);
  out.setAttempt(m.attempt);
  out.setSlot(m.slot);
  PutBlob(m.query, out.initQuery());
  PutNumbers(m.cohort, out.initCohort(m.cohort.size()));
  out.setRoster(Raw(m.roster));
  out.setLastRelease(Raw(m.last_release));
  auto inputs = out.initInputs(m.inputs.size());
  for (std::size_t i = 0; i < m.inputs.size(); ++i) PutBlob(m.inputs[i], inputs[i]);
  out.setTimeLeftMs(m.time_left_ms);
}

void Put(const Decline& m, schema::Decline::Builder out) {
  out.setStudy(Raw(m.study));
  out.setAttempt(m.attempt);
  out.setReason(static_cast<schema::Reason>(m.reason));
}

void Put(const Offer& m, schema::Offer::Builder out) {
  out.setStudy(Raw(m.study));
  out.setAttempt(m.attempt);
  out.setContext(Raw(m.context));
  PutBlob(m.vector, out.initVector());
  PutHead(m.ledger, out.initLedger());
}

void Put(const Pull& m, schema::Pull::Builder out) {
  out.setRoot(Raw(m.root));
  out.setFirst(m.first);
  out.setCount(m.count);
}

void Put(const Receipt& m, schema::Receipt::Builder out) {
  out.setStudy(Raw(m.study));
  out.setAttempt(m.attempt);
  out.setRoot(Raw(m.root));
}

void Put(const Release& m, schema::Release::Builder out) {
  out.setStudy(Raw(m.study));
  out.setSeq(m.seq);
  out.setRound(m.round);
  out.setAttempt(m.attempt);
  out.setPrevious(Raw(m.previous));
  out.setQuery(Raw(m.query));
  out.setAnswer(Raw(m.answer));
  PutNumbers(m.survivors, out.initSurvivors(m.survivors.size()));
  auto absent = out.initAbsent(m.absent.size());
  for (std::size_t i = 0; i < m.absent.size(); ++i) {
    absent[i].setHospital(m.absent[i].hospital);
    absent[i].setReason(static_cast<schema::Reason>(m.absent[i].reason));
  }
  out.setTranscript(Raw(m.transcript));
  PutBlob(m.model, out.initModel());
  out.setLast(m.last);
  PutCounted(m.counted, out.initCounted(m.counted.size()));
}

void Put(const Abandon& m, schema::Abandon::Builder out) {
  out.setStudy(Raw(m.study));
  out.setAttempt(m.attempt);
  out.setReason(static_cast<schema::Reason>(m.reason));
}

void Put(const Heartbeat& m, schema::Heartbeat::Builder out) {
  out.setPhase(static_cast<schema::Heartbeat::Phase>(m.phase));
  out.setStudy(Raw(m.study));
  out.setBytesDone(m.bytes_done);
  out.setBytesTotal(m.bytes_total);
}

void Put(const StudyState& m, schema::StudyState::Builder out) {
  out.setStudy(Raw(m.study));
  out.setPhase(static_cast<schema::StudyPhase>(m.phase));
  out.setReason(static_cast<schema::Reason>(m.reason));
  out.setReleases(m.releases);
}

void PutLater(std::uint16_t kind, schema::Message::Builder out) {
  switch (static_cast<schema::Message::Which>(kind)) {
    case schema::Message::INVITE:
      out.initInvite().initSetup();
      return;
    case schema::Message::ADVERT:
      out.initAdvert();
      return;
    case schema::Message::ADVERTS:
      out.initAdverts();
      return;
    case schema::Message::SHARES:
      out.initShares();
      return;
    case schema::Message::DELIVERY:
      out.initDelivery();
      return;
    case schema::Message::ACCEPT:
      out.initAccept();
      return;
    case schema::Message::COMPLAINT:
      out.initComplaint();
      return;
    case schema::Message::SURVIVORS:
      out.initSurvivors();
      return;
    case schema::Message::CONSISTENCY_SIGNATURE:
      out.initConsistencySignature();
      return;
    case schema::Message::UNMASK:
      out.initUnmask();
      return;
    case schema::Message::UNMASK_SHARES:
      out.initUnmaskShares();
      return;
    default:
      CHECK(!"a Later of a kind of the secure profile");
  }
}

struct PutMessage {
  schema::Message::Builder out;
  void operator()(const Hello& m) { Put(m, out.initHello()); }
  void operator()(const Welcome& m) { Put(m, out.initWelcome()); }
  void operator()(const Refused& m) { Put(m, out.initRefused()); }
  void operator()(const Enroll& m) { Put(m, out.initEnroll()); }
  void operator()(const RosterUpdate& m) { Put(m, out.initRoster()); }
  void operator()(const PlanOffer& m) { Put(m, out.initPlanOffer()); }
  void operator()(const PlanVerdict& m) { Put(m, out.initPlanVerdict()); }
  void operator()(const Invite& m) { Put(m, out.initInvite()); }
  void operator()(const Decline& m) { Put(m, out.initDecline()); }
  void operator()(const Offer& m) { Put(m, out.initOffer()); }
  void operator()(const Pull& m) { Put(m, out.initPull()); }
  void operator()(const Receipt& m) { Put(m, out.initReceipt()); }
  void operator()(const Release& m) { Put(m, out.initRelease()); }
  void operator()(const Abandon& m) { Put(m, out.initAbandon()); }
  void operator()(const Heartbeat& m) { Put(m, out.initHeartbeat()); }
  void operator()(const StudyState& m) { Put(m, out.initStudyState()); }
  void operator()(const RosterDraft& m) { Put(m, out.initRosterDraft()); }
  void operator()(const Later& m) { PutLater(m.kind, out); }
};

// At most this many words, so that all of a message lies in its first segment.
struct Size {
  static constexpr std::size_t kBase = 256;  // Every fixed field of the largest kind, more than twice over.
  static std::size_t Blobs(const std::vector<Blob>& blobs) {
    std::size_t words = 0;
    for (const Blob& blob : blobs) words += WordsOf(blob);
    return words;
  }
  std::size_t operator()(const Hello& m) const { return kBase + m.build.size() / 8 + 16 * m.studies.size(); }
  std::size_t operator()(const Welcome& m) const { return kBase + (m.build.size() + m.federation.size()) / 8; }
  std::size_t operator()(const Enroll& m) const { return kBase + m.name.size() / 8; }
  std::size_t operator()(const RosterUpdate& m) const { return kBase + Blobs(m.rosters); }
  std::size_t operator()(const RosterDraft& m) const { return kBase + WordsOf(m.roster) + 16 * m.signatures.size(); }
  std::size_t operator()(const PlanOffer& m) const { return kBase + WordsOf(m.plan); }
  std::size_t operator()(const Invite& m) const { return kBase + WordsOf(m.query) + Blobs(m.inputs) + m.cohort.size(); }
  std::size_t operator()(const Offer& m) const { return kBase + WordsOf(m.vector); }
  std::size_t operator()(const Release& m) const {
    return kBase + WordsOf(m.model) + m.survivors.size() + 2 * m.absent.size() + m.counted.size();
  }
  std::size_t operator()(const auto& /*fixed*/) const { return kBase; }
};

}  // namespace

std::size_t WordsOf(const Blob& blob) { return 16 + (blob.content.size() + Digest::kSize * blob.leaves.size()) / 8; }

void PutCounted(const Counted& counted, capnp::List<schema::Counted>::Builder out) {
  unsigned at = 0;
  for (const auto& [hospital, attempt] : counted) {
    out[at].setHospital(hospital);
    out[at++].setAttempt(attempt);
  }
}

void PutBlob(const Blob& blob, schema::Blob::Builder out) {
  CHECK(blob.content.size() <= kInlineBlob);  // No reader would take it back.
  out.setRoot(Raw(blob.root));
  out.setBytes(blob.bytes);
  auto leaves = out.initLeaves(Digest::kSize * blob.leaves.size());
  for (std::size_t i = 0; i < blob.leaves.size(); ++i) {
    std::memcpy(leaves.begin() + Digest::kSize * i, blob.leaves[i].bytes.data(), Digest::kSize);
  }
  out.setContent(Raw(blob.content));
}

Bytes EncodePayload(const Message& message) {
  capnp::MallocMessageBuilder builder(std::visit(Size{}, message));
  std::visit(PutMessage{builder.initRoot<schema::Message>()}, message);
  CHECK(builder.getSegmentsForOutput().size() == 1);
  return framing::Flatten(builder);
}

}  // namespace consilium
