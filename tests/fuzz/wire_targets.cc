// Frames, messages and stored records.
#include "common/wire/framing.h"  // Before Cap'n Proto's own headers, for clang.

#include "common/wire/codec.h"
#include "common/wire/kinds.h"
#include "common/wire/payload.h"
#include "common/wire/records.h"
#include "tests/fuzz/fuzz.h"

namespace consilium::fuzz {
namespace {

const IdentityKey& Key() {
  static const IdentityKey key = IdentityKey::FromSeed(Bytes(32, 1));
  return key;
}

void TryPayload(ByteView bytes) {
  const auto message = ParsePayload(bytes);
  if (!message) {
    CHECK(message.error().code == Code::kProtocol && !message.error().what.empty());
    return;
  }
  if (bytes.size() > kMaxMessage / 8) return;  // Shared parts may be read up to four times; a frame has its limit.
  const Bytes frame = EncodeFrame(*message, Key());
  const auto again = ReadFrame(frame, Key().verify_key());
  CHECK(again.has_value() && *again == *message && EncodeFrame(*again, Key()) == frame);
}

template <class Decoded>
void TryRecord(const Decoded& record, auto decode) {
  CHECK(Says(record));
  if (!record) {
    CHECK(record.error().code == Code::kCorrupt);
    return;
  }
  const Bytes bytes = Encode(*record);
  const auto again = decode(bytes);
  CHECK(again.has_value() && Encode(*again) == bytes);
}

}  // namespace

// Any bytes as a frame, under whichever key; and as the payload within one.
void EnvelopeFrame(ByteView input) {
  const auto envelope = OpenEnvelope(input);
  CHECK(Says(envelope));
  if (envelope) TryPayload(envelope->payload);
  const auto read = ReadFrame(input, Key().verify_key());
  CHECK(Says(read));
  if (read) CHECK(envelope.has_value());
  const auto enroll = ReadEnroll(input);
  CHECK(Says(enroll));
  const auto early = ReadBeforeTrust(input);
  CHECK(Says(early));
  if (early) {
    CHECK(std::holds_alternative<Welcome>(*early) || std::holds_alternative<Refused>(*early) ||
          std::holds_alternative<RosterUpdate>(*early));
  }
}

// Refused, or exactly the chunk that its head and content make. Leaves are large, so their bytes come from a number.
void ChunkFrame(ByteView input) {
  const auto check = [](ByteView frame) {
    const auto chunk = ReadChunk(frame);
    if (!chunk) {
      CHECK(chunk.error().code == Code::kProtocol && !chunk.error().what.empty());
      return;
    }
    CHECK(IsChunk(frame) && chunk->count >= 1 && chunk->count <= kMaxChunkLeaves);
    Bytes again = ChunkHead(chunk->root, chunk->first, chunk->count);
    again.insert(again.end(), chunk->content.begin(), chunk->content.end());
    CHECK(std::ranges::equal(again, frame));
  };
  check(input);
  if (input.size() < 3) return;
  Source source(input);
  const std::size_t more = source.Number(1) << 12;  // Up to 1 MiB and a little.
  Bytes longer = ToBytes(source.Rest());
  longer.resize(longer.size() + more);
  check(longer);
}

// Any bytes as the payload of a message that is well signed: the kind is the payload's own.
void MessagePayload(ByteView input) {
  const auto kind = PeekKind(input);
  CHECK(Says(kind));
  if (kind) {
    capnp::MallocMessageBuilder builder(64 + input.size() / 8);
    auto root = builder.initRoot<schema::Envelope>();
    root.setPayload(framing::Raw(input));
    root.setSignature(
        framing::Raw(Key().Sign(Fields("HSA1/msg").AddText(WireKindName(*kind)).Add(Blake2b(input)).bytes())));
    const auto message = ReadFrame(framing::Flatten(builder), Key().verify_key());
    if (message) {
      CHECK(KindName(*message) == WireKindName(*kind));
    } else {
      CHECK(message.error().code == Code::kProtocol);
    }
  }
  TryPayload(input);
}

void Record(ByteView input) {
  TryRecord(DecodeStudyRecord(input), DecodeStudyRecord);
  TryRecord(DecodeParticipantRecord(input), DecodeParticipantRecord);
  TryRecord(DecodeLedgerRow(input), DecodeLedgerRow);
  TryRecord(DecodeAlgorithmState(input), DecodeAlgorithmState);
}

}  // namespace consilium::fuzz
