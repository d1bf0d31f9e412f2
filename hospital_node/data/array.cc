// What idx and npy have in common, and idx.
#include "hospital_node/data/array.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "common/plan/schema.h"
#include "hospital_node/data/table.h"

namespace consilium::node {
namespace {

constexpr std::size_t kMostAxes = 5;

// The third byte of an idx file.
std::optional<Element> IdxElement(std::uint8_t code) {
  switch (code) {
    case 0x08:
      return Element::kU8;
    case 0x09:
      return Element::kI8;
    case 0x0B:
      return Element::kI16;
    case 0x0C:
      return Element::kI32;
    case 0x0D:
      return Element::kF32;
    case 0x0E:
      return Element::kF64;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::uint64_t ArrayInfo::RowElements() const {
  std::uint64_t out = 1;
  for (std::size_t i = 1; i < axes.size(); ++i) out *= axes[i];
  return out;
}

Status CheckArray(const ArrayInfo& info, const ByteStream& stream) {
  const auto fault = [&](const std::string& what) {
    return Fail(Code::kInvalid, fmt::format("{}: the header says {}", stream.name(), what));
  };
  if (info.axes.empty() || info.axes.size() > kMostAxes)
    return fault(fmt::format("{} axes; an array of rows has 1 to {}", info.axes.size(), kMostAxes));
  const std::string shape = fmt::format("{}", fmt::join(info.axes, " x "));
  if (info.rows() == 0) return fault("that there are no rows; was it saved before it was filled?");
  if (info.rows() > kMaxRows)
    return fault(fmt::format("{} rows; one data set has at most {}, leave some out", info.rows(), kMaxRows));
  std::uint64_t elements = 1;
  for (std::size_t i = 1; i < info.axes.size(); ++i) {
    if (info.axes[i] == 0 || info.axes[i] > kMaxElements || (elements *= info.axes[i]) > kMaxElements)
      return fault(fmt::format("{}; a row has 1 to {} elements, make the images smaller", shape, kMaxElements));
  }
  const std::uint64_t bytes = info.rows() * elements * BytesOf(info.element);
  if (bytes > stream.Most()) {
    return fault(
        fmt::format("{}, which is {} bytes, and at most {} can follow; the file was cut off or its header is "
                    "false, copy it again",
                    shape, bytes, stream.Most()));
  }
  return {};
}

Result<ArrayReader> ArrayReader::Idx(std::unique_ptr<ByteStream> stream) {
  std::array<std::uint8_t, 4> head{};
  TRY(stream->ReadAll(head, "an idx file's first four bytes"));
  const auto element = IdxElement(head[2]);
  if (head[0] != 0 || head[1] != 0 || !element || head[3] == 0 || head[3] > kMostAxes) {
    return Fail(
        Code::kInvalid,
        fmt::format("{}: this is no idx file: its first bytes are {:02x} {:02x} {:02x} {:02x}, where idx has two "
                    "zeros, the type (08, 09, 0b, 0c, 0d or 0e) and 1 to {} axes",
                    stream->name(), head[0], head[1], head[2], head[3], kMostAxes));
  }
  ArrayInfo info{*element, true, {}};
  for (int axis = 0; axis < head[3]; ++axis) {
    std::array<std::uint8_t, 4> length{};
    TRY(stream->ReadAll(length, "the lengths of its axes"));
    info.axes.push_back(std::uint64_t{length[0]} << 24 | length[1] << 16 | length[2] << 8 | length[3]);
  }
  TRY(CheckArray(info, *stream));
  return ArrayReader(std::move(info), std::move(stream));
}

std::size_t ArrayReader::RowBytes() const {
  return static_cast<std::size_t>(info_.RowElements()) * BytesOf(info_.element);
}

Status ArrayReader::Next(std::uint8_t* out) {
  TRY(stream_->ReadAll({out, RowBytes()}, "its rows"));
  if (const std::size_t size = BytesOf(info_.element); info_.big_endian && size > 1) {
    for (std::uint8_t* at = out; at < out + RowBytes(); at += size) std::reverse(at, at + size);
  }
  return {};
}

Status ArrayReader::Finish() { return stream_->ExpectEnd("the last row that its header names"); }

}  // namespace consilium::node
