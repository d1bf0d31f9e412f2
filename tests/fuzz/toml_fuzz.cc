// Any bytes as TOML: an error with a place, or a value whose canonical JSON reads back as itself.
#include "common/base/check.h"
#include "common/settings/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  const Result<Value> value = ParseToml(Text({data, size}), "fuzz.toml");
  if (!value) {
    CHECK(value.error().what.starts_with("fuzz.toml:"));
    return 0;
  }
  const Result<Value> again = ParseJson(CanonicalJson(*value), {.bytes = 8 << 20, .depth = 64});
  CHECK(again.has_value() && *again == *value);
  return 0;
}
