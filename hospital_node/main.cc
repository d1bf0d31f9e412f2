// consilium-node: what each hospital runs.
#include <CLI/CLI.hpp>

#include "common/base/cpu.h"
#include "common/base/version.h"
#include "common/transport/loop.h"
#include "hospital_node/commands.h"
#include "hospital_node/daemon.h"
#include "hospital_node/doctor.h"

namespace consilium::node {
namespace {

struct Options {
  bool json = false;
  std::string directory = "/var/lib/consilium/node";
  bool yes = false;
  std::string token_file, plan, officer, study, label, ids, action;
  DataOptions data;
  RunOptions run;
};

CLI::App* Add(CLI::App* parent, Options* options, const std::string& name, const std::string& about,
              const std::string& example) {
  CLI::App* app = parent->add_subcommand(name, about);
  app->add_option("DIR", options->directory, "This node's directory")->capture_default_str();
  app->add_flag("--json", options->json, "One JSON document on stdout");
  app->footer("Example:\n  " + example);
  return app;
}

void AddData(CLI::App* app, DataOptions* data) {
  app->add_option("NAME", data->name, "The data set's name, as plans call it")->required();
  CLI::Option_group* source = app->add_option_group("source", "Where the data lie");
  source->require_option(1);
  source->add_option("--csv", data->csv, "A CSV file, or a folder whose files match the schema's pattern");
  source
      ->add_option("--idx", data->idx,
                   "idx files (.gz too): images and their labels, of each of the schema's parts in turn")
      ->type_name("IMAGES LABELS");
  source->add_option("--npz", data->npz, "An npz file, as numpy.savez writes it");
  app->add_option("--schema", data->schema,
                  "The schema that the data must fit; may be left out for a data set that is registered already");
}

int Main(int argc, char** argv) {
  TuneAllocator();
  Options o;
  CLI::App app("A hospital's own program: data stay here, and nothing is computed that was not approved here.",
               "consilium-node");
  app.set_version_flag("--version", std::string(kProgramVersion));
  app.require_subcommand(1);
  app.footer(
      "Example:\n  consilium-node join DIR < token\n  consilium-node run DIR\n"
      "  consilium-node data add DIR cohort --csv patients.csv --schema cohort.toml\n  consilium-node plan approve "
      "DIR");

  CLI::App* join =
      Add(&app, &o, "join", "Enrol with a token, read from standard input", "consilium-node join DIR < token");
  join->add_option("--token-file", o.token_file, "A 0600 file that holds the token, instead of standard input");
  CLI::App* run = Add(&app, &o, "run", "Run the daemon until SIGTERM", "consilium-node run DIR");
  run->add_option("--log", o.run.log_file, "Append the log to this file instead of stderr");
  CLI::App* status = Add(&app, &o, "status", "What the node is doing", "consilium-node status DIR --json");
  CLI::App* budget = Add(&app, &o, "budget", "What the ledger says has left, per study; unlock it",
                         "consilium-node budget DIR\n  consilium-node budget DIR unlock --officer NAME");
  budget
      ->add_option("ACTION", o.action,
                   "unlock: an officer has looked at a locked ledger, and its rows stand as they are")
      ->check(CLI::IsMember({"unlock"}));
  budget->add_option("--officer", o.officer, "Who answers for it; otherwise the user's name");
  budget->add_flag("--yes", o.yes, "Do not ask");
  CLI::App* results =
      Add(&app, &o, "results", "This hospital's own figures of finished studies", "consilium-node results DIR");
  results->add_option("STUDY", o.study, "Only this study");

  CLI::App* doctor =
      Add(&app, &o, "doctor", "What keeps this node from working, and the mend", "consilium-node doctor DIR");

  CLI::App* data = app.add_subcommand("data", "The hospital's data sets")->require_subcommand(1);
  CLI::App* check = Add(
      data, &o, "check", "Read and check a table; nothing is registered",
      "consilium-node data check DIR cohort --csv patients.csv --schema cohort.toml\n"
      "  consilium-node data check DIR digits --idx images-idx3-ubyte.gz labels-idx1-ubyte.gz --schema digits.toml");
  CLI::App* add = Add(data, &o, "add", "Check a table or images and register them",
                      "consilium-node data add DIR cohort --csv patients.csv --schema cohort.toml\n"
                      "  consilium-node data add DIR xrays --npz xrays.npz --schema xrays.toml");
  AddData(check, &o.data);
  AddData(add, &o.data);
  CLI::App* infer = data->add_subcommand("infer", "A draft of a schema from the data, to correct by hand");
  infer
      ->add_option("FILE", o.data.files, "A CSV file with a header line, an npz file, or two idx files: images, labels")
      ->required();
  infer->add_flag("--json", o.json, "One JSON document on stdout");
  infer->footer("Example:\n  consilium-node data infer patients.csv > cohort.toml");
  CLI::App* exclude = Add(data, &o, "exclude", "Leave out patients who withdrew, from the next attempt on",
                          "consilium-node data exclude DIR cohort --ids withdrawn.txt");
  exclude->add_option("NAME", o.data.name, "The data set's name")->required();
  exclude->add_option("--ids", o.ids, "A file with a patient's id a line, instead of standard input");
  CLI::App* remove = Add(data, &o, "remove", "Register a data set no more; its files are not touched",
                         "consilium-node data remove DIR cohort");
  remove->add_option("NAME", o.data.name, "The data set's name")->required();
  CLI::App* data_list = Add(data, &o, "list", "The registered data sets", "consilium-node data list DIR");

  CLI::App* plan = app.add_subcommand("plan", "Consent to studies")->require_subcommand(1);
  CLI::App* plan_list = Add(plan, &o, "list", "The plans offered to this hospital", "consilium-node plan list DIR");
  CLI::App* show = Add(plan, &o, "show", "A plan in plain words", "consilium-node plan show DIR heart");
  CLI::App* approve =
      Add(plan, &o, "approve", "Let a study compute here", "consilium-node plan approve DIR heart --officer officer-1");
  CLI::App* reject = Add(plan, &o, "reject", "Refuse a study", "consilium-node plan reject DIR heart");
  for (CLI::App* command : {show, approve, reject}) {
    command->add_option("PLAN", o.plan, "Name or id; may be left out when one plan waits for consent");
  }
  for (CLI::App* command : {approve, reject})
    command->add_option("--officer", o.officer, "Who decides; the user's name otherwise");

  CLI::App* roster = app.add_subcommand("roster", "Who is in the federation")->require_subcommand(1);
  CLI::App* roster_show = Add(roster, &o, "show", "The members, who must sign a change, and what is proposed",
                              "consilium-node roster show DIR");
  CLI::App* roster_sign =
      Add(roster, &o, "sign", "Sign the proposed change as this hospital's officer", "consilium-node roster sign DIR");
  roster_sign->add_flag("--yes", o.yes, "The words were compared; do not ask");
  CLI::App* officers = app.add_subcommand("officer", "This hospital's officers' keys")->require_subcommand(1);
  CLI::App* officer_list =
      Add(officers, &o, "list", "The keys here and in the roster", "consilium-node officer list DIR");
  CLI::App* officer_add = Add(officers, &o, "add", "Make a key in DIR/keys/officer-LABEL and propose it",
                              "consilium-node officer add DIR night-shift");
  CLI::App* officer_remove = Add(officers, &o, "remove", "Propose to remove an officer, by label or words",
                                 "consilium-node officer remove DIR night-shift");
  for (CLI::App* command : {officer_add, officer_remove})
    command->add_option("LABEL", o.label, "a-z, 0-9 and '-'; \"officer\" is the key of the enrolment")->required();
  CLI::App* key = app.add_subcommand("key", "This hospital's identity and transport keys")->require_subcommand(1);
  CLI::App* rotate = Add(key, &o, "rotate", "Make new ones and propose them; the node goes over by itself",
                         "consilium-node key rotate DIR");
  for (CLI::App* command : {roster_sign, officer_add, officer_remove, rotate})
    command->add_option("--officer", o.officer, "The label of the officer's key that signs; otherwise the enrolment's");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const Terminal terminal("consilium-node", o.json);
  const Status started = StartCrypto();
  if (doctor->parsed()) return terminal.Report(Examine(o.directory, started));
  if (!started) return terminal.Fail(started.error());
  if (run->parsed()) {
    const Status ended = RunDaemon(o.directory, o.run);
    return ended ? 0 : terminal.Fail(ended.error());
  }
  if (join->parsed()) return JoinCommand(terminal, o.directory, o.token_file);
  if (status->parsed()) return StatusCommand(terminal, o.directory);
  if (budget->parsed()) {
    return o.action.empty() ? BudgetCommand(terminal, o.directory)
                            : UnlockCommand(terminal, o.directory, o.officer, o.yes);
  }
  if (results->parsed()) return ResultsCommand(terminal, o.directory, o.study);
  if (check->parsed() || add->parsed()) return DataCommand(terminal, o.directory, o.data, check->parsed());
  if (infer->parsed()) return DataInferCommand(terminal, o.data.files);
  if (exclude->parsed()) return DataExcludeCommand(terminal, o.directory, o.data.name, o.ids);
  if (remove->parsed()) return DataRemoveCommand(terminal, o.directory, o.data.name);
  if (data_list->parsed()) return DataListCommand(terminal, o.directory);
  if (roster_show->parsed()) return RosterShowCommand(terminal, o.directory);
  if (roster_sign->parsed()) return RosterSignCommand(terminal, o.directory, o.officer, o.yes);
  if (officer_list->parsed()) return OfficerListCommand(terminal, o.directory);
  if (officer_add->parsed()) return OfficerAddCommand(terminal, o.directory, o.label, o.officer);
  if (officer_remove->parsed()) return OfficerRemoveCommand(terminal, o.directory, o.label, o.officer);
  if (rotate->parsed()) return KeyRotateCommand(terminal, o.directory, o.officer);
  if (plan_list->parsed()) return PlanListCommand(terminal, o.directory);
  if (show->parsed()) return PlanShowCommand(terminal, o.directory, o.plan);
  return PlanDecideCommand(terminal, o.directory, o.plan, o.officer, approve->parsed());
}

}  // namespace
}  // namespace consilium::node

int main(int argc, char** argv) {
  consilium::RequireCpu();
  return consilium::node::Main(argc, argv);
}
