// Every target by name.
#include <algorithm>
#include <array>

#include "tests/fuzz/fuzz.h"

namespace consilium::fuzz {
namespace {

constexpr std::array<Target, 27> kTargets = {{
    {"address", Address, 300, 22},
    {"answer", AnswerWords, 2048, 1},
    {"audit", AuditExport, 4096, 6},
    {"chunk", ChunkFrame, 1024, 6},
    {"config_coordinator", CoordinatorConfig, 2048, 5},
    {"config_node", NodeConfig, 2048, 5},
    {"coordinator_turn", CoordinatorTurn, 256, 1},
    {"csv", Csv, 4096, 8},
    {"envelope", EnvelopeFrame, 4096, 14},
    {"idx", IdxFile, 2048, 10},
    {"infer", Infer, 2048, 5},
    {"json", Json, 4096, 18},
    {"memory", StudyMemory, 256, 1},
    {"message", MessagePayload, 4096, 10},
    {"node_turn", NodeTurn, 256, 1},
    {"npy", NpyFile, 2048, 10},
    {"npz", NpzFile, 4096, 5},
    {"plan_json", PlanJson, 4096, 4},
    {"plan_toml", PlanToml, 4096, 3},
    {"query", QueryJson, 4096, 18},
    {"record", Record, 4096, 5},
    {"roster", RosterJson, 8192, 6},
    {"safetensors", Safetensors, 1024, 16},
    {"schema", SchemaToml, 4096, 8},
    {"table_file", TableFile, 2048, 14},
    {"token", TokenText, 1024, 22},
    {"toml", Toml, 4096, 6},
}};

}  // namespace

std::span<const Target> Targets() { return kTargets; }

const Target* FindTarget(std::string_view name) {
  const auto* found = std::ranges::find(kTargets, name, &Target::name);
  return found == kTargets.end() ? nullptr : &*found;
}

}  // namespace consilium::fuzz
