// See world.h: making the federation, breaking it, and running it to its end.
#include "tests/sim/world.h"

#include "coordinator/service.h"
#include "hospital_node/service.h"

namespace consilium::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kPatience = minutes(30);   // After faults stop, within this the studies end.
constexpr Duration kAftermath = seconds(15);  // What happens after the end must break nothing either.
constexpr std::uint64_t kMaxSteps = 3'000'000;
constexpr std::string_view kAdmin = "admin-token";
constexpr std::string_view kFederation = "federation-a";

}  // namespace

const IdentityKey& World::Identity(std::string_view who) {
  static std::map<std::string, IdentityKey, std::less<>> made;
  const auto known = made.find(who);
  if (known != made.end()) return known->second;
  return made.emplace(who, IdentityKey::FromSeed(Fields("sim/identity").AddText(who).Hash())).first->second;
}

TransportKey World::Transport(std::string_view who) {  // Never used as a key here: a peer's name is enough.
  return TransportKey(Fields("sim/transport").AddText(who).Hash().bytes);
}

World::World(Scenario scenario, Trace::Mode trace)
    : context_(std::move(scenario), scenario.seed),
      network_(context_, Transport("coordinator"), [this](Event event) { coordinator_->Deliver(std::move(event)); }),
      watch_(context_, Identity("coordinator").verify_key()),
      forger_(context_, network_, watch_) {
  context_.trace.SetMode(trace);
  context_.Note("seed {}: {}", context_.scenario.seed, Describe(context_.scenario));
  for (const auto& plan : context_.scenario.plans) watch_.AddStudy(plan);
  MakeCoordinator();
  for (std::uint32_t number = 1; number <= context_.scenario.hospitals.size(); ++number) MakeHospital(number);
}

void World::MakeCoordinator() {
  founding_.federation = kFederation;
  founding_.server_identity = Identity("coordinator").verify_key();
  founding_.server_transport = Transport("coordinator");
  founding_.founder = Identity("founder").verify_key();
  roster0_.roster = Canonical(founding_);
  roster0_.signatures = {SignRoster(roster0_.roster, Identity("founder"))};
  coordinator_ = std::make_unique<Process>(context_, "coordinator", CoordinatorWorld());
  const auto founded = coordinator_->disk().Commit(coordinator::FoundingWrites(roster0_, kAdmin));
  if (!founded) context_.Fail("storage", founded.error().what);
}

Process::World World::CoordinatorWorld() {
  Process::World world;
  world.make = [this](Stored stored, Now now) -> Result<std::unique_ptr<Core>> {
    return TRY(coordinator::Service::Create({.identity = IdentityKey::FromSeed(Identity("coordinator").seed()),
                                             .server_key = Transport("coordinator"),
                                             .endpoint = "tcp://127.0.0.1:1",
                                             .build = "sim",
                                             .stored = std::move(stored),
                                             .storage = &coordinator_->disk(),
                                             .blobs = &coordinator_->disk()},
                                            now));
  };
  world.send = [this](const PeerKey& to, Bytes frame) {
    watch_.OnCoordinatorSends(frame);
    network_.FromCoordinator(to, frame);
    if (!context_.scenario.liar) return;
    std::vector<TransportKey> peers;
    for (const auto& hospital : hospitals_) peers.push_back(Transport(hospital->name));
    forger_.AfterCoordinator(peers.size(), Identity("coordinator"), peers, frame);
  };
  world.admit = [this](std::set<PeerKey> keys) { network_.Admit(std::move(keys)); };
  world.disconnect = [this](const PeerKey& peer) { network_.DisconnectPeer(peer); };
  world.committed = [this](const std::vector<Write>& writes) { watch_.OnCoordinatorCommitted(writes); };
  world.started = [this] {
    network_.CoordinatorStarted();
    watch_.OnCoordinatorStarted();
  };
  world.stopped = [this] {
    network_.CoordinatorStopped();
    watch_.OnCoordinatorStopped();
  };
  return world;
}

void World::MakeHospital(std::uint32_t number) {
  const auto& scenario = context_.scenario.hospitals[number - 1];
  auto& hospital = *hospitals_.emplace_back(std::make_unique<Hospital>());
  hospital.number = number;
  hospital.name = fmt::format("hospital-{}", static_cast<char>('a' + number - 1));
  hospital.process = std::make_unique<Process>(context_, hospital.name, HospitalWorld(number));
  hospital.end = network_.AddEnd(Transport(hospital.name),
                                 [this, number](Event event) { At(number).process->Deliver(std::move(event)); });
  if (scenario.rogue) forger_.SetRogue({hospital.end, number});
  watch_.AddHospital(number);
  hospital.workbench = std::make_unique<FakeWorkbench>(
      number, context_.scenario.wild_values, scenario.unfit,
      [this, number, &scenario](const Plan&, const Query& query, const std::map<Digest, Bytes>& inputs) -> Status {
        watch_.OnCompute(number, query, inputs);
        const bool fails =
            scenario.always_fails || (context_.Faulty() && context_.random.PerMille(scenario.fails_per_mille));
        if (fails) return Fail(Code::kIo, "a file of the data set cannot be read");
        return {};
      });
}

Process::World World::HospitalWorld(std::uint32_t number) {
  Process::World world;
  world.make = [this, number](Stored stored, Now now) -> Result<std::unique_ptr<Core>> {
    auto& hospital = At(number);
    const auto& scenario = context_.scenario.hospitals[number - 1];
    return TRY(node::Service::Create({.identity = IdentityKey::FromSeed(Identity(hospital.name).seed()),
                                      .transport = Transport(hospital.name),
                                      .server_key = Transport("coordinator"),
                                      .roster_fingerprint = roster0_.hash(),
                                      .name = hospital.name,
                                      .build = "sim",
                                      .policy = {.release_own_figures = scenario.releases_own},
                                      .stored = std::move(stored),
                                      .storage = &hospital.process->disk(),
                                      .blobs = &hospital.process->disk(),
                                      .workbench = hospital.workbench.get()},
                                     now));
  };
  world.send = [this, number](const PeerKey&, Bytes frame) {
    auto& hospital = At(number);
    watch_.OnHospitalSends(number, frame);
    network_.FromEnd(hospital.end, frame);
    for (const auto& rogue : hospitals_) {
      if (!context_.scenario.hospitals[rogue->number - 1].rogue) continue;
      forger_.AfterHospital(number, Identity(rogue->name), frame);
    }
  };
  world.admit = [](std::set<PeerKey>) {};
  world.disconnect = [this, number](const PeerKey&) { network_.Cut(At(number).end, "by the hospital"); };
  world.committed = [this, number](const std::vector<Write>& writes) { watch_.OnHospitalCommitted(number, writes); };
  world.started = [this, number] { network_.EndStarted(At(number).end); };
  world.stopped = [this, number] { network_.EndStopped(At(number).end); };
  return world;
}

// ---- faults ----

void World::PlanOutages() {
  const auto& scenario = context_.scenario;
  for (std::uint32_t i = 0; i < scenario.outages; ++i) {
    context_.scheduler.At(context_.Within(scenario.faults_from, scenario.faults_until), [this] { Outage(); });
  }
}

void World::Outage() {
  const Duration lasts = context_.Within(Duration(1000), context_.scenario.outage_most);
  const auto kind = context_.random.Below(10);
  if (kind < 3) return coordinator_->Crash("outage", lasts);
  auto& hospital = *hospitals_[context_.random.Below(hospitals_.size())];
  if (kind < 6) return hospital.process->Crash("outage", lasts);
  if (kind < 9) return network_.Block(hospital.end, context_.now() + lasts);
  for (auto& each : hospitals_) network_.Block(each->end, context_.now() + lasts);
}

void World::PlanRollback() {
  const auto& scenario = context_.scenario;
  if (!scenario.rollback) return;
  const Duration taken = context_.Within(scenario.faults_from, scenario.faults_until);
  context_.scheduler.At(taken, [this, taken] {
    context_.scheduler.At(context_.Within(taken, context_.scenario.faults_until),
                          [this, backup = coordinator_->disk().durable()] {
                            if (!coordinator_->up()) return;
                            coordinator_->RestoreBeforeStart(backup);
                            coordinator_->Crash("its disk is lost", std::chrono::seconds(2));
                            watch_.OnCoordinatorRestored(backup);
                          });
  });
}

// An administrator restores a hospital's directory from an old copy.
void World::PlanPutBack() {
  const auto& scenario = context_.scenario;
  if (scenario.put_back == 0) return;
  const Duration taken = context_.Within(scenario.faults_from, scenario.faults_until);
  context_.scheduler.At(taken, [this, taken, number = scenario.put_back] {
    context_.scheduler.At(context_.Within(taken, context_.scenario.faults_until),
                          [this, number, backup = At(number).process->disk().durable()] {
                            if (!At(number).process->up()) return;
                            At(number).process->RestoreBeforeStart(backup);
                            At(number).process->Crash("its directory is put back", std::chrono::seconds(2));
                            watch_.OnHospitalPutBack(number, backup);
                            Again(seconds(3), seconds(6), [this, number] { Register(number); });
                          });
  });
}

// ---- the run ----

bool World::Over() {
  const auto& scenario = context_.scenario;
  if (context_.failure) return true;
  if (context_.now() < scenario.faults_until) return false;
  if (!scenario.CoordinatorHonest()) return context_.now() > scenario.faults_until + seconds(60);
  if (!ended_) {
    ended_ = watch_.Ended();
    ended_at_ = context_.now();
  }
  return ended_ && context_.now() > ended_at_ + kAftermath;
}

Outcome World::Run() {
  coordinator_->Start();
  context_.scheduler.After(Duration(1000), [this] { StartHospitals(); });
  for (std::size_t i = 0; i < context_.scenario.plans.size(); ++i) {
    context_.scheduler.After(context_.Within(seconds(1), seconds(2)), [this, i] { Submit(i); });
  }
  PlanOutages();
  PlanRollback();
  PlanPutBack();
  while (!Over()) {
    if (!context_.scheduler.Step()) break;
    watch_.OnTime();
    const bool late = context_.now() > context_.scenario.faults_until + kPatience;
    if (late || context_.scheduler.steps() > kMaxSteps) {
      context_.Fail("the study ends", fmt::format("{} s after the faults: {}",
                                                  (context_.now() - context_.scenario.faults_until).count() / 1'000'000,
                                                  watch_.WhatIsLeft()));
    }
  }
  if (!context_.failure && context_.scenario.CoordinatorHonest()) watch_.AtEnd();
  context_.Note("coordinator keeps {} blobs at the end", coordinator_->disk().durable().blobs.size());
  for (const auto& hospital : hospitals_)
    context_.Note("{} keeps {} blobs at the end", hospital->name, hospital->process->disk().durable().blobs.size());
  Outcome outcome;
  outcome.failure = context_.failure;
  outcome.last_events.assign(context_.trace.last().begin(), context_.trace.last().end());
  outcome.trace_hash = context_.trace.hash();
  outcome.steps = context_.scheduler.steps();
  outcome.virtual_time = context_.now();
  outcome.answers = watch_.Answers();
  return outcome;
}

Outcome RunSeed(std::uint64_t seed, Trace::Mode trace) { return World(DrawScenario(seed), trace).Run(); }

}  // namespace consilium::sim
