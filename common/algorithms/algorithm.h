// An algorithm: give the next query, absorb an answer, save, restore. Pure and deterministic (double, fixed order, no
// FMA contraction, no libm but sqrt): the coordinator runs it, and in the secure profile every hospital will too.
// It knows nothing of sockets, masks or disks.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "common/plan/plan.h"
#include "common/query/query.h"

namespace consilium {

// A query before the study numbers it, and the blobs that it names in params["inputs"].
struct Step {
  Query query;  // plan and round are filled by the study.
  std::vector<Bytes> inputs;
};

// What is kept between answers; storage.capnp's AlgorithmState.
struct AlgorithmState {
  std::uint32_t step = 0;                              // Answers absorbed.
  std::map<std::string, std::vector<double>> vectors;  // For example "global".
  Value results;                                       // What Results() shows; an object.
  std::vector<Digest> bases;                           // Digests of the last answers.
  bool operator==(const AlgorithmState&) const = default;
};

class Algorithm {
 public:
  virtual ~Algorithm() = default;
  // nullopt once finished. The same until Absorb. `hospitals` is the number invited: it fixes the scales.
  [[nodiscard]] virtual std::optional<Step> Next(std::uint32_t hospitals) const = 0;
  // Takes the answer to the query of Next. kProtocol when it does not fit.
  virtual Status Absorb(const Query& query, const Answer& answer) = 0;
  [[nodiscard]] virtual AlgorithmState Save() const = 0;
  // Why nothing further is asked although the plan goes on: Next is nullopt then, and the study fails.
  //   kSingleClass  the answers show that all labelled rows of the cohort are of one class, so that there is nothing to
  //                 learn or to rank; Results()["single_class"] is "positive" or "negative"
  //   kDiverged     the training gives no usable model any more; Results()["diverged"] says in which round
  enum class Failure : std::uint8_t { kNone, kSingleClass, kDiverged };
  [[nodiscard]] virtual Failure failure() const { return Failure::kNone; }
  // How many answers the plan needs at most, for progress bars and maximum_attempts; early stopping needs fewer.
  [[nodiscard]] virtual std::uint32_t TotalSteps() const = 0;
  // For reports: {"describe": ...} or {"rounds": [...], "evaluation": {...}, "preprocessing": {...}}.
  [[nodiscard]] virtual Value Results() const = 0;
  // The final (or latest) model as safetensors with plan hash, rounds, layout, preprocessing; nullopt for describe.
  [[nodiscard]] virtual std::optional<Bytes> ModelFile() const = 0;
};

// From nothing, or from a saved state (kCorrupt when it does not belong to the plan).
Result<std::unique_ptr<Algorithm>> MakeAlgorithm(const Plan& plan);
Result<std::unique_ptr<Algorithm>> RestoreAlgorithm(const Plan& plan, const AlgorithmState& state);

}  // namespace consilium
