// Split rules. Compiled without contraction: every machine draws the same.
#include "cli/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "common/model/random.h"

namespace consilium::cli {
namespace {

constexpr std::uint32_t kMostShards = 1000;
constexpr double kLeastAlpha = 1e-3, kMostAlpha = 1e6;
constexpr std::size_t kTenths = 10;

template <typename Number>
std::optional<Number> NumberFrom(std::string_view text) {
  Number out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

Digest KeyOf(std::string_view what, std::uint64_t seed) {
  return Fields("consilium/simulated-split").AddText(what).AddText(std::to_string(seed)).Hash();
}

// Of `count` things in `parts` parts that differ by one at most: where part `i` begins.
std::size_t BeginOf(std::size_t i, std::size_t parts, std::size_t count) { return i * count / parts; }

std::vector<std::uint32_t> RandomOrder(std::size_t count, const Digest& key) {
  std::vector<std::uint32_t> out(count);
  Shuffler(key).Shuffle(0, &out);
  return out;
}

// By label, those without one last; at random among equals.
std::vector<std::uint32_t> ByLabel(const std::vector<double>& labels, std::vector<std::uint32_t> order) {
  std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) {
    const double x = labels[a], y = labels[b];
    return std::isnan(y) ? !std::isnan(x) : x < y;
  });
  return order;
}

// The patients of each label, at random; `order` is by label.
std::vector<std::vector<std::uint32_t>> Groups(const PatientLabels& labels, const std::vector<std::uint32_t>& order) {
  std::vector<std::vector<std::uint32_t>> out;
  const auto& value = labels.values;
  const auto labelled = static_cast<std::size_t>(std::ranges::count_if(value, [](double v) { return !std::isnan(v); }));
  for (std::size_t i = 0; i < order.size(); ++i) {
    bool fresh = i == 0 || i == labelled;
    if (i > 0 && i < labelled) {
      fresh = labels.continuous ? i * kTenths / labelled != (i - 1) * kTenths / labelled
                                : value[order[i]] != value[order[i - 1]];
    }
    if (fresh) out.emplace_back();
    out.back().push_back(order[i]);
  }
  return out;
}

// Drawing a hospital's labels one by one from a mix that is drawn from Dirichlet(a_1, ..., a_n) is to draw label k with
// probability (a_k + the draws of k so far) / (their sum): so no gamma variate is needed, whose logarithms would differ
// between machines. Where a label has run out the others' mix is Dirichlet's too, by the same rule. The hospitals take
// turns, so that none is left with what others did not want.
std::vector<std::uint32_t> Dirichlet(double alpha, std::vector<std::vector<std::uint32_t>> groups, std::size_t patients,
                                     std::uint32_t hospitals, const Digest& key) {
  std::vector<double> share;
  for (const auto& group : groups)
    share.push_back(alpha * (static_cast<double>(group.size()) / static_cast<double>(patients)));
  std::vector<std::vector<std::uint32_t>> drawn(hospitals, std::vector<std::uint32_t>(groups.size()));
  PublicRandom random(key);
  std::vector<std::uint32_t> out(patients);
  for (std::size_t i = 0; i < patients; ++i) {
    const auto hospital = static_cast<std::uint32_t>(i % hospitals);
    const auto weight = [&](std::size_t k) { return groups[k].empty() ? 0 : share[k] + drawn[hospital][k]; };
    double sum = 0;
    for (std::size_t k = 0; k < groups.size(); ++k) sum += weight(k);
    double left = random.Uniform() * sum;
    std::size_t chosen = groups.size();
    for (std::size_t k = 0; k < groups.size() && (chosen == groups.size() || left >= 0); ++k) {
      if (groups[k].empty()) continue;
      chosen = k;
      left -= weight(k);
    }
    ++drawn[hospital][chosen];
    out[groups[chosen].back()] = hospital;
    groups[chosen].pop_back();
  }
  return out;
}

}  // namespace

Result<SplitRule> ParseSplitRule(std::string_view text) {
  const auto colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const std::string_view value = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  if (text == "iid") return SplitRule{};
  if (name == "shards") {
    const auto shards = NumberFrom<std::uint32_t>(value);
    if (shards && *shards >= 1 && *shards <= kMostShards) return SplitRule{SplitRule::Kind::kShards, *shards, 0};
    return Fail(Code::kInvalid,
                fmt::format("--split {}: shards:K takes a whole number of shards a hospital, 1 to {}; shards:2 gives "
                            "most hospitals two labels",
                            text, kMostShards));
  }
  if (name == "dirichlet") {
    const auto alpha = NumberFrom<double>(value);
    if (alpha && *alpha >= kLeastAlpha && *alpha <= kMostAlpha)
      return SplitRule{SplitRule::Kind::kDirichlet, 0, *alpha};
    return Fail(Code::kInvalid,
                fmt::format("--split {}: dirichlet:ALPHA takes a number above 0, from {} (a hospital has nearly one "
                            "label) to {} (as iid); 0.5 is usual",
                            text, kLeastAlpha, kMostAlpha));
  }
  return Fail(Code::kInvalid,
              fmt::format("--split {}: the rules are iid, shards:K (as shards:2) and dirichlet:ALPHA (as "
                          "dirichlet:0.5)",
                          text));
}

Result<std::vector<std::uint32_t>> SplitPatients(const SplitRule& rule, const PatientLabels& labels,
                                                 std::uint32_t hospitals, std::uint64_t seed) {
  const std::size_t patients = labels.values.size();
  if (patients < hospitals) {
    return Fail(Code::kInvalid, fmt::format("{} patients do not make {} hospitals; ask for fewer with --hospitals",
                                            patients, hospitals));
  }
  std::vector<std::uint32_t> order = RandomOrder(patients, KeyOf("patients", seed));
  if (rule.kind == SplitRule::Kind::kDirichlet) {
    return Dirichlet(rule.alpha, Groups(labels, ByLabel(labels.values, std::move(order))), patients, hospitals,
                     KeyOf("dirichlet", seed));
  }
  const std::size_t each = rule.kind == SplitRule::Kind::kShards ? rule.shards : 1, parts = each * hospitals;
  if (patients < parts) {
    return Fail(Code::kInvalid,
                fmt::format("{} patients do not make {} shards for each of {} hospitals; ask for fewer shards, or for "
                            "fewer hospitals with --hospitals",
                            patients, each, hospitals));
  }
  std::vector<std::uint32_t> place(parts);
  std::iota(place.begin(), place.end(), std::uint32_t{0});
  if (rule.kind == SplitRule::Kind::kShards) {
    order = ByLabel(labels.values, std::move(order));
    place = RandomOrder(parts, KeyOf("shards", seed));
  }
  std::vector<std::uint32_t> out(patients);
  for (std::size_t part = 0; part < parts; ++part) {
    for (std::size_t i = BeginOf(part, parts, patients); i < BeginOf(part + 1, parts, patients); ++i)
      out[order[i]] = static_cast<std::uint32_t>(place[part] / each);
  }
  return out;
}

}  // namespace consilium::cli
