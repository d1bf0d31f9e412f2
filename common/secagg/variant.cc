#include "common/secagg/variant.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/twin.h"

namespace consilium {
namespace {
constexpr std::uint32_t kProtocolVersion = 1;
}

Digest SetupId(const SetupFields& fields) {
  return Fields("HSA1/setup")
      .Add(kProtocolVersion)
      .AddText(fields.federation)
      .Add(fields.roster)
      .Add(fields.plan)
      .Add(fields.counter)
      .Add(fields.slots)
      .Add(fields.n)
      .Add(fields.t)
      .Add(fields.m)
      .Add(HashSet(fields.cohort))
      .Hash();
}

Digest SumContext(const SumFields& fields) {
  return Fields("HSA1/sum")
      .Add(fields.sid)
      .Add(fields.h1)
      .Add(fields.h2)
      .Add(fields.slot)
      .Add(fields.round)
      .Add(fields.attempt)
      .Add(fields.query)
      .Add(fields.last_release)
      .Add(HashSet(fields.cohort))
      .Hash();
}

Digest PlainContext(std::string_view federation, const Digest& roster, const StudyId& study, std::uint32_t round,
                    std::uint32_t attempt, const Digest& query, const Digest& last_release,
                    const std::vector<std::uint32_t>& cohort) {
  SetupFields setup;
  setup.federation = std::string(federation);
  setup.roster = roster;
  setup.plan.bytes = study.bytes;  // StudyId = H(plan).
  setup.n = static_cast<std::uint32_t>(cohort.size());
  setup.cohort = cohort;
  SumFields sum;
  sum.sid = SetupId(setup);
  sum.round = round;
  sum.attempt = attempt;
  sum.query = query;
  sum.last_release = last_release;
  sum.cohort = cohort;
  return SumContext(sum);
}

PlainServer::PlainServer(std::vector<std::uint32_t> cohort, std::uint32_t quorum)
    : cohort_(std::move(cohort)), quorum_(quorum) {
  CHECK(quorum_ >= 2);  // A sum of one is that hospital's data.
  CHECK(std::ranges::is_sorted(cohort_) && std::ranges::adjacent_find(cohort_) == cohort_.end());
}

std::vector<std::uint32_t> PlainServer::Survivors(const std::set<std::uint32_t>& uploaded) const {
  std::vector<std::uint32_t> survivors;
  std::ranges::copy_if(cohort_, std::back_inserter(survivors), [&](std::uint32_t i) { return uploaded.contains(i); });
  const std::size_t least = Omitted(Twin::kPlansQuorum) ? std::max<std::size_t>(2, survivors.size() / 2 + 1) : quorum_;
  if (!Omitted(Twin::kQuorum) && survivors.size() < least) return {};
  return survivors;
}

bool PlainServer::Complete(const std::set<std::uint32_t>& uploaded) const {
  return std::ranges::all_of(cohort_, [&](std::uint32_t i) { return uploaded.contains(i); });
}

}  // namespace consilium
