#include "common/transport/workers.h"

#include <utility>

namespace consilium {

Workers::Workers(unsigned count, std::function<void()> finished) : finished_hook_(std::move(finished)) {
  for (unsigned i = 0; i < count; ++i) threads_.emplace_back([this] { Work(); });
}

Workers::~Workers() {
  Cancel();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::Start(Run run) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(run));
  changed_.notify_one();
}

std::vector<JobFinished> Workers::TakeFinished() {
  const std::lock_guard lock(mutex_);
  return std::exchange(finished_, {});
}

void Workers::Cancel() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  queue_.clear();
  changed_.notify_all();
}

bool Workers::Settle(Duration patience) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, patience, [this] { return running_ == 0; });
}

void Workers::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Run run = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    std::any result = run.work();
    run.work = nullptr;  // What it holds is released before the owner hears of its end.
    lock.lock();
    --running_;
    finished_.push_back({run.job, std::move(result)});
    idle_.notify_all();
    finished_hook_();
  }
}

}  // namespace consilium
