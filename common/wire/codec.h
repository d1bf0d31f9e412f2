// Bytes <-> messages. Everything is bounded before it is used, and verified before it is parsed.
//
// A frame is an envelope {payload, signature} (one Cap'n Proto segment) or, when its first four bytes are a head length
// with the top bit set, a chunk: u32 LE (head length | 2^31), head, raw bytes.
#pragma once

#include "common/crypto/keys.h"
#include "common/wire/messages.h"

namespace consilium {

struct Envelope {
  Bytes payload;      // Cap'n Proto bytes of one message.
  Signature signature;  // By the sender's IK over Fields("HSA1/msg") | kind | H(payload).
};

// Serialises and signs. The result is the frame; H(frame) is the envelope's hash in chains.
Bytes EncodeFrame(const Message& message, const IdentityKey& key);

// Splits an envelope without looking into the payload. kProtocol on anything off.
Result<Envelope> OpenEnvelope(ByteView frame);
// Parses the payload. The signature covers the kind, so parse and verify belong together:
// ReadFrame opens, parses with all limits, and verifies under `key`.
Result<Message> ReadFrame(ByteView frame, const VerifyKey& key);
// Enroll brings its own key: parses, and verifies under the message's `identity`.
Result<Enroll> ReadEnroll(ByteView frame);

bool IsChunk(ByteView frame);
Bytes ChunkHead(const Digest& root, std::uint32_t first, std::uint32_t count);  // Length prefix and head; content follows.
Result<Chunk> ReadChunk(ByteView frame);

}  // namespace consilium
