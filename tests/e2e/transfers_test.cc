// Answers of ten columns with a million histogram bins each: 80 MB from every hospital.
#include "tests/e2e/transfers.h"

namespace consilium::e2e {
namespace {

constexpr int kColumns = 10, kBins = 1'000'000;
constexpr std::uint64_t kChunk20 = 39 * kMiB / 2;  // The middle of it.

TEST(Transfers, ACutLineCostsLessThanTwoChunks) {
  LargeFederation federation({.hospitals = 4, .columns = kColumns});
  federation.StartBehindProxies();
  std::vector<std::uint64_t> start, uncut;
  for (int i = 0; i < 4; ++i) start.push_back(federation.proxy(i).up());
  federation.End(federation.Begin("uncut", kBins));
  for (int i = 0; i < 4; ++i) {
    const std::uint64_t up = federation.proxy(i).up();
    uncut.push_back(up - std::exchange(start[static_cast<std::size_t>(i)], up));
    EXPECT_GT(uncut.back(), federation.AnswerBytes(kBins));
    federation.proxy(i).CutAfter(kChunk20);
  }
  federation.End(federation.Begin("cut", kBins));
  for (int i = 0; i < 4; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(federation.proxy(i).cuts(), 1);
    const std::uint64_t up = federation.proxy(i).up() - start[at];
    EXPECT_LT(up, uncut[at] + 2 * kMiB) << Federation::Name(i);
    RecordProperty("sent twice by " + Federation::Name(i), std::to_string(up - uncut[at]));
  }
}

TEST(Transfers, TheCoordinatorsMemoryDoesNotGrowWithHospitals) {
  std::map<int, double> peak;
  for (int hospitals : {4, 16}) {
    LargeFederation federation({.hospitals = hospitals, .columns = kColumns});
    federation.StartAll();
    federation.End(federation.Begin("memory", kBins));
    peak[hospitals] = federation.PeakMiB();
    RecordProperty(std::to_string(hospitals) + " nodes, MiB", std::to_string(peak[hospitals]));
  }
  EXPECT_LT(peak[16], 1.1 * peak[4]);
}

// Two of four stand still with all that may be in flight; the coordinator and one of them are stopped meanwhile.
TEST(Transfers, SlowHospitalsDoNotSlowOthersAndAnUploadIsTakenUpAgain) {
  LargeFederation federation({.hospitals = 4, .columns = kColumns});
  federation.StartBehindProxies();
  federation.proxy(0).HoldAfter(3 * kMiB);
  federation.proxy(1).HoldAfter(3 * kMiB);
  const std::string study = federation.Begin("slow", kBins / 4);
  EXPECT_TRUE(WaitUntil([&] { return federation.Uploaded(study, 2) && federation.Uploaded(study, 3); }));
  EXPECT_FALSE(federation.Uploaded(study, 0));
  EXPECT_FALSE(federation.Uploaded(study, 1));
  EXPECT_TRUE(WaitUntil([&] { return federation.proxy(0).holding() && federation.proxy(1).holding(); }));

  EXPECT_EQ(federation.node_process(0).Stop(kPatience), 0);
  EXPECT_EQ(federation.coordinator_process().Stop(kPatience), 0);
  federation.StartCoordinator();
  federation.StartNode(0);
  federation.proxy(0).Release();
  federation.proxy(1).Release();
  federation.End(study);
  federation.ExpectOneAnswerPerRound(study);
}

}  // namespace
}  // namespace consilium::e2e
