// Bytes <-> messages. Everything is bounded before it is used, and verified before it is parsed.
//
// A frame is an envelope {payload, signature} (one Cap'n Proto segment) or, when its first four bytes are a head length
// with the top bit set, a chunk: u32 LE (head length | 2^31), head, raw bytes.
#pragma once

#include "common/crypto/keys.h"
#include "common/wire/messages.h"

namespace consilium {

// Errors: kUnauthorised is a wrong signature, kProtocol everything that does not parse or breaks a limit.
struct Envelope {
  Bytes payload;        // Cap'n Proto bytes of one message.
  Signature signature;  // By the sender's IK over Fields("HSA1/msg") | kind | H(payload).
};

// Serialises and signs. The result is the frame; H(frame) is the envelope's hash in chains. CHECKs that it fits
// kMaxMessage. A Later is encoded as its kind without content.
Bytes EncodeFrame(const Message& message, const IdentityKey& key);

// Splits an envelope without looking into the payload. kProtocol on anything off.
Result<Envelope> OpenEnvelope(ByteView frame);
// Opens, looks at the kind (the signature covers it), verifies under `key`, and only then parses, with all limits.
Result<Message> ReadFrame(ByteView frame, const VerifyKey& key);
// Enroll brings its own key: parses, and verifies under the message's `identity`.
Result<Enroll> ReadEnroll(ByteView frame);
// While a hospital enrols, the coordinator's identity key is in the very rosters that it sends: parses the kinds that
// may answer Enroll (Welcome, Refused, Roster) without verifying. The caller trusts nothing of it before ReadFrame
// succeeds under the key of a roster chain that begins with the token's fingerprint; until then CURVE stands behind the
// frame.
Result<Message> ReadBeforeTrust(ByteView frame);
// The payload alone, nothing verified: what ReadFrame does after the signature. For fuzzing and for tools.
Result<Message> ParsePayload(ByteView payload);

bool IsChunk(ByteView frame);
Bytes ChunkHead(const Digest& root, std::uint32_t first,
                std::uint32_t count);  // Length prefix and head; content follows.
Result<Chunk> ReadChunk(ByteView frame);

}  // namespace consilium
