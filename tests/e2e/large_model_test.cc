// A model of ten million parameters through real processes: 40 MB to each hospital and 40 MB back in every round.
#include <filesystem>

#include "tests/e2e/transfers.h"

namespace consilium::e2e {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kParameters = 10'000'000;

TEST(LargeModel, TrainsThroughRealProcessesBothWays) {
  LargeFederation federation({});
  federation.StartBehindProxies();
  const fs::path plan = federation.WritePlan(PlanText({.name = "large",
                                                       .rounds = 2,
                                                       .local_epochs = 1,
                                                       .round_deadline = "10m",
                                                       .model = "kind = \"mlp\"\nhidden = [3000, 3350]\n"}));
  const std::string study = federation.CliJson({"study", "submit", plan})["study"].AsString();
  federation.ApproveAll(study);
  const Value ended = federation.WaitEnd(study, kLongPatience);
  ASSERT_EQ(ended["phase"].AsString(), "complete") << CanonicalJson(ended["reason"]);
  for (int i = 0; i < kHospitals; ++i) {
    EXPECT_GT(federation.proxy(i).up(), 2 * 4 * kParameters) << "two contributions of " << Federation::Name(i);
    EXPECT_GT(federation.proxy(i).down(), 3 * 4 * kParameters)
        << "two rounds' models and the last, to " << Federation::Name(i);
  }
  const Value simulated = federation.CliJson(
      {"simulate", plan, "--data", federation.root() / "data", "--out", federation.root() / "simulated"});
  EXPECT_EQ(simulated["model_sha256"].AsString(), ended["model_sha256"].AsString());
  EXPECT_GT(fs::file_size(federation.root() / "simulated" / "model.safetensors"), 4 * kParameters);
}

}  // namespace
}  // namespace consilium::e2e
