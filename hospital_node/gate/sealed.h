// The only thing that the transport's upload takes. Only the gate can make one (tests/house shows that other code does
// not compile).
#pragma once

#include "common/wire/messages.h"

namespace consilium::node {

class Sealed {
 public:
  [[nodiscard]] const Blob& vector() const { return vector_; }
  [[nodiscard]] const Digest& context() const { return context_; }
  [[nodiscard]] std::uint64_t saturated() const { return saturated_; }
  [[nodiscard]] std::uint64_t not_finite() const { return not_finite_; }
  // Every value is 0: nothing of this hospital's patients is in it.
  [[nodiscard]] bool blank() const { return blank_; }

 private:
  friend class Gate;
  Sealed() = default;
  Blob vector_;  // Inline, or in the blob store.
  Digest context_;
  std::uint64_t saturated_ = 0, not_finite_ = 0;
  bool blank_ = false;
};

}  // namespace consilium::node
