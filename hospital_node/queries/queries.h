// One file per kind: plan + table + query -> contribution. Pure; a query that the plan does not lead to is kProtocol.
// A cell with fewer patients than the plan's minimum is suppressed: present = 0 and zeros.
#pragma once

#include "common/algorithms/derive.h"
#include "common/privacy/encode.h"
#include "hospital_node/data/workbench.h"
#include "hospital_node/training/split.h"

namespace consilium::node {

Result<RawContribution> ComputeDescribe(const Plan& plan, const Table& table, const Query& query);
Result<RawContribution> ComputeTrain(const Plan& plan, const Table& table, const Query& query, const Given& given);
Result<RawContribution> ComputeEvaluate(const Plan& plan, const Table& table, const Query& query, const Given& given);
// Those that leave under the hospital's name, where plan and policy let them: the gate asks here only then.
Result<RawContribution> ComputeOwnFigures(const Plan& plan, const Table& table, const Query& query, const Given& given);
// By the query's kind and release.
Result<RawContribution> ComputeQuery(const Plan& plan, const Table& table, const Query& query, const Given& given);

// Parameters that a query names, a model's or others of its layout, checked against root and layout.
Result<std::vector<double>> ParametersFrom(const Plan& plan, const Digest& root, const Given& given);
// With standardize = "site" the hospital's own scale, else the query's.
Preprocessing LocalPreprocessing(const Plan& plan, const Table& table, const Rows& rows, const ModelRequest& request);
// The local training of one round; the order of rows depends on seed, round and model, never on the attempt.
Recipe RoundRecipe(const Plan& plan, std::uint32_t round, const Digest& model);

}  // namespace consilium::node
