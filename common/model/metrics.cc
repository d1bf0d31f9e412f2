// Metrics.
#include "common/model/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/check.h"

namespace consilium {
namespace {

// Walks groups of equal score upwards. AUROC is the share of (positive, negative) pairs in the right order
// (Mann-Whitney); pairs within a group are ties.
class PairCounter {
 public:
  void Group(double positives, double negatives) {
    right_ += positives * negatives_;
    tied_ += positives * negatives;
    positives_ += positives;
    negatives_ += negatives;
  }
  void Write(BinaryMetrics* out) const {
    const double pairs = positives_ * negatives_;
    out->auroc_defined = pairs > 0;
    if (!out->auroc_defined) return;
    out->auroc_low = right_ / pairs;
    out->auroc_high = (right_ + tied_) / pairs;
    out->auroc = (right_ + tied_ / 2) / pairs;
  }

 private:
  double right_ = 0, tied_ = 0, positives_ = 0, negatives_ = 0;
};

// Counts of ranks seen so far, and of those below one (a binary indexed tree).
class RankCounts {
 public:
  explicit RankCounts(std::size_t ranks) : tree_(ranks + 1) {}
  void Add(std::size_t rank) {
    for (std::size_t i = rank + 1; i < tree_.size(); i += i & (~i + 1)) ++tree_[i];
    ++all_;
  }
  [[nodiscard]] std::uint64_t Below(std::size_t rank) const {
    std::uint64_t out = 0;
    for (std::size_t i = rank; i > 0; i -= i & (~i + 1)) out += tree_[i];
    return out;
  }
  [[nodiscard]] std::uint64_t all() const { return all_; }

 private:
  std::vector<std::uint64_t> tree_;
  std::uint64_t all_ = 0;
};

}  // namespace

double RowLogLoss(double probability, bool positive) {
  const double p = std::clamp(probability, kProbabilityFloor, 1 - kProbabilityFloor);
  return positive ? -std::log(p) : -std::log1p(-p);
}

BinaryMetrics Evaluate(const Vector& scores, const Vector& labels) {
  CHECK(scores.size() == labels.size());
  BinaryMetrics out;
  out.rows = static_cast<std::uint64_t>(scores.size());
  if (out.rows == 0) return out;
  std::vector<Eigen::Index> order(out.rows);
  std::iota(order.begin(), order.end(), Eigen::Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Eigen::Index a, Eigen::Index b) { return scores[a] < scores[b]; });
  PairCounter pairs;
  double correct = 0;
  for (std::size_t i = 0; i < order.size();) {
    const double score = scores[order[i]];
    double positives = 0, negatives = 0;
    const std::size_t first = i;
    for (; i < order.size() && (i == first || scores[order[i]] == score); ++i) {
      const bool positive = labels[order[i]] > 0.5;
      (positive ? positives : negatives) += 1;
      correct += (score >= 0.5) == positive ? 1 : 0;
      const double miss = score - (positive ? 1 : 0);
      out.brier += miss * miss;
      out.log_loss += RowLogLoss(score, positive);
    }
    out.positives += static_cast<std::uint64_t>(positives);
    pairs.Group(positives, negatives);
  }
  const auto rows = static_cast<double>(out.rows);
  out.accuracy = correct / rows;
  out.brier /= rows;
  out.log_loss /= rows;
  pairs.Write(&out);
  return out;
}

void AurocFromHistogram(const std::vector<std::int64_t>& positives, const std::vector<std::int64_t>& negatives,
                        BinaryMetrics* out) {
  CHECK(positives.size() == negatives.size());
  PairCounter pairs;
  for (std::size_t bin = 0; bin < positives.size(); ++bin) {
    pairs.Group(static_cast<double>(positives[bin]), static_cast<double>(negatives[bin]));
  }
  pairs.Write(out);
}

NumberMetrics EvaluateNumbers(const Vector& predictions, const Vector& labels, double minimum, double maximum) {
  CHECK(predictions.size() == labels.size());
  NumberMetrics out;
  out.rows = static_cast<std::uint64_t>(labels.size());
  if (out.rows == 0) return out;
  const auto rows = static_cast<double>(out.rows);
  const double mean = labels.sum() / rows;
  double squares = 0, around = 0;
  for (Eigen::Index i = 0; i < labels.size(); ++i) {
    const double miss = std::clamp(predictions[i], minimum, maximum) - labels[i];
    squares += miss * miss;
    out.mae += std::fabs(miss) / rows;
    around += (labels[i] - mean) * (labels[i] - mean);
  }
  out.rmse = std::sqrt(squares / rows);
  out.r2_defined = around > 0;
  if (out.r2_defined) out.r2 = 1 - squares / around;
  return out;
}

ClassCounts CountClasses(const Matrix& probabilities, const Vector& labels) {
  CHECK(probabilities.rows() == labels.size());
  const auto classes = static_cast<std::size_t>(probabilities.cols());
  ClassCounts out;
  out.confusion.assign(classes * classes, 0);
  for (Eigen::Index i = 0; i < labels.size(); ++i) {
    Eigen::Index predicted = 0;
    probabilities.row(i).maxCoeff(&predicted);
    const auto label = static_cast<Eigen::Index>(labels[i]);
    ++out.confusion[static_cast<std::size_t>(label) * classes + static_cast<std::size_t>(predicted)];
    out.log_loss += RowLogLoss(probabilities(i, label), true);
  }
  return out;
}

PairCounts CountPairs(const Vector& scores, const Vector& events, const Vector& times) {
  CHECK(scores.size() == events.size() && scores.size() == times.size());
  const auto rows = static_cast<std::size_t>(scores.size());
  std::vector<double> ranked(scores.begin(), scores.end());
  std::ranges::sort(ranked);
  const auto rank = [&](Eigen::Index row) {
    return static_cast<std::size_t>(std::ranges::lower_bound(ranked, scores[row]) - ranked.begin());
  };
  std::vector<Eigen::Index> order(rows);
  std::iota(order.begin(), order.end(), Eigen::Index{0});
  // From the latest time on; of one time those without the event first, whom the others are compared with.
  std::ranges::sort(order, [&](Eigen::Index a, Eigen::Index b) {
    return times[a] != times[b] ? times[a] > times[b] : events[a] < events[b];
  });
  PairCounts out;
  RankCounts later(rows);
  for (std::size_t first = 0; first < rows;) {
    std::size_t end = first;
    const auto same = [&](std::size_t i) {
      return times[order[i]] == times[order[first]] && events[order[i]] == events[order[first]];
    };
    while (end < rows && same(end)) ++end;
    for (std::size_t i = first; events[order[first]] > 0.5 && i < end; ++i) {
      const std::size_t own = rank(order[i]);
      const std::uint64_t below = later.Below(own);
      const std::size_t next = static_cast<std::size_t>(std::ranges::upper_bound(ranked, ranked[own]) - ranked.begin());
      ++out.events;
      out.pairs += later.all();
      out.concordant += below;
      out.tied += later.Below(next) - below;
    }
    for (; first < end; ++first) later.Add(rank(order[first]));
  }
  return out;
}

}  // namespace consilium
