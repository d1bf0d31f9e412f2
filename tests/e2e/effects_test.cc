// A kill at any effect: every kind of effect in every phase of a study once, on each side. `./run chaos` takes all.
#include <set>

#include "tests/e2e/kills.h"

namespace consilium::e2e {
namespace {

void KillInEveryPhase(Side side) {
  constexpr long kTries = 3;  // How many heartbeats come before a message depends on the moment.
  std::set<std::pair<std::string, std::string>> taken;
  std::set<std::string> phases;
  for (const Effect& effect : UndisturbedEffects(side)) {
    phases.insert(effect.phase);
    if (!taken.emplace(effect.phase, effect.what).second) continue;
    const bool commit = effect.what == "commit";
    for (const char* point : commit ? std::vector{"before-commit", "after-commit"} : std::vector{"before-send"}) {
      std::string at;
      for (long k = effect.k; k < effect.k + kTries && at != effect.what; ++k) {
        SCOPED_TRACE(Name(side) + " " + point + " " + std::to_string(k) + ": " + effect.phase + ", " + effect.what);
        at = KillAt({side, point, k}).value_or(Effect()).what;
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
  EXPECT_GE(phases.size(), 7U);
  EXPECT_GE(taken.size(), 17U);
}

TEST(KilledAtEffectCoordinator, InEveryPhaseTheStudyGoesOn) { KillInEveryPhase(Side::kCoordinator); }
TEST(KilledAtEffectNode, InEveryPhaseTheStudyGoesOn) { KillInEveryPhase(Side::kNode); }

}  // namespace
}  // namespace consilium::e2e
