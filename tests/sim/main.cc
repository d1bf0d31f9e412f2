// sim --seeds N [--first K] | --seed S [--verbose] | --same N (each seed twice, the same run) | --twin NAME,
// --twins, --search (sim_twins).
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/base/log.h"
#include "common/crypto/secret.h"
#include "tests/sim/twins.h"
#include "tests/sim/world.h"

namespace consilium::sim {
namespace {

struct Arguments {
  std::uint64_t seeds = 0, first = 1, same = 0;
  std::optional<std::uint64_t> seed;
  bool verbose = false, twins = false, search = false;
  std::string twin;
};

volatile std::uint64_t current_seed = 0;

void OnAbort(int) {  // A CHECK failed: name the seed, which is all that is needed to see it again.
  char text[96];
  const int size =
      std::snprintf(text, sizeof text, "\nseed %llu: a CHECK failed; see it with --seed %llu --verbose\n",
                    static_cast<unsigned long long>(current_seed), static_cast<unsigned long long>(current_seed));
  if (write(STDERR_FILENO, text, static_cast<std::size_t>(size)) < 0) _exit(2);
  _exit(1);
}

std::optional<Arguments> Parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--verbose") {
      out.verbose = true;
    } else if (flag == "--twins") {
      out.twins = true;
    } else if (flag == "--search") {
      out.search = true;
    } else if (i + 1 >= argc) {
      return {};
    } else if (flag == "--twin") {
      out.twin = argv[++i];
    } else if (flag == "--seeds") {
      out.seeds = std::strtoull(argv[++i], nullptr, 10);
    } else if (flag == "--first") {
      out.first = std::strtoull(argv[++i], nullptr, 10);
    } else if (flag == "--seed") {
      out.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (flag == "--same") {
      out.same = std::strtoull(argv[++i], nullptr, 10);
    } else {
      return {};
    }
  }
  return out;
}

int Report(std::uint64_t seed, const Outcome& outcome) {
  fmt::print("\nseed {}: BROKEN {}: {}\n", seed, outcome.failure->invariant, outcome.failure->what);
  const auto again = outcome.last_events.empty() ? RunSeed(seed, Trace::Mode::kKeep) : outcome;
  fmt::print("the last events (all of them: --seed {} --verbose)\n", seed);
  for (const auto& line : again.last_events) fmt::print("{}\n", line);
  return 1;
}

int RunMany(const Arguments& arguments) {
  const Instant begin = BootClock::now();
  std::uint64_t answers = 0, steps = 0;
  double virtual_s = 0;
  for (std::uint64_t seed = arguments.first; seed < arguments.first + arguments.seeds; ++seed) {
    current_seed = seed;
    const auto outcome = RunSeed(seed, Trace::Mode::kOff);
    if (outcome.failure) return Report(seed, outcome);
    answers += outcome.answers;
    steps += outcome.steps;
    virtual_s += static_cast<double>(outcome.virtual_time.count()) / 1e6;
  }
  const double seconds = static_cast<double>((BootClock::now() - begin).count()) / 1e6;
  fmt::print("{} seeds from {}: all invariants hold; {} answers, {} events, {:.1f} h of virtual time; {:.1f} seeds/s\n",
             arguments.seeds, arguments.first, answers, steps, virtual_s / 3600,
             static_cast<double>(arguments.seeds) / seconds);
  return 0;
}

int RunOne(const Arguments& arguments) {
  current_seed = *arguments.seed;
  const auto outcome = RunSeed(*arguments.seed, arguments.verbose ? Trace::Mode::kPrint : Trace::Mode::kKeep);
  if (outcome.failure) return Report(*arguments.seed, outcome);
  fmt::print("seed {}: all invariants hold; {} answers, {} events, trace {:016x}\n", *arguments.seed, outcome.answers,
             outcome.steps, outcome.trace_hash);
  return 0;
}

int RunTwice(const Arguments& arguments) {
  for (std::uint64_t seed = arguments.first; seed < arguments.first + arguments.same; ++seed) {
    current_seed = seed;
    const auto once = RunSeed(seed, Trace::Mode::kOff), twice = RunSeed(seed, Trace::Mode::kKeep);
    if (once.trace_hash != twice.trace_hash || once.steps != twice.steps) {
      fmt::print("seed {}: two runs differ, so a failure could not be repeated\n", seed);
      return 1;
    }
  }
  fmt::print("{} seeds run twice, each time the same\n", arguments.same);
  return 0;
}

int Main(int argc, char** argv) {
  const auto arguments = Parse(argc, argv);
  const bool nothing = arguments && arguments->seeds == 0 && arguments->same == 0 && !arguments->seed &&
                       !arguments->twins && !arguments->search;
  if (!arguments || nothing) {
    fmt::print(stderr,
               "usage: sim --seeds N [--first K] | --seed S [--verbose] | --same N [--first K] [--twin NAME | --twins "
               "| --search]\n");
    return 2;
  }
  if (auto started = StartCrypto(); !started) {
    fmt::print(stderr, "{}\n", started.error().what);
    return 1;
  }
  // The cores' own lines, at real time, help only beside the trace.
  SetLogLevel(arguments->verbose ? LogLevel::kInfo : LogLevel::kError);
  if (!arguments->verbose) SetLogFile("/dev/null");
  if (!arguments->twin.empty() && !OmitTwin(arguments->twin)) return 2;
  if (arguments->twins) return CheckTwins();
  if (arguments->search) return SearchTwins();
  std::signal(SIGABRT, OnAbort);
  if (arguments->seed) return RunOne(*arguments);
  return arguments->same > 0 ? RunTwice(*arguments) : RunMany(*arguments);
}

}  // namespace
}  // namespace consilium::sim

int main(int argc, char** argv) { return consilium::sim::Main(argc, argv); }
