// The program behind every NAME_fuzz: which target it is, its own name says.
#include <filesystem>

#include "common/crypto/secret.h"
#include "tests/fuzz/fuzz.h"

namespace {
const consilium::fuzz::Target* target = nullptr;
}

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** argv) {
  CHECK(consilium::StartCrypto().has_value());
  const std::string name = std::filesystem::path((*argv)[0]).filename().string();
  target = consilium::fuzz::FindTarget(name.substr(0, name.rfind("_fuzz")));
  CHECK(target != nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  target->run({data, size});
  return 0;
}
