// A whole study without a network: the real workbench at every hospital, real encoding, real sums, the real algorithm.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/demo_data.h"
#include "common/algorithms/algorithm.h"
#include "common/privacy/encode.h"
#include "hospital_node/workbench.h"
#include "tests/data/scratch.h"

namespace consilium::testing {

namespace fs = std::filesystem;

inline std::string FileText(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

// A plan file with the schema that lies beside it.
inline Plan PlanFromText(const std::string& toml, const std::string& schema) {
  const auto plan = ParsePlanToml(toml, "plan.toml", [&](const std::string&) -> Result<std::string> { return schema; });
  if (!plan) {
    ADD_FAILURE() << plan.error().what;
    return {};
  }
  return *plan;
}

struct Federation {
  Plan plan;
  std::vector<node::DataSetSpec> hospitals;
  node::FileWorkbench workbench;

  std::map<std::uint32_t, Bytes> memories = {};  // What each hospital remembers of the study, by number.

  // One sum over the given hospitals (all when empty): what the coordinator gets. Those in it remember it.
  Result<Answer> Ask(const Step& step, const std::vector<std::uint32_t>& who = {}) {
    node::Given given;
    for (const Bytes& input : step.inputs) given.inputs[BlobRoot(input)] = input;
    given.seats = static_cast<std::uint32_t>(who.empty() ? hospitals.size() : who.size());
    std::vector<std::uint32_t> survivors;
    Bytes sum(step.query.WireBytes());
    for (std::uint32_t i = 0; i < hospitals.size(); ++i) {
      if (!who.empty() && std::find(who.begin(), who.end(), i + 1) == who.end()) continue;
      const RawContribution raw = TRY(workbench.Compute(plan, hospitals[i], step.query, Remembering(i + 1, given)));
      if (raw.memory) memories[i + 1] = *raw.memory;
      ++given.seat;
      const Bytes words = TRY(Encode(step.query, raw, nullptr));
      AddWords(step.query.ring, sum, words);
      survivors.push_back(i + 1);
    }
    return Answer::Create(step.query, survivors, std::move(sum));
  }

  node::Given Remembering(std::uint32_t number, node::Given given) {
    given.memory = memories[number];
    return given;
  }

  // The next query as it reaches a hospital: numbered, canonical, parsed again.
  [[nodiscard]] Step NextOf(const Algorithm& algorithm) const {
    Step step = *algorithm.Next(static_cast<std::uint32_t>(hospitals.size()));
    step.query.plan = plan.id();
    step.query.round = algorithm.Save().step + 1;
    const auto parsed = ParseQuery(Canonical(step.query));
    EXPECT_TRUE(parsed.has_value() && *parsed == step.query) << "a query must survive its canonical bytes";
    return step;
  }

  Status Advance(Algorithm* algorithm, Query* last_train = nullptr) {
    const Step step = NextOf(*algorithm);
    if (last_train != nullptr && step.query.kind == "train") *last_train = step.query;
    return algorithm->Absorb(step.query, TRY(Ask(step)));
  }

  Status Run(Algorithm* algorithm, Query* last_train = nullptr) {
    while (algorithm->Next(1)) TRY(Advance(algorithm, last_train));
    return {};
  }
};

// The demo's hospitals under `scratch`.
inline void MakeDemo(const Scratch& scratch, const demo::DemoStudy& study, std::uint64_t seed, Federation* out) {
  const auto written = demo::WriteDemoData(scratch.path().string(), study, seed);
  ASSERT_TRUE(written.has_value()) << written.error().what;
  for (std::uint32_t i = 0; i < study.hospitals; ++i) {
    const std::string name = demo::HospitalName(i);
    out->hospitals.push_back({name, (scratch.path() / name).string(), demo::DemoSchema()});
  }
}

}  // namespace consilium::testing
