// Whatever a core can say or keep comes back exactly, and a stored byte that is cut off or to spare is corrupt.
#include <gtest/gtest.h>

#include "tests/wire/generators.h"

namespace consilium {
namespace {

class AnyOfKind : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(RoundTrip, AnyOfKind, testing::Range<std::size_t>(0, std::variant_size_v<Message> - 1),
                         [](const auto& kind) { return std::string(KindName(Examples()[kind.param])); });

TEST_P(AnyOfKind, ComesBackAndIsTheOnlyEncoding) {
  const IdentityKey key = TestKey();
  EXPECT_TRUE(rc::check([&] {
    const Message message = AnyMessage(GetParam());
    const Bytes frame = EncodeFrame(message, key);
    RC_ASSERT(frame.size() <= kMaxMessage);
    auto read = ReadFrame(frame, key.verify_key());
    RC_ASSERT(read.has_value());
    RC_ASSERT(*read == message);
    RC_ASSERT(EncodeFrame(*read, key) == frame);
  }));
}

TEST_P(AnyOfKind, WithRandomDamageNeverPasses) {
  const IdentityKey key = TestKey();
  EXPECT_TRUE(rc::check([&] {
    Bytes frame = EncodeFrame(AnyMessage(GetParam()), key);
    const auto at = Below<std::size_t>(frame.size());
    frame[at] ^= static_cast<std::uint8_t>(*rc::gen::inRange(1, 256));
    RC_ASSERT(!ReadFrame(frame, key.verify_key()).has_value());
  }));
}

template <class Record, class Make, class Decode>
void HoldsFor(Make make, Decode decode) {
  EXPECT_TRUE(rc::check([&] {
    const Record record = make();
    Bytes bytes = Encode(record);
    auto read = decode(bytes);
    RC_ASSERT(read.has_value());
    RC_ASSERT(*read == record);
    RC_ASSERT(Encode(*read) == bytes);
    const auto cut = decode(ByteView(bytes).first(Below<std::size_t>(bytes.size())));
    RC_ASSERT(!cut.has_value());
    RC_ASSERT(cut.error().code == Code::kCorrupt);
    bytes.resize(bytes.size() + 8);
    const auto longer = decode(bytes);
    RC_ASSERT(!longer.has_value());
    RC_ASSERT(longer.error().code == Code::kCorrupt);
  }));
}

TEST(Records, AlgorithmStateComesBack) { HoldsFor<AlgorithmState>(AnyState, DecodeAlgorithmState); }
TEST(Records, StudyRecordComesBack) { HoldsFor<StudyRecord>(AnyStudyRecord, DecodeStudyRecord); }
TEST(Records, ParticipantRecordComesBack) { HoldsFor<ParticipantRecord>(AnyParticipant, DecodeParticipantRecord); }
TEST(Records, LedgerRowComesBack) { HoldsFor<LedgerRow>(AnyLedgerRow, DecodeLedgerRow); }

TEST(Records, DefaultOnesComeBack) {
  EXPECT_EQ(*DecodeAlgorithmState(Encode(AlgorithmState{})), AlgorithmState{});
  EXPECT_EQ(*DecodeStudyRecord(Encode(StudyRecord{})), StudyRecord{});
  EXPECT_EQ(*DecodeParticipantRecord(Encode(ParticipantRecord{})), ParticipantRecord{});
  EXPECT_EQ(*DecodeLedgerRow(Encode(LedgerRow{})), LedgerRow{});
}

TEST(Records, DamagedOnesAreReadWithinLimitsOrCorrupt) {
  EXPECT_TRUE(rc::check([] {
    Bytes bytes = Encode(AnyStudyRecord());
    for (int i = 0; i < 20; ++i) bytes[Below<std::size_t>(bytes.size())] ^= 1U << Below(8);
    auto read = DecodeStudyRecord(bytes);
    RC_ASSERT(read.has_value() || read.error().code == Code::kCorrupt);
  }));
}

TEST(Records, OneOfTenMillionParametersComesBack) {
  AlgorithmState state;
  state.results = Value::Object{};
  state.vectors["global"].assign(10'000'000, 0.5);
  state.vectors["global"][9'999'999] = -1.25;
  const Bytes bytes = Encode(state);
  EXPECT_GE(bytes.size(), 80'000'000U);
  auto read = DecodeAlgorithmState(bytes);
  ASSERT_TRUE(read.has_value()) << read.error().what;
  EXPECT_TRUE(*read == state);
}

}  // namespace
}  // namespace consilium
