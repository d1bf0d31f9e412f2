// The contract of the private sum: what is asked, and what comes back (architecture.md, "One idea").
//
//   query  = what to compute: kind, every parameter, the blocks of the vector
//   contribution_i = one fixed-length vector of ring words: the blocks in order, then one word 1 that counts
//   answer = the exact integer sum of the contributions of the named survivors, or nothing at all
//
// With release = hospital, which a plan must ask for and each site's policy allow, the answer is not a sum but the
// survivors' contributions themselves, each under its number (docs/decisions/0008-figures-of-single-hospitals.md).
//
// Everything that leaves a hospital is the answer to a Query; no kind of study has another way out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/crypto/hash.h"
#include "common/settings/value.h"

namespace consilium {

enum class Ring : std::uint8_t { kU32, kU64 };
enum class ReleaseTo : std::uint8_t { kSum, kHospital };
enum class Role : std::uint8_t { kDelta, kWeight, kCount, kStatistic, kPresent };
enum class Norm : std::uint8_t { kL2, kPerCoordinate };

// `length` coordinates of one meaning. A value v with |v| <= bound travels as the ring integer round(v * 2^scale_log2).
struct Block {
  std::string name;
  std::uint64_t length = 0;
  Role role = Role::kStatistic;
  double bound = 1;
  Norm norm = Norm::kPerCoordinate;
  int scale_log2 = 0;
  std::uint64_t sigma = 0;  // Noise that each hospital adds, in ring units; 0 in mode none.
  bool operator==(const Block&) const = default;
};

inline constexpr std::uint64_t kMaxCoordinates = 1ULL << 28;
inline constexpr std::size_t kMaxBlocks = 4096;
// Of a query with release = hospital: its answer grows with the hospitals, so that a vector has 512 KiB at most.
inline constexpr std::uint64_t kMaxReleasedCoordinates = 1ULL << 16;
inline constexpr std::string_view kCountBlock = "contributors";  // The last block of every query, length 1, role count.

struct Query {
  StudyId plan;
  std::uint32_t round = 0;         // From 1.
  std::vector<Digest> bases;       // Digests of the answers that the parameters were derived from.
  std::string kind;                // "describe" | "train" | "evaluate"
  Value params = Value::Object{};  // An object; "inputs": {name: root} names the blobs that it needs.
  Ring ring = Ring::kU64;
  ReleaseTo release = ReleaseTo::kSum;  // kHospital: at most kMaxReleasedCoordinates.
  std::vector<Block> blocks;

  // Appends a block with the largest scale for which `hospitals` saturated contributions cannot wrap.
  void Append(std::string name, std::uint64_t length, Role role, double bound, std::uint32_t hospitals);
  // Appends the contributors block; call last.
  void Finish();
  [[nodiscard]] std::uint64_t Coordinates() const;
  [[nodiscard]] std::uint64_t WireBytes() const;                         // Coordinates * 4 or 8.
  [[nodiscard]] std::uint64_t AnswerBytes(std::size_t hospitals) const;  // WireBytes, or that for each hospital.
  [[nodiscard]] const Block* Find(std::string_view name) const;          // Null when absent.
  [[nodiscard]] std::uint64_t OffsetOf(std::string_view name) const;     // First coordinate; CHECKs that it exists.
  bool operator==(const Query&) const = default;
};

// floor(log2((2^(bits-1) - 1 - hospitals) / (hospitals * bound))): protocol.md's ring formula without noise, in exact
// integer arithmetic and at most kMaxScaleLog2. The bound is finite and in (0, kMaxBound], hospitals from 1 to 2^20.
inline constexpr int kMaxScaleLog2 = 52, kMinScaleLog2 = -700;
inline constexpr double kMaxBound = 1e200;
int ScaleLog2(Ring ring, double bound, std::uint32_t hospitals);

// Canonical JSON; what is hashed, signed over and sent. Parse bounds everything and checks that the last block counts,
// names are unique, lengths within kMaxCoordinates, scales within the ring. ParseQuery(Canonical(q)) == q.
Bytes Canonical(const Query& query);
Result<Query> ParseQuery(ByteView canonical);
Digest HashOf(const Query& query);

// The sum over the survivors, exact. `words` are the ring's bytes, little-endian, of length query.WireBytes(). With
// release = hospital: the survivors' vectors, ascending by number, one after another, each of that length; `vector` is
// then the index in survivors().
class Answer {
 public:
  // kProtocol when the length is wrong or the contributors coordinate is not survivors.size() (of each vector: 1).
  static Result<Answer> Create(const Query& query, std::vector<std::uint32_t> survivors, Bytes words);
  [[nodiscard]] const std::vector<std::uint32_t>& survivors() const { return survivors_; }
  [[nodiscard]] const Bytes& words() const { return words_; }
  [[nodiscard]] std::size_t vectors() const { return query_.release == ReleaseTo::kSum ? 1 : survivors_.size(); }
  // Divided by the scale.
  [[nodiscard]] std::vector<double> Values(std::string_view block, std::size_t vector = 0) const;
  // Two's complement, unscaled.
  [[nodiscard]] std::vector<std::int64_t> Integers(std::string_view block, std::size_t vector = 0) const;
  [[nodiscard]] double Value1(std::string_view block, std::size_t vector = 0) const;  // Of a block of length 1.
  // Of each value: hospitals in its vector * sigma^2 / 4^k.
  [[nodiscard]] double NoiseVariance(std::string_view block) const;
  // H("consilium/answer" | H(query) | H(set of survivors) | BlobRoot(words)).
  [[nodiscard]] Digest digest() const { return digest_; }

 private:
  Query query_;
  std::vector<std::uint32_t> survivors_;
  Bytes words_;
  Digest digest_;
};
Digest AnswerDigest(const Digest& query_hash, const std::vector<std::uint32_t>& survivors, const Digest& root);

}  // namespace consilium
