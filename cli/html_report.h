// A study's report as one HTML file that needs nothing else: inline SVG, no script, fit to print.
#pragma once

#include <string>

#include "common/settings/value.h"

namespace consilium::cli {

// `study`: as GET /v1/studies/STUDY answers. `comparison`: null, or [{"name", "patients", "local", "federated",
// "pooled"}] with an AUROC or null each, which only who owns all hospitals' directories can know.
std::string HtmlReport(const Value& study, const Value& comparison);

}  // namespace consilium::cli
