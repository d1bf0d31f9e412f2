// The studies at this hospital: messages to participants, their effects, the jobs and the blobs that they need.
#include <algorithm>

#include "common/algorithms/derive.h"
#include "common/base/log.h"
#include "hospital_node/core.h"

namespace consilium::node {
namespace {

// A blob's content in a job: from the message, or from the store.
Result<Bytes> Content(const Blob& blob, const BlobStore* blobs) {
  if (blob.leaves.empty()) return blob.content;
  if (TRY(blobs->Size(blob.root)) != blob.bytes)  // A root does not tell the size: a part is not the blob.
    return Fail(Code::kProtocol, "the coordinator names a blob with a size that it does not have");
  Bytes content(blob.bytes);
  TRY(blobs->Read(blob.root, 0, content));
  return content;
}

struct Computation {
  Plan plan;
  DataSetSpec spec;
  Query query;
  std::vector<Blob> inputs;
  Blob memory;
  std::uint32_t seat = 0, seats = 1;
  Digest context;
  bool withheld = false;  // No data are looked at.
  const Workbench* workbench = nullptr;
  BlobStore* blobs = nullptr;
};

Result<Sealed> ComputeAndSeal(const Computation& task) {
  if (task.withheld) return Gate::Seal(task.query, Gate::Withheld(task.query), task.context, PlainClient(), task.blobs);
  Given given{.seat = task.seat, .seats = task.seats};
  for (const Blob& blob : task.inputs) given.inputs[blob.root] = TRY(Content(blob, task.blobs));
  given.memory = TRY(Content(task.memory, task.blobs));
  const RawContribution raw = TRY(task.workbench->Compute(task.plan, task.spec, task.query, given));
  return Gate::Seal(task.query, raw, task.context, PlainClient(), task.blobs);
}

struct Conclusion {
  Plan plan;
  DataSetSpec spec;
  Bytes last_query;
  Blob model;
  const Workbench* workbench = nullptr;
  const BlobStore* blobs = nullptr;
};

Result<Value> OwnFigures(const Conclusion& task) {
  const Query query = TRY(ParseQuery(task.last_query));
  const Bytes model = TRY(Content(task.model, task.blobs));
  return task.workbench->OwnResults(task.plan, task.spec, query, model);
}

}  // namespace

bool NodeCore::OnPlanOffer(PlanOffer offer) {
  if (Participant* known = Find(offer.study); known != nullptr) {
    if (const auto verdict = known->Verdict()) SendMessage(*verdict);
    return true;
  }
  if (studies_.size() >= kMaxStudies) {
    SendMessage(Refused{Reason::kBusy, offer.study, 0});
    return false;
  }
  auto participant = Participant::Offered(offer.study, offer.plan.content);
  if (!participant) {
    Log(LogLevel::kWarning, "plan_refused", {{"study", offer.study.Hex()}, {"why", participant.error().what}});
    SendMessage(Refused{Reason::kMalformed, offer.study, 0});
    return false;
  }
  Log(LogLevel::kInfo, "plan_offered",
      {{"study", offer.study.Hex()}, {"name", participant->plan().name}, {"warning", Warning(participant->plan())}});
  Carry(studies_.emplace(offer.study, std::move(*participant)).first->second);
  return true;
}

bool NodeCore::OnInvite(const Invite& invite) {
  Participant* participant = Find(invite.study);
  if (participant == nullptr) {
    SendMessage(Decline{invite.study, invite.attempt, Reason::kUnknownStudy});
    return false;
  }
  Log(LogLevel::kInfo, "invited",
      {{"study", invite.study.Hex()},
       {"round", std::to_string(invite.round)},
       {"attempt", std::to_string(invite.attempt)},
       {"cohort", std::to_string(invite.cohort.size())}});
  participant->OnInvite(invite, Here());
  Carry(*participant);
  return true;
}

void NodeCore::OnRelease(const Release& release, const Bytes& frame) {
  Participant* participant = Find(release.study);
  if (participant == nullptr || !participant->Approved()) {
    Log(LogLevel::kInfo, "release_ignored", {{"study", release.study.Hex()}, {"seq", std::to_string(release.seq)}});
    return;
  }
  Log(LogLevel::kInfo, "release",
      {{"study", release.study.Hex()},
       {"seq", std::to_string(release.seq)},
       {"round", std::to_string(release.round)},
       {"last", release.last ? "yes" : "no"}});
  participant->OnRelease(release, Blake2b(frame), Here());
  Carry(*participant);
}

void NodeCore::Carry(Participant& participant) {
  for (Effect& effect : participant.TakeEffects()) {
    if (auto* charge = std::get_if<Charge>(&effect)) {
      result_.transaction.emplace_back(ledger_.Append(std::move(charge->row)));
    } else if (auto* say = std::get_if<Say>(&effect)) {
      auto* offer = std::get_if<Offer>(&say->message);
      if (offer != nullptr && !IsHere(offer->vector)) {  // The disk lost it; the next attempt computes another.
        Log(LogLevel::kWarning, "contribution_lost",
            {{"study", offer->study.Hex()}, {"attempt", std::to_string(offer->attempt)}});
        SendMessage(Abandon{offer->study, offer->attempt, Reason::kFailedHere});
        continue;
      }
      if (offer != nullptr) {
        offer->ledger = ledger_.head();
        if (!offer->vector.leaves.empty()) {
          outbox_.Serve(offer->vector.root, offer->vector.bytes, options_.server_key);
          kept_.insert(offer->vector.root);
        }
      }
      SendMessage(say->message);
    } else if (auto* note = std::get_if<Note>(&effect)) {
      const Value& reason = note->fields["reason"];
      Log(reason.IsNull() ? LogLevel::kInfo : LogLevel::kWarning, note->event,
          {{"study", participant.id().Hex()},
           {"attempt", std::to_string(note->fields["attempt"].AsInteger())},
           {"reason", reason.AsString()}});
      Audit(note->event, std::move(note->fields));
    } else if (std::holds_alternative<Fetch>(effect)) {
      TryCompute(participant);
    } else {
      TryConclude(participant);
    }
  }
}

// ---- blobs ----

bool NodeCore::IsHere(const Blob& blob) const {
  return blob.leaves.empty() || sealed_now_.contains(blob.root) || options_.blobs->Has(blob.root);
}

bool NodeCore::Obtain(const std::vector<Blob>& blobs) {
  bool all = true;
  for (const Blob& blob : blobs) {
    if (IsHere(blob)) {
      if (!blob.leaves.empty()) kept_.insert(blob.root);
      continue;
    }
    all = false;
    if (!inbox_.Start(options_.server_key, blob)) {
      CloseSession("two blobs under one root");
      return false;
    }
    fetching_.insert(blob.root);
  }
  return all;
}

void NodeCore::OnBlobWhole() {
  for (auto& [id, participant] : studies_) {
    if (participant.stage() == Participant::Stage::kJoining) TryCompute(participant);
    TryConclude(participant);
  }
}

std::set<Digest> NodeCore::Needed() const {
  std::set<Digest> needed;
  for (const auto& send : result_.sends) {  // Drops come before sends: what is about to leave stays for one more turn.
    if (const auto* chunk = std::get_if<SendChunk>(&send)) needed.insert(chunk->root);
  }
  for (const auto& [id, participant] : studies_) {
    for (const Blob* blob : {&participant.record().contribution, &participant.record().memory.content,
                             &participant.record().pending.content})
      needed.insert(blob->root);
    if (!participant.Ended() || participant.LacksResults()) needed.insert(participant.record().model.root);
    if (!participant.standing()) continue;
    for (const Blob& blob : participant.standing()->invite.inputs) needed.insert(blob.root);
  }
  return needed;
}

// Lets go of the blobs that no study needs any more.
void NodeCore::DropUnused() {
  if (kept_.empty() && fetching_.empty()) return;
  const std::set<Digest> needed = Needed();
  std::erase_if(fetching_, [&](const Digest& root) {
    if (needed.contains(root)) return false;
    inbox_.Cancel(root);
    result_.blob_drops.push_back(root);
    return true;
  });
  // A computation that is still running may just have put the same bytes again.
  if (std::ranges::any_of(jobs_, [](const auto& job) { return std::holds_alternative<ComputeJob>(job.second); }))
    return;
  std::erase_if(kept_, [&](const Digest& root) {
    if (needed.contains(root)) return false;
    outbox_.Stop(root);
    result_.blob_drops.push_back(root);
    return true;
  });
}

// ---- jobs ----

void NodeCore::TryCompute(Participant& participant) {
  const auto& standing = participant.standing();
  if (!standing || participant.stage() != Participant::Stage::kJoining || !Obtain(standing->invite.inputs)) return;
  const auto data_set = data_sets_.find(participant.plan().dataset);
  if (data_set == data_sets_.end()) {
    participant.DeclineStanding(Reason::kDataUnfit);
    return Carry(participant);
  }
  const bool remembers = NeedsMemory(participant.plan(), standing->query);
  const Blob memory = remembers ? participant.record().memory.content : Blob{};
  if (!IsHere(memory)) {  // The disk lost it.
    participant.DeclineStanding(Reason::kMemory);
    return Carry(participant);
  }
  const std::vector<std::uint32_t>& cohort = standing->invite.cohort;
  const auto seat = std::ranges::lower_bound(cohort, number_) - cohort.begin();
  const bool withheld =
      standing->query.release == ReleaseTo::kHospital && !LetsOwnFiguresOut(participant.record(), options_.policy);
  auto task = std::make_shared<const Computation>(Computation{
      Stricter(participant.plan(), options_.policy), data_set->second.spec, standing->query, standing->invite.inputs,
      memory, static_cast<std::uint32_t>(seat), static_cast<std::uint32_t>(cohort.size()), standing->context, withheld,
      options_.workbench, options_.blobs});
  participant.OnInputs();
  Log(LogLevel::kInfo, "computing",
      {{"study", participant.id().Hex()},
       {"kind", task->query.kind},
       {"attempt", std::to_string(standing->invite.attempt)}});
  StartJob(ComputeJob{participant.id(), standing->context}, [task] { return std::any(ComputeAndSeal(*task)); });
}

void NodeCore::TryConclude(Participant& participant) {
  if (!participant.LacksResults() || results_failed_.contains(participant.id())) return;
  const auto running = [&](const auto& job) {
    const auto* results = std::get_if<ResultsJob>(&job.second);
    return results != nullptr && results->study == participant.id();
  };
  const auto data_set = data_sets_.find(participant.plan().dataset);
  if (data_set == data_sets_.end() || std::ranges::any_of(jobs_, running)) return;
  const ParticipantRecord& record = participant.record();
  if (!Obtain({record.model})) return;
  auto task = std::make_shared<const Conclusion>(Conclusion{Stricter(participant.plan(), options_.policy),
                                                            data_set->second.spec, record.last_query, record.model,
                                                            options_.workbench, options_.blobs});
  StartJob(ResultsJob{participant.id()}, [task] { return std::any(OwnFigures(*task)); });
}

void NodeCore::OnJob(const JobFinished& finished) {
  const auto found = jobs_.find(finished.job);
  if (found == jobs_.end()) return;
  const Job job = std::move(found->second);
  jobs_.erase(found);
  if (const auto* compute = std::get_if<ComputeJob>(&job)) return OnComputed(*compute, finished.result);
  if (const auto* preflight = std::get_if<PreflightJob>(&job)) return OnPreflight(*preflight, finished.result);
  if (const auto* results = std::get_if<ResultsJob>(&job)) return OnResults(*results, finished.result);
  if (const auto* removal = std::get_if<RemovalJob>(&job)) {
    result_.replies.push_back(JsonReply(removal->request, Value().Set("name", removal->name).Set("removed", true)));
    return;
  }
  OnDataChecked(std::get<DataJob>(job), finished.result);
}

void NodeCore::OnComputed(const ComputeJob& job, const std::any& result) {
  const auto& sealed = std::any_cast<const Result<Sealed>&>(result);
  if (!sealed) Log(LogLevel::kError, "failed_here", {{"study", job.study.Hex()}, {"why", sealed.error().what}});
  if (sealed && !sealed->vector().leaves.empty()) kept_.insert(sealed->vector().root);
  if (sealed && sealed->memory() && !sealed->memory()->leaves.empty()) kept_.insert(sealed->memory()->root);
  Participant* participant = Find(job.study);
  if (participant == nullptr || !participant->OnJob(job.context, sealed, Here())) return;
  if (sealed) {
    ++contributions_;
    Log(sealed->not_finite() > 0 ? LogLevel::kWarning : LogLevel::kInfo, "sealed",
        {{"study", job.study.Hex()},
         {"bytes", std::to_string(sealed->vector().bytes)},
         {"saturated", std::to_string(sealed->saturated())},
         {"not_finite", std::to_string(sealed->not_finite())}});
  }
  Carry(*participant);
}

void NodeCore::OnResults(const ResultsJob& job, const std::any& result) {
  const auto& figures = std::any_cast<const Result<Value>&>(result);
  Participant* participant = Find(job.study);
  if (participant == nullptr) return;
  if (!figures) {
    results_failed_.insert(job.study);
    Log(LogLevel::kError, "results_failed", {{"study", job.study.Hex()}, {"why", figures.error().what}});
    return;
  }
  participant->OnResults(*figures);
  Carry(*participant);
}

}  // namespace consilium::node
