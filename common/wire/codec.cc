#include "common/wire/codec.h"

#include "common/base/check.h"
#include "common/wire/kinds.h"
#include "common/wire/payload.h"

namespace consilium {
namespace {

constexpr std::uint32_t kChunkBit = 1U << 31;
constexpr std::size_t kMaxChunkHead = 256;

Bytes Signed(std::string_view kind, ByteView payload) {
  return Fields("HSA1/msg").AddText(kind).Add(Blake2b(payload)).bytes();
}

Bytes EncodeEnvelope(ByteView payload, const Signature& signature) {
  capnp::MallocMessageBuilder builder(32 + payload.size() / sizeof(capnp::word));
  auto root = builder.initRoot<schema::Envelope>();
  root.setPayload(framing::Raw(payload));
  root.setSignature(framing::Raw(signature));
  CHECK(builder.getSegmentsForOutput().size() == 1);
  return framing::Flatten(builder);
}

Bytes EncodeHead(const Digest& root, std::uint32_t first, std::uint32_t count) {
  capnp::MallocMessageBuilder builder(32);
  auto out = builder.initRoot<schema::ChunkHead>();
  out.setRoot(framing::Raw(root));
  out.setFirst(first);
  out.setCount(count);
  return framing::Flatten(builder);
}

Result<Chunk> ReadHead(ByteView head) {
  return framing::Guarded(Code::kProtocol, "a chunk's head", [&]() -> Result<Chunk> {
    auto segment = TRY(framing::OneSegment::Open(head));
    const auto root = segment.Get<schema::ChunkHead>();
    Chunk out{.root = {}, .first = root.getFirst(), .count = root.getCount(), .content = {}};
    GetFixed(root.getRoot(), out.root);
    if (!std::ranges::equal(EncodeHead(out.root, out.first, out.count), head)) {
      throw Malformed("it is not the canonical encoding");
    }
    return out;
  });
}

std::uint32_t GetU32(ByteView bytes) {
  std::uint32_t number = 0;
  for (int i = 3; i >= 0; --i) number = number << 8 | bytes[i];
  return number;
}

Status CheckSize(ByteView frame) {
  if (frame.size() > kMaxMessage) return Fail(Code::kProtocol, "a frame is larger than 2 MiB");
  return {};
}

Status VerifyPayload(std::uint16_t kind, const Envelope& envelope, const VerifyKey& key) {
  if (Verify(key, Signed(WireKindName(kind), envelope.payload), envelope.signature)) return {};
  return Fail(Code::kUnauthorised,
              "a " + std::string(WireKindName(kind)) + " is not signed by the key that it should be");
}

}  // namespace

Bytes EncodeFrame(const Message& message, const IdentityKey& key) {
  const Bytes payload = EncodePayload(message);
  Bytes frame = EncodeEnvelope(payload, key.Sign(Signed(KindName(message), payload)));
  CHECK(frame.size() <= kMaxMessage);
  return frame;
}

Result<Envelope> OpenEnvelope(ByteView frame) {
  TRY(CheckSize(frame));
  if (IsChunk(frame)) return Fail(Code::kProtocol, "a chunk came where a message was expected");
  return framing::Guarded(Code::kProtocol, "an envelope", [&]() -> Result<Envelope> {
    auto segment = TRY(framing::OneSegment::Open(frame));
    const auto root = segment.Get<schema::Envelope>();
    Envelope envelope;
    GetFixed(root.getSignature(), envelope.signature);
    envelope.payload = ToBytes(framing::View(root.getPayload()));
    // One envelope, one encoding: H(frame) is what chains are made of.
    if (!std::ranges::equal(EncodeEnvelope(envelope.payload, envelope.signature), frame)) {
      throw Malformed("it is not the canonical encoding");
    }
    return envelope;
  });
}

Result<Message> ReadFrame(ByteView frame, const VerifyKey& key) {
  const Envelope envelope = TRY(OpenEnvelope(frame));
  const std::uint16_t kind = TRY(PeekKind(envelope.payload));
  TRY(VerifyPayload(kind, envelope, key));
  return ParsePayload(envelope.payload);
}

Result<Enroll> ReadEnroll(ByteView frame) {
  const Envelope envelope = TRY(OpenEnvelope(frame));
  const std::uint16_t kind = TRY(PeekKind(envelope.payload));
  if (WireKindName(kind) != "Enroll") return Fail(Code::kProtocol, "a token's key may send nothing but Enroll");
  const Message message = TRY(ParsePayload(envelope.payload));
  const auto& enroll = std::get<Enroll>(message);
  TRY(VerifyPayload(kind, envelope, enroll.identity));
  return enroll;
}

Result<Message> ReadBeforeTrust(ByteView frame) {
  const Envelope envelope = TRY(OpenEnvelope(frame));
  const std::string_view kind = WireKindName(TRY(PeekKind(envelope.payload)));
  if (kind != "Welcome" && kind != "Refused" && kind != "Roster") {
    return Fail(Code::kProtocol, "a " + std::string(kind) + " is no answer to Enroll");
  }
  return ParsePayload(envelope.payload);
}

bool IsChunk(ByteView frame) { return frame.size() >= 4 && (GetU32(frame) & kChunkBit) != 0; }

Bytes ChunkHead(const Digest& root, std::uint32_t first, std::uint32_t count) {
  const Bytes head = EncodeHead(root, first, count);
  Bytes out(4);
  for (int i = 0; i < 4; ++i) out[i] = static_cast<std::uint8_t>((head.size() | kChunkBit) >> (8 * i));
  out.insert(out.end(), head.begin(), head.end());
  return out;
}

Result<Chunk> ReadChunk(ByteView frame) {
  TRY(CheckSize(frame));
  if (!IsChunk(frame)) return Fail(Code::kProtocol, "a message came where a chunk was expected");
  const std::size_t length = GetU32(frame) & ~kChunkBit;
  if (length > kMaxChunkHead || length > frame.size() - 4) return Fail(Code::kProtocol, "a chunk's head does not fit");
  Chunk chunk = TRY(ReadHead(frame.subspan(4, length)));
  const ByteView content = frame.subspan(4 + length);
  if (chunk.count == 0 || chunk.count > kMaxChunkLeaves || chunk.first >= kMaxBlob / kLeafBytes ||
      content.size() > chunk.count * kLeafBytes || content.size() <= (chunk.count - 1) * kLeafBytes) {
    return Fail(Code::kProtocol, "a chunk is not of 1 to 4 whole leaves");
  }
  chunk.content = ToBytes(content);
  return chunk;
}

}  // namespace consilium
