// Records <-> bytes, as schemas/storage.capnp says. What does not come back exactly is kCorrupt.
#include "common/wire/records.h"

#include "common/base/check.h"
#include "common/wire/kinds.h"
#include "common/wire/payload.h"
#include "schemas/storage.capnp.h"

namespace consilium {
namespace {

using framing::Raw;

constexpr std::size_t kMaxVectors = 1024;
constexpr std::size_t kMaxVector = std::size_t{1} << 27;
constexpr std::size_t kMaxResults = std::size_t{256} << 20;
constexpr std::size_t kFirstSegment = std::size_t{1} << 27;  // Words; larger records go on in further segments.
constexpr std::size_t kBase = 512;                           // Words: every fixed field of the largest record.

Bytes Data(capnp::Data::Reader in) { return ToBytes(framing::View(in)); }
std::string String(capnp::Text::Reader in) { return {in.cStr(), in.size()}; }

template <class Root, class Put, class Record>
Bytes EncodeRecord(const Record& record, std::size_t words, Put put) {
  capnp::MallocMessageBuilder builder(std::min(words, kFirstSegment));
  put(record, builder.initRoot<Root>());
  return framing::Flatten(builder);
}

template <class Root, class Get>
auto DecodeRecord(ByteView bytes, std::string_view what, Get get)
    -> Result<decltype(get(std::declval<typename Root::Reader>()))> {
  using Record = decltype(get(std::declval<typename Root::Reader>()));
  return framing::Guarded(Code::kCorrupt, what, [&]() -> Result<Record> {
    if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0) throw Malformed("it is not a whole number of words");
    const framing::Words words(bytes);
    if (capnp::expectedSizeInWordsFromPrefix(words.words()) != words.words().size()) {
      throw Malformed("its length is not the one that it states");
    }
    capnp::ReaderOptions options;
    options.traversalLimitInWords = 1024 + 2 * words.words().size();
    options.nestingLimit = 16;
    capnp::FlatArrayMessageReader reader(words.words(), options);
    return get(reader.template getRoot<Root>());
  });
}

// ---- the algorithm's state ----

std::size_t WordsOf(const AlgorithmState& state, std::size_t results) {
  std::size_t words = kBase + results / 8 + 4 * state.bases.size();
  for (const auto& [name, values] : state.vectors) words += 16 + name.size() / 8 + values.size();
  return words;
}

void Put(const AlgorithmState& state, const std::string& results, schema::AlgorithmState::Builder out) {
  CHECK(state.vectors.size() <= kMaxVectors && results.size() <= kMaxResults);
  out.setStep(state.step);
  auto vectors = out.initVectors(state.vectors.size());
  std::size_t at = 0;
  for (const auto& [name, values] : state.vectors) {
    CHECK(values.size() <= kMaxVector);
    vectors[at].setName(name);
    auto list = vectors[at++].initValues(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) list.set(i, values[i]);
  }
  out.setResults(Raw(View(results)));
  auto bases = out.initBases(Digest::kSize * state.bases.size());
  for (std::size_t i = 0; i < state.bases.size(); ++i) {
    std::memcpy(bases.begin() + Digest::kSize * i, state.bases[i].bytes.data(), Digest::kSize);
  }
}

AlgorithmState Get(schema::AlgorithmState::Reader in) {
  AlgorithmState state;
  state.step = in.getStep();
  if (in.getVectors().size() > kMaxVectors) throw Malformed("it has too many vectors");
  for (auto vector : in.getVectors()) {
    const std::string name = String(vector.getName());
    if (!state.vectors.empty() && name <= state.vectors.rbegin()->first)
      throw Malformed("its vectors are not ascending");
    const auto list = vector.getValues();
    if (list.size() > kMaxVector) throw Malformed("a vector is too long");
    auto& values = state.vectors[name];
    values.reserve(list.size());
    for (double value : list) values.push_back(value);
  }
  auto results = ParseJson(Text(framing::View(in.getResults())), {.bytes = kMaxResults, .depth = 32});
  if (!results) throw Malformed("its results are not JSON: " + results.error().what);
  state.results = std::move(*results);
  const auto bases = in.getBases();
  if (bases.size() % Digest::kSize != 0) throw Malformed("its bases are cut off");
  for (std::size_t at = 0; at < bases.size(); at += Digest::kSize) {
    GetFixed(bases.slice(at, at + Digest::kSize), state.bases.emplace_back());
  }
  return state;
}

// ---- the coordinator's study ----

std::size_t WordsOf(const RoundRecord& record) {
  std::size_t words = kBase + record.query.size() / 8 + record.cohort.size();
  for (const Blob& blob : record.inputs) words += consilium::WordsOf(blob);
  return words;
}

void Put(const RoundRecord& record, schema::RoundRecord::Builder out) {
  out.setRound(record.round);
  out.setAttempt(record.attempt);
  out.setQuery(Raw(record.query));
  auto cohort = out.initCohort(record.cohort.size());
  for (std::size_t i = 0; i < record.cohort.size(); ++i) cohort.set(i, record.cohort[i]);
  out.setRoster(Raw(record.roster));
  out.setLastRelease(Raw(record.last_release));
  auto inputs = out.initInputs(record.inputs.size());
  for (std::size_t i = 0; i < record.inputs.size(); ++i) PutBlob(record.inputs[i], inputs[i]);
  out.setBoot(Raw(record.boot));
  out.setOpenedUs(record.opened.time_since_epoch().count());
}

RoundRecord Get(schema::RoundRecord::Reader in) {
  RoundRecord record;
  record.round = in.getRound();
  record.attempt = in.getAttempt();
  record.query = Data(in.getQuery());
  if (in.getCohort().size() > kMaxHospitals) throw Malformed("its cohort is too large");
  for (std::uint32_t number : in.getCohort()) record.cohort.push_back(number);
  GetFixed(in.getRoster(), record.roster);
  GetFixed(in.getLastRelease(), record.last_release);
  if (in.getInputs().size() > kMaxInputs) throw Malformed("it has too many inputs");
  for (auto blob : in.getInputs()) record.inputs.push_back(GetBlob(blob));
  if (in.hasBoot()) GetFixed(in.getBoot(), record.boot);
  record.opened = Instant(Duration(in.getOpenedUs()));
  return record;
}

void Put(const std::map<std::uint32_t, PlanVerdict>& verdicts, capnp::List<schema::StudyRecord::Verdict>::Builder out) {
  std::size_t at = 0;
  for (const auto& [hospital, verdict] : verdicts) {
    auto entry = out[at++];
    entry.setHospital(hospital);
    auto inner = entry.initVerdict();
    inner.setStudy(Raw(verdict.study));
    inner.setApproved(verdict.approved);
    inner.setReason(static_cast<schema::Reason>(verdict.reason));
    inner.setRoster(Raw(verdict.roster));
  }
}

std::map<std::uint32_t, PlanVerdict> Get(capnp::List<schema::StudyRecord::Verdict>::Reader in) {
  if (in.size() > kMaxHospitals) throw Malformed("it has too many verdicts");
  std::map<std::uint32_t, PlanVerdict> verdicts;
  for (auto entry : in) {
    if (!verdicts.empty() && entry.getHospital() <= verdicts.rbegin()->first) {
      throw Malformed("its verdicts are not ascending");
    }
    const auto inner = entry.getVerdict();
    PlanVerdict& verdict = verdicts[entry.getHospital()];
    GetFixed(inner.getStudy(), verdict.study);
    verdict.approved = inner.getApproved();
    verdict.reason = GetEnum<Reason>(inner.getReason(), kReasons);
    GetFixed(inner.getRoster(), verdict.roster);
  }
  return verdicts;
}

void Put(const StudyRecord& record, const std::string& results, schema::StudyRecord::Builder out) {
  out.setPlan(Raw(record.plan));
  out.setPhase(static_cast<schema::StudyPhase>(record.phase));
  out.setReason(static_cast<schema::Reason>(record.reason));
  out.setAttempts(record.attempts);
  out.setReleases(record.releases);
  out.setLastRelease(Raw(record.last_release));
  out.setReleaseFrame(Raw(record.release_frame));
  Put(record.algorithm, results, out.initAlgorithm());
  if (record.open) Put(*record.open, out.initOpen());
  Put(record.verdicts, out.initVerdicts(record.verdicts.size()));
  out.setSubmittedMs(record.submitted_ms);
  out.setEndedMs(record.ended_ms);
}

StudyRecord Get(schema::StudyRecord::Reader in) {
  StudyRecord record;
  record.plan = Data(in.getPlan());
  record.phase = GetEnum<StudyPhase>(in.getPhase(), kStudyPhases);
  record.reason = GetEnum<Reason>(in.getReason(), kReasons);
  record.attempts = in.getAttempts();
  record.releases = in.getReleases();
  GetFixed(in.getLastRelease(), record.last_release);
  record.release_frame = Data(in.getReleaseFrame());
  record.algorithm = Get(in.getAlgorithm());
  if (in.hasOpen()) record.open = Get(in.getOpen());
  record.verdicts = Get(in.getVerdicts());
  record.submitted_ms = in.getSubmittedMs();
  record.ended_ms = in.getEndedMs();
  return record;
}

// ---- the node's study and ledger ----

using Consent = ParticipantRecord::Consent;

void Put(const ParticipantRecord& record, schema::ParticipantRecord::Builder out) {
  out.setPlan(Raw(record.plan));
  out.setConsent(static_cast<schema::ParticipantRecord::Consent>(record.consent));
  out.setOfficer(record.officer);
  out.setPinnedRoster(Raw(record.pinned_roster));
  out.setPhase(static_cast<schema::StudyPhase>(record.phase));
  out.setReason(static_cast<schema::Reason>(record.reason));
  out.setLastAttempt(record.last_attempt);
  out.setLastRound(record.last_round);
  out.setContext(Raw(record.context));
  PutBlob(record.contribution, out.initContribution());
  out.setReleases(record.releases);
  out.setLastRelease(Raw(record.last_release));
  PutBlob(record.model, out.initModel());
  out.setResults(Raw(record.results));
  out.setLastQuery(Raw(record.last_query));
  out.setReserved(record.reserved);
  out.setOwnFigures(static_cast<schema::ParticipantRecord::OwnFigures>(record.own_figures));
}

ParticipantRecord Get(schema::ParticipantRecord::Reader in) {
  ParticipantRecord record;
  record.plan = Data(in.getPlan());
  record.consent = GetEnum<Consent>(in.getConsent(), static_cast<std::size_t>(Consent::kRejected) + 1);
  record.officer = String(in.getOfficer());
  GetFixed(in.getPinnedRoster(), record.pinned_roster);
  record.phase = GetEnum<StudyPhase>(in.getPhase(), kStudyPhases);
  record.reason = GetEnum<Reason>(in.getReason(), kReasons);
  record.last_attempt = in.getLastAttempt();
  record.last_round = in.getLastRound();
  GetFixed(in.getContext(), record.context);
  record.contribution = GetBlob(in.getContribution());
  record.releases = in.getReleases();
  GetFixed(in.getLastRelease(), record.last_release);
  record.model = GetBlob(in.getModel());
  record.results = Data(in.getResults());
  record.last_query = Data(in.getLastQuery());
  record.reserved = in.getReserved();
  record.own_figures = GetEnum<ParticipantRecord::OwnFigures>(
      in.getOwnFigures(), static_cast<std::size_t>(ParticipantRecord::OwnFigures::kReleased) + 1);
  return record;
}

void Put(const LedgerRow& row, schema::LedgerRow::Builder out) {
  out.setKind(static_cast<schema::LedgerRow::Kind>(row.kind));
  out.setStudy(Raw(row.study));
  out.setFirstAttempt(row.first_attempt);
  out.setLastAttempt(row.last_attempt);
  out.setMechanism(row.mechanism);
  out.setQ(row.q);
  out.setZ(row.z);
  out.setWallMs(row.wall_ms);
  out.setAfter(Raw(row.after));
  auto seen = out.initSeen();
  seen.setSeq(row.seen.seq);
  seen.setHash(Raw(row.seen.hash));
}

LedgerRow Get(schema::LedgerRow::Reader in) {
  LedgerRow row;
  row.kind = GetEnum<LedgerRow::Kind>(in.getKind(), static_cast<std::size_t>(LedgerRow::Kind::kUnlock) + 1);
  GetFixed(in.getStudy(), row.study);
  row.first_attempt = in.getFirstAttempt();
  row.last_attempt = in.getLastAttempt();
  row.mechanism = String(in.getMechanism());
  row.q = in.getQ();
  row.z = in.getZ();
  row.wall_ms = in.getWallMs();
  if (in.hasAfter()) GetFixed(in.getAfter(), row.after);
  row.seen.seq = in.getSeen().getSeq();
  if (in.getSeen().hasHash()) GetFixed(in.getSeen().getHash(), row.seen.hash);
  return row;
}

constexpr auto kPut = [](const auto& record, auto out) { Put(record, out); };
constexpr auto kGet = [](auto in) { return Get(in); };

}  // namespace

Bytes Encode(const AlgorithmState& state) {
  const std::string results = CanonicalJson(state.results);
  return EncodeRecord<schema::AlgorithmState>(state, WordsOf(state, results.size()),
                                              [&](const auto& s, auto out) { Put(s, results, out); });
}
Result<AlgorithmState> DecodeAlgorithmState(ByteView bytes) {
  return DecodeRecord<schema::AlgorithmState>(bytes, "an algorithm's state", kGet);
}

Bytes Encode(const StudyRecord& record) {
  const std::string results = CanonicalJson(record.algorithm.results);
  const std::size_t words = kBase + (record.plan.size() + record.release_frame.size()) / 8 +
                            16 * record.verdicts.size() + WordsOf(record.algorithm, results.size()) +
                            (record.open ? WordsOf(*record.open) : 0);
  return EncodeRecord<schema::StudyRecord>(record, words, [&](const auto& r, auto out) { Put(r, results, out); });
}
Result<StudyRecord> DecodeStudyRecord(ByteView bytes) {
  return DecodeRecord<schema::StudyRecord>(bytes, "a study's record", kGet);
}

Bytes Encode(const ParticipantRecord& record) {
  const std::size_t bytes =
      record.plan.size() + record.officer.size() + record.results.size() + record.last_query.size();
  const std::size_t words = kBase + bytes / 8 + WordsOf(record.contribution) + WordsOf(record.model);
  return EncodeRecord<schema::ParticipantRecord>(record, words, kPut);
}
Result<ParticipantRecord> DecodeParticipantRecord(ByteView bytes) {
  return DecodeRecord<schema::ParticipantRecord>(bytes, "a participant's record", kGet);
}

Bytes Encode(const LedgerRow& row) {
  return EncodeRecord<schema::LedgerRow>(row, kBase + row.mechanism.size() / 8, kPut);
}
Result<LedgerRow> DecodeLedgerRow(ByteView bytes) {
  return DecodeRecord<schema::LedgerRow>(bytes, "a ledger row", kGet);
}

}  // namespace consilium
