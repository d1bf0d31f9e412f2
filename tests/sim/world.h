// A whole federation in one thread: coordinator, hospitals, officers and a researcher, from a seed to the end of its
// studies. The people act only through requests, as docs/api.md says.
#pragma once

#include <memory>
#include <vector>

#include "common/roster/roster.h"
#include "tests/sim/forger.h"
#include "tests/sim/network.h"
#include "tests/sim/process.h"
#include "tests/sim/watch.h"
#include "tests/sim/workbench.h"

namespace consilium::sim {

struct Outcome {
  std::optional<Failure> failure;
  std::vector<std::string> last_events;
  std::uint64_t trace_hash = 0, steps = 0;
  Duration virtual_time{0};
  std::uint32_t answers = 0;  // Over all studies.
};

class World {
 public:
  World(Scenario scenario, Trace::Mode trace);
  Outcome Run();

 private:
  struct Hospital {
    std::uint32_t number = 0;
    std::string name;
    std::unique_ptr<FakeWorkbench> workbench;
    std::unique_ptr<Process> process;
    std::size_t end = 0;
    bool registered = false;  // Its data set.
    std::map<StudyId, Duration> rejected_at;
    std::set<StudyId> approved_all;  // By an officer who was shown the whole roster.
  };
  // keys
  [[nodiscard]] static const IdentityKey& Identity(std::string_view who);  // Made once.
  [[nodiscard]] static TransportKey Transport(std::string_view who);
  [[nodiscard]] Member MemberOf(std::uint32_t number) const;
  [[nodiscard]] RosterSignature MembershipSignature(const Member& member) const;
  // making
  void MakeCoordinator();
  void MakeHospital(std::uint32_t number);
  [[nodiscard]] Process::World CoordinatorWorld();
  [[nodiscard]] Process::World HospitalWorld(std::uint32_t number);
  // people
  using Then = std::function<void(int status, const Value& body)>;
  void Ask(Process& process, std::string method, std::string path, Value body, Then then);
  void Again(Duration least, Duration most, std::function<void()> act);
  void PostRoster(const SignedRoster& roster, std::function<void(bool complete)> then);
  [[nodiscard]] SignedRoster Proposed(const Value& next) const;
  void StartHospitals();
  void Submit(std::size_t plan);
  void Abort(StudyId study);
  void Register(std::uint32_t number);
  void Officer(std::uint32_t number);
  bool Decide(std::uint32_t number, const Value& plan, bool roster_complete);
  void EnrolLate(std::uint32_t number);
  void Join(std::uint32_t number);
  void Confirm(std::uint32_t number);
  void AwaitMember(std::uint32_t number);
  void Revoke(std::uint32_t number);
  void SignRosters(std::uint32_t number);
  void Unlock(std::uint32_t number);
  // faults
  void PlanOutages();
  void Outage();
  void PlanRollback();
  void PlanPutBack();

  [[nodiscard]] bool Over();
  Hospital& At(std::uint32_t number) { return *hospitals_[number - 1]; }

  Context context_;
  Network network_;
  Watch watch_;
  Forger forger_;
  Roster founding_;
  SignedRoster roster0_;
  std::unique_ptr<Process> coordinator_;
  std::vector<std::unique_ptr<Hospital>> hospitals_;
  std::map<std::pair<const Process*, std::string>, std::pair<Bytes, Value>> answers_;  // To (whom, path), the last one.
  bool ended_ = false;
  Duration ended_at_{0};
};

Outcome RunSeed(std::uint64_t seed, Trace::Mode trace);

}  // namespace consilium::sim
