// What happened, for the one who must mend it: the last lines of a run, and a hash that shows two runs to be the same.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <deque>
#include <string>

#include "common/base/bytes.h"
#include "common/base/time.h"

namespace consilium::sim {

class Trace {
 public:
  enum class Mode { kOff, kKeep, kPrint };
  static constexpr std::size_t kKept = 40;

  void SetMode(Mode mode) { mode_ = mode; }
  [[nodiscard]] bool on() const { return mode_ != Mode::kOff; }

  void Line(Duration at, const std::string& text) {
    std::string line = fmt::format("{:>12.6f}  {}", static_cast<double>(at.count()) / 1e6, text);
    if (mode_ == Mode::kPrint) std::puts(line.c_str());
    last_.push_back(std::move(line));
    if (last_.size() > kKept) last_.pop_front();
  }
  [[nodiscard]] const std::deque<std::string>& last() const { return last_; }

  void Mix(std::uint64_t number) { hash_ = (hash_ ^ number) * 0x100000001b3ULL; }
  void Mix(ByteView bytes) {
    for (const auto byte : bytes) Mix(byte);
  }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  Mode mode_ = Mode::kOff;
  std::deque<std::string> last_;
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

}  // namespace consilium::sim
