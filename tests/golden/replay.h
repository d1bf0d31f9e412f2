// Traces of FLamby's strategies (Ogier du Terrail et al. 2022), replayed through this project's local training and
// server steps. A trace is a JSON file: "dataset", "n_train", and for each strategy "hyper", "rounds", "num_updates",
// "init", the "batches" of every centre (row numbers among its training rows), "weights_after_round".
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/model/matrix.h"
#include "common/model/spec.h"
#include "common/settings/value.h"

namespace consilium::golden {

struct Centre {
  Matrix x;
  std::vector<double> y;  // Targets of the loss, row by row.
};

struct Study {
  ModelSpec model;  // Logistic or Cox.
  std::vector<Centre> centres;
  double tolerance = 0;  // Heart traces are double's: 1e-5. Cox traces are float32's: 1e-4.
};

// The training rows of the trace's data set, prepared as FLamby's benchmark does. `folder`: for "fed_heart_disease" it
// holds flamby_split_features.csv, whose columns are brought to mean 0 and sd 1 (n - 1, + 1e-9) at each centre; for
// "fed_tcga_brca" brca.csv and train_test_split.csv, taken as they are. kInvalid names what is wrong.
Result<Study> ReadStudy(const Value& trace, const std::filesystem::path& folder);

// The largest difference of any weight after any round from the trace's. kInvalid for a strategy, an optimiser or a
// shape that is not one of theirs.
Result<double> Replay(const std::string& strategy, const Value& trace, const Study& study);

}  // namespace consilium::golden
