// One file per kind: plan + table + query -> contribution. Pure; a query that the plan does not lead to is kProtocol.
// A cell with fewer patients than the plan's minimum is suppressed: present = 0 and zeros.
#pragma once

#include <map>

#include "common/algorithms/derive.h"
#include "common/privacy/encode.h"
#include "hospital_node/training/split.h"

namespace consilium::node {

using Inputs = std::map<Digest, Bytes>;  // By Merkle root.

Result<RawContribution> ComputeDescribe(const Plan& plan, const Table& table, const Query& query);
Result<RawContribution> ComputeTrain(const Plan& plan, const Table& table, const Query& query, const Inputs& inputs);
Result<RawContribution> ComputeEvaluate(const Plan& plan, const Table& table, const Query& query, const Inputs& inputs);
// Those that leave under the hospital's name, where plan and policy let them: the gate asks here only then.
Result<RawContribution> ComputeOwnFigures(const Plan& plan, const Table& table, const Query& query,
                                          const Inputs& inputs);
// By the query's kind and release.
Result<RawContribution> ComputeQuery(const Plan& plan, const Table& table, const Query& query, const Inputs& inputs);

// The model that a query names, checked against its root and layout.
Result<std::vector<double>> ModelFrom(const Plan& plan, const ModelRequest& request, const Inputs& inputs);
// With standardize = "site" the hospital's own scale, else the query's.
Preprocessing LocalPreprocessing(const Plan& plan, const Table& table, const Rows& rows, const ModelRequest& request);
// The local training of one round; the order of rows depends on seed, round and model, never on the attempt.
Recipe RoundRecipe(const Plan& plan, std::uint32_t round, const Digest& model);

}  // namespace consilium::node
