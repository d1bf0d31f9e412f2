// One daemon's core with the simulator's disk under it, driven event by event: the fuzzer is the peers, the people, the
// clock and the power. Carries a TurnResult out in turn.h's order, and stops between two effects where it is told to.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>

#include "tests/fuzz/fuzz.h"
#include "tests/sim/context.h"
#include "tests/sim/disk.h"
#include "tests/sim/watch.h"

namespace consilium::fuzz {

// All hospitals may lie and no network is orderly: what the watch demands of honest ones is not asked.
sim::Scenario HostileScenario(bool liar);

class Host {
 public:
  struct World {
    std::function<Result<std::unique_ptr<Core>>(Stored, Now)> make;
    std::function<void(const std::vector<Write>&)> committed;
    std::function<void(const PeerKey& to, const Bytes& frame)> sent;
    std::function<void(const RequestReceived&, int status, const Value& body)> answered;
  };
  Host(sim::Context& context, World world) : context_(context), world_(std::move(world)) {}

  void Start();  // From the disk; what is there must be enough.
  void Give(Event event) { waiting_.push_back(std::move(event)); }
  void Ask(RequestReceived request);  // Its id is given here.
  void Turn();                        // With all that waits.
  void Sleep(Duration duration);      // And the turn that a wake would bring.
  void Work(std::size_t nth);         // Ends one of the jobs under way, if there is one.
  void WorkAll();
  // Power goes after so many effects of the next turn; nullopt: it stays.
  void CrashAfter(std::size_t effects) { crash_after_ = effects; }
  void Crash();
  [[nodiscard]] bool stopped() const { return stopped_; }
  [[nodiscard]] std::size_t unanswered() const { return asked_.size(); }
  [[nodiscard]] const std::set<PeerKey>& disconnected() const { return disconnected_; }
  void ForgetDisconnects() { disconnected_.clear(); }
  [[nodiscard]] sim::Disk& disk() { return disk_; }
  [[nodiscard]] Now now() const;
  void CheckWatch() const;  // Stops the process where an invariant is broken.

 private:
  void CarryOut(TurnResult result);
  void Answer(const Reply& reply);

  sim::Context& context_;
  World world_;
  sim::Disk disk_;
  std::unique_ptr<Core> core_;
  std::vector<Event> waiting_;
  std::deque<consilium::Run> jobs_;
  std::map<std::uint64_t, RequestReceived> asked_;
  std::set<PeerKey> disconnected_;
  std::optional<std::size_t> crash_after_;
  std::optional<Instant> wake_;
  std::uint64_t next_request_ = 1;
  bool stopped_ = false;
  std::uint8_t boots_ = 1;
};

// A well-signed frame around any payload bytes, as a peer with a good key and ill will makes it.
Bytes Sealed(ByteView payload, const IdentityKey& key);
Bytes PayloadOf(const Message& message);
// JSON of `rest`, or null.
Value AnyJson(ByteView text);

}  // namespace consilium::fuzz
