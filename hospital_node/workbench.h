// The product's workbench: files -> table (kept while the files stay as they are) -> contributions.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hospital_node/data/table.h"
#include "hospital_node/data/workbench.h"

namespace consilium::node {

struct LoadedData {
  Schema schema;
  Table table;
};
struct LoadedFiles;

// What is computed of a table, wherever it comes from.
class TableWorkbench : public Workbench {
 public:
  [[nodiscard]] Status Preflight(const Plan& plan, const DataSetSpec& spec) const override;
  [[nodiscard]] Result<RawContribution> Compute(const Plan& plan, const DataSetSpec& spec, const Query& query,
                                                const Given& given) const override;
  // Training: {"patients", "train_patients", "test_patients", "train_rows", "test_rows", "unlabelled_rows",
  // "local": METRICS, "federated": METRICS}; describe: {"patients", "rows"}. METRICS: {"rows", "positives", "auroc",
  // "auroc_defined", "accuracy", "brier", "log_loss"}, of a label that is a number {"rows", "rmse", "mae", "r2"}, of
  // classes {"rows", "accuracy", "balanced_accuracy", "log_loss"}, of an event {"rows", "events", "c_index"}, null
  // where undefined; METRICS of a model whose training diverged are null. `model` is the safetensors file or the
  // parameter blob. "federated" is null when the preprocessing is not known here (no train query was ever joined).
  [[nodiscard]] Result<Value> OwnResults(const Plan& plan, const DataSetSpec& spec, const Query& last_query,
                                         ByteView model) const override;

 protected:
  using Loaded = std::shared_ptr<const LoadedData>;
  [[nodiscard]] virtual Result<Loaded> Load(const DataSetSpec& spec) const = 0;

 private:
  [[nodiscard]] Result<Loaded> LoadFor(const Plan& plan, const DataSetSpec& spec) const;
};

class FileWorkbench : public TableWorkbench {
 public:
  // `spool`: a private folder, where tables lie that do not fit in memory; those that are registered are kept there
  // from one start to the next. "": in the system's folder for temporary files, and nothing is kept. The last `cached`
  // data sets stay open.
  explicit FileWorkbench(std::filesystem::path spool = {}, std::size_t cached = 8)
      : spool_(std::move(spool)), cached_(cached) {}
  void Keep(const std::vector<DataSetSpec>& registered) const override;
  [[nodiscard]] Result<Value> Check(const DataSetSpec& spec) const override;

 private:
  [[nodiscard]] Result<Loaded> Load(const DataSetSpec& spec) const override;
  [[nodiscard]] Spool SpoolFor(const DataSetSpec& spec, const Schema& schema, const std::string& content) const;

  const std::filesystem::path spool_;
  const std::size_t cached_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::shared_ptr<const LoadedFiles>> cache_;
};

// Makes `spool` when it is not there, and clears it of what a process that was killed had begun.
Result<std::unique_ptr<Workbench>> MakeWorkbench(const std::filesystem::path& spool);

// For who owns all directories, as the demo does: one model trained on all hospitals' training rows together, for as
// many epochs as the federated one. {"hospitals": [{"name", "patients", "pooled": METRICS, "federated": METRICS}],
// "all": {"pooled": METRICS, "federated": METRICS}}; "name" is the data set's, in the order given.
Result<Value> PooledResults(const Plan& plan, const std::vector<DataSetSpec>& specs, const Query& last_query,
                            ByteView model);
struct NamedTable {  // Of the plan's schema.
  std::string name;
  std::shared_ptr<const Table> table;
};
Result<Value> PooledResults(const Plan& plan, const std::vector<NamedTable>& hospitals, const Query& last_query,
                            ByteView model);

}  // namespace consilium::node
