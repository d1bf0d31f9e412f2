// Figures of columns.
#include "hospital_node/data/profile.h"

#include <algorithm>

#include "hospital_node/data/sum.h"

namespace consilium::node {
namespace {

struct Tally {
  const Series* series;
  Profile out;
  CompensatedSum sum;  // Of values; of a tensor's row means.
  double least = INFINITY, most = -INFINITY;

  void Take(double low, double high, double mean) {
    least = std::min(least, low);
    most = std::max(most, high);
    sum.Add(mean);
    ++out.count;
  }
  void Add(std::size_t row, const std::uint8_t* bytes) {
    if (series->Missing(row, bytes)) {
      ++out.missing;
      return;
    }
    if (series->column.type == Column::Type::kCategory) {
      ++out.count;
      ++out.counts[static_cast<std::size_t>(series->Level(bytes))];
    } else if (series->column.type == Column::Type::kNumber) {
      const double v = series->Number(bytes);
      Take(v, v, v);
    } else {
      series->Elements(bytes, [&](auto zero, const std::uint8_t* at, std::size_t count) {
        double low = INFINITY, high = -INFINITY, total = 0;
        for (std::size_t i = 0; i < count; ++i) {
          auto value = zero;
          std::memcpy(&value, at + i * sizeof value, sizeof value);
          const auto v = static_cast<double>(value);
          low = std::min(low, v);
          high = std::max(high, v);
          total += v;
        }
        Take(low, high, total / static_cast<double>(count));
      });
    }
  }
  Profile Finish() {
    if (out.count == 0) return std::move(out);
    out.least = least;
    out.most = most;
    out.mean = sum.value() / static_cast<double>(out.count);
    return std::move(out);
  }
};

}  // namespace

Profile ProfileOfLabel(const Series& label) {
  Profile out;
  out.counts.resize(label.column.classes.empty() ? 2 : label.column.classes.size());
  for (const double v : label.numbers) {
    if (std::isnan(v)) {
      ++out.missing;
    } else {
      ++out.count;
      ++out.counts[static_cast<std::size_t>(v)];
    }
  }
  return out;
}

std::vector<Profile> ProfilesOf(const Table& table) {
  std::vector<Tally> tallies;
  for (const Series& series : table.series) {
    tallies.push_back({&series, {}, {}});
    tallies.back().out.counts.resize(series.column.levels.size());
  }
  RowCursor cursor(table.store);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::uint8_t* bytes = cursor.At(row);
    for (Tally& tally : tallies) {
      if (!tally.series->IsLabel()) tally.Add(row, bytes);
    }
  }
  std::vector<Profile> out;
  for (Tally& tally : tallies) out.push_back(tally.series->IsLabel() ? ProfileOfLabel(*tally.series) : tally.Finish());
  return out;
}

std::string OnlyClass(const Series& label) {
  const Profile profile = ProfileOfLabel(label);
  const auto found = std::ranges::find(profile.counts, profile.count);
  if (profile.count == 0 || found == profile.counts.end()) return "";
  const auto index = static_cast<std::size_t>(found - profile.counts.begin());
  if (!label.column.classes.empty()) return label.column.classes[index];
  return index == 1 ? "positive" : "negative";
}

}  // namespace consilium::node
