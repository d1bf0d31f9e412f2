// A federation inside this process: the coordinator's core and each hospital's, as the daemons run them, with the same
// gate, encoding, signatures and transfers. Frames are handed over instead of sent, state lies in memory, and the clock
// stands still while anything is left to do, so that no deadline passes because this machine has few cores. Nothing in
// it is secret: whoever runs it holds all data.
#pragma once

#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "cli/session.h"
#include "common/roster/roster.h"
#include "common/storage/memory.h"
#include "common/transport/workers.h"
#include "hospital_node/data/workbench.h"

namespace consilium::cli {

struct SimulatedHospital {
  std::string name;
  node::DataSetSpec data;  // Registered under the name that plans ask for.
};

class Simulation {
 public:
  // Founds the federation and brings every hospital online with its data registered. `workbench` outlives it.
  static Result<std::unique_ptr<Simulation>> Found(const std::vector<SimulatedHospital>& hospitals,
                                                   const node::Workbench* workbench, unsigned workers);
  ~Simulation();

  [[nodiscard]] const Api& coordinator() const;
  [[nodiscard]] const Api& hospital(std::size_t i) const;
  // Until `done`, which is asked now and then. kConflict when an hour of the federation's time passes without it.
  Status RunUntil(const std::function<bool()>& done);
  [[nodiscard]] Result<Stored> StateOf(std::size_t hospital) const;  // What its database would hold.
  // Waits until every hospital was offered the study, then has its officer approve it.
  Status ApproveAll(const std::string& study);

 private:
  struct Process;
  class ProcessApi;
  struct Wake {
    Instant at;
    std::size_t process;
    bool operator>(const Wake& other) const { return at > other.at; }
  };

  Simulation(const node::Workbench* workbench, unsigned workers);
  Status Start(const std::vector<SimulatedHospital>& hospitals);
  void AddProcess(const std::string& name);
  [[nodiscard]] SignedRoster Members(const RosterChain& chain, const std::vector<IdentityKey>& identities,
                                     const IdentityKey& founder) const;
  Status StartCoordinator(IdentityKey identity, const SignedRoster& roster0);
  Status PostRoster(const SignedRoster& roster);
  Status StartHospital(std::size_t index, IdentityKey identity, const RosterChain& chain);
  [[nodiscard]] Now ReadClock() const;
  void Deliver(std::size_t process, Event event);
  // One turn of one process, or one finished job, or the next moment at which somebody wants to be woken. False when
  // there is none.
  Result<bool> Step();
  Status Turn(std::size_t index);
  Status HandOver(std::size_t from, const Send& send);
  void Reconnect(std::size_t hospital, const std::string& reason);
  Result<Reply> Ask(std::size_t process, RequestReceived request);

  const node::Workbench* workbench_;
  std::shared_ptr<BlobPool> pool_ = std::make_shared<BlobPool>();
  std::vector<std::unique_ptr<Process>> processes_;  // 0: the coordinator.
  std::map<TransportKey, std::size_t> by_key_;
  std::deque<std::size_t> ready_;
  std::priority_queue<Wake, std::vector<Wake>, std::greater<>> wakes_;
  Instant clock_;
  std::int64_t wall_ms_at_start_ = 0;
  Instant started_;
  std::map<std::uint64_t, std::pair<std::size_t, std::uint64_t>> jobs_;  // By the pool's number: process, its number.
  std::uint64_t next_job_ = 1, next_request_ = 1;
  std::mutex mutex_;  // Guards the next one.
  std::size_t finished_ = 0;
  std::condition_variable changed_;
  std::unique_ptr<Workers> workers_;  // Last: its threads end before what they use.
};

}  // namespace consilium::cli
