// consilium-coordinator: what the research consortium runs.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "common/base/cpu.h"
#include "common/base/version.h"
#include "common/settings/terminal.h"
#include "common/settings/value.h"
#include "common/transport/loop.h"
#include "coordinator/daemon.h"
#include "coordinator/doctor.h"

namespace consilium::coordinator {
namespace {

int Init(const Terminal& terminal, const std::string& directory, const Config& config) {
  const auto founded = Initialise(directory, config);
  if (!founded) return terminal.Fail(founded.error());
  terminal.Say(fmt::format(R"(The federation "{}" is founded in {}.
Its fingerprint (of roster 0): {}
Its fingerprint in words: {}

Next:
  consilium-coordinator run {}
  consilium login http://{} --token-file {} --officer-key {}
  consilium invite hospital-a)",
                           config.federation, directory, founded->fingerprint.Hex(), founded->words, directory,
                           config.http, AdminTokenFile(directory).string(), OfficerKeyFile(directory).string()));
  terminal.Document(Value(Value::Object())
                        .Set("federation", config.federation)
                        .Set("directory", directory)
                        .Set("roster_fingerprint", founded->fingerprint.Hex())
                        .Set("words", founded->words)
                        .Set("admin_token_file", AdminTokenFile(directory).string())
                        .Set("officer_key_file", OfficerKeyFile(directory).string()));
  return 0;
}

int Main(int argc, char** argv) {
  TuneAllocator();
  CLI::App app("Coordinates studies between hospitals; patients' data stay at home.", "consilium-coordinator");
  app.set_version_flag("--version", std::string(kProgramVersion));
  app.require_subcommand(1);
  app.footer(
      "Example:\n  consilium-coordinator init /var/lib/consilium/coordinator --federation heart-network\n"
      "  consilium-coordinator run /var/lib/consilium/coordinator");
  bool json = false;
  std::string directory = "/var/lib/consilium/coordinator";
  Config config;
  RunOptions run_options;

  CLI::App* init = app.add_subcommand("init", "Found a federation: keys, roster 0, configuration, admin token");
  init->add_option("DIR", directory, "Where everything is kept (made, 0700)")->capture_default_str();
  init->add_option("--federation", config.federation, "The federation's name; every roster carries it")->required();
  init->add_option("--listen", config.listen, "The port that hospitals dial")->capture_default_str();
  init->add_option("--endpoint", config.endpoint, "What tokens tell hospitals to dial, when it is not --listen");
  init->add_option("--http", config.http, "The interface for `consilium`; loopback only")->capture_default_str();
  init->add_flag("--json", json, "One JSON document on stdout");
  init->footer("Example:\n  consilium-coordinator init DIR --federation heart-network --listen tcp://10.1.2.3:7800");

  CLI::App* run = app.add_subcommand("run", "Run the daemon until SIGTERM");
  run->add_option("DIR", directory, "The directory that init made")->capture_default_str();
  run->add_option("--log", run_options.log_file, "Append the log to this file instead of stderr");
  run->footer("Example:\n  consilium-coordinator run DIR");

  CLI::App* doctor = app.add_subcommand("doctor", "What keeps this coordinator from working, and the mend");
  doctor->add_option("DIR", directory, "The directory that init made")->capture_default_str();
  doctor->add_flag("--json", json, "One JSON document on stdout");
  doctor->footer("Example:\n  consilium-coordinator doctor DIR");

  std::string other;
  CLI::App* backup = app.add_subcommand("backup", "Copy everything into a new directory, also while the daemon runs");
  backup->add_option("DIR", directory, "The directory that init made")->capture_default_str();
  backup->add_option("--to", other, "The backup to make; as secret as DIR")->required();
  backup->footer("Example:\n  consilium-coordinator backup DIR --to /backups/coordinator-2026-11-23");
  CLI::App* restore = app.add_subcommand("restore", "Make a directory again from a backup");
  restore->add_option("DIR", directory, "The directory to make; absent or empty")->capture_default_str();
  restore->add_option("--from", other, "The backup")->required();
  restore->footer("Example:\n  consilium-coordinator restore DIR --from /backups/coordinator-2026-11-23");
  for (CLI::App* command : {backup, restore}) command->add_flag("--json", json, "One JSON document on stdout");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const Terminal terminal("consilium-coordinator", json);
  const Status started = StartCrypto();
  if (doctor->parsed()) return terminal.Report(Examine(directory, started));
  if (!started) return terminal.Fail(started.error());
  if (init->parsed()) return Init(terminal, directory, config);
  if (backup->parsed() || restore->parsed()) {
    const auto done = backup->parsed() ? BackUpDirectory(directory, other) : RestoreDirectory(other, directory);
    if (!done) return terminal.Fail(done.error());
    terminal.Document(*done);
    terminal.Say(fmt::format("{}: {} files, {} bytes", Printable((*done)["directory"].AsString()),
                             (*done)["files"].AsInteger(), (*done)["bytes"].AsInteger()));
    if (restore->parsed()) {
      terminal.Note(
          "Rounds after the backup are not in it; hospitals that are ahead say so and refuse what they have "
          "answered already. Stop the old coordinator before: consilium-coordinator run " +
          directory);
    }
    return 0;
  }
  const Status ended = RunDaemon(directory, run_options);
  return ended ? 0 : terminal.Fail(ended.error());
}

}  // namespace
}  // namespace consilium::coordinator

int main(int argc, char** argv) {
  consilium::RequireCpu();
  return consilium::coordinator::Main(argc, argv);
}
