// What a demo or a simulation shows at its end: the table of local, federated and pooled figures, and the same as JSON
// (cli.md).
#pragma once

#include <string>
#include <vector>

#include "cli/studies.h"
#include "common/turn/turn.h"

namespace consilium::cli {

struct DemoFigures {
  Value study;             // The training study's last state, as the coordinator shows it.
  std::vector<Value> own;  // By hospital: what its node's `results` say. Empty: nothing was compared.
  Value pooled;            // PooledResults.
  std::vector<std::string> hospitals;
  Files files;
  double seconds = 0;         // All of it.
  std::string what = "demo";  // Or "simulation".
};

// What the comparison with pooled training needs of the last "train" query; a node keeps it for its own results.
Result<Query> LastTrainQuery(const Stored& node, const std::string& study);

std::string DemoTable(const DemoFigures& figures);
Value Comparison(const DemoFigures& figures);  // As HtmlReport takes it.
Value DemoJson(const DemoFigures& figures);

}  // namespace consilium::cli
