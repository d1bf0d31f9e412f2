// The arena. Small secrets share locked, guarded regions of 32 KiB (libsodium's sodium_malloc: guard pages, mlock,
// MADV_DONTDUMP), cut into slots of powers of two; large ones get a region of their own. A region a secret would cost
// four mappings and a locked page for each 32-byte key, and the kernel counts both. Regions of slots are kept for the
// next secret and never returned; a slot is all zeros whenever nobody holds it.
#include "common/crypto/secret.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <fstream>
#include <mutex>

#include "common/crypto/sodium.h"

namespace consilium {
namespace {

constexpr std::size_t kRegionBytes = std::size_t{32} * 1024;
constexpr std::size_t kProbeBytes = std::size_t{1024} * 1024;  // Room for the keys of some thousand peers.
constexpr std::size_t kSmallest = 32, kLargest = 4096;         // Of a slot.

class Arena {
 public:
  static Arena& Get() {
    static Arena* const arena = new Arena;  // Never destroyed: secrets in static objects outlive everything.
    return *arena;
  }

  std::uint8_t* Take(std::size_t size) {
    InitSodium();
    if (size > kLargest) return Region(size);
    const std::size_t slot = SlotBytes(size);
    const std::lock_guard lock(mutex_);
    std::vector<std::uint8_t*>& free = FreeSlots(slot);
    if (free.empty()) {
      std::uint8_t* region = Region(kRegionBytes);
      for (std::size_t at = kRegionBytes; at > 0; at -= slot) free.push_back(region + at - slot);
    }
    std::uint8_t* data = free.back();
    free.pop_back();
    return data;
  }

  void Release(std::uint8_t* data, std::size_t size) {
    if (size > kLargest) return sodium_free(data);  // Wipes.
    sodium_memzero(data, size);
    const std::lock_guard lock(mutex_);
    FreeSlots(SlotBytes(size)).push_back(data);
  }

 private:
  static std::size_t SlotBytes(std::size_t size) { return std::max(kSmallest, std::bit_ceil(size)); }
  static std::uint8_t* Region(std::size_t size) {
    auto* region = static_cast<std::uint8_t*>(sodium_malloc(size));
    CHECK(region != nullptr);
    sodium_memzero(region, size);
    return region;
  }
  std::vector<std::uint8_t*>& FreeSlots(std::size_t slot) {
    return free_[static_cast<std::size_t>(std::countr_zero(slot) - std::countr_zero(kSmallest))];
  }

  std::mutex mutex_;
  std::array<std::vector<std::uint8_t*>, std::countr_zero(kLargest) - std::countr_zero(kSmallest) + 1> free_;
};

// Kibibytes that this process has locked, as the kernel counts them; -1 when it does not say.
long LockedKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmLck:")) return std::strtol(line.c_str() + 6, nullptr, 10);
  }
  return -1;
}

bool CanLockMemory() {
  const long before = LockedKib();
  void* probe = mmap(nullptr, kProbeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED) return false;
  // The system call itself: sanitizers make mlock() do nothing, and their builds must start too.
  const bool taken = syscall(SYS_mlock, probe, kProbeBytes) == 0;
  const bool locked = taken && before >= 0 && LockedKib() >= before + static_cast<long>(kProbeBytes / 1024);
  munmap(probe, kProbeBytes);
  return locked;
}

}  // namespace

Status StartCrypto() {
  InitSodium();
  const struct rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return Fail(Code::kIo, "cannot forbid core dumps (setrlimit RLIMIT_CORE)");
  if (!CanLockMemory()) {
    struct rlimit limit{};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    return Fail(Code::kRefused,
                fmt::format("memory cannot be locked (limit now {} KiB), so keys could be swapped to disk; type: "
                            "ulimit -l 8192   (in a systemd unit: LimitMEMLOCK=8M)",
                            limit.rlim_cur / 1024));
  }
  return {};
}

Secret::Secret(std::size_t size) : data_(size == 0 ? nullptr : Arena::Get().Take(size)), size_(size) {}

Secret Secret::Copy(ByteView bytes) {
  Secret out(bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.data_);
  return out;
}

Secret Secret::Random(std::size_t size) {
  Secret out(size);
  RandomBytes(out.bytes());
  return out;
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  if (data_ != nullptr) Arena::Get().Release(data_, size_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

Secret::~Secret() {
  if (data_ != nullptr) Arena::Get().Release(data_, size_);
}

void Wipe(std::span<std::uint8_t> bytes) {
  if (!bytes.empty()) sodium_memzero(bytes.data(), bytes.size());  // It may not be given a null pointer.
}

void RandomBytes(std::span<std::uint8_t> out) {
  InitSodium();
  if (!out.empty()) randombytes_buf(out.data(), out.size());
}

bool EqualConstantTime(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace consilium
