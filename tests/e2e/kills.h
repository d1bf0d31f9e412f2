// A 3-round study that also releases hospitals' own figures, in which one daemon is killed at a chosen effect: its k-th
// commit or k-th message that leaves it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/e2e/federation.h"

namespace consilium::e2e {

enum class Side { kCoordinator, kNode };  // Which daemon: the coordinator, or the second hospital's node.
std::string Name(Side side);

// Something that a daemon did to the world, in the order of the undisturbed study.
struct Effect {
  std::string phase;  // greeting, consent, moments, training, evaluation, own figures, end
  std::string what;   // "commit", or the message's kind
  long k = 0;         // The how-manieth commit, or the how-manieth message.
};
std::vector<Effect> UndisturbedEffects(Side side);

struct Kill {
  Side side = Side::kCoordinator;
  std::string point;  // before-commit, after-commit, before-send, after-send
  long k = 1;
};
// Runs the study with that kill, starts the daemon again, and expects the undisturbed model and released figures, one
// answer a round and one COMMIT an attempt. What it was killed at; nullopt when there were fewer effects.
std::optional<Effect> KillAt(const Kill& kill);

}  // namespace consilium::e2e
