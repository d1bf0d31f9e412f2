// Hashes: BLAKE2b-256 over tagged fields (protocol.md, "Encodings"), SHA-256 and RFC 6962 Merkle trees, hash chains.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"

namespace consilium {

Digest Blake2b(ByteView bytes);  // H of one object: no tag, no length.
Digest Sha256(ByteView bytes);
// The same of bytes that come in pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;
  ~Sha256Stream();
  void Add(ByteView piece);
  Digest Finish();  // Once.

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};
Result<Digest> Sha256OfFile(const std::filesystem::path& file);  // In pieces; any size. kIo, kNotFound.

// "TAG" | field | ...: each as u32 LE length + bytes; integers are one 4-byte LE field.
class Fields {
 public:
  explicit Fields(std::string_view tag) { Add(View(tag)); }
  Fields& Add(ByteView field);
  Fields& Add(std::uint32_t number);
  Fields& AddText(std::string_view text) { return Add(View(text)); }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  [[nodiscard]] Digest Hash() const { return Blake2b(bytes_); }
  [[nodiscard]] Digest KeyedHash(ByteView key) const;  // The secret goes in as the BLAKE2b key (16..64 bytes).

 private:
  Bytes bytes_;
};
// H("HSA1/set" | i | ...), ascending.
Digest HashSet(const std::vector<std::uint32_t>& ascending);

// RFC 6962 with SHA-256. Leaves of blobs are 256 KiB, the last one shorter; an empty blob has the empty tree's root.
inline constexpr std::size_t kLeafBytes = std::size_t{256} * 1024;
Digest MerkleLeaf(ByteView leaf);
Digest MerkleRoot(const std::vector<Digest>& leaf_hashes);
std::vector<Digest> BlobLeaves(ByteView blob);
Digest BlobRoot(ByteView blob);

// An append-only chain: hash_n = SHA-256(u64 LE seq | prev | row). seq counts from 1; prev of the first is zero.
struct ChainHead {
  std::uint64_t seq = 0;
  Digest hash;
  bool operator==(const ChainHead&) const = default;
};
ChainHead ChainNext(const ChainHead& head, ByteView row);

}  // namespace consilium
