#include "common/wire/framing.h"

#include <algorithm>

#include "common/base/check.h"

namespace consilium::framing {
namespace {

constexpr std::size_t kWord = sizeof(capnp::word);

void PutU32(Bytes& out, std::size_t at, std::size_t number) {
  CHECK(number <= UINT32_MAX);
  for (int i = 0; i < 4; ++i) out[at + i] = static_cast<std::uint8_t>(number >> (8 * i));
}

std::uint32_t GetU32(ByteView bytes, std::size_t at) {
  std::uint32_t number = 0;
  for (int i = 0; i < 4; ++i) number |= std::uint32_t{bytes[at + i]} << (8 * i);
  return number;
}

}  // namespace

Bytes Flatten(capnp::MessageBuilder& builder) {
  const auto segments = builder.getSegmentsForOutput();
  const std::size_t table = (4 + 4 * segments.size() + kWord - 1) / kWord * kWord;
  std::size_t total = table;
  for (const auto& segment : segments) total += segment.size() * kWord;
  Bytes out;
  out.reserve(total);
  out.resize(table);
  PutU32(out, 0, segments.size() - 1);
  for (std::size_t i = 0; i < segments.size(); ++i) PutU32(out, 4 + 4 * i, segments[i].size());
  for (const auto& segment : segments) {
    const auto bytes = segment.asBytes();
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

Words::Words(ByteView bytes) {
  CHECK(bytes.size() % kWord == 0);
  const std::size_t count = bytes.size() / kWord;
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(capnp::word) == 0) {
    words_ = {reinterpret_cast<const capnp::word*>(bytes.data()), count};
    return;
  }
  copy_ = kj::heapArray<capnp::word>(count);
  std::memcpy(copy_.begin(), bytes.data(), bytes.size());
  words_ = copy_;
}

OneSegment::OneSegment(ByteView bytes) : state_(std::make_unique<State>(bytes)) {
  const auto words = state_->words.words();
  state_->segment = words.slice(1, words.size());
  capnp::ReaderOptions options;
  options.traversalLimitInWords = std::max<std::uint64_t>(1024, 4 * words.size());
  options.nestingLimit = 16;
  state_->reader.emplace(kj::arrayPtr(&state_->segment, 1), options);
}

Result<OneSegment> OneSegment::Open(ByteView bytes) {
  if (bytes.size() < 2 * kWord || bytes.size() % kWord != 0) {
    return Fail(Code::kProtocol, "a message is not a whole number of words");
  }
  if (GetU32(bytes, 0) != 0) return Fail(Code::kProtocol, "a message has several segments");
  if (GetU32(bytes, 4) != bytes.size() / kWord - 1) {
    return Fail(Code::kProtocol, "a message's length is not the one that it states");
  }
  return OneSegment(bytes);
}

}  // namespace consilium::framing
