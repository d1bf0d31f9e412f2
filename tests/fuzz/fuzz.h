// What libFuzzer and the replay of the corpora share: the targets by name, and the fuzzer's bytes as a stream of
// choices. A target stops the process (CHECK) where a property does not hold, and returns in every other case.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/check.h"

namespace consilium::fuzz {

struct Target {
  std::string_view name;  // Of its folder in tests/fuzz/corpus and of its program NAME_fuzz.
  void (*run)(ByteView input);
  std::size_t most = 4096;  // Bytes of an input that are worth trying.
  int share = 1;            // Of the executions of a run: about as many as take the same time.
};
std::span<const Target> Targets();
const Target* FindTarget(std::string_view name);

// Takes what is there; zeros when it is used up, so that every input means something.
class Source {
 public:
  explicit Source(ByteView in) : in_(in) {}
  [[nodiscard]] bool done() const { return in_.empty(); }
  std::uint8_t Byte() {
    if (in_.empty()) return 0;
    const std::uint8_t byte = in_.front();
    in_ = in_.subspan(1);
    return byte;
  }
  std::uint64_t Number(int bytes) {
    std::uint64_t number = 0;
    for (int i = 0; i < bytes; ++i) number = number << 8 | Byte();
    return number;
  }
  std::uint32_t Below(std::uint32_t n) { return Byte() % n; }  // n at most 256.
  bool Flag() { return (Byte() & 1U) != 0; }
  ByteView Take(std::size_t most) {
    const ByteView out = in_.first(std::min(most, in_.size()));
    in_ = in_.subspan(out.size());
    return out;
  }
  ByteView Rest() { return Take(in_.size()); }

 private:
  ByteView in_;
};

// A rejected input says why.
template <class Outcome>
bool Says(const Outcome& outcome) {
  return outcome.has_value() || !outcome.error().what.empty();
}

// text_targets.cc
void Json(ByteView input);
void Toml(ByteView input);
void SchemaToml(ByteView input);
void PlanToml(ByteView input);
void PlanJson(ByteView input);
void NodeConfig(ByteView input);
void CoordinatorConfig(ByteView input);
void TokenText(ByteView input);
void RosterJson(ByteView input);
void Address(ByteView input);
void AuditExport(ByteView input);
// data_targets.cc
void Csv(ByteView input);
void Infer(ByteView input);
void Safetensors(ByteView input);
void StudyMemory(ByteView input);
void QueryJson(ByteView input);
void AnswerWords(ByteView input);
// array_targets.cc
void IdxFile(ByteView input);
void NpyFile(ByteView input);
void NpzFile(ByteView input);
void TableFile(ByteView input);
// wire_targets.cc
void EnvelopeFrame(ByteView input);
void ChunkFrame(ByteView input);
void MessagePayload(ByteView input);
void Record(ByteView input);
// coordinator_turn.cc, node_turn.cc
void CoordinatorTurn(ByteView input);
void NodeTurn(ByteView input);

}  // namespace consilium::fuzz
