// Twins: one check left out, and a seed that shows it (common/base/twin.h). Only sim_twins can leave one out.
#pragma once

#include <string_view>

namespace consilium::sim {

bool OmitTwin(std::string_view name);  // False, with a message, when there is none or this is not sim_twins.
int CheckTwins();                      // Every row of twins.inc: breaks without the check, holds with it. 0 or 1.
int SearchTwins();                     // The same from seed 1 on, as the table of docs/results/twins.md. 0 or 1.

}  // namespace consilium::sim
