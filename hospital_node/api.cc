// The requests of the control socket (docs/api.md, "Node"): who may type them is a matter of the socket's permissions.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "common/turn/metrics.h"
#include "hospital_node/core.h"

namespace consilium::node {
namespace {

constexpr std::size_t kMaxOfficer = 200;
constexpr std::uint64_t kRowsAtOnce = 1000;

// "a/b" -> "a", and leaves "b".
std::string_view TakeSegment(std::string_view* path) {
  const std::size_t slash = path->find('/');
  const std::string_view head = path->substr(0, slash);
  *path = slash == std::string_view::npos ? std::string_view{} : path->substr(slash + 1);
  return head;
}

Result<std::string> Officer(const Value& body) {
  const std::string& officer = body["officer"].AsString();
  const bool plain =
      std::ranges::all_of(officer, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 127; });
  if (officer.empty() || officer.size() > kMaxOfficer || !plain) {
    return Fail(Code::kInvalid,
                "an officer must answer for this: give a name of 1 to 200 characters with --officer NAME");
  }
  return officer;
}

// What becomes of this hospital's own figures: of a plan that is not approved, what an approval would mean now.
std::string_view OwnFigures(const Participant& participant, const SitePolicy& policy) {
  if (!ReleasesOwnFigures(participant.plan())) return "not asked";
  const ParticipantRecord& record = participant.record();
  if (record.own_figures == ParticipantRecord::OwnFigures::kReleased) return "released";
  const bool out = participant.Approved() ? LetsOwnFiguresOut(record, policy) : policy.release_own_figures;
  return out ? "allowed" : "withheld";
}

std::string_view TaskName(const Plan& plan) { return plan.task == Plan::Task::kDescribe ? "describe" : "train"; }

}  // namespace

void NodeCore::OnRequest(const RequestReceived& request) {
  bool later = false;
  auto reply = Answer(request, &later);
  if (later) return;
  if (!reply) {
    Log(LogLevel::kInfo, "request_refused", {{"path", request.path}, {"why", reply.error().what}});
    result_.replies.push_back(ErrorReply(request.id, reply.error()));
  } else {
    result_.replies.push_back(std::move(*reply));
  }
}

Result<Reply> NodeCore::Answer(const RequestReceived& request, bool* later) {
  std::string_view rest = request.path;
  const bool get = request.method == "GET", post = request.method == "POST";
  if (get && rest == "/healthz") return TextReply(request.id, "text/plain", "ok\n");
  if (get && rest == "/readyz") {
    if (session_.greeted) return TextReply(request.id, "text/plain", "ok\n");
    Reply reply = TextReply(request.id, "text/plain", "no session with the coordinator\n");
    reply.status = 503;
    return reply;
  }
  if (get && rest == "/metrics") return TextReply(request.id, kMetricsType, Metrics());
  if (rest.starts_with("/v1/")) {
    rest.remove_prefix(4);
    if (get && rest == "status") return JsonReply(request.id, GetStatus());
    if (rest == "plans" || rest.starts_with("plans/"))
      return AnswerPlans(request, rest.substr(std::min<std::size_t>(rest.size(), 6)), later);
    if (get && rest == "datasets") return JsonReply(request.id, GetDataSets());
    if (post && (rest == "datasets" || rest == "datasets/check")) {
      TRY(StartDataJob(request, rest == "datasets"));
      *later = true;
      return Reply{};
    }
    if (get && rest == "roster") return JsonReply(request.id, GetRoster());
    if (post && rest == "roster") {
      TRY(StartSigning(request, later));
      return Reply{};
    }
    if (post && rest == "datasets/exclude") {
      TRY(StartExclusion(request));
      *later = true;
      return Reply{};
    }
    if (post && rest == "datasets/remove") {
      TRY(RemoveDataSet(request));
      *later = true;
      return Reply{};
    }
    if (get && rest == "results") return JsonReply(request.id, TRY(GetResults(request)));
    if (get && rest == "budget") return JsonReply(request.id, GetBudget());
    if (post && rest == "budget/unlock") return JsonReply(request.id, TRY(Unlock(request)));
    if (get && rest == "audit/export") return ExportAudit(request);
  }
  return Fail(Code::kNotFound,
              fmt::format("there is no {} {} here; docs/api.md lists the requests", request.method, request.path));
}

// ---- plans and consent ----

Result<Participant*> NodeCore::FindPlan(std::string_view name_or_id) {
  std::vector<Participant*> found;
  for (auto& [id, participant] : studies_) {
    const std::string hex = id.Hex();
    const bool by_id = name_or_id.size() >= 6 && hex.starts_with(name_or_id);
    if (by_id || participant.plan().name == name_or_id) found.push_back(&participant);
  }
  if (found.empty()) {
    return Fail(Code::kNotFound,
                fmt::format("no plan \"{}\" has been offered to this hospital; consilium-node plan list shows those "
                            "that have",
                            name_or_id));
  }
  if (found.size() > 1) {
    return Fail(Code::kConflict,
                fmt::format("\"{}\" names {} plans; type more of the id instead: {} or {}", name_or_id, found.size(),
                            found[0]->id().Hex().substr(0, 12), found[1]->id().Hex().substr(0, 12)));
  }
  return found.front();
}

Result<Reply> NodeCore::AnswerPlans(const RequestReceived& request, std::string_view rest, bool* later) {
  if (rest.empty()) {
    if (request.method != "GET")
      return Fail(Code::kNotFound, "plans are offered by the coordinator; GET /v1/plans lists them");
    Value plans{Value::Array{}};
    for (const auto& [id, participant] : studies_) plans.Push(GetPlan(participant, false));
    return JsonReply(request.id,
                     Value().Set("plans", std::move(plans)).Set("notice", chain_ ? DemoNotice(*chain_) : ""));
  }
  Participant* participant = TRY(FindPlan(TakeSegment(&rest)));
  if (request.method == "GET" && rest.empty()) return JsonReply(request.id, GetPlan(*participant, true));
  if (request.method == "POST" && rest == "reject") return JsonReply(request.id, TRY(Reject(request, *participant)));
  if (request.method == "POST" && rest == "approve") {
    TRY(StartApproval(request, *participant));
    *later = true;
    return Reply{};
  }
  return Fail(Code::kNotFound,
              fmt::format("there is no {} {} here; docs/api.md lists the requests", request.method, request.path));
}

Status NodeCore::StartApproval(const RequestReceived& request, Participant& participant) {
  std::string officer = TRY(Officer(request.body));
  const Plan& plan = participant.plan();
  if (participant.Ended()) return Fail(Code::kConflict, "this study has ended; nothing is left to approve");
  if (!chain_ || number_ == 0) {
    return Fail(Code::kRefused,
                "this hospital is not in the federation's roster yet; the founding officer confirms it with "
                "consilium hospital confirm " +
                    options_.name);
  }
  if (Standing() != "member")
    return Fail(Code::kRefused, "no study can be approved: " + Standing() + "; " + LinkText());
  if (ledger_.locked())
    return Fail(Code::kRefused, "the ledger is locked: " + ledger_.lock() + "; see consilium-node budget DIR");
  TRY(JudgePlan(plan, options_.policy));
  const auto data_set = data_sets_.find(plan.dataset);
  if (data_set == data_sets_.end()) {
    return Fail(Code::kRefused,
                fmt::format("the plan asks for the data set \"{}\", which is not registered here; type: consilium-node "
                            "data add DIR {} --csv PATH --schema FILE",
                            plan.dataset, plan.dataset));
  }
  struct Check {
    Plan plan;
    DataSetSpec spec;
  };
  auto check = std::make_shared<const Check>(Check{Stricter(plan, options_.policy), data_set->second.spec});
  StartJob(PreflightJob{request.id, participant.id(), std::move(officer)}, [check, workbench = options_.workbench] {
    return std::any(workbench->Preflight(check->plan, check->spec));
  });
  return {};
}

void NodeCore::OnPreflight(const PreflightJob& job, const std::any& result) {
  const auto& status = std::any_cast<const Status&>(result);
  Participant* participant = Find(job.study);
  if (participant == nullptr || participant->Ended()) {
    result_.replies.push_back(
        ErrorReply(job.request, {Code::kConflict, "this study has ended; nothing is left to approve"}));
    return;
  }
  if (!status) {
    Log(LogLevel::kWarning, "data_unfit", {{"study", job.study.Hex()}, {"why", status.error().what}});
    result_.replies.push_back(
        ErrorReply(job.request, {Code::kRefused, "the data do not fit the plan: " + status.error().what}));
    return;
  }
  if (ledger_.locked()) {
    result_.replies.push_back(ErrorReply(
        job.request, {Code::kRefused, "the ledger is locked: " + ledger_.lock() + "; see consilium-node budget DIR"}));
    return;
  }
  participant->Approve(job.officer, Here());
  Carry(*participant);
  result_.replies.push_back(JsonReply(job.request, Value()
                                                       .Set("study", job.study.Hex())
                                                       .Set("consent", Name(participant->record().consent))
                                                       .Set("own_figures", OwnFigures(*participant, options_.policy))));
}

Result<Value> NodeCore::Reject(const RequestReceived& request, Participant& participant) {
  const std::string officer = TRY(Officer(request.body));
  if (participant.Ended()) return Fail(Code::kConflict, "this study has ended; nothing is left to reject");
  // An approval whose data check is still running is overtaken by this.
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    const auto* preflight = std::get_if<PreflightJob>(&job->second);
    const bool overtaken = preflight != nullptr && preflight->study == participant.id();
    if (overtaken)
      result_.replies.push_back(ErrorReply(preflight->request, {Code::kConflict, "the plan was rejected meanwhile"}));
    job = overtaken ? jobs_.erase(job) : std::next(job);
  }
  participant.Reject(officer, Here());
  Carry(participant);
  return Value().Set("study", participant.id().Hex()).Set("consent", Name(participant.record().consent));
}

Value NodeCore::GetPlan(const Participant& participant, bool whole) const {
  const Plan& plan = participant.plan();
  const ParticipantRecord& record = participant.record();
  Value out;
  out.Set("study", participant.id().Hex()).Set("name", plan.name).Set("task", TaskName(plan));
  out.Set("consent", Name(record.consent)).Set("phase", Name(record.phase)).Set("warning", Warning(plan));
  if (!whole) return out;
  out.Set("summary", Summary(plan)).Set("notice", chain_ ? DemoNotice(*chain_) : "");
  out.Set("own_figures", OwnFigures(participant, options_.policy));
  out.Set("plan", ParseJson(Text(record.plan)).value_or(Value()));
  Value members{Value::Array{}};
  if (chain_) {
    for (const Member& member : chain_->current().members) {
      if (member.revoked) continue;
      members.Push(Value().Set("name", member.name).Set("fingerprint", Fingerprint(member.identity, member.transport)));
    }
  }
  return out.Set("members", std::move(members));
}

// ---- views ----

Value NodeCore::GetStatus() const {
  Value out;
  out.Set("name", options_.name).Set("build", options_.build).Set("connected", session_.greeted);
  out.Set("coordinator", options_.server_key.Hex()).Set("link", LinkText());
  out.Set("standing", Standing()).Set("notice", chain_ ? DemoNotice(*chain_) : "");
  out.Set("federation", chain_ ? Value(chain_->current().federation) : Value());
  out.Set("number", number_ == 0 ? Value() : Value(number_));
  Value roster;
  if (chain_) roster.Set("seq", chain_->current().seq).Set("hash", chain_->hash().Hex());
  out.Set("roster", std::move(roster));
  Value studies{Value::Array{}};
  for (const auto& [id, participant] : studies_) {
    const ParticipantRecord& record = participant.record();
    Value study = GetPlan(participant, false);
    study.Set("stage", Name(participant.stage())).Set("round", record.last_round).Set("attempt", record.last_attempt);
    studies.Push(study.Set("releases", record.releases));
  }
  out.Set("studies", std::move(studies)).Set("jobs", std::uint64_t{jobs_.size()});
  Value ledger;
  ledger.Set("seq", ledger_.head().seq).Set("hash", ledger_.head().hash.Hex());
  return out.Set("ledger", ledger.Set("locked", ledger_.lock()).Set("wall_ms", ledger_.last_wall_ms()));
}

// What Prometheus may see: how the node itself is doing, nothing of patients.
std::string NodeCore::Metrics() const {
  MetricsText out;
  out.Gauge("consilium_node_connected", "1 with a session at the coordinator.", session_.greeted ? 1 : 0);
  std::map<std::string_view, std::int64_t> consents;
  for (const auto consent : {ParticipantRecord::Consent::kPending, ParticipantRecord::Consent::kApproved,
                             ParticipantRecord::Consent::kRejected}) {
    consents[Name(consent)] = 0;
  }
  for (const auto& [id, participant] : studies_) ++consents[Name(participant.record().consent)];
  for (const auto& [consent, count] : consents)
    out.Gauge("consilium_node_studies", "Studies offered here, by consent.", count, {{"consent", consent}});
  out.Gauge("consilium_node_jobs", "Jobs that run or wait.", static_cast<std::int64_t>(jobs_.size()));
  out.Gauge("consilium_node_ledger_rows", "Rows of the ledger.", static_cast<std::int64_t>(ledger_.head().seq));
  out.Gauge("consilium_node_ledger_locked", "1 while an officer must look at the ledger.", ledger_.locked() ? 1 : 0);
  out.Counter("consilium_node_contributions_total", "Contributions committed since the start.", contributions_);
  return out.text();
}

Result<Value> NodeCore::GetResults(const RequestReceived& request) {
  const auto wanted = request.query.find("study");
  const Participant* only = wanted == request.query.end() ? nullptr : TRY(FindPlan(wanted->second));
  Value list{Value::Array{}};
  for (const auto& [id, participant] : studies_) {
    if ((only != nullptr && only != &participant) || participant.record().results.empty()) continue;
    Value row;
    row.Set("study", id.Hex()).Set("name", participant.plan().name).Set("warning", Warning(participant.plan()));
    row.Set("own_figures", OwnFigures(participant, options_.policy));
    list.Push(row.Set("results", TRY(ParseJson(Text(participant.record().results)))));
  }
  return Value().Set("results", std::move(list)).Set("notice", chain_ ? DemoNotice(*chain_) : "");
}

Value NodeCore::GetBudget() const {
  Value studies{Value::Array{}};
  for (const auto& [id, account] : ledger_.accounts()) {
    Value row;
    const auto participant = studies_.find(id);
    row.Set("study", id.Hex()).Set("mechanism", account.mechanism).Set("reserved", account.reserved);
    row.Set("warning", participant == studies_.end() ? std::string() : Warning(participant->second.plan()));
    row.Set("name", participant == studies_.end() ? std::string() : participant->second.plan().name);
    row.Set("in_doubt", account.in_doubt);
    studies.Push(row.Set("committed", account.committed).Set("released", account.released()));
  }
  Value out;
  out.Set("rows", ledger_.head().seq).Set("head", ledger_.head().hash.Hex()).Set("locked", ledger_.lock());
  out.Set("notice", chain_ ? DemoNotice(*chain_) : "");
  return out.Set("studies", std::move(studies));
}

// What the officer answers for: the rows stand as they are, and what may be missing of them counts as used.
Result<Value> NodeCore::Unlock(const RequestReceived& request) {
  const std::string officer = TRY(Officer(request.body));
  if (!ledger_.locked()) return Fail(Code::kConflict, "the ledger is not locked; there is nothing to unlock");
  Audit("ledger_unlocked", Value().Set("officer", officer).Set("why", ledger_.lock()));
  Log(LogLevel::kWarning, "ledger_unlocked", {{"officer", officer}, {"why", ledger_.lock()}});
  std::map<StudyId, std::uint32_t> last_attempts;
  for (const auto& [id, participant] : studies_) last_attempts[id] = participant.record().last_attempt;
  for (AppendChain& write : ledger_.Unlock(last_attempts, now_.wall_ms)) {
    result_.transaction.emplace_back(std::move(write));
  }
  result_.transaction.emplace_back(EraseState{"ledger", "witness"});
  for (auto& [id, participant] : studies_) participant.OnUnlocked(Here());
  CloseSession("unlocked");  // The next greeting tells the coordinator which witness it may let go of.
  return GetBudget();
}

Result<Reply> NodeCore::ExportAudit(const RequestReceived& request) const {
  std::string text;
  ChainHead head;
  for (std::uint64_t first = 1; first <= audit_durable_.seq; first += kRowsAtOnce) {
    const std::uint64_t last = std::min(audit_durable_.seq, first + kRowsAtOnce - 1);
    for (const Bytes& row : TRY(options_.storage->Rows("audit", first, last))) text += AuditLine(&head, row);
  }
  if (head != audit_durable_) {
    return Fail(Code::kCorrupt,
                "the stored audit rows do not lead to their head: a row was changed, removed or exchanged");
  }
  return TextReply(request.id, "text/plain", text + AuditEnd(head));
}

}  // namespace consilium::node
