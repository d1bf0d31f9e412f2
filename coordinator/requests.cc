// HTTP /v1 as requests and replies (docs/api.md). Everything that changes state goes through the same turn as frames.
#include <fmt/format.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/turn/metrics.h"
#include "coordinator/core.h"

namespace consilium::coordinator {
namespace {

constexpr std::uint64_t kRowsPerCall = 1000;
constexpr std::size_t kShortestPrefix = 6;

std::uint64_t QueryNumber(const RequestReceived& request, const std::string& key, std::uint64_t fallback) {
  const auto found = request.query.find(key);
  if (found == request.query.end() || found->second.empty() || found->second.size() > 15) return fallback;
  if (!std::ranges::all_of(found->second, [](char c) { return c >= '0' && c <= '9'; })) return fallback;
  return std::stoull(found->second);
}

std::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kIdle:
      return "idle";
    case Phase::kComputing:
      return "computing";
    case Phase::kOffering:
      return "offering";
    case Phase::kUploading:
      return "uploading";
    case Phase::kWaiting:
      return "waiting";
  }
  return "idle";
}

}  // namespace

void CoordinatorCore::OnRequest(const RequestReceived& request) {
  Result<Reply> reply = Answer(request);
  result_.replies.push_back(reply ? std::move(*reply) : ErrorReply(request.id, reply.error()));
}

Status CoordinatorCore::Authorise(const RequestReceived& request) const {
  if (request.local) return {};
  const Digest offered = Sha256(View(request.token));
  bool known = false;
  for (const auto& [name, digest] : tokens_) known |= EqualConstantTime(offered, digest);
  if (known) return {};
  return Fail(Code::kUnauthorised,
              "the token is not accepted; type: consilium login URL, with the token of DIR/admin.token");
}

Result<Reply> CoordinatorCore::Answer(const RequestReceived& request) {
  const bool reading = request.method == "GET";
  if (reading && request.path == "/healthz") return TextReply(request.id, "text/plain", "ok\n");
  if (reading && request.path == "/readyz") return TextReply(request.id, "text/plain", "ok\n");
  if (reading && request.path == "/metrics") return TextReply(request.id, kMetricsType, Metrics());
  TRY(Authorise(request));
  const auto json = [&](Result<Value> value) -> Result<Reply> {
    if (!value) return std::unexpected(value.error());
    return JsonReply(request.id, *value);
  };
  const std::string& path = request.path;
  const bool get = request.method == "GET";
  if (get && path == "/v1/status") return json(GetStatus());
  if (get && path == "/v1/hospitals") return json(GetHospitals());
  if (!get && path == "/v1/invitations") return json(PostInvitation(request));
  if (get && path == "/v1/roster") return json(RosterView(chain_, draft_ ? &*draft_ : nullptr, now_.wall_ms));
  if (get && path == "/v1/roster/next") return json(GetNextRoster(request));
  if (!get && path == "/v1/roster") return json(PostRoster(request));
  if (!get && path == "/v1/roster/withdraw") return json(WithdrawDraft());
  if (get && path == "/v1/audit") return json(GetAudit(request));
  if (get && path == "/v1/audit/export") return ExportAudit(request);
  if (!get && path == "/v1/studies") return json(PostStudy(request));
  if (get && path == "/v1/studies") {
    Value list{Value::Array{}};
    for (const auto& [id, study] : studies_) list.Push(ToValue(*study, false));
    return json(Value().Set("studies", std::move(list)).Set("notice", DemoNotice(chain_)));
  }
  constexpr std::string_view kStudies = "/v1/studies/";
  if (path.starts_with(kStudies)) return StudyRequest(request, std::string_view(path).substr(kStudies.size()));
  return Fail(Code::kNotFound, fmt::format("there is no {} {}; docs/api.md lists what there is", request.method, path));
}

// What Prometheus may see without a token: how the coordinator itself is doing.
std::string CoordinatorCore::Metrics() const {
  MetricsText out;
  std::size_t members = 0, online = 0;
  for (const Member& member : chain_.current().members) members += member.revoked ? 0 : 1;
  for (const auto& [peer, session] : sessions_) online += session.greeted ? 1 : 0;
  out.Gauge("consilium_hospitals", "Hospitals in the roster.", static_cast<std::int64_t>(members));
  out.Gauge("consilium_hospitals_online", "Hospitals with a session.", static_cast<std::int64_t>(online));
  std::map<std::string_view, std::int64_t> phases;
  for (const StudyPhase phase : {StudyPhase::kAwaitingConsent, StudyPhase::kRunning, StudyPhase::kPaused,
                                 StudyPhase::kComplete, StudyPhase::kAborted, StudyPhase::kFailed}) {
    phases[Name(phase)] = 0;
  }
  for (const auto& [id, study] : studies_) ++phases[Name(study->record().phase)];
  for (const auto& [phase, count] : phases)
    out.Gauge("consilium_studies", "Studies by phase.", count, {{"phase", phase}});
  out.Gauge("consilium_audit_rows", "Rows of the audit log.", static_cast<std::int64_t>(audit_head_.seq));
  out.Gauge("consilium_blobs", "Blobs kept for studies.", static_cast<std::int64_t>(kept_.size()));
  out.Counter("consilium_attempts_total", "Attempts begun since the start.", counts_.attempts);
  out.Counter("consilium_attempts_failed_total", "Attempts that failed since the start.", counts_.attempts_failed);
  out.Counter("consilium_uploads_total", "Contributions added since the start.", counts_.uploads);
  out.Counter("consilium_answers_total", "Answers released since the start.", counts_.answers);
  out.Counter("consilium_refused_peers_total", "Messages and peers refused since the start.", counts_.refused);
  return out.text();
}

// ---- federation ----

Value CoordinatorCore::GetStatus() const {
  const Roster& roster = chain_.current();
  std::size_t online = 0;
  for (const auto& [peer, session] : sessions_) online += session.greeted ? 1 : 0;
  std::size_t running = 0;
  for (const auto& [id, study] : studies_) running += study->Ended() ? 0 : 1;
  const Digest founding = chain_.links().front().hash();
  Value out;
  out.Set("federation", roster.federation).Set("build", options_.build).Set("endpoint", options_.endpoint);
  out.Set("server_key", options_.server_key.Hex());
  out.Set("roster", Value()
                        .Set("seq", roster.seq)
                        .Set("hash", chain_.hash().Hex())
                        .Set("fingerprint", founding.Hex())
                        .Set("words", Fingerprint(founding, options_.server_key)));
  out.Set("hospitals",
          Value().Set("members", std::uint64_t{roster.members.size()}).Set("online", std::uint64_t{online}));
  out.Set("notice", DemoNotice(chain_));
  out.Set("studies", Value().Set("running", std::uint64_t{running}).Set("total", std::uint64_t{studies_.size()}));
  return out;
}

Value CoordinatorCore::GetHospitals() const {
  Value list{Value::Array{}};
  for (const Member& member : chain_.current().members) {
    const auto session = sessions_.find(member.transport);
    const bool online = session != sessions_.end() && session->second.greeted;
    const auto seen = last_seen_ms_.find(member.number);
    const auto witness = witnesses_.find(member.number);
    Value item;
    item.Set("name", member.name).Set("number", member.number).Set("id", member.id.Hex());
    item.Set("state", member.revoked                   ? "revoked"
                      : member.ExpiredAt(now_.wall_ms) ? "expired"
                                                       : "member")
        .Set("valid_until_ms", member.valid_until_ms)
        .Set("fingerprint", Fingerprint(member.identity, member.transport));
    item.Set("online", online).Set("last_seen_ms", seen == last_seen_ms_.end() ? std::int64_t{0} : seen->second);
    item.Set("phase", online ? PhaseName(session->second.last.phase) : "offline");
    item.Set("trouble", witness != witnesses_.end() && witness->second.behind
                            ? "its ledger has fewer rows than it once said: its directory was put back to an earlier "
                              "state, and an officer there must look (consilium-node budget DIR)"
                            : "");
    list.Push(std::move(item));
  }
  for (const auto& [name, invitation] : invitations_) {
    if (chain_.current().ByName(name) != nullptr) continue;
    const auto enrolment = enrolments_.find(name);
    Value item;
    const bool proposed = draft_ && ParseRoster(draft_->roster).value_or(Roster{}).ByName(name) != nullptr;
    item.Set("name", name).Set("number", Value());
    item.Set("state", proposed ? "proposed" : enrolment == enrolments_.end() ? "invited" : "enrolled");
    item.Set("fingerprint", enrolment == enrolments_.end()
                                ? std::string()
                                : Fingerprint(enrolment->second.enroll.identity, enrolment->second.enroll.transport));
    item.Set("online", false).Set("last_seen_ms", 0);
    list.Push(std::move(item));
  }
  return Value().Set("hospitals", std::move(list)).Set("notice", DemoNotice(chain_));
}

// ---- studies ----

namespace {
// A hospital that may take part in a sum now.
bool Serves(const Member& member, std::int64_t wall_ms) { return !member.revoked && !member.ExpiredAt(wall_ms); }
}  // namespace

Result<Value> CoordinatorCore::PostStudy(const RequestReceived& request) {
  const Bytes plan = TRY(FromBase64(request.body["plan"].AsString()));
  auto submitted = TRY(Study::Submit(plan, {&options_.identity, &chain_}, now_));
  const StudyId id = submitted->id();
  const bool created = !studies_.contains(id);
  std::size_t members = 0;
  for (const Member& member : chain_.current().members) members += Serves(member, now_.wall_ms) ? 1 : 0;
  if (created && members < submitted->quorum()) return Fail(Code::kInvalid, TooFewMembers(submitted->plan(), members));
  if (created) {
    Study& study = *(studies_[id] = std::move(submitted));
    Carry(study);
    for (const auto& [peer, session] : sessions_) {
      if (session.greeted) study.OnHello(session.number, nullptr, now_);
    }
    Carry(study);
  }
  return Value().Set("study", id.Hex()).Set("name", studies_[id]->plan().name).Set("created", created);
}

Result<Study*> CoordinatorCore::FindStudy(std::string_view wanted) const {
  std::vector<Study*> found;
  for (const auto& [id, study] : studies_) {
    const bool prefix = wanted.size() >= kShortestPrefix && id.Hex().starts_with(wanted);
    if (prefix || study->plan().name == wanted) found.push_back(study.get());
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return Fail(Code::kNotFound,
                fmt::format("there is no study '{}' (an id may be cut to {} digits); see: consilium study list",
                            wanted.substr(0, 80), kShortestPrefix));
  }
  return Fail(Code::kConflict, fmt::format("'{}' means {} studies; use more of the id; see: consilium study list",
                                           wanted.substr(0, 80), found.size()));
}

Result<Reply> CoordinatorCore::StudyRequest(const RequestReceived& request, std::string_view rest) {
  const std::size_t slash = rest.find('/');
  Study* study = TRY(FindStudy(rest.substr(0, slash)));
  const std::string_view what = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  if (request.method == "POST" && what == "abort") {
    study->Abort(now_);
    Carry(*study);
    return JsonReply(request.id, Value().Set("study", study->id().Hex()).Set("phase", Name(study->record().phase)));
  }
  if (request.method == "POST" && (what == "pause" || what == "resume")) {
    TRY(what == "pause" ? study->Pause(now_) : study->Resume(now_));
    Carry(*study);
    return JsonReply(request.id, Value().Set("study", study->id().Hex()).Set("phase", Name(study->record().phase)));
  }
  if (request.method == "GET" && what.empty()) return JsonReply(request.id, ToValue(*study, true));
  if (request.method == "GET" && what == "report") {
    return TextReply(request.id, "text/markdown", Report(*study, chain_));
  }
  if (request.method == "GET" && what == "model") {
    std::optional<Bytes> file = study->record().releases > 0 ? study->algorithm().ModelFile() : std::nullopt;
    if (!file)
      return Fail(Code::kNotFound, "this study has no model (yet); see: consilium study show " + study->plan().name);
    return Reply{request.id, 200, "application/octet-stream", std::move(*file)};
  }
  if (request.method == "GET" && what == "plan")
    return Reply{request.id, 200, "application/json", Canonical(study->plan())};
  return Fail(Code::kNotFound, fmt::format("a study has no '{}'; docs/api.md lists what there is", what.substr(0, 40)));
}

// Why a study ended as nobody wanted, or cannot go on by itself; "" when nothing is known to be wrong.
std::string CoordinatorCore::Trouble(const Study& study) const {
  if (study.Ended()) return WhyEnded(study);
  std::size_t members = 0;
  for (const Member& member : chain_.current().members) members += Serves(member, now_.wall_ms) ? 1 : 0;
  if (members < study.quorum()) return TooFewMembers(study.plan(), members);
  if (study.ahead().empty()) return "";
  std::string hospitals;
  std::uint32_t most = 0;
  for (const auto& [number, releases] : study.ahead()) {
    hospitals += (hospitals.empty() ? "" : ", ") + HospitalName(number);
    most = std::max(most, releases);
  }
  return fmt::format(
      "{} hold {} answers of this study and this coordinator has {}: its database is older than theirs. "
      "Restore the newest copy of it; without one, end the study and submit it again with [study] run = {}",
      hospitals, most, study.record().releases, study.plan().run + 1);
}

Value CoordinatorCore::ToValue(const Study& study, bool whole) const {
  const StudyRecord& record = study.record();
  const bool train = study.plan().task == Plan::Task::kTrain;
  Value out;
  out.Set("study", study.id().Hex()).Set("name", study.plan().name).Set("task", train ? "train" : "describe");
  out.Set("phase", Name(record.phase)).Set("reason", record.reason == Reason::kNone ? "" : Name(record.reason));
  out.Set("round", record.open ? record.open->round : record.releases).Set("rounds", study.plan().rounds);
  out.Set("attempt", record.attempts).Set("releases", record.releases);
  out.Set("total_releases", study.algorithm().TotalSteps());
  out.Set("submitted_ms", record.submitted_ms).Set("ended_ms", record.ended_ms).Set("warning", Warning(study.plan()));
  if (!whole) return out;
  out.Set("minimum_hospitals", study.plan().minimum_hospitals).Set("trouble", Trouble(study));
  out.Set("notice", DemoNotice(chain_))
      .Set("purpose", study.plan().purpose)
      .Set("researcher", study.plan().researcher)
      .Set("summary", Summary(study.plan()));
  const auto times = run_times_.find(study.id());
  const bool timed = times != run_times_.end() && times->second.first != Instant{};
  out.Set("seconds", timed ? std::chrono::duration<double>(times->second.second - times->second.first).count() : 0.0);
  Value hospitals{Value::Array{}};
  for (const Member& member : chain_.current().members) {
    if (member.revoked) continue;
    const auto verdict = record.verdicts.find(member.number);
    const auto session = sessions_.find(member.transport);
    const bool online = session != sessions_.end() && session->second.greeted;
    Value item;
    item.Set("name", member.name).Set("number", member.number).Set("online", online);
    item.Set("verdict", verdict == record.verdicts.end() ? "pending"
                        : verdict->second.approved       ? "approved"
                                                         : "rejected");
    item.Set("reason", verdict == record.verdicts.end() || verdict->second.reason == Reason::kNone
                           ? std::string_view("")
                           : Name(verdict->second.reason));
    item.Set("phase", online ? PhaseName(session->second.last.phase) : "offline");
    item.Set("bytes_done", online ? session->second.last.bytes_done : 0);
    item.Set("bytes_total", online ? session->second.last.bytes_total : 0);
    item.Set("uploaded", study.round() != nullptr && study.round()->Uploaded(member.number));
    const auto absence = study.absences().find(member.number);
    item.Set("absent_reason", absence == study.absences().end() ? std::string_view("") : Name(absence->second.reason));
    hospitals.Push(std::move(item));
  }
  out.Set("hospitals", std::move(hospitals)).Set("results", NamedResults(study, chain_));
  if (record.releases > 0) {
    auto message = ReadFrame(record.release_frame, options_.identity.verify_key());
    CHECK(message.has_value() && std::holds_alternative<Release>(*message));  // Verified when the study was restored.
    const Release& release = std::get<Release>(*message);
    Value survivors{Value::Array{}};
    for (std::uint32_t number : release.survivors) survivors.Push(number);
    Value absent{Value::Array{}};
    for (const Absence& absence : release.absent) {
      absent.Push(Value().Set("hospital", absence.hospital).Set("reason", Name(absence.reason)));
    }
    out.Set("last_answer", Value()
                               .Set("digest", release.answer.Hex())
                               .Set("survivors", std::move(survivors))
                               .Set("absent", std::move(absent)));
  }
  if (const auto file = record.releases > 0 ? study.algorithm().ModelFile() : std::nullopt) {
    out.Set("model_sha256", Sha256(*file).Hex());
  }
  return out;
}

// ---- audit ----

Result<Value> CoordinatorCore::GetAudit(const RequestReceived& request) const {
  const std::uint64_t first = std::max<std::uint64_t>(1, QueryNumber(request, "first", 1));
  const std::uint64_t last =
      std::min({QueryNumber(request, "last", first + kRowsPerCall - 1), first + kRowsPerCall - 1, audit_head_.seq});
  Value rows{Value::Array{}};
  if (first <= last) {
    for (const Bytes& row : TRY(options_.storage->Rows("audit", first, last))) {
      rows.Push(TRY(ParseJson(Text(row))));
    }
  }
  return Value()
      .Set("first", first)
      .Set("rows", std::move(rows))
      .Set("head", Value().Set("seq", audit_head_.seq).Set("hash", audit_head_.hash.Hex()));
}

// Rows of this turn are not stored yet, so the export ends with the last committed one.
Result<Reply> CoordinatorCore::ExportAudit(const RequestReceived& request) const {
  std::string text;
  ChainHead head;
  while (true) {
    const std::vector<Bytes> rows = TRY(options_.storage->Rows("audit", head.seq + 1, head.seq + kRowsPerCall));
    for (const Bytes& row : rows) text += AuditLine(&head, row);
    if (rows.size() < kRowsPerCall) break;
  }
  return TextReply(request.id, "text/plain", text + AuditEnd(head));
}

}  // namespace consilium::coordinator
