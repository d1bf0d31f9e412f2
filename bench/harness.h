// Measuring a rate beside its limit: both run in turns in one program, so that what else the machine does meets both.
//
// Time is the thread's own processor time: what others on the machine take does not count, page faults and waiting for
// memory do. Only for work of one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace consilium::bench {

// One line of `./run bench --json`: {"name", "value", "unit", "limit", "limit_name", "ratio", "repeats", "spread"}.
struct Figure {
  std::string name, unit, limit_name;
  double value = 0, limit = 0;  // Medians, in `unit`. More is better.
  std::uint32_t repeats = 0;
  double spread = 0;  // Half the interquartile range of the value, as a share of it.
};
std::string Json(const Figure& figure);
std::string Text(const Figure& figure);  // A line for people.

struct Options {
  bool json = false;
  double seconds = 3;  // Spent on each figure, about.
};

double ThreadSeconds();
// Half the interquartile range as a share of the median, and the median itself.
double Median(std::vector<double> values);
double Spread(std::vector<double> values);

// Calls the parts in turns until `seconds` have gone, at least 15 times after a warm-up; seconds of each part a turn.
std::vector<std::vector<double>> InTurns(double seconds, const std::vector<std::function<void()>>& parts);

// One file each; they print as they go.
void Mlp(const Options& options, const std::function<void(const Figure&)>& print);

}  // namespace consilium::bench
