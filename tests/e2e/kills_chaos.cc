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
  std::string kinds;
  long last = 0;
  int beyond = 0, survived = 0, killed = 0;
  for (long k = 1; beyond < kBeyond; ++k) {
    SCOPED_TRACE(Name(side) + " " + point + " " + std::to_string(k));
    const int failed = FailedParts();
    const std::string at = KillAt({side, point, k});
    const bool good = FailedParts() == failed;
    beyond = at.empty() ? beyond + 1 : 0;
    if (at.empty()) continue;
    last = k;
    ++killed;
    survived += good ? 1 : 0;
    kinds += (kinds.empty() ? "" : " ") + at.substr(0, at == "commit" ? 1 : at.size()) + (good ? "" : "!");
  }
  std::printf("| %s | %s | 1..%ld | %d of %d | %s |\n", Name(side).c_str(), point, last, survived, killed,
              std::string(point).ends_with("send") ? kinds.c_str() : "");
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
