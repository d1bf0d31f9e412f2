// Text forms of byte strings: exact, and strict about what they accept.
#include "common/base/bytes.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace consilium {
namespace {

TEST(Bytes, HexAndBase64InvertThemselves) {
  EXPECT_TRUE(rc::check([](const Bytes& bytes) {
    RC_ASSERT(*FromHex(Hex(bytes)) == bytes);
    RC_ASSERT(*FromBase64(Base64(bytes)) == bytes);
  }));
}

TEST(Bytes, RefusesWhatIsNotCanonical) {
  EXPECT_FALSE(FromHex("abc").has_value());
  EXPECT_FALSE(FromHex("zz").has_value());
  EXPECT_FALSE(FromBase64("A").has_value());
  EXPECT_FALSE(FromBase64("AB").has_value()) << "the spare bits of the last character must be zero";
  EXPECT_FALSE(FromBase64("A+==").has_value());
  EXPECT_FALSE(Digest::FromHexText("00").has_value());
}

}  // namespace
}  // namespace consilium
