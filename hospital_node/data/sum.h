// Sums whose error does not grow with the number of terms.
#pragma once

#include <cmath>

namespace consilium::node {

class CompensatedSum {  // Neumaier 1974.
 public:
  void Add(double v) {
    const double sum = sum_ + v;
    lost_ += std::abs(sum_) >= std::abs(v) ? (sum_ - sum) + v : (v - sum) + sum_;
    sum_ = sum;
  }
  [[nodiscard]] double value() const { return sum_ + lost_; }

 private:
  double sum_ = 0, lost_ = 0;
};

}  // namespace consilium::node
