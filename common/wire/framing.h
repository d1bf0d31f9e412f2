// Cap'n Proto's standard framing over our byte strings. Internal to common/wire: the only folder that knows the
// library.
#pragma once

#include <kj/string.h>

#ifdef __clang__
// Cap'n Proto 0.9's <capnp/blob.h> leans on this operator; C++20 as clang reads it (P2468) does not derive it.
namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return b.operator==(StringPtr(a)); }
}  // namespace kj
#endif

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/bytes.h"

namespace consilium::framing {

// The message in the standard framing (segment table, then segments), in one copy.
Bytes Flatten(capnp::MessageBuilder& builder);

// The words of `bytes`, in place when they are aligned, else copied. `bytes` outlives it.
class Words {
 public:
  explicit Words(ByteView bytes);
  [[nodiscard]] kj::ArrayPtr<const capnp::word> words() const { return words_; }

 private:
  kj::Array<capnp::word> copy_;
  kj::ArrayPtr<const capnp::word> words_;
};

// A message of exactly one segment and nothing after it, read within limits that its size gives.
class OneSegment {
 public:
  static Result<OneSegment> Open(ByteView bytes);  // `bytes` outlives it.
  template <class Root>
  typename Root::Reader Get() {
    return state_->reader->getRoot<Root>();
  }

 private:
  struct State {  // The reader keeps a pointer to `segment`, so that the three stay where they are.
    explicit State(ByteView bytes) : words(bytes) {}
    Words words;
    kj::ArrayPtr<const capnp::word> segment;
    std::optional<capnp::SegmentArrayMessageReader> reader;
  };
  explicit OneSegment(ByteView bytes);
  std::unique_ptr<State> state_;
};

// Runs `read`, which gives a Result, and turns what the library throws into an error of `code`.
template <class Read>
auto Guarded(Code code, std::string_view what, Read read) -> decltype(read()) {
  try {
    return read();
  } catch (const kj::Exception& exception) {
    return Fail(code, std::string(what) + " does not parse: " + exception.getDescription().cStr());
  } catch (const std::exception& exception) {
    return Fail(code, std::string(what) + " does not parse: " + exception.what());
  }
}

inline kj::ArrayPtr<const kj::byte> Raw(ByteView view) { return {view.data(), view.size()}; }
inline ByteView View(kj::ArrayPtr<const kj::byte> data) { return {data.begin(), data.size()}; }

}  // namespace consilium::framing
