// One private sum, behind one interface: Plain (visible profile) now, Straight and Hsa1 with the secure profile.
// Client and server side by side, no arrow between them; both pure.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "common/base/bytes.h"
#include "common/crypto/hash.h"
#include "common/query/query.h"

namespace consilium {

// sid and ctx: everything is bound to everything (protocol.md, "Set-up id and sum context").
struct SetupFields {
  std::string federation;
  Digest roster, plan;
  std::uint32_t counter = 0, slots = 1, n = 0, t = 0, m = 0;
  std::vector<std::uint32_t> cohort;
};
Digest SetupId(const SetupFields& fields);
struct SumFields {
  Digest sid;
  Bytes h1, h2;  // Empty where the variant has none.
  std::uint32_t slot = 0, round = 0, attempt = 0;
  Digest query, last_release;
  std::vector<std::uint32_t> cohort;  // U
};
Digest SumContext(const SumFields& fields);

// What both ends bind an attempt of the visible profile to: Plain has no set-up, so h1 and h2 are empty, t = m = 0.
Digest PlainContext(std::string_view federation, const Digest& roster, const StudyId& study, std::uint32_t round,
                    std::uint32_t attempt, const Digest& query, const Digest& last_release,
                    const std::vector<std::uint32_t>& cohort);

// The hospital's side: turns encoded ring words into what leaves.
class SumClient {
 public:
  virtual ~SumClient() = default;
  // In place, any tile alone: `offset` is the tile's first byte in the upload.
  virtual void Mask(std::span<std::uint8_t> tile, std::uint64_t offset) const = 0;
};
class PlainClient final : public SumClient {
 public:
  void Mask(std::span<std::uint8_t> /*tile*/, std::uint64_t /*offset*/) const override {}
};

// The coordinator's side of one attempt: who is in, what must still be asked, when the sum can be opened.
class SumServer {
 public:
  virtual ~SumServer() = default;
  // The survivors once the upload phase ends with these whole uploads; empty when no sum can be opened from them.
  [[nodiscard]] virtual std::vector<std::uint32_t> Survivors(const std::set<std::uint32_t>& uploaded) const = 0;
  // Complete before the deadline?
  [[nodiscard]] virtual bool Complete(const std::set<std::uint32_t>& uploaded) const = 0;
};
class PlainServer final : public SumServer {
 public:
  PlainServer(std::vector<std::uint32_t> cohort, std::uint32_t quorum);
  [[nodiscard]] std::vector<std::uint32_t> Survivors(const std::set<std::uint32_t>& uploaded) const override;
  [[nodiscard]] bool Complete(const std::set<std::uint32_t>& uploaded) const override;

 private:
  std::vector<std::uint32_t> cohort_;
  std::uint32_t quorum_;
};

}  // namespace consilium
