// The loop carries a turn's effects out in order, answers while jobs run, and promises nothing that is not durable.
#include "common/transport/loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <future>
#include <thread>

#include "common/storage/blobs.h"
#include "common/storage/database.h"
#include "common/transport/connection.h"
#include "common/transport/listener.h"
#include "common/turn/reply.h"
#include "tests/storage/directory.h"

namespace consilium {
namespace {

using TurnFunction = std::function<TurnResult(std::vector<Event>, Now)>;

class ScriptedCore : public Core {
 public:
  explicit ScriptedCore(TurnFunction turn) : turn_(std::move(turn)) {}
  TurnResult Turn(std::vector<Event> events, Now now) override { return turn_(std::move(events), now); }

 private:
  TurnFunction turn_;
};

// Answers every request with its path.
TurnResult AnswerAll(const std::vector<Event>& events) {
  TurnResult out;
  for (const Event& event : events) {
    if (const auto* request = std::get_if<RequestReceived>(&event)) {
      out.replies.push_back(JsonReply(request->id, request->path));
    }
  }
  return out;
}

// Runs a loop on a thread of its own.
class Running {
 public:
  explicit Running(LoopOptions options)
      : loop_(std::move(options)), status_(std::async(std::launch::async, [this] { return loop_.Run(); })) {}
  ~Running() { loop_.Stop(); }
  std::future<Reply> Ask(const std::string& path) {
    auto promise = std::make_shared<std::promise<Reply>>();
    RequestReceived request;
    request.method = "GET";
    request.path = path;
    loop_.Submit(std::move(request), [promise](Reply reply) { promise->set_value(std::move(reply)); });
    return promise->get_future();
  }
  Loop& loop() { return loop_; }
  Status End() {
    loop_.Stop();
    return status_.get();
  }
  Status Wait() { return status_.get(); }

 private:
  Loop loop_;
  std::future<Status> status_;
};

class LoopTest : public testing::Test {
 protected:
  LoopOptions Options(TurnFunction turn) {
    LoopOptions out;
    out.core = std::make_unique<ScriptedCore>(std::move(turn));
    out.storage = database_.get();
    out.blobs = blobs_.get();
    return out;
  }
  TestDirectory directory_;
  std::unique_ptr<Database> database_ = std::move(Database::Open(directory_.path() / "state.db")).value();
  std::unique_ptr<FileBlobs> blobs_ = std::move(FileBlobs::Open(directory_.path() / "blobs")).value();
};

std::string BodyText(const Reply& reply) { return std::string(Text(reply.body)); }

TEST_F(LoopTest, AnswersRequestsOfManyThreads) {
  Running running(Options([](const std::vector<Event>& events, Now) { return AnswerAll(events); }));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string path = "/" + std::to_string(t) + "/" + std::to_string(i);
        EXPECT_EQ(BodyText(running.Ask(path).get()), "\"" + path + "\"");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(running.End().has_value());
}

TEST_F(LoopTest, KeepsAnsweringWhileAJobRuns) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::uint64_t asker = 0;
  Running running(Options([&](const std::vector<Event>& events, Now) {
    TurnResult out;
    for (const Event& event : events) {
      if (const auto* request = std::get_if<RequestReceived>(&event)) {
        if (request->path != "/job") {
          out.replies.push_back(JsonReply(request->id, request->path));
          continue;
        }
        asker = request->id;
        out.runs.push_back({7, [released]() -> std::any {
                              released.wait();
                              return std::string("made by the job");
                            }});
      } else if (const auto* finished = std::get_if<JobFinished>(&event)) {
        EXPECT_EQ(finished->job, 7U);
        out.replies.push_back(JsonReply(asker, std::any_cast<std::string>(finished->result)));
      }
    }
    return out;
  }));
  std::future<Reply> job = running.Ask("/job");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(BodyText(running.Ask("/quick").get()), "\"/quick\"");
  EXPECT_EQ(job.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  release.set_value();
  EXPECT_EQ(BodyText(job.get()), "\"made by the job\"");
}

TEST_F(LoopTest, ATurnTakesABoundedNumberOfEventsAndLosesNone) {
  std::size_t largest = 0;
  Loop loop(Options([&](const std::vector<Event>& events, Now) {
    largest = std::max(largest, events.size());
    return AnswerAll(events);
  }));
  std::atomic<int> answered = 0;
  for (int i = 0; i < 1000; ++i) {
    loop.Submit({}, [&](const Reply& reply) {
      EXPECT_EQ(reply.status, 200);
      if (++answered == 1000) loop.Stop();
    });
  }
  EXPECT_TRUE(loop.Run().has_value());
  EXPECT_EQ(answered, 1000);
  EXPECT_EQ(largest, kMaxEventsPerTurn);
}

TEST_F(LoopTest, WakesWithoutEvents) {
  int turns = 0;
  Instant asked;
  Loop loop(Options([&](const std::vector<Event>& events, Now now) {
    EXPECT_TRUE(events.empty());
    TurnResult out;
    if (turns++ > 0) {
      EXPECT_GE(now.instant, asked);
    }
    asked = now.instant + std::chrono::milliseconds(3);
    out.wake = asked;
    out.stop = turns == 5;
    return out;
  }));
  EXPECT_TRUE(loop.Run().has_value());
  EXPECT_EQ(turns, 5);
}

TEST_F(LoopTest, WhatCannotBeStoredIsNotPromised) {
  // The chain's head is not the one that the core believes in: the commit fails, the reply of that turn never leaves.
  Running running(Options([](const std::vector<Event>& events, Now) {
    TurnResult out = AnswerAll(events);
    if (!events.empty()) out.transaction.emplace_back(AppendChain{"audit", {.seq = 9, .hash = {}}, {1}});
    return out;
  }));
  const Reply reply = running.Ask("/x").get();
  EXPECT_EQ(reply.status, 502);
  const Status status = running.Wait();
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, Code::kCorrupt);
}

TEST_F(LoopTest, StoppingAnswersEverybody) {
  Running running(Options([](const std::vector<Event>&, Now) { return TurnResult{}; }));
  std::future<Reply> never = running.Ask("/never");
  EXPECT_TRUE(running.End().has_value());
  EXPECT_EQ(never.get().status, 502);
  EXPECT_EQ(running.Ask("/after").get().status, 502);
}

TEST_F(LoopTest, AStopBeforeRunCounts) {
  Loop loop(Options([](const std::vector<Event>&, Now) { return TurnResult{}; }));
  loop.Stop();
  EXPECT_TRUE(loop.Run().has_value());
}

TEST_F(LoopTest, ASignalStops) {
  Loop loop(Options([](const std::vector<Event>& events, Now) { return AnswerAll(events); }));
  InstallStopSignals(&loop);
  loop.Submit({}, [](const Reply&) { raise(SIGTERM); });
  EXPECT_TRUE(loop.Run().has_value());
  InstallStopSignals(nullptr);
  raise(SIGTERM);
  raise(SIGPIPE);
}

TEST_F(LoopTest, AJobThatDoesNotEndIsAbandoned) {
  std::promise<void> release;
  std::promise<void> started;
  std::shared_future<void> released = release.get_future().share();
  LoopOptions options = Options([&](const std::vector<Event>& events, Now) {
    TurnResult out;
    if (!events.empty()) {
      out.runs.push_back({1, [released, &started]() -> std::any {
                            started.set_value();
                            released.wait();
                            return {};
                          }});
    }
    return out;
  });
  options.workers = 1;
  options.job_grace = std::chrono::milliseconds(10);
  Running running(std::move(options));
  const std::future<Reply> reply = running.Ask("/start");
  started.get_future().wait();
  EXPECT_TRUE(running.End().has_value());
  EXPECT_TRUE(running.loop().JobsAbandoned());
  release.set_value();
}

// Writes down what the loop does, in order.
struct Diary {
  std::vector<std::string> lines;
};
class DiaryStorage : public Storage {
 public:
  explicit DiaryStorage(Diary* diary) : diary_(diary) {}
  Status Commit(const std::vector<Write>&) override {
    diary_->lines.emplace_back("commit");
    return {};
  }
  [[nodiscard]] Result<Stored> Load() const override { return Stored{}; }
  [[nodiscard]] Result<std::vector<Bytes>> Rows(const std::string&, std::uint64_t, std::uint64_t) const override {
    return std::vector<Bytes>{};
  }

 private:
  Diary* diary_;
};
class DiaryBlobs : public BlobStore {
 public:
  explicit DiaryBlobs(Diary* diary) : diary_(diary) {}
  [[nodiscard]] bool Has(const Digest&) const override { return false; }
  [[nodiscard]] Result<std::uint64_t> Size(const Digest&) const override { return 0; }
  Status Read(const Digest&, std::uint64_t, std::span<std::uint8_t>) const override { return {}; }
  Result<Digest> Put(ByteView) override { return Digest{}; }
  Status Write(const BlobWrite&) override { return Note("write"); }
  Status Seal(const Digest&) override { return Note("seal"); }
  Status Drop(const Digest&) override { return Note("drop"); }
  [[nodiscard]] Result<std::vector<Digest>> List() const override { return std::vector<Digest>(); }

 private:
  Status Note(const char* what) {
    diary_->lines.emplace_back(what);
    return {};
  }
  Diary* diary_;
};
class DiaryLink : public Link {
 public:
  explicit DiaryLink(Diary* diary) : diary_(diary) {}
  [[nodiscard]] std::vector<void*> Sockets() const override { return {}; }
  [[nodiscard]] std::optional<Instant> NextDeadline() const override { return std::nullopt; }
  std::vector<Event> Receive(std::size_t, Instant) override { return {}; }
  void Transmit(const Send& send) override { diary_->lines.push_back("send " + std::string(Text(send.frame))); }
  void Transmit(const SendChunk& chunk, const BlobStore&) override {
    diary_->lines.push_back("chunk " + std::string(Text(chunk.head)));
  }
  void Admit(const std::set<PeerKey>&) override { diary_->lines.emplace_back("admit"); }
  void Disconnect(const PeerKey&, const std::string& reason) override {
    diary_->lines.push_back("disconnect " + reason);
  }
  void Stop() override { diary_->lines.emplace_back("stop"); }

 private:
  Diary* diary_;
};

TEST_F(LoopTest, EffectsFollowTheContractsOrder) {
  Diary diary;
  DiaryStorage storage(&diary);
  DiaryBlobs blobs(&diary);
  LoopOptions options;
  options.storage = &storage;
  options.blobs = &blobs;
  options.link = std::make_unique<DiaryLink>(&diary);
  options.core = std::make_unique<ScriptedCore>([&](const std::vector<Event>& events, Now) {
    TurnResult out = AnswerAll(events);
    if (events.empty()) return out;
    out.disconnects.push_back({{}, "why"});
    out.admit.emplace();
    out.sends.emplace_back(Send{{}, ToBytes(View("1"))});
    out.sends.emplace_back(SendChunk{{}, ToBytes(View("2")), {}, 0, 0});
    out.sends.emplace_back(Send{{}, ToBytes(View("3"))});
    out.blob_drops.emplace_back();
    out.transaction.emplace_back(EraseState{"a", "b"});
    out.blob_seals.emplace_back();
    out.blob_writes.emplace_back();
    out.stop = true;
    return out;
  });
  Loop loop(std::move(options));
  loop.Submit({}, [&](const Reply&) { diary.lines.emplace_back("reply"); });
  EXPECT_TRUE(loop.Run().has_value());
  EXPECT_EQ(diary.lines, (std::vector<std::string>{"write", "seal", "commit", "drop", "send 1", "chunk 2", "send 3",
                                                   "reply", "admit", "disconnect why", "stop"}));
}

TEST_F(LoopTest, RunOnceTurnsUntilTheReplyIsThere) {
  int stage = 0;
  ScriptedCore core([&](const std::vector<Event>& events, Now) {
    TurnResult out;
    ++stage;
    if (std::holds_alternative<RequestReceived>(events.at(0))) {
      out.runs.push_back({1, [] { return std::any(std::string("checked")); }});
    } else {
      out.transaction.emplace_back(PutState{"dataset", "x", {1}});
      out.replies.push_back(JsonReply(1, std::any_cast<std::string>(std::get<JobFinished>(events.at(0)).result)));
    }
    return out;
  });
  const Result<Reply> reply = RunOnce(core, *database_, *blobs_, {});
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(BodyText(*reply), "\"checked\"");
  EXPECT_EQ(stage, 2);
  EXPECT_EQ(database_->Load().value().state.size(), 1U);
  ScriptedCore silent([](const std::vector<Event>&, Now) { return TurnResult{}; });
  EXPECT_EQ(RunOnce(silent, *database_, *blobs_, {}).error().code, Code::kConflict);
}

// A coordinator's and a node's loop over real sockets: the node pulls a blob of 10 MB in chunks while requests go on.
TEST_F(LoopTest, TwoLoopsMoveABlobOverTheNetwork) {
  constexpr std::uint64_t kChunk = 1 << 20;
  const CurveKey server = CurveKey::Generate();
  const CurveKey node = CurveKey::Generate();
  Bytes content(10 * kChunk);
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::uint8_t>(i * 2654435761U >> 24);
  const Digest root = blobs_->Put(content).value();

  auto listener = std::move(Listener::Start({.endpoint = "tcp://127.0.0.1:0", .key = &server})).value();
  const std::string endpoint = listener->endpoint();
  LoopOptions serving = Options([&](const std::vector<Event>& events, Now) {
    TurnResult out = AnswerAll(events);
    out.admit = std::set<PeerKey>{node.public_key()};
    for (const Event& event : events) {
      const auto* pull = std::get_if<FrameReceived>(&event);
      if (pull == nullptr) continue;
      const std::uint64_t at = pull->frame.at(0) * kChunk;
      out.sends.emplace_back(SendChunk{pull->peer, {pull->frame.at(0)}, root, at, kChunk});
    }
    return out;
  });
  serving.link = std::move(listener);
  Running coordinator(std::move(serving));

  const TestDirectory directory;
  auto database = std::move(Database::Open(directory.path() / "state.db")).value();
  auto blobs = std::move(FileBlobs::Open(directory.path() / "blobs")).value();
  LoopOptions pulling;
  pulling.storage = database.get();
  pulling.blobs = blobs.get();
  pulling.link =
      std::move(Connection::Start({.endpoint = endpoint, .key = &node, .server_key = server.public_key()})).value();
  std::uint8_t asked = 0;
  std::uint8_t taken = 0;
  pulling.core = std::make_unique<ScriptedCore>([&](const std::vector<Event>& events, Now) {
    TurnResult out;
    const auto ask = [&] {
      if (asked < 10) out.sends.emplace_back(Send{server.public_key(), {asked++}});
    };
    for (const Event& event : events) {
      if (std::holds_alternative<PeerConnected>(event)) {
        for (int i = 0; i < 4; ++i) ask();
      } else if (const auto* chunk = std::get_if<FrameReceived>(&event)) {
        out.blob_writes.push_back(
            {root, content.size(), chunk->frame.at(0) * kChunk, {chunk->frame.begin() + 1, chunk->frame.end()}});
        ask();
        if (++taken == 10) {
          out.blob_seals.push_back(root);
          out.stop = true;
        }
      }
    }
    return out;
  });
  Loop loop(std::move(pulling));
  auto ran = std::async(std::launch::async, [&] { return loop.Run(); });
  for (int i = 0; i < 10; ++i) EXPECT_EQ(coordinator.Ask("/status").get().status, 200);
  ASSERT_TRUE(ran.get().has_value());
  Bytes received(content.size());
  ASSERT_TRUE(blobs->Read(root, 0, received).has_value());
  EXPECT_TRUE(received == content);
  EXPECT_TRUE(coordinator.End().has_value());
}

}  // namespace
}  // namespace consilium
