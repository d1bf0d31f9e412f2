// A trained model as an ONNX file (IR 8, opset 17 and, for codes of categories, ai.onnx.ml 3), as hospitals' software
// runs it: raw columns in, predictions out, all of the plan's preprocessing in the graph. docs/models.md says what goes
// in and comes out.
#pragma once

#include "common/model/parameters.h"
#include "common/plan/plan.h"

namespace consilium {

// `model` is what the plan's study gave as safetensors. kInvalid when it belongs to another plan. Deterministic: the
// same model is the same file.
Result<Bytes> WriteOnnx(const Plan& plan, const ModelFile& model);

}  // namespace consilium
