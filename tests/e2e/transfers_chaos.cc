// Transfers at full size, with their figures: bytes sent twice, memory by hospitals, the largest answer. `./run chaos`.
#include <cstdio>

#include "tests/e2e/transfers.h"

namespace consilium::e2e {
namespace {

constexpr int kMillion = 1'000'000;

class LargeTransfers : public ::testing::Test {};

TEST_F(LargeTransfers, BytesSentTwice) {
  LargeFederation federation({.hospitals = 4, .columns = 10});
  federation.StartBehindProxies();
  std::vector<std::uint64_t> start, uncut;
  for (int i = 0; i < 4; ++i) start.push_back(federation.proxy(i).up());
  federation.End(federation.Begin("uncut", kMillion));
  for (int i = 0; i < 4; ++i) {
    uncut.push_back(federation.proxy(i).up() - start[static_cast<std::size_t>(i)]);
    start[static_cast<std::size_t>(i)] = federation.proxy(i).up();
  }
  for (std::uint64_t chunk : {2, 20, 50, 76}) {
    for (int i = 0; i < 4; ++i) federation.proxy(i).CutAfter(chunk * kMiB - kMiB / 2);
    federation.End(federation.Begin("cut-" + std::to_string(chunk), kMillion));
    for (int i = 0; i < 4; ++i) {
      const std::uint64_t up = federation.proxy(i).up();
      const std::uint64_t once = uncut[static_cast<std::size_t>(i)];
      const std::uint64_t all = up - std::exchange(start[static_cast<std::size_t>(i)], up);
      std::printf("| cut in chunk %ld | %s | %.2f MiB of %.2f sent twice |\n", static_cast<long>(chunk),
                  Federation::Name(i).c_str(), (static_cast<double>(all) - static_cast<double>(once)) / kMiB,
                  static_cast<double>(once) / kMiB);
      EXPECT_LT(all, once + 2 * kMiB);
    }
  }
}

TEST_F(LargeTransfers, MemoryByHospitals) {
  for (int hospitals : {4, 8, 16}) {
    LargeFederation federation({.hospitals = hospitals, .columns = 10});
    federation.StartAll();
    federation.End(federation.Begin("memory", kMillion));
    std::printf("| %d hospitals, 10 M coordinates each | peak %.1f MiB |\n", hospitals, federation.PeakMiB());
  }
}

TEST_F(LargeTransfers, AnAnswerOf400MegabytesFor3Hospitals) {
  LargeFederation federation({.hospitals = 3, .columns = 48});
  federation.StartAll();
  const int bins = 1 << 20;
  federation.End(federation.Begin("large", bins));
  std::printf("| 3 hospitals, an answer of %.1f MB | peak %.1f MiB |\n",
              static_cast<double>(federation.AnswerBytes(bins)) / 1e6, federation.PeakMiB());
  EXPECT_LT(federation.PeakMiB(), 1500 * 1e6 / kMiB);
}

}  // namespace
}  // namespace consilium::e2e
