// bench [NAME...] [--json] [--seconds S]: figures beside their limits, measured in the same run.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <set>

#include "bench/harness.h"
#include "common/base/cpu.h"
#include "common/transport/loop.h"

namespace consilium::bench {
namespace {

struct Bench {
  const char* name;
  void (*run)(const Options&, const std::function<void(const Figure&)>&);
};
constexpr Bench kAll[] = {{"mlp", Mlp}};

int Main(int argc, char** argv) {
  TuneAllocator();  // As the daemons do.
  Options options;
  std::vector<std::string> names;
  CLI::App app("Speed beside its limit, both measured in turns in this run.", "bench");
  app.footer("Example:\n  ./run bench mlp --json");
  app.add_flag("--json", options.json, "One JSON document a line");
  app.add_option("--seconds", options.seconds, "Spent on each figure")->capture_default_str();
  CLI::Option* which = app.add_option("NAME", names, "Which; all when none is named");
  std::set<std::string> known;
  for (const Bench& bench : kAll) known.insert(bench.name);
  which->check(CLI::IsMember(known));
  CLI11_PARSE(app, argc, argv);
  for (const Bench& bench : kAll) {
    if (!names.empty() && std::ranges::find(names, bench.name) == names.end()) continue;
    bench.run(options, [&](const Figure& figure) {
      std::puts((options.json ? Json(figure) : Text(figure)).c_str());
      std::fflush(stdout);
    });
  }
  return 0;
}

}  // namespace
}  // namespace consilium::bench

int main(int argc, char** argv) {
  consilium::RequireCpu();
  return consilium::bench::Main(argc, argv);
}
