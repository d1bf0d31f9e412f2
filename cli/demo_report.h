// What a demo shows at its end: the table of local, federated and pooled figures, and the same as JSON (cli.md).
#pragma once

#include <string>
#include <vector>

#include "cli/studies.h"

namespace consilium::cli {

struct DemoFigures {
  Value study;             // The training study's last state, as the coordinator shows it.
  std::vector<Value> own;  // By hospital: what its node's `results` say.
  Value pooled;            // PooledResults.
  std::vector<std::string> hospitals;
  Files files;
  double seconds = 0;  // The whole demo.
};

std::string DemoTable(const DemoFigures& figures);
Value Comparison(const DemoFigures& figures);  // As HtmlReport takes it.
Value DemoJson(const DemoFigures& figures);

}  // namespace consilium::cli
