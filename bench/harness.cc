// Measuring in turns.
#include "bench/harness.h"

#include <ctime>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace consilium::bench {
namespace {

double Quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

}  // namespace

std::string Json(const Figure& f) {
  return fmt::format(
      R"({{"name":"{}","value":{:.6g},"unit":"{}","limit":{:.6g},"limit_name":"{}","ratio":{:.3f},"repeats":{},"spread":{:.3f}}})",
      f.name, f.value, f.unit, f.limit, f.limit_name, f.value / f.limit, f.repeats, f.spread);
}

std::string Text(const Figure& f) {
  return fmt::format("{:<22} {:>9.0f} {}, {:.2f} of {:.0f}: {} ({} turns, +-{:.1f} %)", f.name, f.value, f.unit,
                     f.value / f.limit, f.limit, f.limit_name, f.repeats, 100 * f.spread);
}

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double Median(std::vector<double> values) { return Quantile(std::move(values), 0.5); }

double Spread(std::vector<double> values) {
  return (Quantile(values, 0.75) - Quantile(values, 0.25)) / 2 / Quantile(values, 0.5);
}

std::vector<std::vector<double>> InTurns(double seconds, const std::vector<std::function<void()>>& parts) {
  constexpr std::size_t kLeast = 15, kWarmUp = 2;
  std::vector<std::vector<double>> out(parts.size());
  double spent = 0;
  for (std::size_t turn = 0; turn < kLeast + kWarmUp || spent < seconds; ++turn) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const double before = ThreadSeconds();
      parts[i]();
      const double took = ThreadSeconds() - before;
      spent += took;
      if (turn >= kWarmUp) out[i].push_back(took);
    }
  }
  return out;
}

}  // namespace consilium::bench
