// Answers of ten columns with a million histogram bins each: 80 MB from every hospital.
#include <cstdio>

#include "tests/e2e/transfers.h"

namespace consilium::e2e {
namespace {

constexpr int kColumns = 10, kBins = 1'000'000;

TEST(Transfers, ACutLineCostsLessThanTwoChunks) {
  LargeFederation federation({.hospitals = 4, .columns = kColumns});
  federation.StartBehindProxies();
  if (::testing::Test::HasFatalFailure()) return;
  std::vector<std::uint64_t> before, uncut;
  for (int i = 0; i < 4; ++i) before.push_back(federation.proxy(i).up());
  auto t0 = std::chrono::steady_clock::now();
  federation.End(federation.Begin("uncut", kBins));
  std::fprintf(stderr, "4 nodes: %.1f s, peak %.1f MiB\n",
               std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count(), federation.PeakMiB());
  for (int i = 0; i < 4; ++i) {
    uncut.push_back(federation.proxy(i).up() - before[static_cast<std::size_t>(i)]);
    before[static_cast<std::size_t>(i)] = federation.proxy(i).up();
    federation.proxy(i).CutAfter(39 * kMiB / 2);
  }
  t0 = std::chrono::steady_clock::now();
  federation.End(federation.Begin("cut", kBins));
  std::fprintf(stderr, "4 nodes cut: %.1f s, peak %.1f MiB\n",
               std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count(), federation.PeakMiB());
  for (int i = 0; i < 4; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(federation.proxy(i).cuts(), 1);
    const auto twice = static_cast<std::int64_t>(federation.proxy(i).up() - before[at] - uncut[at]);
    std::fprintf(stderr, "%s: %.2f MiB of %.2f sent twice\n", Federation::Name(i).c_str(),
                 static_cast<double>(twice) / kMiB, static_cast<double>(uncut[at]) / kMiB);
    EXPECT_LT(twice, static_cast<std::int64_t>(2 * kMiB)) << Federation::Name(i);
  }
}

TEST(Transfers, Sixteen) {
  LargeFederation federation({.hospitals = 16, .columns = kColumns});
  auto t0 = std::chrono::steady_clock::now();
  federation.StartAll();
  std::fprintf(stderr, "16 nodes start: %.1f s, peak %.1f MiB\n",
               std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count(), federation.PeakMiB());
  t0 = std::chrono::steady_clock::now();
  federation.End(federation.Begin("uncut", kBins));
  std::fprintf(stderr, "16 nodes: %.1f s, peak %.1f MiB\n",
               std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count(), federation.PeakMiB());
}

}  // namespace
}  // namespace consilium::e2e
