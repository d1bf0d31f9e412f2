// Any bytes as a schema: an error, or a schema that every way of writing it gives back.
#include "common/base/check.h"
#include "common/plan/schema.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  const Result<Schema> schema = ParseSchema(Text({data, size}), "fuzz.toml");
  if (!schema) return 0;
  const Result<Schema> value = SchemaFromValue(ToValue(*schema), "again");
  CHECK(value.has_value() && *value == *schema);
  const Result<Schema> toml = ParseSchema(SchemaToml(*schema), "again");
  CHECK(toml.has_value() && *toml == *schema);
  for (const Column& column : schema->columns) CHECK(Compatible(*schema, *toml, column.name).has_value());
  return 0;
}
