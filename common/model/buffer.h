// Memory for matrices and parameter vectors: made once, zero at first, aligned to cache lines, in huge pages where it
// is large (a page fault costs more than the copy of the page).
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

namespace consilium {

template <class Real>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size) : size_(size) {
    if (size == 0) return;
    constexpr std::size_t kLine = 64, kHugePage = std::size_t{2} << 20;
    const std::size_t bytes = size * sizeof(Real), alignment = bytes >= kHugePage ? kHugePage : kLine;
    const std::size_t whole = (bytes + alignment - 1) / alignment * alignment;
    data_.reset(static_cast<Real*>(std::aligned_alloc(alignment, whole)));
    if (data_ == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) (void)madvise(data_.get(), whole, MADV_HUGEPAGE);  // A hint; without it all is slower.
    std::fill_n(data_.get(), size, Real{});
  }
  [[nodiscard]] Real* data() { return data_.get(); }
  [[nodiscard]] const Real* data() const { return data_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<Real> span() { return {data(), size_}; }
  [[nodiscard]] std::span<const Real> span() const { return {data(), size_}; }

 private:
  struct Free {
    void operator()(Real* p) const { std::free(p); }
  };
  std::unique_ptr<Real, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace consilium
