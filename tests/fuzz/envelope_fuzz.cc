// Any bytes as a frame, as the payload within one, and as a stored record: refused or read within limits, never worse.
// What is read as a message is encoded again and comes back as the same message.
#include "common/base/check.h"
#include "common/wire/codec.h"
#include "common/wire/records.h"

namespace {

using namespace consilium;

const IdentityKey& Key() {
  static const IdentityKey key = IdentityKey::FromSeed(Bytes(32, 1));
  return key;
}

void TryPayload(ByteView bytes) {
  auto message = ParsePayload(bytes);
  if (!message) {
    CHECK(message.error().code == Code::kProtocol);
    return;
  }
  if (bytes.size() > kMaxMessage / 8) return;  // Shared parts may be read up to four times; a frame has its limit.
  const Bytes frame = EncodeFrame(*message, Key());
  auto again = ReadFrame(frame, Key().verify_key());
  CHECK(again.has_value() && *again == *message);
}

void TryRecords(ByteView bytes) {
  if (auto record = DecodeStudyRecord(bytes)) CHECK(DecodeStudyRecord(Encode(*record)).has_value());
  if (auto record = DecodeParticipantRecord(bytes)) CHECK(DecodeParticipantRecord(Encode(*record)).has_value());
  if (auto row = DecodeLedgerRow(bytes)) CHECK(DecodeLedgerRow(Encode(*row)).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  if (auto envelope = OpenEnvelope(bytes)) TryPayload(envelope->payload);
  CHECK(!ReadFrame(bytes, Key().verify_key()).has_value() || OpenEnvelope(bytes).has_value());
  (void)ReadEnroll(bytes);
  TryPayload(bytes);
  TryRecords(bytes);
  return 0;
}
