// Any bytes as a plan, canonical or TOML: an error, or a study whose bytes read back as the same study.
#include "common/base/check.h"
#include "common/plan/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  const ByteView bytes(data, size);
  if (const Result<Plan> plan = ParsePlan(bytes)) {
    CHECK(std::ranges::equal(Canonical(*plan), bytes));
    CHECK(!Summary(*plan).empty());
  }
  const Result<Plan> plan = ParsePlanToml(Text(bytes), "plan.toml", [](const std::string&) -> Result<std::string> {
    return "[columns.age]\ntype = 'number'\nminimum = 0\nmaximum = 120\n"
           "[columns.cp]\ntype = 'category'\nlevels = [1, 2, 3]\n"
           "[columns.y]\ntype = 'label'\npositive = [1]\nnegative = [0]\n";
  });
  if (plan) {
    const Result<Plan> again = ParsePlan(Canonical(*plan));
    CHECK(again.has_value() && again->id() == plan->id());
    CHECK(Summary(*again) == Summary(*plan));
  }
  return 0;
}
