// Every k: a kill before and after each commit and each message of a 3-round study, on each side. `./run chaos`.
#include <algorithm>

#include "tests/e2e/kills.h"

namespace consilium::e2e {
namespace {

int FailedParts() {
  const auto* result = ::testing::UnitTest::GetInstance()->current_test_info()->result();
  int failed = 0;
  for (int i = 0; i < result->total_part_count(); ++i) failed += result->GetTestPartResult(i).failed() ? 1 : 0;
  return failed;
}

struct Parameter {
  Side side;
  const char* point;
};

class KilledAtEvery : public ::testing::TestWithParam<Parameter> {};

TEST_P(KilledAtEvery, K) {
  constexpr int kBeyond = 2;  // Runs differ by a heartbeat or two: the end is where two in a row were not reached.
  const auto [side, point] = GetParam();
  struct Row {  // Of a phase.
    std::map<std::string, int> kinds;
    int killed = 0, survived = 0;
  };
  std::map<std::string, Row> rows;
  int beyond = 0;
  for (long k = 1; beyond < kBeyond; ++k) {
    SCOPED_TRACE(Name(side) + " " + point + " " + std::to_string(k));
    const int failed = FailedParts();
    const std::optional<Effect> at = KillAt({side, point, k});
    const bool good = FailedParts() == failed;
    beyond = at ? 0 : beyond + 1;
    if (!at) continue;
    Row& row = rows[at->phase];
    ++row.killed;
    row.survived += good ? 1 : 0;
    ++row.kinds[at->what];
  }
  for (const char* phase : {"greeting", "consent", "moments", "training", "evaluation", "end"}) {
    const Row& row = rows[phase];
    std::string list;
    for (const auto& [kind, count] : row.kinds) list += (list.empty() ? "" : ", ") + kind + " " + std::to_string(count);
    std::printf("| %s | %s | %s | %s | %d of %d |\n", Name(side).c_str(), point, phase, list.c_str(), row.survived,
                row.killed);
  }
  std::fflush(stdout);
}

INSTANTIATE_TEST_SUITE_P(
    Chaos, KilledAtEvery,
    ::testing::Values(Parameter{Side::kCoordinator, "before-commit"}, Parameter{Side::kCoordinator, "after-commit"},
                      Parameter{Side::kCoordinator, "before-send"}, Parameter{Side::kCoordinator, "after-send"},
                      Parameter{Side::kNode, "before-commit"}, Parameter{Side::kNode, "after-commit"},
                      Parameter{Side::kNode, "before-send"}, Parameter{Side::kNode, "after-send"}));

}  // namespace
}  // namespace consilium::e2e
