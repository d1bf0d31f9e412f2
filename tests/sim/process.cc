// See process.h.
#include "tests/sim/process.h"

#include "common/base/check.h"

namespace consilium::sim {
namespace {

constexpr std::uint64_t kMaxIdleTurns = 5000;  // In a row, without an event or an effect: the core spins.
constexpr std::int64_t kEpochMs = 1'750'000'000'000;

std::size_t EffectsOf(const TurnResult& result) {
  return result.blob_writes.size() + result.blob_seals.size() + (result.transaction.empty() ? 0 : 1) +
         result.blob_drops.size() + result.sends.size() + result.runs.size() + result.replies.size() +
         result.disconnects.size();
}

// After how many effects the power goes; nullopt: it stays. Half of the crashes fall around the commit.
std::optional<std::size_t> CrashPoint(Context& context, const TurnResult& result) {
  const std::size_t effects = EffectsOf(result);
  if (effects == 0 || !context.Faulty() || !context.random.PerMille(context.scenario.boundary_crash_per_mille))
    return {};
  if (!result.transaction.empty() && context.random.PerMille(500)) {
    return result.blob_writes.size() + result.blob_seals.size() + context.random.Below(2);
  }
  return context.random.Below(effects + 1);
}

}  // namespace

Now Process::NowHere() const {
  return {Instant(boot_ + context_.now()), kEpochMs + wall_skew_ms_ + context_.now().count() / 1000, boot_id_};
}

void Process::Start() {
  if (up()) return;
  if (restore_) {
    context_.Note("{} comes back from an old backup", name_);
    disk_.Restore(*std::exchange(restore_, std::nullopt));
  }
  ++incarnation_;
  if (machine_down_) Boot();
  if (incarnation_ == 1) wall_skew_ms_ = context_.random.Between(-2000, 2000);
  auto core = world_.make(*disk_.Load(), NowHere());
  if (!core) return context_.Fail("restart", name_ + " does not start from its own disk: " + core.error().what);
  core_ = std::move(*core);
  idle_turns_ = 0;
  context_.Note("{} starts", name_);
  world_.started();
  TurnBy(context_.now());
}

void Process::Boot() {
  boot_ = context_.Within(std::chrono::seconds(1), std::chrono::hours(1000));
  for (auto& byte : boot_id_.bytes) byte = static_cast<std::uint8_t>(1 + context_.random.Below(255));
  machine_down_ = false;
}

void Process::Crash(std::string_view why, Duration down) {
  if (!up()) return;
  machine_down_ = restore_ || context_.random.PerMille(400);
  context_.Note("{} crashes{} ({}), down for {} ms", name_, machine_down_ ? " with its machine" : "", why,
                down.count() / 1000);
  core_.reset();
  ++incarnation_;
  mailbox_.clear();
  turn_planned_ = false;
  if (machine_down_) disk_.LoseUnsynced(context_.random);
  for (auto& [id, answered] : std::exchange(requests_, {})) {
    context_.scheduler.After(std::chrono::milliseconds(1), [answered] { answered(0, {}); });
  }
  world_.stopped();
  context_.scheduler.After(down, [this] { Start(); });
}

void Process::Deliver(Event event) {
  if (!up()) return;
  mailbox_.push_back(std::move(event));
  TurnBy(context_.now() + context_.Within(Duration(10), Duration(2000)));
}

void Process::Request(RequestReceived request, Answered answered) {
  if (!up()) {
    context_.scheduler.After(std::chrono::milliseconds(1), [answered = std::move(answered)] { answered(0, {}); });
    return;
  }
  request.id = next_request_++;
  requests_[request.id] = std::move(answered);
  Deliver(std::move(request));
}

void Process::TurnBy(Duration when) {
  if (turn_planned_ && next_turn_ <= when) return;
  turn_planned_ = true;
  next_turn_ = when;
  context_.scheduler.At(when, [this, token = ++turn_token_, life = incarnation_] {
    if (token == turn_token_ && life == incarnation_ && up()) RunTurn();
  });
}

void Process::RunTurn() {
  turn_planned_ = false;
  const std::size_t most = context_.random.PerMille(200) ? 1 + context_.random.Below(4) : kMaxEventsPerTurn;
  std::vector<Event> events;
  while (!mailbox_.empty() && events.size() < most) {
    events.push_back(std::move(mailbox_.front()));
    mailbox_.pop_front();
  }
  const bool idle = events.empty();
  auto result = core_->Turn(std::move(events), NowHere());
  context_.trace.Mix(static_cast<std::uint64_t>(context_.now().count()));
  context_.trace.Mix(EffectsOf(result));
  idle_turns_ = idle && EffectsOf(result) == 0 ? idle_turns_ + 1 : 0;
  if (idle_turns_ > kMaxIdleTurns)
    return context_.Fail("no spinning", name_ + " asks to be woken again and again and does nothing");
  const auto life = incarnation_;
  CarryOut(std::move(result));
  if (life == incarnation_ && up() && !mailbox_.empty()) TurnBy(context_.now() + Duration(10));
}

void Process::CarryOut(TurnResult result) {
  const auto crash_point = CrashPoint(context_, result);
  std::size_t done = 0;
  const auto powerless = [&] {
    if (!up()) return true;  // An invariant's hook or a cut took it down.
    if (crash_point && done == *crash_point) {
      Crash("between effects", context_.Within(Duration(1000), context_.scenario.restart_most));
      return true;
    }
    ++done;
    return false;
  };
  for (const auto& write : result.blob_writes) {
    if (powerless() || !Storage(disk_.Write(write), "blob write")) return;
  }
  for (const auto& root : result.blob_seals) {
    if (powerless() || !Storage(disk_.Seal(root), "blob seal")) return;
  }
  if (!result.transaction.empty()) {
    if (powerless() || !Storage(disk_.Commit(result.transaction), "commit")) return;
    world_.committed(result.transaction);
  }
  for (const auto& root : result.blob_drops) {
    if (powerless() || !Storage(disk_.Drop(root), "blob drop")) return;
  }
  for (const auto& send : result.sends) {
    if (powerless()) return;
    SendNow(send);
  }
  for (auto& run : result.runs) {
    if (powerless()) return;
    StartJob(std::move(run));
  }
  for (auto& reply : result.replies) {
    if (powerless()) return;
    Answer(std::move(reply));
  }
  if (result.admit) world_.admit(*result.admit);
  for (const auto& disconnect : result.disconnects) {
    if (powerless()) return;
    context_.Note("{} disconnects a peer: {}", name_, disconnect.reason);
    world_.disconnect(disconnect.peer);
  }
  if (crash_point && powerless()) return;
  if (up()) WakeBy(result.wake);
}

void Process::WakeBy(const std::optional<Instant>& wake) {
  if (!wake) return;
  const Duration when = wake->time_since_epoch() - boot_;
  TurnBy(std::max(when, context_.now() + Duration(1000)) + context_.Within(Duration(0), Duration(2000)));
}

bool Process::Storage(const Status& status, std::string_view what) {
  if (status) return true;
  context_.Fail("storage", fmt::format("{}: {} refused: {}", name_, what, status.error().what));
  return false;
}

void Process::SendNow(const std::variant<Send, SendChunk>& send) {
  if (const auto* frame = std::get_if<Send>(&send)) return world_.send(frame->to, frame->frame);
  const auto& chunk = std::get<SendChunk>(send);
  Bytes frame = chunk.head;
  frame.resize(chunk.head.size() + chunk.length);
  const auto content = std::span(frame).subspan(chunk.head.size());
  if (auto read = disk_.Read(chunk.root, chunk.offset, content); !read) {
    return context_.Fail("chunk of what is kept", fmt::format("{}: {}", name_, read.error().what));
  }
  world_.send(chunk.to, std::move(frame));
}

void Process::StartJob(consilium::Run run) {
  const auto& scenario = context_.scenario;
  const bool slow = context_.Faulty() && context_.random.PerMille(scenario.slow_job_per_mille);
  const Duration takes = context_.Within(scenario.job_least, slow ? scenario.slow_job_most : scenario.job_most);
  const Duration works_at =
      context_.now() + Duration(context_.random.Below(static_cast<std::uint64_t>(takes.count()) + 1));
  const Duration ends_at = context_.now() + takes;
  context_.scheduler.At(works_at, [this, life = incarnation_, ends_at, run = std::move(run)] {
    if (life != incarnation_ || !up()) return;
    auto result = std::make_shared<std::any>(run.work());
    context_.scheduler.At(ends_at, [this, life, job = run.job, result] {
      if (life == incarnation_ && up()) Deliver(JobFinished{job, std::move(*result)});
    });
  });
}

void Process::Answer(Reply reply) {
  auto found = requests_.extract(reply.request);
  if (found.empty()) return context_.Fail("one reply a request", name_ + " answers a request that waits for none");
  context_.scheduler.After(Duration(500), [answered = std::move(found.mapped()), reply = std::move(reply)] {
    answered(reply.status, reply.body);
  });
}

}  // namespace consilium::sim
