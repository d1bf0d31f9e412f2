// The vocabulary of tables that are ready to be reckoned with: rows are patients' rows.
#pragma once

#include <Eigen/Core>

namespace consilium {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

}  // namespace consilium
