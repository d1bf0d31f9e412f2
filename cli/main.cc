// consilium: what researchers and officers type.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "common/base/cpu.h"
#include "common/base/version.h"
#include "common/crypto/secret.h"

namespace consilium::cli {
namespace {

struct Options {
  bool json = false, yes = false;
  std::vector<std::string> names;
  std::string coordinator, url, token_file, officer_key, name, plan, study, out, path;
  std::string privacy = "none";
  int hours = 72, valid_days = 0;
  DemoOptions demo;
  SimulateOptions simulate;
};

CLI::App* Add(CLI::App* parent, Options* o, const std::string& name, const std::string& about,
              const std::string& example) {
  CLI::App* app = parent->add_subcommand(name, about);
  app->add_flag("--json", o->json, "One JSON document on stdout (a line each where it streams)");
  app->footer("Example:\n  " + example);
  return app;
}

// Commands that speak to a coordinator.
CLI::App* AddRemote(CLI::App* parent, Options* o, const std::string& name, const std::string& about,
                    const std::string& example) {
  CLI::App* app = Add(parent, o, name, about, example);
  app->add_option("--coordinator", o->coordinator,
                  "Its address, http://HOST:PORT; otherwise CONSILIUM_COORDINATOR, otherwise the last login");
  return app;
}

struct Commands {
  CLI::App *login, *status, *doctor, *invite, *list, *confirm, *revoke, *roster_show, *roster_withdraw, *check, *submit,
      *studies, *show, *watch, *logs, *pause, *resume, *abort, *download, *verify, *demo, *simulate;
};

void AddFederation(CLI::App* app, Options* o, Commands* c) {
  c->login = Add(app, o, "login", "Store a coordinator's address and token",
                 "consilium login http://127.0.0.1:7880 --token-file DIR/admin.token --officer-key DIR/keys/officer");
  c->login->add_option("URL", o->url, "http://HOST:PORT")->required();
  c->login->add_option("--token-file", o->token_file, "A 0600 file that holds the token, instead of standard input");
  c->login->add_option("--officer-key", o->officer_key, "The officer's sealed key, for `hospital confirm`");
  c->status = AddRemote(app, o, "status", "What the coordinator is doing", "consilium status --json");
  c->doctor =
      AddRemote(app, o, "doctor", "What stands between you and the coordinator, and the mend", "consilium doctor");
  c->invite = AddRemote(app, o, "invite", "Make a hospital's token; prints one line", "consilium invite hospital-a");
  c->invite->add_option("NAME", o->name, "The hospital's name: a-z, 0-9 and '-'")->required();
  c->invite->add_option("--hours", o->hours, "How long it may be used")
      ->check(CLI::Range(1, 72))
      ->capture_default_str();
  CLI::App* hospital = app->add_subcommand("hospital", "The federation's hospitals")->require_subcommand(1);
  c->list = AddRemote(hospital, o, "list", "Who is invited, enrolled, a member, online", "consilium hospital list");
  c->confirm = AddRemote(hospital, o, "confirm", "Compare a hospital's fingerprint and sign it into the roster",
                         "consilium hospital confirm hospital-a");
  c->revoke = AddRemote(hospital, o, "revoke", "Take a hospital out of the federation, for good",
                        "consilium hospital revoke hospital-a");
  c->confirm->add_option("NAME", o->names, "The hospital's name; several are signed into one roster")->required();
  c->revoke->add_option("NAME", o->name, "The hospital's name")->required();
  c->confirm->add_flag("--yes", o->yes, "The words were compared; do not ask");
  c->revoke->add_flag("--yes", o->yes, "Do not ask");
  c->confirm
      ->add_option("--valid-days", o->valid_days, "How long its keys serve, also of a member; otherwise without end")
      ->check(CLI::Range(1, 36500));
  CLI::App* roster =
      app->add_subcommand("roster", "Who decides about members, and what is proposed")->require_subcommand(1);
  c->roster_show = AddRemote(roster, o, "show", "The members, who must sign a change, and what is proposed",
                             "consilium roster show");
  c->roster_withdraw = AddRemote(roster, o, "withdraw", "Drop the proposed change; its signatures are void",
                                 "consilium roster withdraw");
}

void AddStudies(CLI::App* app, Options* o, Commands* c) {
  CLI::App* study = app->add_subcommand("study", "Studies")->require_subcommand(1);
  c->check =
      Add(study, o, "check", "Validate a plan and print its summary; sends nothing", "consilium study check plan.toml");
  c->submit = AddRemote(study, o, "submit", "Offer a plan to the hospitals; the same bytes are the same study",
                        "consilium study submit plan.toml");
  for (CLI::App* command : {c->check, c->submit}) command->add_option("PLAN", o->plan, "The plan's file")->required();
  c->studies = AddRemote(study, o, "list", "All studies", "consilium study list");
  c->show = AddRemote(study, o, "show", "One study, with its results", "consilium study show heart");
  c->watch = AddRemote(study, o, "watch", "Follow a study to its end", "consilium study watch heart");
  c->logs = AddRemote(study, o, "logs", "What happened in a study, an event a line", "consilium study logs heart");
  c->pause = AddRemote(study, o, "pause", "Begin no further round", "consilium study pause heart");
  c->resume = AddRemote(study, o, "resume", "Go on with a paused study", "consilium study resume heart");
  c->abort = AddRemote(study, o, "abort", "End a study", "consilium study abort heart");
  c->download = AddRemote(study, o, "download", "Model (safetensors and ONNX), report, audit log and results",
                          "consilium study download heart --out results");
  for (CLI::App* command : {c->show, c->watch, c->logs, c->pause, c->resume, c->abort, c->download}) {
    command->add_option("STUDY", o->study, "Its name, or the beginning of its id")->required();
  }
  c->download->add_option("--out", o->out, "Where to")->required();
  CLI::App* audit = app->add_subcommand("audit", "The audit log")->require_subcommand(1);
  c->verify = Add(audit, o, "verify", "Check an exported log, or the chains in a daemon's directory",
                  "consilium audit verify results/audit.jsonl");
  c->verify->add_option("FILE_OR_DIR", o->path, "audit.jsonl, or a directory")->required();
}

void AddDemo(CLI::App* app, Options* o, Commands* c) {
  c->demo = Add(app, o, "demo", "A whole federation on this machine: real processes, real sockets, one study each way",
                "consilium demo --hospitals 4");
  c->demo->add_option("--hospitals", o->demo.hospitals, "How many, of the generated cohort")
      ->check(CLI::Range(2, 12))
      ->capture_default_str();
  c->demo->add_option("--rounds", o->demo.rounds, "Rounds of training")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  c->demo->add_option("--privacy", o->privacy, "Only none in this version")
      ->check(CLI::IsMember({"none"}))
      ->capture_default_str();
  c->demo->add_option("--data", o->demo.data,
                      "A folder with a file or a folder for each hospital, instead of generated data");
  c->demo->add_option("--schema", o->demo.schema, "The schema of --data (otherwise schema.toml in that folder)");
  c->demo->add_option("--dir", o->demo.directory, "Where results go (otherwise ./demo/DATE-TIME)");
  c->demo->add_flag("--keep", o->demo.keep, "Keep the daemons' directories (keys, databases) too");
}

void AddSimulate(CLI::App* app, Options* o, Commands* c) {
  c->simulate = Add(app, o, "simulate",
                    "A plan on data that all lie here: the same federation in one process, with the same model",
                    "consilium simulate plan.toml --data hospitals/");
  c->simulate->add_option("PLAN", o->simulate.plan, "The plan's file")->required();
  c->simulate
      ->add_option("--data", o->simulate.data,
                   "A folder with a file (of the schema's pattern; CSV, or .npz) or a folder of CSV for each hospital")
      ->required();
  c->simulate->add_option("--out", o->simulate.directory, "Where results go (otherwise ./simulation/DATE-TIME)");
  c->simulate->add_option("--workers", o->simulate.workers, "Threads that compute (otherwise one for each core)")
      ->check(CLI::Range(1, 256));
  c->simulate->add_flag("!--no-comparison", o->simulate.compare,
                        "Do not train each hospital's own model and the pooled one");
}

int Dispatch(const Options& o, const Commands& c) {
  const Context context{Terminal("consilium", o.json), o.coordinator};
  if (c.login->parsed()) return LoginCommand(context, o.url, o.token_file, o.officer_key);
  if (c.status->parsed()) return StatusCommand(context);
  if (c.invite->parsed()) return InviteCommand(context, o.name, o.hours);
  if (c.list->parsed()) return HospitalListCommand(context);
  if (c.confirm->parsed()) return HospitalConfirmCommand(context, o.names, o.valid_days, o.yes);
  if (c.revoke->parsed()) return HospitalRevokeCommand(context, o.name, o.yes);
  if (c.roster_show->parsed()) return RosterShowCommand(context);
  if (c.roster_withdraw->parsed()) return RosterWithdrawCommand(context);
  if (c.check->parsed()) return StudyCheckCommand(context, o.plan);
  if (c.submit->parsed()) return StudySubmitCommand(context, o.plan);
  if (c.studies->parsed()) return StudyListCommand(context);
  if (c.show->parsed()) return StudyShowCommand(context, o.study);
  if (c.watch->parsed()) return StudyWatchCommand(context, o.study);
  if (c.logs->parsed()) return StudyLogsCommand(context, o.study);
  if (c.pause->parsed()) return StudyPostCommand(context, o.study, "pause");
  if (c.resume->parsed()) return StudyPostCommand(context, o.study, "resume");
  if (c.abort->parsed()) return StudyPostCommand(context, o.study, "abort");
  if (c.download->parsed()) return StudyDownloadCommand(context, o.study, o.out);
  if (c.verify->parsed()) return AuditVerifyCommand(context, o.path);
  if (c.simulate->parsed()) return SimulateCommand(context, o.simulate);
  return DemoCommand(context, o.demo);
}

int Main(int argc, char** argv) {
  Options o;
  Commands c{};
  CLI::App app("Studies between hospitals whose patients' data stay at home.", "consilium");
  app.set_version_flag("--version", std::string(kProgramVersion));
  app.require_subcommand(1);
  app.footer(
      "Example:\n  consilium demo\n  consilium login http://127.0.0.1:7880 --token-file DIR/admin.token\n"
      "  consilium study submit plan.toml && consilium study watch NAME");
  AddFederation(&app, &o, &c);
  AddStudies(&app, &o, &c);
  AddDemo(&app, &o, &c);
  AddSimulate(&app, &o, &c);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const Status started = StartCrypto();
  if (c.doctor->parsed()) return DoctorCommand({Terminal("consilium", o.json), o.coordinator}, started);
  if (!started) return Terminal("consilium", o.json).Fail(started.error());
  return Dispatch(o, c);
}

}  // namespace
}  // namespace consilium::cli

int main(int argc, char** argv) {
  consilium::RequireCpu();
  return consilium::cli::Main(argc, argv);
}
