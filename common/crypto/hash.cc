#include "common/crypto/hash.h"

#include <openssl/evp.h>

#include <bit>
#include <fstream>
#include <memory>

#include "common/base/check.h"
#include "common/crypto/sodium.h"

namespace consilium {
namespace {

constexpr std::uint8_t kLeafPrefix = 0x00;  // RFC 6962, section 2.1: a leaf can never be taken for a node.
constexpr std::uint8_t kNodePrefix = 0x01;

Digest Sha256Of(std::initializer_list<ByteView> parts) {
  static EVP_MD* const kind = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  CHECK(kind != nullptr && context != nullptr && EVP_DigestInit_ex2(context.get(), kind, nullptr) == 1);
  for (ByteView part : parts) CHECK(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1);
  Digest out;
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context.get(), out.bytes.data(), &size) == 1 && size == Digest::kSize);
  return out;
}

Digest Node(const Digest& left, const Digest& right) { return Sha256Of({{&kNodePrefix, 1}, left, right}); }

Digest RootOf(std::span<const Digest> leaves) {
  if (leaves.size() == 1) return leaves.front();
  const std::size_t split = std::bit_floor(leaves.size() - 1);  // The largest power of two below the count.
  return Node(RootOf(leaves.first(split)), RootOf(leaves.subspan(split)));
}

void AppendU32(Bytes& out, std::uint32_t number) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(number >> shift));
}

}  // namespace

Digest Blake2b(ByteView bytes) {
  InitSodium();
  Digest out;
  CHECK(crypto_generichash(out.bytes.data(), Digest::kSize, bytes.data(), bytes.size(), nullptr, 0) == 0);
  return out;
}

Digest Sha256(ByteView bytes) { return Sha256Of({bytes}); }

struct Sha256Stream::Context {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> evp{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

Sha256Stream::Sha256Stream() : context_(std::make_unique<Context>()) {
  CHECK(context_->evp != nullptr && EVP_DigestInit_ex2(context_->evp.get(), EVP_sha256(), nullptr) == 1);
}
Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;
Sha256Stream& Sha256Stream::operator=(Sha256Stream&&) noexcept = default;
Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::Add(ByteView piece) {
  CHECK(EVP_DigestUpdate(context_->evp.get(), piece.data(), piece.size()) == 1);
}

Digest Sha256Stream::Finish() {
  Digest out;
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context_->evp.get(), out.bytes.data(), &size) == 1 && size == Digest::kSize);
  return out;
}

Result<Digest> Sha256OfFile(const std::filesystem::path& file) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  std::ifstream in(file, std::ios::binary);
  if (!in) return Fail(Code::kNotFound, "cannot read " + file.string());
  Sha256Stream hash;
  Bytes piece(kPiece);
  while (in.read(reinterpret_cast<char*>(piece.data()), static_cast<std::streamsize>(piece.size())), in.gcount() > 0)
    hash.Add(ByteView(piece).first(static_cast<std::size_t>(in.gcount())));
  if (in.bad()) return Fail(Code::kIo, "cannot read " + file.string());
  return hash.Finish();
}

Fields& Fields::Add(ByteView field) {
  CHECK(field.size() <= UINT32_MAX);
  AppendU32(bytes_, static_cast<std::uint32_t>(field.size()));
  bytes_.insert(bytes_.end(), field.begin(), field.end());
  return *this;
}

Fields& Fields::Add(std::uint32_t number) {
  AppendU32(bytes_, 4);
  AppendU32(bytes_, number);
  return *this;
}

Digest Fields::KeyedHash(ByteView key) const {
  CHECK(key.size() >= crypto_generichash_KEYBYTES_MIN && key.size() <= crypto_generichash_KEYBYTES_MAX);
  InitSodium();
  Digest out;
  CHECK(crypto_generichash(out.bytes.data(), Digest::kSize, bytes_.data(), bytes_.size(), key.data(), key.size()) == 0);
  return out;
}

Digest HashSet(const std::vector<std::uint32_t>& ascending) {
  Fields fields("HSA1/set");
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    CHECK(i == 0 || ascending[i - 1] < ascending[i]);
    fields.Add(ascending[i]);
  }
  return fields.Hash();
}

Digest MerkleLeaf(ByteView leaf) { return Sha256Of({{&kLeafPrefix, 1}, leaf}); }

Digest MerkleRoot(const std::vector<Digest>& leaf_hashes) {
  return leaf_hashes.empty() ? Sha256({}) : RootOf(leaf_hashes);
}

std::vector<Digest> BlobLeaves(ByteView blob) {
  std::vector<Digest> leaves;
  leaves.reserve((blob.size() + kLeafBytes - 1) / kLeafBytes);
  for (std::size_t at = 0; at < blob.size(); at += kLeafBytes) {
    leaves.push_back(MerkleLeaf(blob.subspan(at, std::min(kLeafBytes, blob.size() - at))));
  }
  return leaves;
}

Digest BlobRoot(ByteView blob) { return MerkleRoot(BlobLeaves(blob)); }

ChainHead ChainNext(const ChainHead& head, ByteView row) {
  const std::uint64_t seq = head.seq + 1;
  std::array<std::uint8_t, 8> number;
  for (std::size_t i = 0; i < number.size(); ++i) number[i] = static_cast<std::uint8_t>(seq >> (8 * i));
  return {seq, Sha256Of({number, head.hash, row})};
}

}  // namespace consilium
