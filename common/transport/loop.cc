#include "common/transport/loop.h"

#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <mutex>

#include "common/base/log.h"
#include "common/base/supervisor.h"
#include "common/transport/socket.h"
#include "common/transport/workers.h"
#include "common/turn/reply.h"

namespace consilium {

struct Loop::Impl {
  LoopOptions options;
  int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::atomic<bool> stop = false;
  std::optional<Workers> workers;
  bool abandoned = false;

  std::mutex mutex;  // Guards the next four.
  bool ended = false;
  std::uint64_t last_request = 0;
  std::deque<RequestReceived> requests;
  std::map<std::uint64_t, std::function<void(Reply)>> waiting;

  std::deque<Event> pending;  // Events beyond one turn's limit.
  std::optional<Instant> next_turn;
  const std::optional<Duration> watchdog = WatchdogPeriod();
  Instant next_sign = BootClock::now();  // Of life, to the service manager.

  explicit Impl(LoopOptions given) : options(std::move(given)) {
    CHECK(options.core != nullptr && options.storage != nullptr && options.blobs != nullptr && wake >= 0);
    workers.emplace(std::max(options.workers, 1U), [this] { Wake(); });
  }
  ~Impl() {
    workers.reset();
    close(wake);
  }

  void Wake() {
    const std::uint64_t one = 1;
    // A full counter wakes too; write is the only call, so that a signal handler may come here.
    if (write(wake, &one, sizeof one) < 0) return;
  }

  [[nodiscard]] long PollMilliseconds() const {
    if (!pending.empty()) return 0;
    std::optional<Instant> until = next_turn;
    if (options.link != nullptr) {
      if (const auto deadline = options.link->NextDeadline()) until = until ? std::min(*until, *deadline) : *deadline;
    }
    if (watchdog) until = until ? std::min(*until, next_sign) : next_sign;
    if (!until) return -1;
    const Duration left = *until - BootClock::now();
    if (left <= Duration::zero()) return 0;
    // Rounded up, or the last millisecond would be spent polling; in steps, since poll's clock stands still in suspend.
    return std::min<long>(static_cast<long>((left.count() + 999) / 1000), 60'000);
  }

  void Wait() {
    std::vector<zmq_pollitem_t> items = {{nullptr, wake, ZMQ_POLLIN, 0}};
    if (options.link != nullptr) {
      for (void* socket : options.link->Sockets()) items.push_back({socket, 0, ZMQ_POLLIN, 0});
    }
    zmq_poll(items.data(), static_cast<int>(items.size()), PollMilliseconds());
    std::uint64_t count = 0;
    if (read(wake, &count, sizeof count) < 0) CHECK(errno == EAGAIN || errno == EINTR);
  }

  void Collect() {
    for (JobFinished& finished : workers->TakeFinished()) pending.emplace_back(std::move(finished));
    {
      const std::lock_guard lock(mutex);
      for (RequestReceived& request : requests) pending.emplace_back(std::move(request));
      requests.clear();
    }
    if (options.link == nullptr) return;
    const std::size_t room = kMaxEventsPerTurn - std::min(pending.size(), kMaxEventsPerTurn - 1);
    for (Event& event : options.link->Receive(room, BootClock::now())) pending.push_back(std::move(event));
  }

  std::vector<Event> NextEvents() {
    const std::size_t count = std::min(pending.size(), kMaxEventsPerTurn);
    std::vector<Event> out(std::make_move_iterator(pending.begin()),
                           std::make_move_iterator(pending.begin() + static_cast<std::ptrdiff_t>(count)));
    pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(count));
    return out;
  }

  void Answer(Reply reply) {
    std::function<void(Reply)> done;
    {
      const std::lock_guard lock(mutex);
      const auto found = waiting.find(reply.request);
      if (found == waiting.end()) return;
      done = std::move(found->second);
      waiting.erase(found);
    }
    done(std::move(reply));
  }

  void CarryOut(TurnResult result) {
    if (options.link != nullptr) {
      for (const auto& send : result.sends) {
        if (const auto* chunk = std::get_if<SendChunk>(&send)) {
          options.link->Transmit(*chunk, *options.blobs);
        } else {
          options.link->Transmit(std::get<Send>(send));
        }
      }
    }
    for (consilium::Run& run : result.runs) workers->Start(std::move(run));
    for (Reply& reply : result.replies) Answer(std::move(reply));
    if (options.link == nullptr) return;
    if (result.admit) options.link->Admit(*result.admit);
    for (const Disconnect& one : result.disconnects) options.link->Disconnect(one.peer, one.reason);
  }

  void SignOfLife() {
    if (!watchdog || BootClock::now() < next_sign) return;
    NotifySupervisor("WATCHDOG=1");
    next_sign = BootClock::now() + *watchdog;
  }

  Status TurnUntilStopped() {
    for (bool first = true; !stop; first = false) {
      SignOfLife();
      if (!first) {
        Wait();
        Collect();
        const bool due = next_turn && BootClock::now() >= *next_turn;
        if (pending.empty() && !due) continue;
      }
      TurnResult result = options.core->Turn(NextEvents(), ReadClocks());
      TRY(Persist(result, *options.storage, *options.blobs));
      next_turn = result.wake;
      const bool last = result.stop;
      CarryOut(std::move(result));
      if (first) NotifySupervisor("READY=1");
      if (last) break;
    }
    return {};
  }

  void End() {
    if (stop) NotifySupervisor("STOPPING=1");  // A core that ends its own life may be followed by another one.
    workers->Cancel();
    std::map<std::uint64_t, std::function<void(Reply)>> left;
    {
      const std::lock_guard lock(mutex);
      ended = true;
      left.swap(waiting);
      requests.clear();
    }
    for (auto& [id, done] : left) done(Stopping(id));
    if (options.link != nullptr) options.link->Stop();
    abandoned = !workers->Settle(options.job_grace);
    if (abandoned) Log(LogLevel::kWarning, "jobs_abandoned");
  }

  static Reply Stopping(std::uint64_t id) {
    return ErrorReply(id, {Code::kUnreachable, "the daemon is stopping; start it again and repeat the command"});
  }
};

Loop::Loop(LoopOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Loop::~Loop() = default;

Status Loop::Run() {
  const Status done = impl_->TurnUntilStopped();
  if (!done) Log(LogLevel::kError, "storage_failed", {{"reason", done.error().what}});
  impl_->End();
  return done;
}

void Loop::Submit(RequestReceived request, std::function<void(Reply)> done) {
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    id = request.id = ++impl_->last_request;
    if (!impl_->ended) {
      impl_->waiting.emplace(id, std::move(done));
      impl_->requests.push_back(std::move(request));
      return impl_->Wake();
    }
  }
  done(Impl::Stopping(id));
}

void Loop::Stop() {
  impl_->stop = true;
  impl_->Wake();
}

bool Loop::JobsAbandoned() const { return impl_->abandoned; }

namespace {
std::atomic<Loop*> signalled = nullptr;
std::atomic<bool> told_to_stop = false;

void OnStopSignal(int /*signal*/) {
  const int before = errno;
  told_to_stop = true;
  if (Loop* loop = signalled.load()) loop->Stop();
  errno = before;
}
}  // namespace

void InstallStopSignals(Loop* loop) {
  signalled = loop;
  if (loop != nullptr && told_to_stop) loop->Stop();
  struct sigaction action{};
  action.sa_handler = OnStopSignal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

Result<Reply> RunOnce(Core& core, Storage& storage, BlobStore& blobs, RequestReceived request) {
  constexpr int kMaxTurns = 1000;
  const std::uint64_t id = request.id = 1;
  request.local = true;
  std::vector<Event> events;
  events.emplace_back(std::move(request));
  for (int turns = 0; turns < kMaxTurns && !events.empty(); ++turns) {
    TurnResult result = core.Turn(std::exchange(events, {}), ReadClocks());
    TRY(Persist(result, storage, blobs));
    for (Reply& reply : result.replies) {
      if (reply.request == id) return std::move(reply);
    }
    for (const Run& run : result.runs) events.emplace_back(JobFinished{run.job, run.work()});
  }
  return Fail(Code::kConflict, "this command needs the running daemon; start it with: ... run DIR");
}

void TuneAllocator() {
  // 32 MiB is the largest threshold that glibc accepts; without mmap at all larger blocks stay in the heap too.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
  mallopt(M_ARENA_MAX, 4);
}

}  // namespace consilium
