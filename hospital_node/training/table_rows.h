// Training and prediction over rows of tables, batch by batch from wherever they lie, in the recipe's precision. What
// is not in memory is never held whole: a batch, the order of the rows and their scores are.
#pragma once

#include "common/model/fit.h"
#include "hospital_node/training/table_source.h"

namespace consilium::node {

struct TableRows {  // All of it outlives this, which is made where it is used.
  const Plan& plan;
  const Table& table;
  const std::vector<std::size_t>& rows;  // Each has a label.
  const Preprocessing& preprocessing;    // As BuildDesign takes it.
};

// Fit and Predict of common/model; several tables are one after another.
Result<std::vector<double>> FitRows(const Recipe& recipe, const std::vector<TableRows>& data,
                                    const std::vector<double>& start, const Hooks<double>& hooks = {},
                                    TrainingRun* run = nullptr);
struct RowScores {
  Matrix predicted;  // [rows, outputs]
  Vector labels;     // 0 or 1, a number, or a class's number.
  Vector times;      // Of the label's event, where the plan names them; else empty.
};
RowScores PredictRows(const Recipe& recipe, const std::vector<TableRows>& data, const std::vector<double>& parameters);

// What a batch's inputs may take. A batch is in memory whole, however large the data set is.
inline constexpr std::size_t kMaxBatchBytes = std::size_t{512} << 20;
// kRefused, with the batch size that is right, when the plan's batches over so many rows take more.
Status CheckBatch(const Plan& plan, const Recipe& recipe, std::size_t rows);

}  // namespace consilium::node
