// Everything that touches patients' data, as the node's core sees it. Methods run on worker threads, are thread-safe,
// and throw nothing. The product's implementation is hospital_node/workbench.cc; the simulator brings its own.
#pragma once

#include <map>
#include <set>
#include <string>

#include "common/plan/plan.h"
#include "common/privacy/encode.h"
#include "common/query/query.h"

namespace consilium::node {

struct DataSetSpec {  // What `data add` registers; kept in the node's state.
  std::string name;
  std::string folder;       // Absolute; the files that match the schema's pattern are read together, in name order.
  std::string schema;       // TOML text.
  std::string sha256 = {};  // Of the files' contents when they were registered (hex); "": as they are.
  // Patients who withdrew, as PatientMark has them: their rows are read as if they were not there.
  std::set<std::string> excluded = {};
};

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
  // "warnings": [...]}; for the hospital's own eyes. kInvalid names file, line, column and what is right.
  [[nodiscard]] virtual Result<Value> Check(const DataSetSpec& spec) const = 0;
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
