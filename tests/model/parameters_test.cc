// Model files: what is written is read back bit for bit, and nothing malformed is.
#include "common/model/spec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace consilium {
namespace {

const Layout kLayout = LayoutOf({.inputs = 3});
const std::vector<double> kParameters = {0.5, -1.25, 3, 0.0625};

Bytes File(const std::string& header, std::size_t data_bytes) {
  Bytes out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<std::uint8_t>(header.size() >> (8 * i)));
  out.insert(out.end(), header.begin(), header.end());
  out.resize(out.size() + data_bytes);
  return out;
}

TEST(Parameters, BlobIsFloat32InOrder) {
  const Bytes blob = ParameterBlob(kParameters);
  ASSERT_EQ(blob.size(), 16U);
  EXPECT_EQ(Hex(ByteView(blob).first(8)), "0000003f0000a0bf");
  EXPECT_EQ(*ParseParameterBlob(blob, kLayout), kParameters);
}

TEST(Parameters, BlobOfAnotherLengthOrNotFiniteIsRefused) {
  Bytes blob = ParameterBlob(kParameters);
  EXPECT_FALSE(ParseParameterBlob(ByteView(blob).first(12), kLayout).has_value());
  blob.push_back(0);
  EXPECT_FALSE(ParseParameterBlob(blob, kLayout).has_value());
  EXPECT_FALSE(ParseParameterBlob(ParameterBlob({0, std::nan(""), 0, 0}), kLayout).has_value());
  EXPECT_FALSE(
      ParseParameterBlob(ParameterBlob({0, 0, 0, std::numeric_limits<double>::infinity()}), kLayout).has_value());
}

TEST(Safetensors, RoundTripKeepsLayoutOrderAndMetadata) {
  const Layout layout = {{"z", {2, 2}}, {"a", {1}}};  // Not in alphabetical order: the offsets carry the order.
  const std::vector<double> parameters = {1, 2, 3, 4, 5};
  const std::map<std::string, std::string> metadata = {{"plan", "00ff"}, {"quote", "\"x\"\n"}};
  const auto file = ReadSafetensors(WriteSafetensors(layout, parameters, metadata));
  ASSERT_TRUE(file.has_value()) << file.error().what;
  EXPECT_EQ(file->layout, layout);
  EXPECT_EQ(file->parameters, parameters);
  EXPECT_EQ(file->metadata, metadata);
}

TEST(Safetensors, HeaderIsAlignedAndStartsWithItsLength) {
  const Bytes file = WriteSafetensors(kLayout, kParameters, {});
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  EXPECT_EQ(length % 8, 0U);
  EXPECT_EQ(file.size(), 8 + length + 16);
  EXPECT_EQ(file[8], '{');
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const Bytes file = WriteSafetensors(kLayout, kParameters, {{"plan", "x"}});
  for (std::size_t n = 0; n < file.size(); ++n) EXPECT_FALSE(ReadSafetensors(ByteView(file).first(n)).has_value()) << n;
}

TEST(Safetensors, MalformedFilesAreRefused) {
  const auto refused = [](const std::string& header, std::size_t bytes) {
    return !ReadSafetensors(File(header, bytes)).has_value();
  };
  ASSERT_FALSE(refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8));
  EXPECT_TRUE(refused(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})", 8)) << "dtype";
  EXPECT_TRUE(refused(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8)) << "shape against offsets";
  EXPECT_TRUE(refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 12)) << "trailing data";
  EXPECT_TRUE(refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12)) << "gap";
  EXPECT_TRUE(refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8)) << "backwards";
  EXPECT_TRUE(refused(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      8))
      << "overlap";
  EXPECT_TRUE(refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}})", 8)) << "negative";
  EXPECT_TRUE(refused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0))
      << "overflow";
  EXPECT_TRUE(refused(R"({"__metadata__":{"x":1},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8))
      << "metadata type";
  EXPECT_TRUE(refused("[1,2]", 0)) << "no object";
  EXPECT_TRUE(refused("{", 0)) << "no JSON";
  Bytes huge(64, 0xff);
  EXPECT_FALSE(ReadSafetensors(huge).has_value()) << "header length";
}

}  // namespace
}  // namespace consilium
