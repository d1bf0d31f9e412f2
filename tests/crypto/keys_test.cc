// Signatures that only the key's holder makes, transport keys as ZeroMQ wants them, fingerprints that people compare.
#include "common/crypto/keys.h"

#include <gtest/gtest.h>

#include <set>

namespace consilium {
namespace {

TEST(Keys, Ed25519MatchesRfc8032) {  // Section 7.1, tests 1 and 2.
  const IdentityKey one =
      IdentityKey::FromSeed(*FromHex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  EXPECT_EQ(one.verify_key().Hex(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(one.Sign({}).Hex(),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f059"
            "5bbe246"
            "55141438e7a100b");
  const IdentityKey two =
      IdentityKey::FromSeed(*FromHex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
  EXPECT_EQ(two.verify_key().Hex(), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  EXPECT_TRUE(Verify(two.verify_key(), View("r"), two.Sign(View("r"))));
  EXPECT_EQ(two.Sign(View("r")).Hex(),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4"
            "302aeeb"
            "00d291612bb0c00");
}

TEST(Keys, AnyFlippedBitOfSignatureKeyOrMessageIsRefused) {
  const IdentityKey key = IdentityKey::Generate();
  const Bytes message = ToBytes(View("the round's result"));
  const Signature signature = key.Sign(message);
  ASSERT_TRUE(Verify(key.verify_key(), message, signature));
  for (std::size_t bit = 0; bit < 512; ++bit) {
    Signature wrong = signature;
    wrong.bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(Verify(key.verify_key(), message, wrong)) << bit;
  }
  for (std::size_t bit = 0; bit < 256; ++bit) {
    VerifyKey wrong = key.verify_key();
    wrong.bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(Verify(wrong, message, signature)) << bit;
  }
  for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
    Bytes wrong = message;
    wrong[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(Verify(key.verify_key(), wrong, signature)) << bit;
  }
  EXPECT_FALSE(Verify(IdentityKey::Generate().verify_key(), message, signature));
}

TEST(Keys, ASignatureHasOneFormOnly) {
  const IdentityKey key = IdentityKey::FromSeed(Bytes(32, 1));
  Signature signature = key.Sign(View("m"));
  const Bytes order = *FromHex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32;
       ++i) {  // S + L verifies under a lax verifier, as another signature of the same message.
    carry += signature.bytes[32 + i] + order[i];
    signature.bytes[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  EXPECT_FALSE(Verify(key.verify_key(), View("m"), signature));
}

// Points of order 1, 2, 4 and 8, and their non-canonical encodings.
constexpr const char* kSmallOrder[] = {"0100000000000000000000000000000000000000000000000000000000000000",
                                       "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                       "0000000000000000000000000000000000000000000000000000000000000000",
                                       "0000000000000000000000000000000000000000000000000000000000000080",
                                       "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                                       "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
                                       "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
                                       "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
                                       "0100000000000000000000000000000000000000000000000000000000000080",
                                       "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                                       "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                       "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                                       "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                       "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};

TEST(Keys, KeysOfSmallOrderVerifyNothing) {
  // R = the base point and S = 1 satisfy S B = R + h A whenever h A = 0: always for the neutral element, for one
  // message in eight for a point of order eight.
  Signature forged;
  const Bytes base = *FromHex("5866666666666666666666666666666666666666666666666666666666666666");
  std::copy(base.begin(), base.end(), forged.bytes.begin());
  forged.bytes[32] = 1;
  for (const char* hex : kSmallOrder) {
    for (std::uint8_t message = 0; message < 100; ++message) {
      EXPECT_FALSE(Verify(*VerifyKey::FromHexText(hex), {&message, 1}, forged)) << hex;
      EXPECT_FALSE(Verify(*VerifyKey::FromHexText(hex), {&message, 1}, Signature{})) << hex;
    }
  }
}

TEST(Keys, GeneratedKeysDifferAndComeBackFromTheirSecrets) {
  const IdentityKey a = IdentityKey::Generate(), b = IdentityKey::Generate();
  EXPECT_NE(a.verify_key(), b.verify_key());
  EXPECT_EQ(IdentityKey::FromSeed(a.seed()).verify_key(), a.verify_key());
  const CurveKey c = CurveKey::Generate(), d = CurveKey::Generate();
  EXPECT_NE(c.public_key(), d.public_key());
  EXPECT_EQ(CurveKey::FromSecret(c.secret()).public_key(), c.public_key());
}

TEST(Keys, CurveKeysMatchRfc7748) {  // Section 6.1: Bob.
  const CurveKey key =
      CurveKey::FromSecret(*FromHex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
  EXPECT_EQ(key.public_key().Hex(), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
}

TEST(Keys, AFingerprintIsEightWordsOverBothKeysInOrder) {
  EXPECT_EQ(Fingerprint(Bytes(32, 0), Bytes(32, 0xff)), "kiron-vubel-judan-zanal-dimar-poren-dinis-jamor");
  EXPECT_NE(Fingerprint(View("a"), View("b")), Fingerprint(View("b"), View("a")));
  EXPECT_NE(Fingerprint(View("ab"), View("c")), Fingerprint(View("a"), View("bc")));
}

TEST(Keys, FingerprintsDrawOn2048Words) {
  std::set<std::string> words;
  for (std::uint32_t i = 0; i < 4000; ++i) {
    const std::string print = Fingerprint(Fields("t").Add(i).Hash(), {});
    ASSERT_EQ(print.size(), 8 * 5 + 7U) << print;
    for (std::size_t at = 0; at < print.size(); at += 6) {
      EXPECT_TRUE(at + 5 == print.size() || print[at + 5] == '-') << print;
      words.insert(print.substr(at, 5));
    }
  }
  EXPECT_EQ(words.size(), 2048U);  // 32,000 draws miss a given word with probability 2e-7.
}

}  // namespace
}  // namespace consilium
