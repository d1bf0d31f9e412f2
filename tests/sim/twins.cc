// See twins.h.
#include "tests/sim/twins.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <tuple>

#include "common/base/twin.h"
#include "tests/sim/world.h"

namespace consilium {
#ifdef CONSILIUM_TWINS
Twin omitted_twin = Twin::kNone;
#endif

namespace sim {
namespace {

#ifdef CONSILIUM_TWINS
constexpr std::uint64_t kSearched = 3000;
constexpr std::uint64_t kCounted = 200;

struct Row {
  Twin twin;
  std::string_view name, bug, place;
  std::uint64_t seed;
  std::string_view invariant;  // What breaks; "CHECK" when a core notices itself.
};
constexpr Row kRows[] = {
#define TWIN(name, bug, place, seed, invariant) {Twin::name, #name, bug, place, seed, invariant},
#include "tests/sim/twins.inc"
#undef TWIN
};

// In a process of its own: a core that misses a check may well stop on another one.
std::string BrokenBy(std::uint64_t seed, Twin omitted) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    close(STDERR_FILENO);
    omitted_twin = omitted;
    const auto outcome = RunSeed(seed, Trace::Mode::kOff);
    const std::string broken = outcome.failure ? outcome.failure->invariant : "";
    _exit(write(ends[1], broken.data(), broken.size()) == static_cast<ssize_t>(broken.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string broken;
  std::array<char, 256> buffer{};
  for (ssize_t got = 0; (got = read(ends[0], buffer.data(), buffer.size())) > 0;)
    broken.append(buffer.data(), static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? "CHECK" : broken;
}

// The first seed that breaks without the check and holds with it.
std::optional<std::pair<std::uint64_t, std::string>> FirstSeed(Twin twin, std::uint64_t most) {
  for (std::uint64_t seed = 1; seed <= most; ++seed) {
    auto broken = BrokenBy(seed, twin);
    if (!broken.empty() && broken != "CHECK" && BrokenBy(seed, Twin::kNone).empty())
      return std::pair(seed, std::move(broken));
  }
  return {};
}
#endif

}  // namespace

bool OmitTwin([[maybe_unused]] std::string_view name) {
#ifdef CONSILIUM_TWINS
  for (const auto& row : kRows) {
    if (row.name != name) continue;
    omitted_twin = row.twin;
    return true;
  }
  fmt::print(stderr, "no twin is called {}; they are in common/base/twin.h\n", name);
#else
  fmt::print(stderr, "this build has no twins; use sim_twins --twin NAME\n");
#endif
  return false;
}

int CheckTwins() {
  int wrong = 0;
#ifdef CONSILIUM_TWINS
  for (const auto& row : kRows) {
    const auto without = BrokenBy(row.seed, row.twin);
    const auto with = BrokenBy(row.seed, Twin::kNone);
    fmt::print("{:>20}  {} ({}); seed {}: without the check \"{}\", with it {}\n", row.name, row.bug, row.place,
               row.seed, without, with.empty() ? "all invariants hold" : with);
    if (without == row.invariant && with.empty()) continue;
    // A change of the cores moves what a seed does; the check must still show in some seed.
    const auto other = FirstSeed(row.twin, kSearched);
    if (other)
      fmt::print("{:>20}  twins.inc is behind: write TWIN({}, \"{}\", \"{}\", {}, \"{}\")\n", "", row.name, row.bug,
                 row.place, other->first, other->second);
    if (!other || !with.empty()) ++wrong;
  }
  fmt::print("{} of {} twins are missed\n", wrong, std::size(kRows));
#else
  fmt::print(stderr, "this build has no twins; use sim_twins --twins\n");
  return 2;
#endif
  return wrong == 0 ? 0 : 1;
}

int SearchTwins() {
  int missed = 0;
#ifdef CONSILIUM_TWINS
  fmt::print(
      "| planted bug | check | invariant that breaks | first seed that finds it | of seeds 1 to {} find it |\n"
      "|---|---|---|---|---|\n",
      kCounted);
  for (const auto& row : kRows) {
    std::uint64_t first = 0, found = 0;
    std::string invariant;
    for (std::uint64_t seed = 1; seed <= kSearched && (seed <= kCounted || first == 0); ++seed) {
      const auto broken = BrokenBy(seed, row.twin);
      if (broken.empty()) continue;
      found += seed <= kCounted ? 1 : 0;
      if (first == 0 && broken != "CHECK") std::tie(first, invariant) = std::pair(seed, broken);
    }
    if (first == 0) ++missed;
    fmt::print("| {} | {}, `{}` | {} | {} | {} |\n", row.bug, row.place, row.name, invariant, first, found);
    std::fflush(stdout);
  }
#else
  fmt::print(stderr, "this build has no twins; use sim_twins --search\n");
  return 2;
#endif
  return missed == 0 ? 0 : 1;
}

}  // namespace sim
}  // namespace consilium
