#include "cli/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <thread>

#include "cli/federation.h"
#include "cli/session.h"
#include "cli/studies.h"
#include "cli/watch.h"

namespace consilium::cli {
namespace {

std::atomic<bool> interrupted = false;

Result<HttpApi> OpenApi(const Context& context) { return HttpApi::Open(TRY(LoadLogin(context.coordinator))); }

std::string Number(const Value& value) { return value.IsNumber() ? CanonicalJson(value) : "-"; }
std::string Cell(const Value& value) { return Printable(value.AsString()); }

std::string Date(const Value& ms) {
  if (ms.AsInteger() == 0) return "-";
  const std::time_t seconds = static_cast<std::time_t>(ms.AsInteger() / 1000);
  std::tm parts{};
  char text[32];
  localtime_r(&seconds, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);
  return text;
}

std::string Time(const Value& ms) {
  const std::time_t seconds = static_cast<std::time_t>(ms.AsInteger() / 1000);
  std::tm parts{};
  char text[32];
  gmtime_r(&seconds, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text, ms.AsInteger() % 1000);
}

// One request and its answer: the document under --json, `show`'s text otherwise.
template <class Ask, class Show>
int Run(const Context& context, const Ask& ask, const Show& show) {
  const auto answer = [&]() -> Result<Value> { return ask(TRY(OpenApi(context))); }();
  if (!answer) return context.terminal.Fail(answer.error());
  context.terminal.Document(*answer);
  if (!context.terminal.json()) context.terminal.Say(show(*answer));
  return 0;
}

std::string StudyPath(const std::string& study) { return "/v1/studies/" + UrlEncode(study); }

// That one officer alone decides, where it is so.
std::string Notice(const Value& answer) {
  const std::string notice = Cell(answer["notice"]);
  return notice.empty() ? notice : notice + "\n";
}

std::string StudyText(const Value& s) {
  std::string out = Notice(s);
  if (!s["warning"].AsString().empty()) out += PrintableLines(s["warning"].AsString()) + "\n\n";
  if (!s["trouble"].AsString().empty()) out += Cell(s["trouble"]) + "\n\n";
  out += fmt::format("{} ({}), study {}\n{}{}, {} of {} answers, {} attempts, {:.1f} s\npurpose: {}\nresearcher: {}\n",
                     Cell(s["name"]), Cell(s["task"]), Cell(s["study"]), Cell(s["phase"]),
                     s["reason"].AsString().empty() ? "" : ": " + Cell(s["reason"]), Number(s["releases"]),
                     Number(s["total_releases"]), Number(s["attempt"]), s["seconds"].AsDouble(), Cell(s["purpose"]),
                     Cell(s["researcher"]));
  std::vector<std::vector<std::string>> table = {
      {"hospital", "verdict", "online", "phase", "left out of the last sum"}};
  for (const Value& h : s["hospitals"].AsArray()) {
    table.push_back({Cell(h["name"]), Cell(h["verdict"]), h["online"].AsBool() ? "yes" : "no", Cell(h["phase"]),
                     Cell(h["absent_reason"])});
  }
  out += "\n" + FormatTable(table);
  if (const std::string described = DescribeTable(s["results"]); !described.empty()) out += "\n" + described;
  const Value& evaluation = s["results"]["evaluation"];
  if (evaluation.IsObject()) {
    out += "\npooled over the hospitals' test patients: " + EvaluationText(evaluation) + "\n" + NoRanking(evaluation);
  }
  if (const std::string released = ReleasedTable(s["results"]); !released.empty()) out += "\n" + released;
  if (s.Has("model_sha256")) out += "model SHA-256: " + Cell(s["model_sha256"]) + "\n";
  return out;
}

}  // namespace

void CatchInterrupts() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = true; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}
bool Interrupted() { return interrupted; }

int LoginCommand(const Context& context, const std::string& url, const std::string& token_file,
                 const std::string& officer_key) {
  const auto answer = [&]() -> Result<Value> {
    TRY(CheckUrl(url));
    Login login{url, TRY(ReadSecretLine(token_file, "the coordinator's token (DIR/admin.token)")), ""};
    if (!officer_key.empty()) {
      login.officer_key = std::filesystem::absolute(officer_key).string();
      TRY(LoadOfficerKey(login.officer_key));
    }
    const HttpApi api = TRY(HttpApi::Open(login));
    constexpr int kTries = 20;  // A coordinator that was started a moment ago answers in a moment.
    auto status = api.Get("/v1/status");
    for (int i = 0; i < kTries && !status && status.error().code == Code::kUnreachable; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      status = api.Get("/v1/status");
    }
    if (!status) return status;
    TRY(SaveLogin(login));
    return status;
  }();
  if (!answer) return context.terminal.Fail(answer.error());
  context.terminal.Document(Value()
                                .Set("coordinator", url)
                                .Set("federation", (*answer)["federation"])
                                .Set("words", (*answer)["roster"]["words"]));
  context.terminal.Say(fmt::format("Logged in to {} of the federation \"{}\"; fingerprint: {}", url,
                                   Cell((*answer)["federation"]), Cell((*answer)["roster"]["words"])));
  return 0;
}

int StatusCommand(const Context& context) {
  return Run(
      context, [](const Api& api) { return api.Get("/v1/status"); },
      [](const Value& s) {
        return fmt::format(
            "{}{}: {} of {} hospitals online, {} of {} studies running; hospitals dial {}; roster {}; version {}",
            Notice(s), Cell(s["federation"]), Number(s["hospitals"]["online"]), Number(s["hospitals"]["members"]),
            Number(s["studies"]["running"]), Number(s["studies"]["total"]), Cell(s["endpoint"]),
            Number(s["roster"]["seq"]), Cell(s["build"]));
      });
}

int InviteCommand(const Context& context, const std::string& name, int hours) {
  const auto token = [&]() -> Result<Secret> {
    return Invite(TRY(OpenApi(context)), name, std::chrono::hours(hours));
  }();
  if (!token) return context.terminal.Fail(token.error());
  const std::string text(Text(token->view()));
  context.terminal.Document(Value().Set("name", name).Set("token", text).Set("hours", hours));
  context.terminal.Say(text);
  if (!context.terminal.json()) {
    context.terminal.Note(fmt::format(
        "Give this line to {} by a safe way; it serves once, within {} hours: consilium-node join DIR", name, hours));
  }
  return 0;
}

int HospitalListCommand(const Context& context) {
  return Run(
      context, [](const Api& api) { return api.Get("/v1/hospitals"); },
      [](const Value& answer) {
        if (answer["hospitals"].AsArray().empty()) return std::string("no hospitals yet; type: consilium invite NAME");
        std::vector<std::vector<std::string>> table = {
            {"number", "name", "state", "online", "phase", "last seen", "fingerprint"}};
        for (const Value& h : answer["hospitals"].AsArray()) {
          table.push_back({Number(h["number"]), Cell(h["name"]), Cell(h["state"]), h["online"].AsBool() ? "yes" : "no",
                           Cell(h["phase"]), Date(h["last_seen_ms"]), Cell(h["fingerprint"])});
        }
        std::string out = Notice(answer) + FormatTable(table);
        for (const Value& h : answer["hospitals"].AsArray()) {
          if (!h["trouble"].AsString().empty()) out += fmt::format("\n{}: {}", Cell(h["name"]), Cell(h["trouble"]));
        }
        return out;
      });
}

namespace {

// Shows a proposed roster, signs it where the founding officer decides, and says who else must.
int Propose(const Context& context, const Change& change, bool yes, const std::string& question,
            const std::string& declined, const std::string& done) {
  const auto answer = [&]() -> Result<Value> {
    const Login login = TRY(LoadLogin(context.coordinator));
    const HttpApi api = TRY(HttpApi::Open(login));
    const Proposal proposal = TRY(ProposeRoster(api, change));
    std::optional<IdentityKey> officer;
    if (proposal.founder) officer = TRY(LoadOfficerKey(login.officer_key));
    if (!context.terminal.json() || !yes) context.terminal.Note(proposal.text);
    if (!yes && !context.terminal.AskYes(question)) return Fail(Code::kRefused, declined);
    Value signed_roster = TRY(SignProposal(api, proposal, officer ? &*officer : nullptr));
    return signed_roster.Set("name", proposal.name).Set("fingerprint", proposal.words);
  }();
  if (!answer) return context.terminal.Fail(answer.error());
  context.terminal.Document(*answer);
  const std::string seq = Number((*answer)["seq"]);
  if ((*answer)["complete"].AsBool()) {
    context.terminal.Say(fmt::format("{} {}; roster {} is signed.", Cell((*answer)["name"]), done, seq));
  } else {
    context.terminal.Say(
        fmt::format("Roster {} is proposed. Still needed: {}. They type: consilium-node roster sign DIR\nFollow it: "
                    "consilium roster show",
                    seq, Cell((*answer)["missing"])));
  }
  return 0;
}

}  // namespace

int HospitalConfirmCommand(const Context& context, const std::vector<std::string>& names, int valid_days, bool yes) {
  return Propose(context, {.add = names, .revoke = "", .valid_days = valid_days}, yes,
                 names.size() == 1 ? "Does the hospital read out the same eight words?"
                                   : "Does each hospital read out the same eight words?",
                 "not confirmed; nothing was signed. If the words differ, somebody else answered: invite anew",
                 names.size() == 1 ? "is a member" : "are members");
}

int HospitalRevokeCommand(const Context& context, const std::string& name, bool yes) {
  return Propose(context, {.add = {}, .revoke = name, .valid_days = 0}, yes,
                 "Revocation is for good: its session closes at once and no study asks it again. Revoke it?",
                 "not revoked; nothing was signed", "is revoked");
}

int RosterShowCommand(const Context& context) {
  return Run(context, [](const Api& api) { return api.Get("/v1/roster"); }, RosterText);
}

int RosterWithdrawCommand(const Context& context) {
  return Run(
      context, [](const Api& api) { return api.Post("/v1/roster/withdraw"); },
      [](const Value& answer) {
        return fmt::format("The proposed roster {} is withdrawn; its signatures are void.",
                           answer["hash"].AsString().substr(0, 12));
      });
}

int StudyCheckCommand(const Context& context, const std::string& path) {
  const auto plan = ReadPlan(path);
  if (!plan) return context.terminal.Fail(plan.error());
  const auto canonical = ParseJson(Text(Canonical(*plan)));
  if (!canonical) return context.terminal.Fail(canonical.error());
  const auto fits = [&]() -> Status { return CheckMembers(TRY(OpenApi(context)), *plan, path); }();
  if (!fits && fits.error().code == Code::kInvalid) return context.terminal.Fail(fits.error());
  if (!fits) {
    context.terminal.Note(fmt::format("Whether the federation has the plan's {} hospitals was not looked at: {}",
                                      plan->minimum_hospitals, fits.error().what));
  }
  context.terminal.Document(Value()
                                .Set("study", plan->id().Hex())
                                .Set("plan", *canonical)
                                .Set("summary", Summary(*plan))
                                .Set("warning", Warning(*plan)));
  context.terminal.Say(fmt::format("{}\nEvery value, defaults written out:\n{}\n\nStudy id: {}", Summary(*plan),
                                   PrettyJson(*canonical), plan->id().Hex()));
  return 0;
}

int StudySubmitCommand(const Context& context, const std::string& path) {
  const auto plan = ReadPlan(path);
  if (!plan) return context.terminal.Fail(plan.error());
  const auto submitted = [&]() -> Result<Submitted> { return Submit(TRY(OpenApi(context)), *plan); }();
  if (!submitted) return context.terminal.Fail(AtPlan(path, submitted.error()));
  context.terminal.Document(
      Value().Set("study", submitted->study).Set("name", submitted->name).Set("created", submitted->created));
  const std::string warning = Warning(*plan);
  context.terminal.Say(
      fmt::format("{}{}{} {} as study {}\nNow each hospital decides: consilium-node plan show DIR {}\nFollow it: "
                  "consilium study watch {}",
                  warning, warning.empty() ? "" : "\n", submitted->name,
                  submitted->created ? "is submitted" : "was submitted before", submitted->study,
                  submitted->study.substr(0, 12), submitted->study.substr(0, 12)));
  return 0;
}

int StudyListCommand(const Context& context) {
  return Run(
      context, [](const Api& api) { return api.Get("/v1/studies"); },
      [](const Value& answer) {
        if (answer["studies"].AsArray().empty())
          return std::string("no studies yet; type: consilium study submit PLAN.toml");
        std::vector<std::vector<std::string>> table = {
            {"study", "name", "task", "phase", "answers", "submitted", "warning"}};
        for (const Value& s : answer["studies"].AsArray()) {
          table.push_back({s["study"].AsString().substr(0, 12), Cell(s["name"]), Cell(s["task"]), Cell(s["phase"]),
                           fmt::format("{}/{}", Number(s["releases"]), Number(s["total_releases"])),
                           Date(s["submitted_ms"]), Cell(s["warning"])});
        }
        return Notice(answer) + FormatTable(table);
      });
}

int StudyShowCommand(const Context& context, const std::string& study) {
  return Run(context, [&](const Api& api) { return api.Get(StudyPath(study)); }, StudyText);
}

int StudyPostCommand(const Context& context, const std::string& study, const std::string& what) {
  return Run(
      context, [&](const Api& api) { return api.Post(StudyPath(study) + "/" + what); },
      [](const Value& s) { return fmt::format("{}: {}", Cell(s["study"]), Cell(s["phase"])); });
}

int StudyLogsCommand(const Context& context, const std::string& study) {
  const auto done = [&]() -> Status {
    constexpr std::int64_t kPage = 1000;
    const HttpApi api = TRY(OpenApi(context));
    const Value found = TRY(api.Get(StudyPath(study)));
    std::int64_t first = 1;
    for (std::int64_t rows = kPage; rows == kPage; first += rows) {
      const Value page = TRY(api.Get(fmt::format("/v1/audit?first={}&last={}", first, first + kPage - 1)));
      rows = static_cast<std::int64_t>(page["rows"].AsArray().size());
      for (const Value& row : page["rows"].AsArray()) {
        if (row["study"].AsString() != found["study"].AsString()) continue;
        context.terminal.StreamLine(row);
        if (context.terminal.json()) continue;
        std::string line = Time(row["at_ms"]) + " " + Cell(row["event"]);
        for (const auto& [key, value] : row.AsObject()) {
          if (key == "at_ms" || key == "event" || key == "study") continue;
          line += fmt::format(" {}={}", Printable(key),
                              Printable(value.IsString() ? value.AsString() : CanonicalJson(value)));
        }
        context.terminal.Say(line);
      }
    }
    return {};
  }();
  return done ? 0 : context.terminal.Fail(done.error());
}

int StudyDownloadCommand(const Context& context, const std::string& study, const std::string& directory) {
  const auto files = [&]() -> Result<Files> { return Download(TRY(OpenApi(context)), study, directory); }();
  if (!files) return context.terminal.Fail(files.error());
  Value document;
  std::string text;
  for (const auto& [name, path] : {std::pair("model", files->model),
                                   {"onnx", files->onnx},
                                   {"report", files->report},
                                   {"html", files->html},
                                   {"audit", files->audit},
                                   {"results", files->results}}) {
    document.Set(name, path.empty() ? Value() : Value(path));
    text += path.empty() ? fmt::format("{}: none\n", name) : fmt::format("{}: {}\n", name, path);
  }
  context.terminal.Document(document);
  context.terminal.Say(text);
  return 0;
}

int StudyWatchCommand(const Context& context, const std::string& study) {
  CatchInterrupts();
  WatchView view(context.terminal, true, true);
  const auto last = [&]() -> Result<Value> {
    return Follow(
        TRY(OpenApi(context)), study, std::chrono::milliseconds(200), std::chrono::seconds(60),
        [&](const Value& state) { view.See(state); }, Interrupted);
  }();
  view.Finish();
  if (Interrupted()) return kInterruptedStatus;
  if (!last) return context.terminal.Fail(last.error());
  context.terminal.Say(StudyText(*last));
  return IsComplete(*last) ? 0 : 1;
}

}  // namespace consilium::cli
