// What every part of a run shares: the virtual clock, the seed's choices, the trace, and the first broken invariant.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "tests/sim/random.h"
#include "tests/sim/scenario.h"
#include "tests/sim/trace.h"

namespace consilium::sim {

struct Failure {
  std::string invariant;  // A short name: "exact sum".
  std::string what;
};

class Scheduler {
 public:
  [[nodiscard]] Duration now() const { return now_; }
  void At(Duration when, std::function<void()> act) { queue_[{std::max(when, now_), ++sequence_}] = std::move(act); }
  void After(Duration delay, std::function<void()> act) { At(now_ + delay, std::move(act)); }
  // Does the next thing; false when nothing is left.
  bool Step() {
    if (queue_.empty()) return false;
    auto next = queue_.extract(queue_.begin());
    now_ = next.key().first;
    ++steps_;
    next.mapped()();
    return true;
  }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }

 private:
  Duration now_{0};
  std::uint64_t sequence_ = 0, steps_ = 0;
  std::map<std::pair<Duration, std::uint64_t>, std::function<void()>> queue_;
};

struct Context {
  explicit Context(Scenario the_scenario, std::uint64_t seed) : scenario(std::move(the_scenario)), random(seed) {}

  const Scenario scenario;
  Random random;  // Its own stream: the scenario was drawn from another one.
  Scheduler scheduler;
  Trace trace;
  std::optional<Failure> failure;

  [[nodiscard]] Duration now() const { return scheduler.now(); }
  [[nodiscard]] bool Faulty() const { return now() >= scenario.faults_from && now() < scenario.faults_until; }
  Duration Within(Duration least, Duration most) { return Duration(random.Between(least.count(), most.count())); }
  // The first one counts.
  void Fail(std::string invariant, std::string what) {
    if (trace.on()) trace.Line(now(), "BROKEN " + invariant + ": " + what);
    if (!failure) failure = Failure{std::move(invariant), std::move(what)};
  }
  template <class... T>
  void Note(fmt::format_string<T...> format, T&&... arguments) {
    if (trace.on()) trace.Line(now(), fmt::format(format, std::forward<T>(arguments)...));
  }
};

}  // namespace consilium::sim
