// Everything that touches patients' data, as the node's core sees it. Methods run on worker threads, are thread-safe,
// and throw nothing. The product's implementation is hospital_node/workbench.cc; the simulator brings its own.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/plan/plan.h"
#include "common/privacy/encode.h"
#include "common/query/query.h"
#include "hospital_node/data/spec.h"

namespace consilium::node {

// What a query is computed from beside the data.
struct Given {
  std::map<Digest, Bytes> inputs = {};  // The blobs that the query names, by root.
  Bytes memory = {};                    // What this hospital remembers of the study; empty at first.
  // Its place in the cohort, ascending by roster number, and the cohort's size.
  std::uint32_t seat = 0, seats = 1;
};

class Workbench {
 public:
  virtual ~Workbench() = default;
  // `data check` and `data add`: reads everything. {"rows", "patients", "files", "columns": [{"name", "missing", ...}],
  // "kept_bytes" (of a copy of its rows; 0 for none), "warnings": [...]}; for the hospital's own eyes. kInvalid names
  // file, line, column and what is right.
  [[nodiscard]] virtual Result<Value> Check(const DataSetSpec& spec) const = 0;
  // What the workbench keeps of data sets other than these goes; nothing of the hospital's own files.
  virtual void Keep(const std::vector<DataSetSpec>& registered) const = 0;
  // At approval: does the data set exist, fit the plan's schema, and have enough patients?
  [[nodiscard]] virtual Status Preflight(const Plan& plan, const DataSetSpec& spec) const = 0;
  // One query. Fewer patients than the plan's minimum in a cell: suppressed (present = 0, zeros).
  [[nodiscard]] virtual Result<RawContribution> Compute(const Plan& plan, const DataSetSpec& spec, const Query& query,
                                                        const Given& given) const = 0;
  // The hospital's own figures at the study's end: {"patients", "test_patients", "local": {metrics of a model trained
  // on its own patients alone}, "federated": {metrics of the final model}}; `last_query` is the last "train" query
  // joined (it carries the preprocessing). Never leaves the hospital.
  [[nodiscard]] virtual Result<Value> OwnResults(const Plan& plan, const DataSetSpec& spec, const Query& last_query,
                                                 ByteView model) const = 0;
};

}  // namespace consilium::node
