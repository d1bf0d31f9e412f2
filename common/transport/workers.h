// Jobs in the order of their start, on a few threads; the owner of a core fetches the results.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/turn/turn.h"

namespace consilium {

class Workers {
 public:
  // `finished` is called on the worker's thread after each job; it must be quick.
  Workers(unsigned count, std::function<void()> finished);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers();  // Cancel, then waits for the running ones.

  void Start(Run run);
  std::vector<JobFinished> TakeFinished();
  void Cancel();                   // Jobs that have not started never will.
  bool Settle(Duration patience);  // False when some are still running after `patience`.

 private:
  void Work();

  const std::function<void()> finished_hook_;
  std::mutex mutex_;
  std::condition_variable changed_, idle_;
  std::deque<Run> queue_;
  std::vector<JobFinished> finished_;
  unsigned running_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace consilium
