// The requests of the control socket (docs/api.md, "Node"): who may type them is a matter of the socket's permissions.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "common/turn/metrics.h"
#include "hospital_node/core.h"

namespace consilium::node {
namespace {

constexpr std::size_t kMaxName = 64, kMaxOfficer = 200;
constexpr std::uint64_t kRowsAtOnce = 1000;

// "a/b" -> "a", and leaves "b".
std::string_view TakeSegment(std::string_view* path) {
  const std::size_t slash = path->find('/');
  const std::string_view head = path->substr(0, slash);
  *path = slash == std::string_view::npos ? std::string_view{} : path->substr(slash + 1);
  return head;
}

bool IsName(std::string_view name) {
  const auto fine = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= kMaxName && name.front() != '.' && std::ranges::all_of(name, fine);
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

Value ListOf(const std::vector<std::string>& texts) { return Value(Value::Array(texts.begin(), texts.end())); }

// Without a format, as it was before there were others, it is CSV.
Status ReadFormat(const Value& value, DataSetSpec* spec) {
  if (value.Has("format")) spec->format = TRY(FormatFrom(value["format"].AsString()));
  for (const Value& file : value["files"].AsArray()) spec->files.push_back(file.AsString());
  return {};
}

// A check, and what is kept of data sets afterwards.
std::any CheckAndKeep(const Workbench& workbench, DataSetSpec spec, bool add, std::vector<DataSetSpec> registered) {
  Result<Value> report = workbench.Check(spec);
  if (add && report) {
    spec.sha256 = (*report)["sha256"].AsString();
    std::erase_if(registered, [&](const DataSetSpec& other) { return other.name == spec.name; });
    registered.push_back(std::move(spec));
  }
  workbench.Keep(registered);
  return report;
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

Bytes EncodeDataSet(const DataSet& data_set) {
  Value value;
  value.Set("name", data_set.spec.name).Set("folder", data_set.spec.folder).Set("schema", data_set.spec.schema);
  value.Set("format", std::string(NameOf(data_set.spec.format))).Set("files", ListOf(data_set.spec.files));
  Value excluded{Value::Array{}};
  for (const std::string& mark : data_set.spec.excluded) excluded.Push(mark);
  value.Set("excluded", std::move(excluded));
  value.Set("sha256", data_set.spec.sha256)
      .Set("patients", data_set.patients)
      .Set("rows", data_set.rows)
      .Set("added_ms", data_set.added_ms);
  return ToBytes(View(CanonicalJson(value)));
}

Result<DataSet> DecodeDataSet(ByteView bytes) {
  const Value value = TRY(ParseJson(Text(bytes), {.bytes = std::size_t{512} << 20}));
  DataSet out;
  out.spec = {
      value["name"].AsString(), value["folder"].AsString(), value["schema"].AsString(), value["sha256"].AsString(), {}};
  for (const Value& mark : value["excluded"].AsArray()) out.spec.excluded.insert(mark.AsString());
  TRY(ReadFormat(value, &out.spec));
  out.patients = value["patients"].AsInteger();
  out.rows = value["rows"].AsInteger();
  out.added_ms = value["added_ms"].AsInteger();
  if (out.spec.name.empty()) return Fail(Code::kCorrupt, "it has no name");
  return out;
}

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

// ---- data sets ----

Status NodeCore::StartDataJob(const RequestReceived& request, bool add) {
  DataSetSpec spec{request.body["name"].AsString(), request.body["folder"].AsString(),
                   request.body["schema"].AsString()};
  if (!IsName(spec.name)) {
    return Fail(Code::kInvalid,
                "a data set's name has 1 to 64 letters, digits, '-', '_' or '.'; give it the name that plans use");
  }
  TRY(ReadFormat(request.body, &spec));
  const std::vector<std::string> paths =
      spec.format == Format::kCsv ? std::vector<std::string>{spec.folder} : spec.files;
  if (paths.empty() || !std::ranges::all_of(paths, [](const std::string& path) { return path.starts_with('/'); }))
    return Fail(Code::kInvalid, "the data set's folder or files must be absolute paths");
  if (spec.schema.empty()) return Fail(Code::kInvalid, "the data set needs a schema: give its file with --schema FILE");
  const auto known = data_sets_.find(spec.name);
  if (known != data_sets_.end())
    spec.excluded = known->second.spec.excluded;  // Who withdrew stays out of new files too.
  if (add && known != data_sets_.end() &&
      (SourceWords(known->second.spec) != SourceWords(spec) || known->second.spec.schema != spec.schema)) {
    for (const auto& [id, participant] : studies_) {
      if (participant.plan().dataset != spec.name || !participant.Approved() || participant.Ended()) continue;
      return Fail(Code::kConflict,
                  fmt::format("the running study \"{}\" was approved with other data under the name \"{}\"; reject it "
                              "first (consilium-node plan reject) or use another name",
                              participant.plan().name, spec.name));
    }
  }
  StartJob(DataJob{request.id, spec, add}, [spec, add, registered = Registered(), workbench = options_.workbench] {
    return CheckAndKeep(*workbench, spec, add, registered);
  });
  return {};
}

Result<DataSet*> NodeCore::FindDataSet(const std::string& name) {
  const auto found = data_sets_.find(name);
  if (found != data_sets_.end()) return &found->second;
  return Fail(Code::kNotFound,
              fmt::format("no data set \"{}\" is registered here; see: consilium-node data list", name));
}

// Withdrawn patients: from the next attempt on their rows are not read. What they contributed to stays as it is.
Status NodeCore::StartExclusion(const RequestReceived& request) {
  const DataSet* known = TRY(FindDataSet(request.body["name"].AsString()));
  DataSetSpec spec = known->spec;
  if (TRY(ParseSchema(spec.schema, "the schema of data set " + spec.name)).patient_id == "row") {
    return Fail(Code::kInvalid,
                fmt::format("data set \"{}\" has no column of patient ids (patient id = \"row\"); take the "
                            "rows out of the file and register it again",
                            spec.name));
  }
  for (const Value& mark : request.body["marks"].AsArray()) {
    const auto digest = Digest::FromHexText(mark.AsString());
    if (!digest) return Fail(Code::kInvalid, "marks are hashes of patient ids, in hex");
    spec.excluded.insert(digest->Hex());  // As PatientMark writes it.
  }
  if (spec.excluded.size() == known->spec.excluded.size())
    return Fail(Code::kInvalid, "no patient is named that was not excluded before");
  StartJob(DataJob{request.id, spec, true}, [spec, registered = Registered(), workbench = options_.workbench] {
    return CheckAndKeep(*workbench, spec, true, registered);
  });
  return {};
}

std::vector<DataSetSpec> NodeCore::Registered() const {
  std::vector<DataSetSpec> out;
  for (const auto& [name, data_set] : data_sets_) out.push_back(data_set.spec);
  return out;
}

Status NodeCore::RemoveDataSet(const RequestReceived& request) {
  const std::string name = request.body["name"].AsString();
  TRY(FindDataSet(name));
  for (const auto& [id, participant] : studies_) {
    if (participant.plan().dataset != name || !participant.Approved() || participant.Ended()) continue;
    return Fail(Code::kConflict,
                fmt::format("the running study \"{}\" uses it; reject that first: consilium-node plan reject",
                            participant.plan().name));
  }
  result_.transaction.emplace_back(EraseState{"dataset", name});
  data_sets_.erase(name);
  Audit("data_removed", Value().Set("name", name));
  Log(LogLevel::kInfo, "data_removed", {{"name", name}});
  StartJob(RemovalJob{request.id, name}, [registered = Registered(), workbench = options_.workbench] {
    workbench->Keep(registered);
    return std::any();
  });
  return {};
}

void NodeCore::OnDataChecked(const DataJob& job, const std::any& result) {
  const auto& report = std::any_cast<const Result<Value>&>(result);
  if (!report) {
    result_.replies.push_back(ErrorReply(job.request, report.error()));
    return;
  }
  if (job.add) {
    DataSet data_set{job.spec, (*report)["patients"].AsInteger(), (*report)["rows"].AsInteger(), now_.wall_ms};
    data_set.spec.sha256 = (*report)["sha256"].AsString();
    const auto before = data_sets_.find(job.spec.name);
    std::set<std::string>& marks = data_set.spec.excluded;
    const std::size_t excluded = before == data_sets_.end() ? 0 : before->second.spec.excluded.size();
    // Who withdrew while this job ran stays out too.
    if (before != data_sets_.end())
      marks.insert(before->second.spec.excluded.begin(), before->second.spec.excluded.end());
    if (marks.size() != excluded) {
      Audit("data_excluded", Value().Set("name", job.spec.name).Set("patients", std::uint64_t{marks.size()}));
    }
    result_.transaction.emplace_back(PutState{"dataset", job.spec.name, EncodeDataSet(data_set)});
    data_sets_.insert_or_assign(job.spec.name, std::move(data_set));
    Log(LogLevel::kInfo, "data_added", {{"name", job.spec.name}});
    for (auto& [id, participant] : studies_) TryConclude(participant);
  }
  result_.replies.push_back(JsonReply(job.request, *report));
}

Value NodeCore::GetDataSets() const {
  Value list{Value::Array{}};
  for (const auto& [name, data_set] : data_sets_) {
    Value row;
    row.Set("name", name).Set("folder", data_set.spec.folder).Set("patients", data_set.patients);
    row.Set("format", std::string(NameOf(data_set.spec.format))).Set("files", ListOf(data_set.spec.files));
    row.Set("schema", data_set.spec.schema);
    row.Set("excluded", std::uint64_t{data_set.spec.excluded.size()});
    list.Push(row.Set("rows", data_set.rows).Set("added_ms", data_set.added_ms));
  }
  return Value().Set("datasets", std::move(list));
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
