// Secrets lie in locked memory, leave nothing behind, and the process refuses to start where memory cannot be locked.
#include "common/crypto/secret.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <thread>

namespace consilium {
namespace {

bool AllZero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

TEST(Secret, IsZeroAtFirstAndCopiesAreEqualButApart) {
  for (std::size_t size : {1, 31, 32, 33, 4096, 4097, 100000}) {
    const Secret zeros(size);
    ASSERT_EQ(zeros.size(), size);
    EXPECT_TRUE(AllZero(zeros.view()));
    Secret a = Secret::Random(size);
    const Secret b = a.Clone();
    EXPECT_TRUE(EqualConstantTime(a.view(), b.view()));
    EXPECT_NE(a.view().data(), b.view().data());
    a.bytes()[size - 1] ^= 1;
    EXPECT_FALSE(EqualConstantTime(a.view(), b.view()));
  }
}

TEST(Secret, ASlotIsWipedBeforeAnotherSecretGetsIt) {
  const std::uint8_t* slot = nullptr;
  {
    const Secret secret = Secret::Random(32);
    slot = secret.view().data();
  }
  EXPECT_TRUE(AllZero({slot, 32})) << "wiped on release, not on reuse";
  std::vector<Secret> held;
  for (int i = 0; i < 200; ++i) {
    held.emplace_back(32);
    EXPECT_TRUE(AllZero(held.back().view()));
    held.back().bytes()[0] = 1;
  }
}

TEST(Secret, LivingSecretsNeverShareBytes) {
  std::vector<Secret> held;
  std::set<const std::uint8_t*> places;
  for (std::size_t i = 0; i < 3000; ++i) {
    held.push_back(Secret::Random(1 + i % 70));
    EXPECT_TRUE(places.insert(held.back().view().data()).second);
  }
  std::vector<Bytes> copies;
  for (const Secret& secret : held) copies.push_back(ToBytes(secret.view()));
  for (std::size_t i = 0; i < held.size(); i += 2) held[i] = Secret::Random(200);
  for (std::size_t i = 1; i < held.size(); i += 2) EXPECT_EQ(ToBytes(held[i].view()), copies[i]);
}

TEST(Secret, MovesLeaveNothingBehind) {
  Secret a = Secret::Random(40);
  const Bytes content = ToBytes(a.view());
  Secret b = std::move(a);
  EXPECT_EQ(a.size(), 0U);  // NOLINT: the moved-from state is the point.
  EXPECT_EQ(ToBytes(b.view()), content);
  Secret c = Secret::Random(5);
  c = std::move(b);
  EXPECT_EQ(ToBytes(c.view()), content);
  Secret& self = c;
  c = std::move(self);
  EXPECT_EQ(ToBytes(c.view()), content);
  EXPECT_TRUE(Secret().view().empty());
  EXPECT_EQ(Secret::Copy({}).size(), 0U);
  EXPECT_EQ(Secret::Random(0).size(), 0U);
  Wipe({});
}

TEST(Secret, ThreadsMayTakeAndReleaseAtOnce) {
  std::vector<std::thread> threads;
  std::array<bool, 4> clean{};
  for (std::size_t t = 0; t < clean.size(); ++t) {
    threads.emplace_back([&clean, t] {
      bool good = true;
      for (int i = 0; i < 2000; ++i) {
        Secret secret(32);
        good = good && AllZero(secret.view());
        std::fill(secret.bytes().begin(), secret.bytes().end(), std::uint8_t{0xff});
      }
      clean[t] = good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (bool good : clean) EXPECT_TRUE(good);
}

TEST(Secret, EqualityOfDifferentSizesIsFalse) {
  EXPECT_FALSE(EqualConstantTime(View("a"), View("ab")));
  EXPECT_TRUE(EqualConstantTime({}, {}));
  Bytes bytes = {1, 2, 3};
  Wipe(bytes);
  EXPECT_TRUE(AllZero(bytes));
}

[[maybe_unused]] long LockedKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmLck:")) return std::strtol(line.c_str() + 6, nullptr, 10);
  }
  return -1;
}

TEST(StartCrypto, ForbidsCoreDumpsLocksSecretsAndMayBeCalledTwice) {
  ASSERT_TRUE(StartCrypto().has_value());
  ASSERT_TRUE(StartCrypto().has_value());
  struct rlimit core{};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &core), 0);
  EXPECT_EQ(core.rlim_cur, 0U);
  EXPECT_EQ(core.rlim_max, 0U);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // These make mlock() do nothing.
  const long before = LockedKib();
  const Secret large(256 * 1024);
  EXPECT_GE(LockedKib(), before + 256);
#endif
}

// Runs in a child process; an ordinary user's limits bind, root's do not.
[[noreturn]] void StartWithLimit(rlim_t bytes) {
  const struct rlimit limit{bytes, bytes};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)) _exit(9);
  const Status status = StartCrypto();
  if (status.has_value()) _exit(8);
  std::fprintf(stderr, "code %d: %s\n", static_cast<int>(status.error().code), status.error().what.c_str());
  _exit(status.error().code == Code::kRefused ? 3 : 7);
}

TEST(StartCryptoDeathTest, RefusesWhereMemoryCannotBeLockedAndNamesTheLimit) {
  EXPECT_EXIT(StartWithLimit(0), testing::ExitedWithCode(3), "limit now 0 KiB.*ulimit -l.*LimitMEMLOCK");
  EXPECT_EXIT(StartWithLimit(65536), testing::ExitedWithCode(3), "limit now 64 KiB") << "too little for a federation";
}

}  // namespace
}  // namespace consilium
