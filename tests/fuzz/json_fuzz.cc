// Any bytes as JSON: an error with a place, or a value that survives both ways of writing it.
#include "common/base/check.h"
#include "common/settings/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  const Result<Value> value = ParseJson(Text({data, size}));
  if (!value) {
    CHECK(value.error().what.starts_with("JSON, "));
    return 0;
  }
  for (const std::string& text : {CanonicalJson(*value), PrettyJson(*value)}) {
    const Result<Value> again = ParseJson(text, {.bytes = 64 << 20});
    CHECK(again.has_value() && *again == *value);
  }
  return 0;
}
