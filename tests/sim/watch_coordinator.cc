// See watch.h: what is seen at the coordinator, and how a study may end.
#include <algorithm>

#include "tests/sim/watch.h"
#include "tests/sim/workbench.h"

namespace consilium::sim {
namespace {

constexpr Duration kSettled = std::chrono::seconds(100);     // The longest outage is over, and every loss was noticed.
constexpr Duration kTurns = std::chrono::milliseconds(100);  // From a deadline to the turn that sees it.

}  // namespace

void Watch::OnCoordinatorCommitted(const std::vector<Write>& writes) {
  for (const auto& write : writes) {
    if (const auto* put = std::get_if<PutState>(&write); put != nullptr && put->core == "roster")
      OnRoster(put->blob, "coordinator", &revoked_);
    if (const auto* put = std::get_if<PutState>(&write); put != nullptr && put->core == "study") {
      auto record = DecodeStudyRecord(put->blob);
      if (!record)
        return context_.Fail("stored records", "the coordinator's study does not decode: " + record.error().what);
      OnStudy(std::move(*record));
    }
  }
  for (const auto& write : writes) {
    if (const auto* append = std::get_if<AppendChain>(&write); append != nullptr && append->name == "audit")
      OnAuditRow(append->row);
  }
}

void Watch::OnAuditRow(ByteView bytes) {
  const auto row = ParseJson(Text(bytes));
  if (!row) return context_.Fail("stored records", fmt::format("an audit row does not parse: {}", Text(bytes)));
  context_.Note("coordinator audits {}", Text(bytes));
  const auto& event = (*row)["event"].AsString();
  if (event == "answer") OnAnswerAudited(*row);
  if (event == "attempt_failed") OnAttemptFailed(*row);
  if (event == "released_figures") OnReleasedFigures(*row);
  const bool odd = event == "offer_refused" || event == "refused_peer" || event == "hospital_ahead";
  if (odd || event == "declined") OnDeclined(*row);
}

// At most one answer a round.
void Watch::OnAnswerAudited(const Value& row) {
  const auto study = StudyId::FromHexText(row["study"].AsString());
  if (!study) return context_.Fail("stored records", "an answer's audit row names no study");
  const auto round = static_cast<std::uint32_t>(row["round"].AsInteger());
  if (!context_.scenario.CoordinatorHonest() || studies_[*study].answered.insert(round).second) return;
  context_.Fail("one answer a round",
                fmt::format("study {}, round {}: a second answer in the audit chain", NameOf(*study), round));
}

// Nobody is named whose policy withholds.
void Watch::OnReleasedFigures(const Value& row) {
  for (const Value& name : row["released"].AsArray()) {
    const auto& hospital = context_.scenario.hospitals.at(static_cast<std::size_t>(name.AsString().back() - 'a'));
    if (!hospital.releases_own && !hospital.rogue) context_.Fail("own figures stay", CanonicalJson(row));
  }
}

// An attempt fails for want of hospitals, never because the sum is not the survivors' (a doubled or a stranger's upload
// shows in the contributors coordinate); and not for want of hospitals when none is missing.
void Watch::OnAttemptFailed(const Value& row) {
  const auto& scenario = context_.scenario;
  const auto& reason = row["reason"].AsString();
  const auto where = fmt::format("study {}, attempt {} fails with {}", row["study"].AsString().substr(0, 8),
                                 row["attempt"].AsInteger(), reason);
  const bool missing = reason == Name(Reason::kQuorum) || reason == Name(Reason::kDeadline);
  if (!missing && !scenario.wild_values) return context_.Fail("exact sum or nothing", where);
  const bool disabled = std::ranges::any_of(scenario.hospitals, &HospitalScenario::always_fails) || scenario.rogue() ||
                        !scenario.CoordinatorHonest();
  const bool over = scenario.faults_until == scenario.faults_from || context_.now() > scenario.faults_until + kSettled;
  if (missing && over && !disabled) context_.Fail("no failure without a fault", where);
}

// Between honest parties over a network that keeps order, a hospital declines only for reasons of its own.
void Watch::OnDeclined(const Value& row) {
  const auto& scenario = context_.scenario;
  const bool orderly = scenario.CoordinatorHonest() && !scenario.rogue() && scenario.double_per_mille == 0 &&
                       scenario.swap_per_mille == 0;
  const auto& reason = row["reason"].AsString();
  const bool own =
      reason == Name(Reason::kFailedHere) || reason == Name(Reason::kRejected) || reason == Name(Reason::kNotApproved);
  // A hospital that has the newer roster is not joined by one that the attempt still has; and the revoked one itself.
  const bool membership =
      scenario.revoked != 0 && (reason == Name(Reason::kCohort) || reason == Name(Reason::kRevoked));
  // One that was put back does not know where it was.
  const bool put_back =
      scenario.put_back != 0 &&
      row["hospital"].AsString() == fmt::format("hospital-{}", static_cast<char>('a' + scenario.put_back - 1));
  if (orderly && !own && !membership && !put_back) context_.Fail("honest parties agree", CanonicalJson(row));
}

void Watch::OnStudy(StudyRecord record) {
  const StudyId id(Blake2b(record.plan).bytes);
  auto& book = studies_[id];
  const StudyRecord before = std::exchange(book.record, std::move(record));
  const StudyRecord& after = book.record;
  const auto where = fmt::format("study {}, round {}", NameOf(id), after.releases);
  book.known = true;
  if (after.attempts > book.plan.maximum_attempts) context_.Fail("attempts within the maximum", where);
  if (after.attempts < before.attempts || after.releases < before.releases)
    context_.Fail("the study goes forward", where);
  if (after.releases > before.releases + 1)
    context_.Fail("the study goes forward", where + ": two answers in one transaction");
  if (after.releases == before.releases + 1) OnAnswer(book, before, after);
  const bool opened = after.open && (!before.open || before.open->attempt != after.open->attempt);
  if (opened) OnRoundOpened(book, after);
}

// The query is the one that the algorithm gives after the right answers, for as many hospitals as are invited.
void Watch::OnRoundOpened(StudyBook& book, const StudyRecord& after) {
  auto step = book.reference->Next(static_cast<std::uint32_t>(after.open->cohort.size()));
  const auto where = fmt::format("study {}, attempt {}", NameOf(book.plan.id()), after.open->attempt);
  if (!step) return context_.Fail("derived query", where + ": the algorithm has finished");
  step->query.plan = book.plan.id();
  step->query.round = after.open->round;
  if (Canonical(step->query) != after.open->query)
    context_.Fail("derived query", where + ": not what the answers give");
  if (after.open->attempt != after.attempts) context_.Fail("attempts rise", where);
  SetDeadline(book, step->query);
  for (const std::uint32_t number : after.open->cohort) {
    if (revoked_.contains(number)) context_.Fail("revoked stays out", fmt::format("{}: {} is invited", where, number));
  }
}

// ---- deadlines ----

// An upload that is being added when the deadline comes is waited for.
void Watch::SetDeadline(StudyBook& book, const Query& query) const {
  const bool spooled = query.WireBytes() > kInlineBlob;
  book.over_by =
      context_.now() + book.plan.round_deadline + kTurns + (spooled ? context_.scenario.slow_job_most : Duration(0));
}

void Watch::OnCoordinatorStopped() { coordinator_down_ = context_.now(); }

void Watch::OnCoordinatorStarted() {
  if (!coordinator_down_) return;
  for (auto& [id, book] : studies_) book.over_by += context_.now() - *coordinator_down_;
  coordinator_down_.reset();
}

// An attempt is answered or failed when its deadline has passed, and the time that the coordinator was down; restarts
// give it no more.
void Watch::OnTime() {
  if (coordinator_down_) return;
  for (const auto& [id, book] : studies_) {
    if (!book.record.open || context_.now() <= book.over_by) continue;
    context_.Fail("deadline", fmt::format("study {}, attempt {} is open {} ms after it", NameOf(id),
                                          book.record.open->attempt, (context_.now() - book.over_by).count() / 1000));
  }
}

// ---- answers ----

// The answer is the exact sum over the named survivors; there are enough of them, and all were invited.
void Watch::OnAnswer(StudyBook& book, const StudyRecord& before, const StudyRecord& after) {
  const StudyId id = book.plan.id();
  const auto where = fmt::format("study {}, release {}", NameOf(id), after.releases);
  const auto message = ReadFrame(after.release_frame, coordinator_);
  const auto* release = message ? std::get_if<Release>(&*message) : nullptr;
  if (release == nullptr) return context_.Fail("stored records", where + ": the frame of it does not read");
  const Digest hash = Blake2b(after.release_frame);
  book.releases[after.releases] = hash;
  if (release->seq != after.releases || release->previous != before.last_release || after.last_release != hash) {
    return context_.Fail("release chain", where + ": it does not continue the last one");
  }
  const auto& survivors = release->survivors;
  counted_[{id, release->attempt}].insert(survivors.begin(), survivors.end());
  if (before.open) {
    const auto& cohort = before.open->cohort;
    const std::size_t quorum = book.plan.minimum_hospitals;  // Of the visible profile.
    if (survivors.size() < quorum) {
      return context_.Fail("quorum", fmt::format("{}: {} of {} invited, at least {} are needed", where,
                                                 survivors.size(), cohort.size(), quorum));
    }
    if (!std::includes(cohort.begin(), cohort.end(), survivors.begin(), survivors.end())) {
      return context_.Fail("cohort", where + ": a survivor was not invited");
    }
  }
  const auto query = queries_.find(release->query);
  if (query == queries_.end()) return context_.Fail("exact sum or nothing", where + ": nobody computed that query");
  const auto words = SumOf(query->second, survivors, release->answer);
  if (!words) return context_.Fail("exact sum or nothing", where + ": not the sum of the survivors' vectors");
  auto answer = Answer::Create(query->second, survivors, *words);
  if (!answer || answer->digest() != release->answer)
    return context_.Fail("exact sum or nothing", where + ": another digest");
  if (auto absorbed = book.reference->Absorb(query->second, *answer); !absorbed) {
    return context_.Fail("one model", where + ": the algorithm refuses the answer: " + absorbed.error().what);
  }
  if (!(book.reference->Save() == after.algorithm))
    context_.Fail("one model", where + ": the stored state is not what the answers give");
}

std::optional<Bytes> Watch::SumOf(const Query& query, const std::vector<std::uint32_t>& survivors,
                                  const Digest& answer) {
  Bytes words;
  if (SumWith(query, survivors, 0, Bytes(query.AnswerBytes(0)), answer, &words)) return words;
  return {};
}

// A rogue hospital's vector is whatever it offered first: each of its own counts as right.
bool Watch::SumWith(const Query& query, const std::vector<std::uint32_t>& survivors, std::size_t next, Bytes words,
                    const Digest& answer, Bytes* out) {
  if (next == survivors.size()) {
    if (AnswerDigest(HashOf(query), survivors, BlobRoot(words)) != answer) return false;
    *out = std::move(words);
    return true;
  }
  const std::uint32_t number = survivors[next];
  std::vector<Bytes> candidates = {TrueVector(number, query, context_.scenario.wild_values, Withholds(number, query))};
  for (const auto& forged : hospitals_[number].forged) {
    if (forged.size() == query.WireBytes()) candidates.push_back(forged);
  }
  for (const auto& candidate : candidates) {
    Bytes sum = words;
    if (query.release == ReleaseTo::kHospital) {
      sum.insert(sum.end(), candidate.begin(), candidate.end());
    } else {
      AddWords(query.ring, sum, candidate);
    }
    if (SumWith(query, survivors, next + 1, std::move(sum), answer, out)) return true;
  }
  return false;
}

// A release is durable before it leaves, and one seq has one release.
void Watch::OnCoordinatorSends(ByteView frame) {
  if (IsChunk(frame)) return;
  const auto message = Peek(frame);
  if (!message)
    return context_.Fail("wire", "the coordinator sends a frame that does not read: " + message.error().what);
  context_.Note("coordinator sends: {}", KindName(*message));
  if (const auto* invite = std::get_if<Invite>(&*message)) OnInviteSent(*invite);
  const auto* release = std::get_if<Release>(&*message);
  if (release == nullptr) return;
  releases_[Blake2b(frame)] = *release;
  const auto& known = studies_[release->study].releases;
  const auto durable = known.find(release->seq);
  if (durable == known.end() || durable->second != Blake2b(frame)) {
    context_.Fail("durable before sent", fmt::format("study {}, release {} leaves and is not on the disk",
                                                     NameOf(release->study), release->seq));
  }
}

void Watch::OnCoordinatorRestored(const Disk::Backup& backup) {
  revoked_.clear();
  for (const auto& [where, blob] : backup.stored.state) {
    if (where.first == "roster") OnRoster(blob, "coordinator's backup", &revoked_);
  }
  for (auto& [id, book] : studies_) {
    book.known = false;
    book.record = {};
    const auto stored = backup.stored.state.find({"study", id.Hex()});
    if (stored != backup.stored.state.end()) {
      auto record = DecodeStudyRecord(stored->second);
      if (!record) return context_.Fail("stored records", record.error().what);
      book.record = std::move(*record);
      book.known = true;
      const auto query = book.record.open ? ParseQuery(book.record.open->query) : Result<Query>(Query());
      if (query) SetDeadline(book, *query);
    }
    auto reference = book.known ? RestoreAlgorithm(book.plan, book.record.algorithm) : MakeAlgorithm(book.plan);
    if (!reference) return context_.Fail("stored records", reference.error().what);
    book.reference = std::move(*reference);
    std::erase_if(book.releases, [&](const auto& release) { return release.first > book.record.releases; });
  }
}

// ---- the end ----

bool Watch::CoordinatorEnded(const StudyId& study) const {
  const auto& book = studies_.at(study);
  if (!book.known) return false;
  const auto phase = book.record.phase;
  return phase == StudyPhase::kComplete || phase == StudyPhase::kFailed || phase == StudyPhase::kAborted;
}

std::uint32_t Watch::Answers() const {
  std::uint32_t answers = 0;
  for (const auto& [id, book] : studies_) answers += book.record.releases;
  return answers;
}

bool Watch::Ended() const { return WhatIsLeft().empty(); }

std::string Watch::WhatIsLeft() const {
  for (const auto& [id, book] : studies_) {
    if (!CoordinatorEnded(id))
      return fmt::format("study {} is {}", NameOf(id), book.known ? Name(book.record.phase) : "unknown");
    for (const auto& [number, verdict] : book.record.verdicts) {
      if (!verdict.approved || revoked_.contains(number)) continue;
      const auto& records = hospitals_.at(number).records;
      const auto record = records.find(id);
      if (record == records.end() && hospitals_.at(number).put_back) continue;  // To before it knew of the study.
      if (record == records.end() || record->second.phase != book.record.phase) {
        return fmt::format("study {} is {} and hospital {} says {}", NameOf(id), Name(book.record.phase), number,
                           record == records.end() ? "nothing" : Name(record->second.phase));
      }
      const auto& mine = record->second;
      if (mine.phase == StudyPhase::kComplete && !mine.last_query.empty() && mine.results.empty()) {
        return fmt::format("study {} is complete and hospital {} has no results of its own", NameOf(id), number);
      }
    }
  }
  return {};
}

void Watch::AtEnd() {
  for (const auto& [id, book] : studies_) {
    const auto where = fmt::format("study {}", NameOf(id));
    const auto& record = book.record;
    const bool finished = !book.reference->Next(book.plan.minimum_hospitals).has_value();
    if (record.phase == StudyPhase::kComplete && !finished)
      context_.Fail("a stated end", where + " is complete without all its answers");
    if (record.phase == StudyPhase::kAborted && !book.abort_asked)
      context_.Fail("a stated end", where + " is aborted and nobody asked");
    const bool spent = record.reason == Reason::kBudget && record.attempts >= book.plan.maximum_attempts;
    const bool alike = record.reason == Reason::kSingleClass && book.reference->SingleClass();
    if (record.phase == StudyPhase::kFailed && !spent && !alike) {
      context_.Fail("a stated end", fmt::format("{} failed: {} after {} of {} attempts", where, Name(record.reason),
                                                record.attempts, book.plan.maximum_attempts));
    }
    for (const auto& [number, hospital] : hospitals_) {
      const auto mine = hospital.records.find(id);
      const bool ended = mine != hospital.records.end() && mine->second.phase == record.phase;
      const bool unused =
          ended && hospital.reserved.contains(id) && mine->second.last_attempt < book.plan.maximum_attempts;
      const bool may_doubt = hospital.put_back || context_.scenario.hospitals[number - 1].rogue;  // After a lock.
      if (unused && !may_doubt && !hospital.released.contains(id)) {
        context_.Fail("ledger released",
                      fmt::format("{}: hospital {} keeps what it reserved and did not use", where, number));
      }
      if (mine == hospital.records.end() || record.phase != StudyPhase::kComplete) continue;
      const auto verdict = record.verdicts.find(number);
      if (verdict == record.verdicts.end() || !verdict->second.approved || revoked_.contains(number)) continue;
      if (hospital.put_back && mine->second.consent != ParticipantRecord::Consent::kApproved) continue;
      if (mine->second.releases != record.releases || mine->second.last_release != record.last_release) {
        context_.Fail("one answer everywhere", fmt::format("{}: hospital {} ends with another release", where, number));
      }
    }
  }
}

}  // namespace consilium::sim
