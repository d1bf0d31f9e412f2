// What a seed stands for: who takes part, what is asked, and which faults happen how often.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "common/plan/plan.h"

namespace consilium::sim {

struct HospitalScenario {
  enum class Officer : std::uint8_t { kApproves, kRejects, kRejectsThenApproves, kSilent } officer = Officer::kApproves;
  Duration decides_at{0};
  bool unfit = false;                 // Its data set does not fit the plan.
  bool always_fails = false;          // Every Compute fails, also after faults stop.
  std::uint32_t fails_per_mille = 0;  // Compute while faults last.
  bool rogue = false;                 // Its keys are in an attacker's hands.
  bool enrols_late = false;           // Not in roster 1: comes through the API.
  bool releases_own = false;          // Its policy lets its own figures out, under its name.
};

struct Scenario {
  std::uint64_t seed = 0;
  std::vector<HospitalScenario> hospitals;
  std::vector<Plan> plans;
  bool wild_values = false;

  Duration faults_from = std::chrono::seconds(2), faults_until = std::chrono::seconds(2);
  Duration latency_least{0}, latency_most{0}, job_least{0}, job_most{0}, slow_job_most{0};
  std::uint32_t slow_job_per_mille = 0;

  std::uint32_t frame_cut_per_mille = 0;       // The connection breaks with this frame in flight.
  std::uint32_t boundary_crash_per_mille = 0;  // A turn's effects are carried out only in part.
  std::uint32_t outages = 0;                   // Long ones: a node or the coordinator down, or its network gone.
  Duration outage_most{0}, restart_most{0};
  std::uint32_t double_per_mille = 0, swap_per_mille = 0;  // Adversarial network.
  std::uint32_t forged_per_mille = 0;  // Rogue hospital or lying coordinator: chance a frame to add one.
  bool liar = false;                   // The coordinator's key signs lies as well.
  bool rollback = false;               // The coordinator comes back from an old backup.
  std::uint32_t put_back = 0;          // This hospital's directory is put back to an earlier state; 0: none.
  bool aborts = false;
  Duration abort_at{0};
  std::uint32_t revoked = 0;  // This hospital is revoked in mid-study; 0: none.
  Duration revoke_at{0};

  // Whether what the coordinator says can be relied on: invariants across hospitals hold then.
  [[nodiscard]] bool CoordinatorHonest() const { return !liar && !rollback; }
  [[nodiscard]] bool rogue() const;  // Some hospital's keys are stolen.
};

Scenario DrawScenario(std::uint64_t seed);
std::string Describe(const Scenario& scenario);

}  // namespace consilium::sim
