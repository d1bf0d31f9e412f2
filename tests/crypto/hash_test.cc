// Hashes agree with published and independently computed answers, byte for byte: every machine must derive the same
// ids.
#include "common/crypto/hash.h"

#include <gtest/gtest.h>

#include "common/crypto/keys.h"

namespace consilium {
namespace {

// Set-up ids of the straight and the recovering variant, computed by a separate implementation in Python.
constexpr char kSetupStraight[] =
    "0a000000485341312f7365747570040000000100000011000000676f6c64656e2066656465726174696f6e200000002a5b532389"
    "fa7c742639968bb9685dd7d54a632c15f0bf5366053d45b9e22e5e20000000c472852c5755766422cffad74883d4bf899912e680"
    "c4bc0592afe9fab9d844cd0400000007000000040000000400000004000000040000000400000000000000040000000000000020"
    "000000991bbc04679a53b492cd8398f4625079cca17c82b6fe3bf3f013bf88bd8e5e94";
constexpr char kSidStraight[] = "91a61d9b60f275d62d48e8d9f07128098ef50efe37d38f616026751cd822c43d";
constexpr char kSetupRecover[] =
    "0a000000485341312f7365747570040000000100000011000000676f6c64656e2066656465726174696f6e200000002a5b532389"
    "fa7c742639968bb9685dd7d54a632c15f0bf5366053d45b9e22e5e20000000c472852c5755766422cffad74883d4bf899912e680"
    "c4bc0592afe9fab9d844cd0400000008000000040000000200000004000000050000000400000004000000040000000400000020"
    "000000d15f578da460305fe35d0a4887cd7821a015701ed03664f515dadf8ca8803890";
constexpr char kSidRecover[] = "8bd346cefb64a481fb81d50074334a78fe9f4e7a195e312ba244d42c9926e0f7";

// The eight leaves of the known-answer tree that Certificate Transparency implementations share.
std::vector<Bytes> ReferenceLeaves() {
  std::vector<Bytes> leaves;
  for (const char* hex :
       {"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}) {
    leaves.push_back(*FromHex(hex));
  }
  return leaves;
}

struct Setup {
  std::uint32_t counter, slots, n, t, m;
  std::vector<std::uint32_t> cohort;
};
Fields SetupFields(const Setup& s) {
  Fields fields("HSA1/setup");
  fields.Add(1).AddText("golden federation");
  fields.Add(Blake2b(View("golden roster"))).Add(Blake2b(View("golden plan")));
  fields.Add(s.counter).Add(s.slots).Add(s.n).Add(s.t).Add(s.m).Add(HashSet(s.cohort));
  return fields;
}

TEST(Hash, Blake2bAndSha256MatchPublishedAnswers) {
  EXPECT_EQ(Blake2b(View("abc")).Hex(), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  EXPECT_EQ(Sha256(View("abc")).Hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256({}).Hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Hash, FieldsAreTaggedLengthPrefixedAndLittleEndian) {
  const Fields straight = SetupFields({7, 4, 4, 0, 0, {1, 2, 3, 4}});
  EXPECT_EQ(Hex(straight.bytes()), kSetupStraight);
  EXPECT_EQ(straight.Hash().Hex(), kSidStraight);
  const Fields recover = SetupFields({8, 2, 5, 4, 4, {2, 3, 5, 8, 9}});
  EXPECT_EQ(Hex(recover.bytes()), kSetupRecover);
  EXPECT_EQ(recover.Hash().Hex(), kSidRecover);
}

TEST(Hash, AnEmptyFieldKeepsItsPlace) {
  EXPECT_NE(Fields("t").AddText("").AddText("a").Hash(), Fields("t").AddText("a").AddText("").Hash());
  EXPECT_NE(Fields("t").AddText("ab").Hash(), Fields("t").AddText("a").AddText("b").Hash());
}

TEST(Hash, KeyedHashTakesTheSecretAsTheKey) {
  // s_1 = BLAKE2b("HSA1/mask-sk" | sid; key a_1 = 7) is an X25519 secret; its public half S_1 is the known answer.
  Bytes sid(32), scalar(32);
  for (std::size_t i = 0; i < 32; ++i) sid[i] = static_cast<std::uint8_t>(i);
  scalar[0] = 7;
  const Digest secret = Fields("HSA1/mask-sk").Add(sid).KeyedHash(scalar);
  EXPECT_EQ(CurveKey::FromSecret(secret).public_key().Hex(),
            "f45f058118332ea16e7e912e47378dd26b094e549ba0091bf277e7c0ce567372");
}

TEST(Hash, MerkleRootsFollowRfc6962ForEverySizeUpToEight) {
  const char* roots[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                         "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                         "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                         "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                         "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  std::vector<Digest> hashes;
  EXPECT_EQ(MerkleRoot(hashes).Hex(), roots[0]);
  for (const Bytes& leaf : ReferenceLeaves()) {
    hashes.push_back(MerkleLeaf(leaf));
    EXPECT_EQ(MerkleRoot(hashes).Hex(), roots[hashes.size()]) << hashes.size() << " leaves";
  }
}

TEST(Hash, ABlobIsCutIntoLeavesOf256KiB) {
  Bytes blob(655360 * 4);  // 2.5 MiB: word k is k * 2654435761 mod 2^32, little endian.
  for (std::uint32_t k = 0; k < 655360; ++k) {
    const std::uint32_t word = k * 2654435761U;
    for (std::uint32_t b = 0; b < 4; ++b) blob[4 * k + b] = static_cast<std::uint8_t>(word >> (8 * b));
  }
  const std::vector<Digest> leaves = BlobLeaves(blob);
  ASSERT_EQ(leaves.size(), 10U);
  EXPECT_EQ(leaves[0].Hex(), "ed49af16ed6ad2937e055ef3d5fe21617a5526572da9f25bca9dc72352c1120e");
  EXPECT_EQ(leaves[9].Hex(), "7bedb51479b2bd005a0fa6fae8cdf0393ac8ce20aeb89e03bd1c2178e5a4601f");
  EXPECT_EQ(BlobRoot(blob).Hex(), "09e07b6e4e5ebfc56454db55e09785f081964e24f3f0d74ecc6f6de00765e4c2");
  EXPECT_EQ(BlobRoot({}), Sha256({}));

  EXPECT_EQ(BlobLeaves(ByteView(blob).first(kLeafBytes)).size(), 1U);
  EXPECT_EQ(BlobRoot(ByteView(blob).first(kLeafBytes)), MerkleLeaf(ByteView(blob).first(kLeafBytes)));
  const std::vector<Digest> longer = BlobLeaves(ByteView(blob).first(kLeafBytes + 1));
  ASSERT_EQ(longer.size(), 2U);
  EXPECT_EQ(longer[1], MerkleLeaf(ByteView(blob).subspan(kLeafBytes, 1)));
}

TEST(Hash, AChainBindsOrderPredecessorAndRow) {
  const ChainHead first = ChainNext({}, View("row"));
  EXPECT_EQ(first.seq, 1U);
  Bytes bytes = *FromHex("0100000000000000");
  bytes.resize(8 + 32);
  bytes.insert(bytes.end(), {'r', 'o', 'w'});
  EXPECT_EQ(first.hash, Sha256(bytes));
  const ChainHead second = ChainNext(first, View("row"));
  EXPECT_EQ(second.seq, 2U);
  EXPECT_NE(second.hash, first.hash);
  EXPECT_NE(ChainNext({1, {}}, View("row")).hash, second.hash) << "the predecessor is hashed";
}

}  // namespace
}  // namespace consilium
