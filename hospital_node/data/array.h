// An array of rows, as idx and npy files hold it, read row by row.
#pragma once

#include <memory>
#include <vector>

#include "hospital_node/data/element.h"
#include "hospital_node/data/stream.h"

namespace consilium::node {

struct ArrayInfo {
  Element element = Element::kU8;
  bool big_endian = false;
  std::vector<std::uint64_t> axes;  // The first one counts the rows.
  [[nodiscard]] std::uint64_t rows() const { return axes.front(); }
  [[nodiscard]] std::uint64_t RowElements() const;  // Their product without the first.
};

// Checks what a header says against limits and against what its stream can hold, before anything is made of its size.
// kInvalid.
Status CheckArray(const ArrayInfo& info, const ByteStream& stream);

class ArrayReader {
 public:
  // idx: 2 zero bytes, type, number of axes, their lengths and the elements, all big-endian
  // (yann.lecun.com/exdb/mnist).
  static Result<ArrayReader> Idx(std::unique_ptr<ByteStream> stream);
  // npy, versions 1 to 3 (numpy.lib.format): C order, types u1 i1 u2 i2 u4 i4 u8 i8 f4 f8 and b1.
  static Result<ArrayReader> Npy(std::unique_ptr<ByteStream> stream);

  [[nodiscard]] const ArrayInfo& info() const { return info_; }
  [[nodiscard]] const std::string& name() const { return stream_->name(); }
  [[nodiscard]] std::size_t RowBytes() const;
  // The next row's elements into `out` (RowBytes()), in this machine's byte order. At most info().rows() times.
  Status Next(std::uint8_t* out);
  Status Finish();  // After the last row: nothing may follow.

 private:
  ArrayReader(ArrayInfo info, std::unique_ptr<ByteStream> stream)
      : info_(std::move(info)), stream_(std::move(stream)) {}
  ArrayInfo info_;
  std::unique_ptr<ByteStream> stream_;
};

}  // namespace consilium::node
