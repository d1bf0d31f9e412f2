// Messages <-> payload bytes. Internal to common/wire; codec.h adds envelope and signature.
#pragma once

#include "common/wire/framing.h"
#include "common/wire/messages.h"
#include "schemas/wire.capnp.h"

namespace consilium {

Bytes EncodePayload(const Message& message);
// The index in kWireKinds of a payload, before anything else of it is read.
Result<std::uint16_t> PeekKind(ByteView payload);

// Shared with the records' codec.
void PutBlob(const Blob& blob, schema::Blob::Builder out);
std::size_t WordsOf(const Blob& blob);  // At most this many, with its pointers.
Blob GetBlob(schema::Blob::Reader in);  // Throws Malformed; not checked by CheckBlob.

// Hospital -> attempt, ascending.
using Counted = std::map<std::uint32_t, std::uint32_t>;
void PutCounted(const Counted& counted, capnp::List<schema::Counted>::Builder out);
Counted GetCounted(capnp::List<schema::Counted>::Reader in);  // Throws Malformed.

// Thrown inside the codec alone, caught by framing::Guarded.
struct Malformed : std::exception {
  explicit Malformed(std::string text) : what_(std::move(text)) {}
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string what_;
};

template <std::size_t N, class Tag>
void GetFixed(capnp::Data::Reader in, Fixed<N, Tag>& out) {
  if (in.size() != N)
    throw Malformed("a field has " + std::to_string(in.size()) + " bytes instead of " + std::to_string(N));
  std::memcpy(out.bytes.data(), in.begin(), N);
}
// An enumerant that this version does not know is malformed.
template <class To, class From>
To GetEnum(From in, std::size_t size) {
  if (static_cast<std::size_t>(in) >= size) throw Malformed("an enumerant is unknown");
  return static_cast<To>(in);
}

}  // namespace consilium
