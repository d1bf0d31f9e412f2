#include "coordinator/study.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"
#include "common/base/twin.h"
#include "common/model/parameters.h"
#include "common/privacy/encode.h"

namespace consilium::coordinator {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(250);
constexpr Duration kLongestPause = std::chrono::seconds(10);

Value Numbers(const std::vector<std::uint32_t>& numbers) {
  Value out{Value::Array{}};
  for (std::uint32_t number : numbers) out.Push(number);
  return out;
}

std::uint32_t Milliseconds(Duration duration) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

}  // namespace

Study::Study(StudyContext context, Plan plan, StudyRecord record, std::unique_ptr<Algorithm> algorithm)
    : context_(context),
      plan_(std::move(plan)),
      id_(plan_.id()),
      record_(std::move(record)),
      algorithm_(std::move(algorithm)) {}

Result<std::unique_ptr<Study>> Study::Submit(ByteView canonical_plan, StudyContext context, Now now) {
  Plan plan = TRY(ParsePlan(canonical_plan));
  auto algorithm = TRY(MakeAlgorithm(plan));
  StudyRecord record;
  record.plan = ToBytes(canonical_plan);
  record.submitted_ms = now.wall_ms;
  record.algorithm = algorithm->Save();
  std::unique_ptr<Study> study(new Study(context, std::move(plan), std::move(record), std::move(algorithm)));
  study->dirty_ = true;
  study->last_verdict_ = now.instant;
  study->Audit("submitted", Value().Set("name", study->plan_.name).Set("researcher", study->plan_.researcher), now);
  return study;
}

Result<std::unique_ptr<Study>> Study::Restore(const StudyRecord& record, StudyContext context, Now now) {
  Plan plan = TRY(ParsePlan(record.plan));
  auto algorithm = TRY(RestoreAlgorithm(plan, record.algorithm));
  std::unique_ptr<Study> study(new Study(context, std::move(plan), record, std::move(algorithm)));
  study->last_verdict_ = now.instant;
  study->retry_at_ = now.instant;
  for (std::uint32_t number : study->Approved()) study->last_seen_[number] = now.instant;
  if (study->record_.releases > 0) {
    const auto release = ReadFrame(study->record_.release_frame, context.key->verify_key());
    const auto* last = release ? std::get_if<Release>(&*release) : nullptr;
    if (last == nullptr)
      return Fail(Code::kCorrupt, "the last release of study " + study->id_.Hex() + " does not verify");
    if (last->model.bytes > kInlineBlob) study->model_root_ = last->model.root;
  }
  if (study->record_.open) {
    Status opened = study->OpenRound(study->OpenedAt(now));
    if (!opened) return std::unexpected(opened.error());
    for (std::uint32_t number : study->record_.open->cohort) study->round_->OnLost(number, now.instant);
    // Its inputs, in case the disk lost them: they are a function of the state.
    const auto step = study->algorithm_->Next(static_cast<std::uint32_t>(study->record_.open->cohort.size()));
    for (std::size_t i = 0; step && i < step->inputs.size(); ++i) study->Publish(step->inputs[i]);
  }
  return study;
}

std::vector<std::uint32_t> Study::Approved() const {
  std::vector<std::uint32_t> out;
  for (const auto& [number, verdict] : record_.verdicts) {
    const Member* member = context_.roster->current().ByNumber(number);
    const bool in = member != nullptr && (!member->revoked || Omitted(Twin::kNewestRoster));
    if (verdict.approved && in) out.push_back(number);
  }
  return out;
}

std::vector<std::uint32_t> Study::Acquainted(const std::vector<std::uint32_t>& candidates) const {
  const auto pinned = [this](std::uint32_t number) {  // A roster of n members holds the numbers 1 to n.
    const Roster* roster = context_.roster->Find(record_.verdicts.at(number).roster);
    return roster == nullptr ? 0 : roster->members.size();
  };
  const bool all =
      std::ranges::all_of(candidates, [&](std::uint32_t number) { return pinned(number) >= candidates.back(); });
  if (all) return candidates;  // As nearly always; what follows looks at every pair.
  std::vector<std::uint32_t> best;
  for (const std::uint32_t highest : candidates) {
    std::vector<std::uint32_t> company;
    for (const std::uint32_t number : candidates) {
      if (number <= highest && pinned(number) >= highest) company.push_back(number);
    }
    if (company.size() >= best.size()) best = std::move(company);
  }
  return best;
}

StudyState Study::State() const { return {id_, record_.phase, record_.reason, record_.releases}; }

void Study::Tell(std::uint32_t number, Message message) {
  if (online_.contains(number)) effects_.sends.push_back({number, std::move(message)});
}

void Study::TellApproved(const Message& message) {
  for (std::uint32_t number : Approved()) Tell(number, message);
}

void Study::Audit(std::string_view event, Value fields, Now now) {
  fields.Set("event", event).Set("at_ms", now.wall_ms).Set("study", id_.Hex());
  effects_.audits.push_back(std::move(fields));
}

// ---- consent and presence ----

void Study::OnHello(std::uint32_t number, const StudyMark* mark, Now now) {
  online_.insert(number);
  last_seen_.erase(number);
  const auto verdict = record_.verdicts.find(number);
  const bool known = mark != nullptr;
  const bool approved = verdict != record_.verdicts.end() && verdict->second.approved;
  if (!Ended() && (!known || verdict == record_.verdicts.end())) {
    const Blob plan = Publish(record_.plan);
    plan_root_ = plan.root;
    Attach(number, plan);
    Tell(number, PlanOffer{id_, plan});
  }
  ahead_.erase(number);
  if (known && mark->releases > record_.releases) {
    ahead_[number] = mark->releases;
    Audit("hospital_ahead", Value().Set("hospital", number).Set("releases", mark->releases), now);
  }
  if (approved && known && mark->releases < record_.releases) RepeatRelease(number);
  if (known) Tell(number, State());
  if (round_ && round_->InCohort(number)) {
    round_->OnBack(number);
    if (!round_->Uploaded(number)) Invite1(number, now);
  }
  Advance(now);
}

void Study::OnLost(std::uint32_t number, Now now) {
  online_.erase(number);
  last_seen_[number] = now.instant;
  if (round_) round_->OnLost(number, now.instant);
  Advance(now);
}

void Study::OnRosterChanged(Now now) {
  const Roster& roster = context_.roster->current();
  if (round_) {
    for (std::uint32_t number : round_->record().cohort) {
      const Member* member = roster.ByNumber(number);
      if (member == nullptr || member->revoked) round_->OnDeclined(number, Reason::kRevoked);
    }
  }
  Advance(now);
}

void Study::OnVerdict(std::uint32_t number, const PlanVerdict& verdict, Now now) {
  const auto known = record_.verdicts.find(number);
  if (Ended() || (known != record_.verdicts.end() && known->second == verdict)) return Tell(number, State());
  record_.verdicts[number] = verdict;
  dirty_ = true;
  last_verdict_ = now.instant;
  Audit("verdict",
        Value().Set("hospital", number).Set("approved", verdict.approved).Set("reason", Name(verdict.reason)), now);
  if (!verdict.approved && round_) round_->OnDeclined(number, Reason::kRejected);
  if (verdict.approved && record_.releases > 0) RepeatRelease(number);  // A newcomer's chain begins with the last one.
  Tell(number, State());
  Advance(now);
}

// Starts when every member has answered and enough of them approved; or, with enough, when one round_deadline passed
// without a further verdict. A member that approves later joins the next round.
void Study::ConsiderStart(Now now) {
  if (record_.phase != StudyPhase::kAwaitingConsent || Acquainted(Approved()).size() < quorum()) return;
  bool all = true;
  for (const Member& member : context_.roster->current().members) {
    if (!member.revoked && !record_.verdicts.contains(member.number)) all = false;
  }
  if (!all && now.instant < last_verdict_ + plan_.round_deadline) return;
  record_.phase = StudyPhase::kRunning;
  dirty_ = true;
  Audit("started", Value().Set("approved", Numbers(Approved())), now);
  TellApproved(State());
}

void Study::Abort(Now now) {
  if (!Ended()) End(StudyPhase::kAborted, Reason::kAborted, now);
}

Status Study::Pause(Now now) {
  if (record_.phase == StudyPhase::kPaused) return {};
  if (!Running())
    return Fail(Code::kConflict,
                fmt::format("{} is {}; only a running study can be paused", plan_.name, Name(record_.phase)));
  record_.phase = StudyPhase::kPaused;
  dirty_ = true;
  Audit("paused", {}, now);
  TellApproved(State());
  return {};
}

Status Study::Resume(Now now) {
  if (Running()) return {};
  if (record_.phase != StudyPhase::kPaused)
    return Fail(Code::kConflict,
                fmt::format("{} is {}; only a paused study can be resumed", plan_.name, Name(record_.phase)));
  record_.phase = StudyPhase::kRunning;
  dirty_ = true;
  Audit("resumed", {}, now);
  TellApproved(State());
  Advance(now);
  return {};
}

void Study::End(StudyPhase phase, Reason reason, Now now) {
  if (round_) {
    for (std::uint32_t number : round_->record().cohort) {
      Tell(number, Abandon{id_, round_->record().attempt, reason});
    }
    ForgetUploads();
    round_.reset();
    record_.open.reset();
  }
  record_.phase = phase;
  record_.reason = reason;
  record_.ended_ms = now.wall_ms;
  dirty_ = true;
  Value fields;
  if (reason != Reason::kNone) fields.Set("reason", Name(reason));
  fields.Set("releases", record_.releases).Set("attempts", record_.attempts);
  Audit(Name(phase), std::move(fields), now);
  for (std::uint32_t number : online_) Tell(number, State());  // Also where an officer had not decided yet.
}

// ---- attempts ----

void Study::ConsiderBegin(Now now) {
  if (!Running() || round_ || now.instant < retry_at_) return;
  if (algorithm_->SingleClass()) return End(StudyPhase::kFailed, Reason::kSingleClass, now);
  if (!algorithm_->Next(quorum())) return End(StudyPhase::kComplete, Reason::kNone, now);
  if (record_.attempts >= plan_.maximum_attempts) return End(StudyPhase::kFailed, Reason::kBudget, now);
  std::vector<std::uint32_t> cohort;
  for (std::uint32_t number : Approved()) {
    if (online_.contains(number)) {
      cohort.push_back(number);
      continue;
    }
    const auto seen = last_seen_.find(number);
    if (seen != last_seen_.end() && now.instant < seen->second + kGrace) return;  // It may be back in a moment.
  }
  cohort = Acquainted(cohort);
  if (cohort.size() >= quorum()) Begin(std::move(cohort), now);
}

void Study::Begin(std::vector<std::uint32_t> cohort, Now now) {
  Step step = *algorithm_->Next(static_cast<std::uint32_t>(cohort.size()));
  step.query.plan = id_;
  step.query.round = record_.releases + 1;
  RoundRecord record;
  record.round = step.query.round;
  record.attempt = ++record_.attempts;
  record.query = Canonical(step.query);
  record.cohort = std::move(cohort);
  record.roster = context_.roster->hash();
  record.last_release = record_.last_release;
  record.boot = now.boot;
  record.opened = now.instant;
  for (const Bytes& input : step.inputs) record.inputs.push_back(Publish(input));
  record_.open = std::move(record);
  dirty_ = true;
  CHECK(OpenRound(now.instant).has_value());  // We wrote the query ourselves.
  Audit("attempt",
        Value()
            .Set("round", record_.open->round)
            .Set("attempt", record_.open->attempt)
            .Set("kind", round_->query().kind)
            .Set("cohort", Numbers(record_.open->cohort)),
        now);
  for (std::uint32_t number : record_.open->cohort) Invite1(number, now);
}

// How long ago an attempt of an earlier life was opened is known only within one boot; otherwise its time is over.
Instant Study::OpenedAt(Now now) const {
  const RoundRecord& open = *record_.open;
  if (Omitted(Twin::kDeadline)) return now.instant;
  const bool known = !open.boot.IsZero() && open.boot == now.boot && open.opened <= now.instant;
  return known ? open.opened : now.instant - plan_.round_deadline;
}

Status Study::OpenRound(Instant opened) {
  const RoundRecord& open = *record_.open;
  Query query = TRY(ParseQuery(open.query));
  const Digest context = PlainContext(context_.roster->current().federation, open.roster, id_, open.round, open.attempt,
                                      HashOf(query), open.last_release, open.cohort);
  round_ =
      std::make_unique<Round>(RoundOptions{open, std::move(query), context, quorum(), opened, plan_.round_deadline});
  return {};
}

void Study::Invite1(std::uint32_t number, Now now) {
  const RoundRecord& open = round_->record();
  for (const Blob& input : open.inputs) Attach(number, input);
  const Blob query = Publish(open.query);
  query_root_ = query.root;
  Attach(number, query);
  Tell(number, Invite{id_, open.round, open.attempt, 0, query, open.cohort, open.roster, open.last_release, open.inputs,
                      Milliseconds(round_->TimeLeft(now.instant))});
}

void Study::RepeatRelease(std::uint32_t number) {
  if (!online_.contains(number)) return;
  effects_.sends.push_back({number, record_.release_frame});
  const auto global = record_.algorithm.vectors.find("global");
  if (global == record_.algorithm.vectors.end()) return;
  const Blob model = Publish(ParameterBlob(global->second));
  model_root_ = model.root;
  Attach(number, model);
}

Blob Study::Publish(const Bytes& content) {
  if (content.size() <= kInlineBlob) return InlineBlob(content);
  Blob blob{{}, content.size(), BlobLeaves(content), {}};
  blob.root = MerkleRoot(blob.leaves);
  effects_.blob_writes.push_back({blob.root, content.size(), 0, content});
  effects_.blob_seals.push_back(blob.root);
  return blob;
}

void Study::Attach(std::uint32_t number, const Blob& blob) {
  if (blob.bytes > 0 && blob.content.empty()) effects_.serves.push_back({number, blob});
}

void Study::ForgetUploads() {
  arriving_.clear();
  to_fold_.clear();
}

void Study::AddNeeded(std::set<Digest>* roots) const {
  if (!Ended()) roots->insert(plan_root_);
  if (record_.open) {
    roots->insert(query_root_);
    for (const Blob& input : record_.open->inputs) roots->insert(input.root);
  }
  roots->insert(model_root_);
  for (const auto& [root, members] : arriving_) roots->insert(root);
  for (const auto& [number, root] : to_fold_) roots->insert(root);
}

// ---- uploads ----

void Study::OnOffer(std::uint32_t number, const Offer& offer, Now now) {
  const bool current = round_ && (offer.attempt == round_->record().attempt || Omitted(Twin::kStaleOffer));
  if (!current) return Tell(number, Abandon{id_, offer.attempt, Reason::kDeadline});
  const Round::Verdict verdict = round_->OnOffer(number, offer);
  switch (verdict.act) {
    case Round::Verdict::Do::kIgnore:
      break;
    case Round::Verdict::Do::kRefuse:
      Refuse(number, offer.attempt, verdict.reason, now);
      break;
    case Round::Verdict::Do::kReceipt:
      Tell(number, Receipt{id_, offer.attempt, offer.vector.root});
      break;
    case Round::Verdict::Do::kPull:
      arriving_[offer.vector.root].insert(number);
      effects_.fetches.push_back({number, offer.vector});
      break;
    case Round::Verdict::Do::kAdd:
      if (!round_->BeginFold(number, offer.vector.root)) break;
      AddWords(round_->query().ring,
               std::span(*round_->sum()).subspan(round_->SlotOf(number), offer.vector.content.size()),
               offer.vector.content);
      OnFolded(number, offer.vector.root, true, round_->record().attempt, now);
      break;
  }
}

void Study::Refuse(std::uint32_t number, std::uint32_t attempt, Reason reason, Now now) {
  Audit("offer_refused", Value().Set("hospital", number).Set("attempt", attempt).Set("reason", Name(reason)), now);
  Tell(number, Refused{reason, id_, attempt});
}

void Study::OnUploadArrived(const Digest& root, Now now) {
  const auto arrived = arriving_.find(root);
  if (arrived == arriving_.end()) return;
  for (std::uint32_t number : arrived->second) to_fold_.emplace_back(number, root);
  arriving_.erase(arrived);
  NextFold(now);
}

void Study::OnFetchRefused(std::uint32_t number, const Digest& root) {
  const auto arriving = arriving_.find(root);
  if (arriving == arriving_.end()) return;
  arriving->second.erase(number);
  if (arriving->second.empty()) arriving_.erase(arriving);
}

// Nothing more after the deadline: the attempt ends when what is being added by then is in.
void Study::NextFold(Now now) {
  while (round_ && !round_->folding() && !to_fold_.empty() && round_->TimeLeft(now.instant) > Duration(0)) {
    const auto [number, root] = to_fold_.front();
    to_fold_.erase(to_fold_.begin());
    if (round_->BeginFold(number, root)) {
      effects_.folds.push_back({number, root, round_->query().ring, round_->sum(), round_->SlotOf(number),
                                static_cast<std::size_t>(round_->query().WireBytes())});
    }
  }
}

void Study::OnFolded(std::uint32_t number, const Digest& root, bool intact, std::uint32_t attempt, Now now) {
  if (!round_ || round_->record().attempt != attempt) return;  // That attempt is over, its sum is gone.
  round_->EndFold(number, intact);
  if (round_->Uploaded(number)) {
    Tell(number, Receipt{id_, attempt, root});
    Audit("upload", Value().Set("hospital", number).Set("attempt", attempt).Set("root", root.Hex()), now);
  } else if (intact) {
    Refuse(number, attempt, Reason::kMalformed, now);
  }
  NextFold(now);
  Advance(now);
}

void Study::OnDecline(std::uint32_t number, std::uint32_t attempt, Reason reason, Now now) {
  if (!round_ || round_->record().attempt != attempt) return;
  round_->OnDeclined(number, reason);
  // It does not hold the last release: put back to an earlier state, it may have approved anew when that had gone by.
  if (reason == Reason::kChain && record_.releases > 0) RepeatRelease(number);
  Audit("declined", Value().Set("hospital", number).Set("attempt", attempt).Set("reason", Name(reason)), now);
  Advance(now);
}

// ---- the end of an attempt ----

void Study::OnTime(Now now) { Advance(now); }

void Study::Advance(Now now) {
  ConsiderStart(now);
  if (round_) {
    round_->OnTime(now.instant);
    if (round_->state() == Round::State::kDone) {
      Conclude(now);
    } else if (round_->state() == Round::State::kFailed) {
      FailAttempt(round_->failure(), now);
    }
  }
  ConsiderBegin(now);
}

void Study::FailAttempt(Reason reason, Now now) {
  const RoundRecord record = round_->record();
  Value absent{Value::Array{}};
  for (const Absence& absence : round_->Absent()) {
    absent.Push(Value().Set("hospital", absence.hospital).Set("reason", Name(absence.reason)));
    last_absences_[absence.hospital] = absence;
  }
  Audit("attempt_failed",
        Value()
            .Set("round", record.round)
            .Set("attempt", record.attempt)
            .Set("reason", Name(reason))
            .Set("absent", absent),
        now);
  for (std::uint32_t number : record.cohort) Tell(number, Abandon{id_, record.attempt, reason});
  ForgetUploads();
  round_.reset();
  record_.open.reset();
  dirty_ = true;
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  retry_at_ = now.instant + pause_;
}

void Study::Conclude(Now now) {
  const RoundRecord open = round_->record();
  const bool of_hospitals = round_->query().release == ReleaseTo::kHospital;
  auto answer = Answer::Create(round_->query(), round_->survivors(), round_->TakeWords());
  Status absorbed = answer ? algorithm_->Absorb(round_->query(), *answer) : std::unexpected(answer.error());
  if (!absorbed) {
    algorithm_ = *RestoreAlgorithm(plan_, record_.algorithm);  // As it was before this answer.
    return FailAttempt(Reason::kFailedHere, now);
  }
  Release release{.study = id_,
                  .seq = record_.releases + 1,
                  .round = open.round,
                  .attempt = open.attempt,
                  .previous = record_.last_release,
                  .query = HashOf(round_->query()),
                  .answer = answer->digest(),
                  .survivors = answer->survivors(),
                  .absent = round_->Absent(),
                  .transcript = round_->Transcript(),
                  .model = {},
                  .last = !algorithm_->Next(quorum()).has_value() && !algorithm_->SingleClass()};
  for (std::uint32_t number :
       Approved()) {  // Who was not even invited: away, or unknown to those who approved before it came.
    if (!round_->InCohort(number))
      release.absent.push_back({number, online_.contains(number) ? Reason::kCohort : Reason::kOffline});
  }
  std::ranges::sort(release.absent, {}, &Absence::hospital);  // As the wire has it.
  record_.algorithm = algorithm_->Save();
  const auto global = record_.algorithm.vectors.find("global");
  if (global != record_.algorithm.vectors.end()) release.model = Publish(ParameterBlob(global->second));

  last_absences_.clear();
  Value absent{Value::Array{}};
  for (const Absence& absence : release.absent) {
    absent.Push(Value().Set("hospital", absence.hospital).Set("reason", Name(absence.reason)));
    last_absences_[absence.hospital] = absence;
  }
  Value fields;
  if (const auto file = algorithm_->ModelFile()) fields.Set("model_sha256", Sha256(*file).Hex());
  fields.Set("round", open.round).Set("attempt", open.attempt).Set("kind", round_->query().kind);
  fields.Set("digest", release.answer.Hex())
      .Set("survivors", Numbers(release.survivors))
      .Set("absent", std::move(absent));

  ForgetUploads();
  model_root_ = release.model.root;
  record_.releases = release.seq;
  record_.release_frame = EncodeFrame(release, *context_.key);
  record_.last_release = Blake2b(record_.release_frame);
  if (!Omitted(Twin::kOneAnswer)) {
    round_.reset();
    record_.open.reset();
  }
  dirty_ = !Omitted(Twin::kPersistBeforeSend);
  pause_ = Duration(0);
  Audit("answer", std::move(fields), now);
  if (of_hospitals) AuditReleased(open, now);
  for (std::uint32_t number : Approved()) {
    if (!online_.contains(number)) continue;
    effects_.sends.push_back({number, record_.release_frame});
    Attach(number, release.model);
  }
  if (algorithm_->SingleClass()) return End(StudyPhase::kFailed, Reason::kSingleClass, now);
  if (release.last) End(StudyPhase::kComplete, Reason::kNone, now);
}

// Whose own figures everybody can read from now on, by name.
void Study::AuditReleased(const RoundRecord& open, Now now) {
  Value released{Value::Array{}}, withheld{Value::Array{}};
  const Value results = algorithm_->Results();
  for (const Value& entry : results["released"].AsArray()) {
    const Member* member =
        context_.roster->current().ByNumber(static_cast<std::uint32_t>(entry["hospital"].AsInteger()));
    if (member != nullptr) (entry["released"].AsBool() ? released : withheld).Push(member->name);
  }
  Audit("released_figures",
        Value()
            .Set("round", open.round)
            .Set("attempt", open.attempt)
            .Set("released", std::move(released))
            .Set("not_released", std::move(withheld)),
        now);
}

// ---- time and effects ----

std::optional<Instant> Study::NextDeadline(Instant now) const {
  std::optional<Instant> next;
  const auto consider = [&](Instant at) {
    if (at > now) next = std::min(next.value_or(at), at);
  };
  if (Ended()) return next;
  if (round_) {
    if (const auto at = round_->NextDeadline()) consider(*at);
    return next;
  }
  if (record_.phase == StudyPhase::kAwaitingConsent) {
    if (Approved().size() >= quorum()) consider(last_verdict_ + plan_.round_deadline);
    return next;
  }
  // Idle while running: a pause to sit out, or members whose grace must pass.
  consider(retry_at_);
  for (const auto& [number, seen] : last_seen_) consider(seen + kGrace);
  return next;
}

Effects Study::TakeEffects() {
  if (dirty_) effects_.writes.emplace_back(PutState{"study", id_.Hex(), Encode(record_)});
  dirty_ = false;
  return std::exchange(effects_, {});
}

}  // namespace consilium::coordinator
