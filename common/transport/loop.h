// A daemon's event loop: one thread that owns the core, and workers for its jobs.
//
//   wait (sockets, requests, finished jobs, wake) -> Turn(at most 256 events) -> blobs, one commit, drops -> sends,
//   runs, replies, admissions, disconnects -> wait
//
// A commit that fails ends Run with its error before anything of that turn was sent: what cannot be made durable must
// not be promised.
#pragma once

#include <functional>
#include <memory>

#include "common/transport/link.h"

namespace consilium {

struct LoopOptions {
  std::unique_ptr<Core> core;
  Storage* storage = nullptr;  // Outlive the loop.
  BlobStore* blobs = nullptr;
  std::unique_ptr<Link> link;  // Null: offline.
  unsigned workers = 2;
  // How long Run waits for running jobs after a stop; those that take longer are abandoned (see JobsAbandoned).
  Duration job_grace = std::chrono::seconds(4);
};

class Loop {
 public:
  explicit Loop(LoopOptions options);
  ~Loop();  // Waits for abandoned jobs; a process that must end now calls _exit instead.
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // On the calling thread, once, until Stop or TurnResult.stop (no error), or until storage fails (its error). Turns
  // once at the start, without events. Afterwards the link is closed and every pending request is answered 502.
  Status Run();
  // From any thread. `done` is called exactly once, on the loop's thread (or, after the end of Run, on the caller's);
  // it must be quick. The request's id is assigned here.
  void Submit(RequestReceived request, std::function<void(Reply)> done);
  // From any thread or signal handler, before, during or after Run.
  void Stop();
  // After Run: jobs are still running, so nothing that they use may be destroyed; main flushes and calls _exit.
  [[nodiscard]] bool JobsAbandoned() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// SIGTERM and SIGINT call loop->Stop(), SIGPIPE is ignored. Null: none runs now. One loop a
// process at a time; once told to stop, a process stops its later loops at once.
void InstallStopSignals(Loop* loop);

// One request without a loop, for offline commands that hold the directory's lock (so it counts as local): turns the
// core, carries out every effect but sends, and runs its jobs on this thread, until the reply is there. The storage's
// error when it fails, kConflict when the core never answers.
Result<Reply> RunOnce(Core& core, Storage& storage, BlobStore& blobs, RequestReceived request);

// First in main: keeps freed model-sized buffers in the process, since a fresh page costs far more than the copy into
// it.
void TuneAllocator();

}  // namespace consilium
