// Split cohorts.
#include "cli/split_cohort.h"

#include <fmt/format.h>

#include <cmath>

#include "hospital_node/commands.h"
#include "hospital_node/data/partition.h"
#include "hospital_node/data/source.h"
#include "hospital_node/training/split.h"

namespace consilium::cli {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

class PartWorkbench final : public node::TableWorkbench {
 public:
  PartWorkbench(const Schema& schema, const std::shared_ptr<const node::Table>& table)
      : data_(std::make_shared<node::LoadedData>(schema, *table)) {}
  [[nodiscard]] Result<Value> Check(const node::DataSetSpec& /*spec*/) const override {
    return Value().Set("patients", data_->table.patients()).Set("rows", data_->table.rows());
  }
  void Keep(const std::vector<node::DataSetSpec>& /*registered*/) const override {}

 private:
  [[nodiscard]] Result<Loaded> Load(const node::DataSetSpec& /*spec*/) const override { return data_; }
  Loaded data_;
};

}  // namespace
}  // namespace consilium::cli
