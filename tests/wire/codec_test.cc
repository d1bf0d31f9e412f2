// A frame is read back exactly, by the right key only, and nothing else than what the encoder makes is read at all.
#include "common/wire/codec.h"

#include <gtest/gtest.h>

#include "tests/wire/examples.h"

namespace consilium {
namespace {

class EveryKind : public testing::TestWithParam<std::size_t> {
 protected:
  Message message_ = Examples()[GetParam()];
  Bytes frame_ = EncodeFrame(message_, TestKey());
};
INSTANTIATE_TEST_SUITE_P(Codec, EveryKind, testing::Range<std::size_t>(0, Examples().size()),
                         [](const auto& kind) { return std::string(KindName(Examples()[kind.param])); });

TEST(Codec, ExamplesCoverEveryAlternative) {
  const auto examples = Examples();
  ASSERT_EQ(examples.size(), std::variant_size_v<Message>);
  for (std::size_t i = 0; i < examples.size(); ++i) EXPECT_EQ(examples[i].index(), i);
}

TEST_P(EveryKind, ComesBackExactly) {
  auto read = ReadFrame(frame_, TestKey().verify_key());
  ASSERT_TRUE(read.has_value()) << read.error().what;
  EXPECT_EQ(*read, message_);
  EXPECT_FALSE(IsChunk(frame_));
}

TEST_P(EveryKind, IsReadAtAnyAlignment) {
  for (std::size_t shift = 1; shift < 8; ++shift) {
    Bytes shifted(shift);
    shifted.insert(shifted.end(), frame_.begin(), frame_.end());
    auto read = ReadFrame(ByteView(shifted).subspan(shift), TestKey().verify_key());
    ASSERT_TRUE(read.has_value()) << read.error().what;
    EXPECT_EQ(*read, message_);
  }
}

TEST_P(EveryKind, OfAnotherKeyIsABadSignature) {
  auto read = ReadFrame(frame_, TestKey(2).verify_key());
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, Code::kUnauthorised);
}

TEST_P(EveryKind, WithAnyByteChangedIsRefused) {
  for (std::size_t at = 0; at < frame_.size(); ++at) {
    Bytes changed = frame_;
    changed[at] ^= static_cast<std::uint8_t>(1 + at % 255);
    ASSERT_FALSE(ReadFrame(changed, TestKey().verify_key()).has_value()) << "byte " << at;
  }
}

TEST_P(EveryKind, CutOrProlongedIsMalformed) {
  for (std::size_t size = 0; size < frame_.size(); ++size) {
    auto read = ReadFrame(ByteView(frame_).first(size), TestKey().verify_key());
    ASSERT_FALSE(read.has_value()) << size << " bytes";
    EXPECT_EQ(read.error().code, Code::kProtocol);
  }
  for (std::size_t more : {1, 7, 8, 16}) {
    Bytes longer = frame_;
    longer.resize(longer.size() + more);
    auto read = ReadFrame(longer, TestKey().verify_key());
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().code, Code::kProtocol);
  }
}

TEST_P(EveryKind, PayloadWithAnyByteChangedIsReadWithinLimitsOrRefused) {
  const Bytes payload = OpenEnvelope(frame_)->payload;
  std::size_t refused = 0;
  for (std::size_t at = 0; at < payload.size(); ++at) {
    for (std::uint8_t flip : {0x01, 0x80, 0xFF}) {
      Bytes changed = payload;
      changed[at] ^= flip;
      auto read = ParsePayload(changed);
      if (!read.has_value()) {
        ++refused;
        EXPECT_EQ(read.error().code, Code::kProtocol);
      }
    }
  }
  EXPECT_GT(refused, 0U) << "the segment table at least is checked";
}

TEST(Codec, AnEnrolmentIsVerifiedUnderItsOwnKey) {
  const Enroll enroll = std::get<Enroll>(Examples()[3]);
  EXPECT_EQ(*ReadEnroll(EncodeFrame(enroll, TestKey())), enroll);
  auto other = ReadEnroll(EncodeFrame(enroll, TestKey(2)));
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, Code::kUnauthorised);
  auto hello = ReadEnroll(EncodeFrame(Hello{}, TestKey()));
  ASSERT_FALSE(hello.has_value());
  EXPECT_EQ(hello.error().code, Code::kProtocol);
}

TEST(Codec, ChunksComeBackAndTellThemselvesFromMessages) {
  const auto root = Filled<Digest>(3);
  for (std::size_t size : {std::size_t{1}, kLeafBytes, kLeafBytes + 1, 4 * kLeafBytes}) {
    const auto count = static_cast<std::uint32_t>((size + kLeafBytes - 1) / kLeafBytes);
    Bytes frame = ChunkHead(root, 8, count);
    const std::size_t head = frame.size();
    for (std::size_t i = 0; i < size; ++i) frame.push_back(static_cast<std::uint8_t>(i * 7));
    ASSERT_TRUE(IsChunk(frame));
    auto chunk = ReadChunk(frame);
    ASSERT_TRUE(chunk.has_value()) << chunk.error().what;
    EXPECT_EQ(*chunk, (Chunk{root, 8, count, Bytes(frame.begin() + static_cast<long>(head), frame.end())}));
    EXPECT_EQ(ReadFrame(frame, TestKey().verify_key()).error().code, Code::kProtocol);
    for (std::size_t at = 0; at < head; ++at) {
      Bytes changed = frame;
      changed[at] ^= 0x10;
      auto read = ReadChunk(changed);
      EXPECT_FALSE(read.has_value() && *read == *chunk) << "byte " << at;
    }
  }
  EXPECT_FALSE(ReadChunk(EncodeFrame(Hello{}, TestKey())).has_value());
}

TEST(Codec, ChunksOutsideTheirLimitsAreMalformed) {
  const auto refused = [](std::uint32_t first, std::uint32_t count, std::size_t bytes) {
    Bytes frame = ChunkHead(Filled<Digest>(3), first, count);
    frame.resize(frame.size() + bytes);
    auto chunk = ReadChunk(frame);
    return !chunk.has_value() && chunk.error().code == Code::kProtocol;
  };
  EXPECT_TRUE(refused(0, 1, 0)) << "no content";
  EXPECT_TRUE(refused(0, 0, 1)) << "no leaf";
  EXPECT_TRUE(refused(0, 5, 5 * kLeafBytes)) << "five leaves";
  EXPECT_TRUE(refused(0, 2, kLeafBytes)) << "a leaf missing";
  EXPECT_TRUE(refused(0, 1, kLeafBytes + 1)) << "a byte too many";
  EXPECT_TRUE(refused(16384, 1, 1)) << "beyond 4 GiB";
  EXPECT_FALSE(refused(16383, 1, 1));
  for (std::size_t size = 0; size < 40; ++size) {
    const Bytes head = ChunkHead(Filled<Digest>(3), 0, 1);
    EXPECT_FALSE(ReadChunk(ByteView(head).first(std::min(size, head.size()))).has_value());
  }
}

}  // namespace
}  // namespace consilium
