// See scenario.h.
#include "tests/sim/scenario.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"
#include "tests/sim/random.h"

namespace consilium::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Schema DrawSchema(std::uint32_t numbers) {
  Schema schema;
  for (std::uint32_t i = 0; i < numbers; ++i) {
    Column column;
    column.name = fmt::format("x{:03}", i);
    column.unit = "mmol/l";
    column.minimum = 0;
    column.maximum = 10 + i;
    schema.columns.push_back(column);
  }
  Column sex;
  sex.name = "sex";
  sex.type = Column::Type::kCategory;
  sex.levels = {"f", "m"};
  schema.columns.push_back(sex);
  Column outcome;
  outcome.name = "outcome";
  outcome.type = Column::Type::kLabel;
  outcome.positive = {"1"};
  outcome.negative = {"0"};
  schema.columns.push_back(outcome);
  return schema;
}

// Large: the upload does not fit into its message and is pulled, sometimes in several leaves.
Plan DrawPlan(Random& random, std::uint32_t index, std::uint32_t hospitals) {
  Plan plan;
  plan.name = fmt::format("study-{}", index);
  plan.purpose = "to see whether the sum is exact";
  plan.researcher = "researcher-a";
  plan.dataset = "cohort";
  plan.profile = Plan::Profile::kVisible;
  plan.dropouts = Plan::Dropouts::kRestart;
  plan.minimum_hospitals = hospitals > 3 && random.PerMille(300) ? 3 : 2;  // One may come late.
  plan.tolerated_dropouts = hospitals > 2 ? static_cast<std::uint32_t>(random.Below(hospitals - 1)) : 0;
  plan.round_deadline = seconds(5 + random.Between(5, 20));  // Four crossings of the slowest network, and work.
  const bool large = random.PerMille(60);
  if (large || random.PerMille(250)) {
    plan.task = Plan::Task::kDescribe;
    const auto columns = static_cast<std::uint32_t>(large ? random.Between(10, 44) : random.Between(1, 4));
    plan.describe_bins = large ? 1024 : 16;
    plan.schema = DrawSchema(columns);
    for (const auto& column : plan.schema.columns) {
      if (column.type == Column::Type::kNumber) plan.describe_columns.push_back(column.name);
    }
    plan.rounds = 1;
  } else {
    plan.task = Plan::Task::kTrain;
    plan.rounds = static_cast<std::uint32_t>(random.Between(1, 4));
    plan.schema = DrawSchema(static_cast<std::uint32_t>(random.Between(1, 4)));
    plan.label = "outcome";
    for (const auto& column : plan.schema.columns) {
      if (column.type == Column::Type::kNumber) plan.features.push_back(column.name);
    }
    plan.standardize = random.PerMille(500) ? "federated" : "declared";
    plan.evaluate_every = plan.rounds > 1 && random.PerMille(200) ? 2 : 0;
  }
  plan.seed = random.Below(1U << 30);
  const std::uint32_t sums = TotalSums(plan);
  plan.maximum_attempts = random.PerMille(150) ? sums + static_cast<std::uint32_t>(random.Below(4)) : 2 * sums + 20;
  auto parsed = ParsePlan(Canonical(plan));  // As everybody else will read it.
  CHECK(parsed.has_value());
  return *parsed;
}

HospitalScenario DrawHospital(Random& random, bool calm) {
  HospitalScenario hospital;
  hospital.decides_at = milliseconds(random.Between(1000, random.PerMille(800) ? 3000 : 15000));
  if (calm) return hospital;
  const auto kind = random.Below(100);
  if (kind < 4) hospital.officer = HospitalScenario::Officer::kRejects;
  if (kind >= 4 && kind < 8) hospital.officer = HospitalScenario::Officer::kRejectsThenApproves;
  if (kind >= 8 && kind < 12) hospital.officer = HospitalScenario::Officer::kSilent;
  hospital.unfit = random.PerMille(20);
  hospital.fails_per_mille = random.PerMille(300) ? static_cast<std::uint32_t>(random.Below(300)) : 0;
  return hospital;
}

void DrawLatencies(Random& random, Scenario* scenario) {
  switch (random.Below(4)) {
    case 0:
      scenario->latency_least = milliseconds(1), scenario->latency_most = milliseconds(3);
      break;
    case 1:
      scenario->latency_least = milliseconds(5), scenario->latency_most = milliseconds(60);
      break;
    case 2:
      scenario->latency_least = milliseconds(40), scenario->latency_most = milliseconds(300);
      break;
    default:
      scenario->latency_least = milliseconds(1), scenario->latency_most = milliseconds(1500);
      break;
  }
  scenario->job_least = milliseconds(1);
  scenario->job_most = milliseconds(random.PerMille(500) ? 50 : 2000);
  scenario->slow_job_most = seconds(30);
}

// Plans that release the figures of single hospitals, and whose policy lets them; from a stream of its own, so that
// what the other one decides stays as it is.
void DrawOwnFigures(Scenario* scenario) {
  Random random(scenario->seed * 0xbf58476d1ce4e5b9ULL + 3);
  for (auto& hospital : scenario->hospitals) hospital.releases_own = random.PerMille(500);
  for (auto& plan : scenario->plans) {
    if (plan.task != Plan::Task::kTrain || !random.PerMille(300)) continue;
    plan.per_hospital = "released";
    ++plan.maximum_attempts;  // For the query that it has more.
    auto parsed = ParsePlan(Canonical(plan));
    CHECK(parsed.has_value());
    plan = *parsed;
  }
}

}  // namespace

bool Scenario::rogue() const { return std::ranges::any_of(hospitals, &HospitalScenario::rogue); }

Scenario DrawScenario(std::uint64_t seed) {
  Random random(seed * 0x9e3779b97f4a7c15ULL + 7);
  Scenario scenario;
  scenario.seed = seed;
  const bool calm = random.PerMille(60);
  const auto count = static_cast<std::uint32_t>(random.Between(2, 5));
  for (std::uint32_t i = 0; i < count; ++i) scenario.hospitals.push_back(DrawHospital(random, calm));
  scenario.plans.push_back(DrawPlan(random, 1, count));
  if (random.PerMille(100)) scenario.plans.push_back(DrawPlan(random, 2, count));
  DrawOwnFigures(&scenario);
  scenario.wild_values = random.PerMille(150);
  DrawLatencies(random, &scenario);
  scenario.restart_most = milliseconds(random.PerMille(700) ? 2000 : 12000);
  scenario.outage_most = seconds(40);
  if (calm) return scenario;

  scenario.faults_until = scenario.faults_from + seconds(random.Between(3, 40));
  scenario.slow_job_per_mille = random.PerMille(300) ? 100 : 0;
  if (random.PerMille(600)) scenario.frame_cut_per_mille = static_cast<std::uint32_t>(random.Between(1, 60));
  if (random.PerMille(600)) scenario.boundary_crash_per_mille = static_cast<std::uint32_t>(random.Between(1, 40));
  if (random.PerMille(500)) scenario.outages = static_cast<std::uint32_t>(random.Between(1, 4));
  if (random.PerMille(250)) {
    scenario.double_per_mille = static_cast<std::uint32_t>(random.Between(0, 100));
    scenario.swap_per_mille = static_cast<std::uint32_t>(random.Between(0, 100));
  }
  if (random.PerMille(30)) scenario.hospitals[random.Below(count)].always_fails = true;
  if (count > 2 && random.PerMille(80)) scenario.hospitals.back().enrols_late = true;
  const auto adversary = random.Below(100);
  if (adversary < 12) {
    auto& hospital = scenario.hospitals[random.Below(count)];
    hospital.rogue = true;
    if (random.PerMille(300)) hospital.officer = HospitalScenario::Officer::kSilent;
  }
  if (adversary >= 12 && adversary < 22) scenario.liar = true;
  if (adversary >= 22 && adversary < 26) scenario.rollback = true;
  if (scenario.liar || scenario.rogue())
    scenario.forged_per_mille = static_cast<std::uint32_t>(random.Between(10, 150));
  scenario.aborts = random.PerMille(30);
  scenario.abort_at = seconds(random.Between(2, 40));
  if (random.PerMille(150)) scenario.revoked = static_cast<std::uint32_t>(random.Below(count) + 1);
  scenario.revoke_at = milliseconds(random.Between(2500, 20000));
  if (random.PerMille(80)) scenario.put_back = static_cast<std::uint32_t>(random.Below(count) + 1);
  if (scenario.liar && count > 2 && random.PerMille(500))  // Who lies has somebody to bring back.
    scenario.revoked = static_cast<std::uint32_t>(random.Below(count) + 1);
  return scenario;
}

std::string Describe(const Scenario& s) {
  std::string text = fmt::format("{} hospitals", s.hospitals.size());
  for (const auto& plan : s.plans) {
    text += fmt::format(", {} of {} rounds{}, {} tolerated, {} attempts at most, {} s",
                        plan.task == Plan::Task::kTrain ? "train" : "describe", plan.rounds,
                        ReleasesOwnFigures(plan) ? " and own figures" : "", plan.tolerated_dropouts,
                        plan.maximum_attempts, plan.round_deadline.count() / 1'000'000);
  }
  for (std::size_t i = 0; i < s.hospitals.size(); ++i) {
    const auto& h = s.hospitals[i];
    if (h.officer != HospitalScenario::Officer::kApproves || h.unfit || h.always_fails || h.rogue || h.enrols_late ||
        h.fails_per_mille > 0) {
      text += fmt::format("; hospital {}: officer {}{}{}{}{}, fails {}/1000", i + 1, static_cast<int>(h.officer),
                          h.unfit ? " unfit" : "", h.always_fails ? " always-fails" : "", h.rogue ? " ROGUE" : "",
                          h.enrols_late ? " late" : "", h.fails_per_mille);
    }
  }
  text +=
      fmt::format("; faults for {} s: cuts {}, crashes {}, outages {}, doubles {}, swaps {}, slow jobs {}{}{}{}{}{}{}",
                  (s.faults_until - s.faults_from).count() / 1'000'000, s.frame_cut_per_mille,
                  s.boundary_crash_per_mille, s.outages, s.double_per_mille, s.swap_per_mille, s.slow_job_per_mille,
                  s.liar ? ", LIAR" : "", s.rollback ? ", ROLLBACK" : "", s.aborts ? ", aborted" : "",
                  s.wild_values ? ", wild values" : "", s.revoked == 0 ? "" : fmt::format(", {} revoked", s.revoked),
                  s.put_back == 0 ? "" : fmt::format(", {} put back", s.put_back));
  return text;
}

}  // namespace consilium::sim
