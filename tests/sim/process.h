// One daemon: its core, its disk, its mailbox and its jobs. Carries a TurnResult out in turn.h's order, and may die
// between any two effects, alone or with its machine.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "tests/sim/context.h"
#include "tests/sim/disk.h"

namespace consilium::sim {

class Process {
 public:
  struct World {  // What the process touches outside itself.
    std::function<Result<std::unique_ptr<Core>>(Stored, Now)> make;
    std::function<void(const PeerKey& to, Bytes frame)> send;
    std::function<void(std::set<PeerKey>)> admit;
    std::function<void(const PeerKey&)> disconnect;
    std::function<void(const std::vector<Write>&)> committed;  // After each durable transaction.
    std::function<void()> started, stopped;
  };
  using Answered = std::function<void(int status, const Bytes& body)>;  // Status 0: the process died first.

  Process(Context& context, std::string name, World world)
      : context_(context), name_(std::move(name)), world_(std::move(world)) {}

  void Start();
  void Crash(std::string_view why, Duration down);  // Starts again by itself; harmless when down.
  [[nodiscard]] bool up() const { return core_ != nullptr; }
  void Deliver(Event event);  // Lost when down.
  void Request(RequestReceived request, Answered answered);
  // Called before the next start: what is on the disk is replaced.
  void RestoreBeforeStart(Disk::Backup backup) { restore_ = std::move(backup); }
  [[nodiscard]] Disk& disk() { return disk_; }
  [[nodiscard]] const Disk& disk() const { return disk_; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  [[nodiscard]] Now NowHere() const;
  void Boot();
  void TurnBy(Duration when);
  void RunTurn();
  void CarryOut(TurnResult result);
  void WakeBy(const std::optional<Instant>& wake);
  void StartJob(consilium::Run run);
  bool Storage(const Status& status, std::string_view what);
  void SendNow(const std::variant<Send, SendChunk>& send);
  void Answer(Reply reply);

  Context& context_;
  std::string name_;
  World world_;
  Disk disk_;
  std::optional<Disk::Backup> restore_;
  std::unique_ptr<Core> core_;
  std::uint64_t incarnation_ = 0, turn_token_ = 0, next_request_ = 1, idle_turns_ = 0;
  Duration boot_{0}, next_turn_{0};  // The monotonic clock counts from the machine's boot.
  BootId boot_id_;
  bool machine_down_ = true;  // Not the process alone: another boot, another clock.
  std::int64_t wall_skew_ms_ = 0;
  bool turn_planned_ = false;
  std::deque<Event> mailbox_;
  std::map<std::uint64_t, Answered> requests_;
};

}  // namespace consilium::sim
