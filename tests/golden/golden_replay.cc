// FLamby's strategies on the real heart data, replayed round by round: same initial weights, same mini-batches, and
// after every round the same weights to 1e-5. Another trace of that format, and the data it belongs to, by
// CONSILIUM_GOLDEN and CONSILIUM_GOLDEN_DATA; traces of the Cox model are float32's and hold to 1e-4.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>

#include "tests/data/scratch.h"
#include "tests/golden/cox_trace.h"
#include "tests/golden/replay.h"

namespace consilium::golden {
namespace {

namespace fs = std::filesystem;
constexpr ParseLimits kTraceLimits{.bytes = std::size_t{256} << 20};

fs::path Data() {
  const char* set = std::getenv("CONSILIUM_DATA");
  return set != nullptr ? fs::path(set) : fs::path(CONSILIUM_SOURCE_DIR) / ".." / "shared" / "data";
}

fs::path Setting(const char* name, const fs::path& fallback) {
  const char* set = std::getenv(name);
  return set != nullptr ? fs::path(set) : fallback;
}

void ExpectReplayed(const Value& trace, const fs::path& folder) {
  const auto study = ReadStudy(trace, folder);
  ASSERT_TRUE(study.has_value()) << study.error().what;
  ASSERT_FALSE(trace["strategies"].AsObject().empty());
  for (const auto& [strategy, steps] : trace["strategies"].AsObject()) {
    const auto worst = Replay(strategy, steps, *study);
    ASSERT_TRUE(worst.has_value()) << strategy << ": " << worst.error().what;
    std::cout << strategy << ": largest difference " << *worst << " over " << steps["rounds"].AsInteger()
              << " rounds\n";
    EXPECT_LT(*worst, study->tolerance) << strategy;
  }
}

TEST(GoldenReplay, OfTheTrace) {
  const fs::path file = Setting("CONSILIUM_GOLDEN", Data() / "flamby-results" / "golden_fed_heart_disease.json");
  if (std::getenv("CONSILIUM_GOLDEN") == nullptr && !fs::exists(file))
    GTEST_SKIP() << "no trace at " << file << "; set CONSILIUM_DATA to the folder that holds flamby-results and "
                 << "fed-heart-disease, or CONSILIUM_GOLDEN and CONSILIUM_GOLDEN_DATA";
  std::ifstream in(file);
  ASSERT_TRUE(in.good()) << file << " cannot be read";
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto trace = ParseJson(text, kTraceLimits);
  ASSERT_TRUE(trace.has_value()) << trace.error().what;
  const bool brca = (*trace)["dataset"].AsString() == "fed_tcga_brca";
  ExpectReplayed(*trace, Setting("CONSILIUM_GOLDEN_DATA", Data() / (brca ? "fed-tcga-brca" : "fed-heart-disease")));
}

class CoxReplay : public ::testing::Test {
 protected:
  testing::Scratch scratch_;
  Value trace_ = MakeCoxTrace(scratch_.path());

  [[nodiscard]] std::string Refusal(const Value& trace) const {
    const auto study = ReadStudy(trace, scratch_.path());
    if (!study) return study.error().what;
    const auto& [strategy, steps] = *trace["strategies"].AsObject().begin();
    const auto worst = Replay(strategy, steps, *study);
    return worst ? fmt::format("difference {}", *worst) : worst.error().what;
  }
  [[nodiscard]] Value With(const char* key, Value value) const {
    const auto& [strategy, steps] = *trace_["strategies"].AsObject().begin();
    Value changed = steps, out = trace_;
    changed.Set(key, std::move(value));
    return out.Set("strategies", Value().Set(strategy, std::move(changed)));
  }
};

TEST_F(CoxReplay, OfATraceInFloat32MadeByOtherCode) {
  const auto parsed = ParseJson(CanonicalJson(trace_), kTraceLimits);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().what;
  ExpectReplayed(*parsed, scratch_.path());
}

TEST_F(CoxReplay, SeesAWeightThatIsNotTheTraces) {
  const auto& steps = trace_["strategies"].AsObject().begin()->second;
  Value::Array rounds = steps["weights_after_round"].AsArray();
  Value::Array last = rounds.back().AsArray();
  last[5] = Value(last[5].AsDouble() + 2e-4);
  rounds.back() = Value(last);
  const std::string found = Refusal(With("weights_after_round", Value(rounds)));
  ASSERT_TRUE(found.starts_with("difference 0.0002")) << found;
}

TEST_F(CoxReplay, SaysWhatIsWrongWithATrace) {
  Value other = trace_;
  EXPECT_NE(Refusal(other.Set("dataset", "fed_isic2019")).find("fed_isic2019"), std::string::npos);
  other = trace_;
  Value fewer{Value::Array{}};
  EXPECT_NE(Refusal(other.Set("n_train", fewer.Push(5).Push(30).Push(30))).find("centre 0"), std::string::npos);
  EXPECT_NE(Refusal(With("num_updates", 7)).find("batches"), std::string::npos);
  EXPECT_NE(Refusal(With("init", Value().Set("fc.weight", Value(Value::Array{1.0})))).find("weights"),
            std::string::npos);
  EXPECT_NE(Refusal(With("hyper", Value().Set("optimizer_class", "torch.optim.Adam"))).find("SGD"), std::string::npos);
  other = trace_;
  const Value steps = trace_["strategies"].AsObject().begin()->second;
  EXPECT_NE(Refusal(other.Set("strategies", Value().Set("FedMagic", steps))).find("FedMagic"), std::string::npos);
  fs::remove(scratch_.path() / "brca.csv");
  EXPECT_NE(Refusal(trace_).find("brca.csv"), std::string::npos);
}

}  // namespace
}  // namespace consilium::golden
