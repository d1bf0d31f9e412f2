// The file: columns, network, link, and where the model comes from.
#include "common/onnx/onnx.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <numbers>

#include "common/base/check.h"
#include "common/base/version.h"
#include "common/onnx/columns.h"

namespace consilium {
namespace {

constexpr std::int64_t kIrVersion = onnx::IR_VERSION;  // Of the schema that this is built with.
constexpr std::int64_t kOpset = 17, kMlOpset = 3;
static_assert(kIrVersion == 8, "IR 8, opset 17 and ai.onnx.ml 3 belong together");
constexpr float kNormEpsilon = 1e-5F;  // As in common/model/layers.cc.

// The network over x: [N, inputs] in `type`. Dropout is for training; at prediction it is nothing.
class NetworkWriter {
 public:
  NetworkWriter(const ModelSpec& model, const std::vector<double>& parameters, ElementType type, GraphWriter* graph)
      : model_(model), parameters_(parameters), type_(type), graph_(*graph) {}

  std::string Write(std::string x) {
    const std::vector<DenseShape> shapes = DenseShapes(model_);
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const DenseShape& s = shapes[i];
      const std::string layer = fmt::format("layer{}.", i);
      const auto inputs = static_cast<std::int64_t>(s.inputs), outputs = static_cast<std::int64_t>(s.outputs);
      onnx::NodeProto* node = nullptr;
      x = graph_.Node(
          "Gemm",
          {x, Weights(layer + "weight", s.weight, {outputs, inputs}), Weights(layer + "bias", s.bias, {outputs})},
          &node);
      SetInteger(node, "transB", 1);
      if (s.normed) x = Norm(i, s, x);
      if (i + 1 < shapes.size()) x = Activated(i, x);
    }
    return x;
  }

 private:
  std::string Weights(const std::string& name, std::uint64_t first, const std::vector<std::int64_t>& shape) {
    std::size_t size = 1;
    for (const std::int64_t extent : shape) size *= static_cast<std::size_t>(extent);
    return graph_.Constant(name, type_, shape, std::span(parameters_).subspan(first, size));
  }

  std::string Norm(std::size_t i, const DenseShape& s, const std::string& x) {
    const auto units = static_cast<std::int64_t>(s.outputs);
    onnx::NodeProto* node = nullptr;
    std::string out = graph_.Node("LayerNormalization",
                                  {x, Weights(fmt::format("norm{}.scale", i), s.scale, {units}),
                                   Weights(fmt::format("norm{}.shift", i), s.shift, {units})},
                                  &node);
    SetInteger(node, "axis", -1);
    SetReal(node, "epsilon", kNormEpsilon);
    return out;
  }

  std::string Scalar(const std::string& name, ElementType type, double value) {
    return graph_.Constant(name, type, {1}, std::vector<double>{value});
  }

  std::string Activated(std::size_t i, const std::string& x) {
    if (model_.activation == Activation::kRelu) return graph_.Node("Relu", {x});
    if (model_.activation == Activation::kTanh) return graph_.Node("Tanh", {x});
    if (model_.activation == Activation::kSigmoid) return graph_.Node("Sigmoid", {x});
    // GELU is an operator from opset 20 on. ONNX Runtime's Erf takes float only.
    const std::string name = fmt::format("gelu{}.", i);
    const std::string root = Scalar(name + "root", type_, 1 / std::numbers::sqrt2),
                      one = Scalar(name + "one", type_, 1), half = Scalar(name + "half", type_, 0.5);
    std::string z = graph_.Node("Mul", {x, root});
    if (type_ != onnx::TensorProto::FLOAT) z = graph_.Cast(z, onnx::TensorProto::FLOAT);
    z = graph_.Node("Erf", {z});
    if (type_ != onnx::TensorProto::FLOAT) z = graph_.Cast(z, type_);
    return graph_.Node("Mul", {graph_.Node("Mul", {x, half}), graph_.Node("Add", {z, one})});
  }

  const ModelSpec& model_;
  const std::vector<double>& parameters_;
  const ElementType type_;
  GraphWriter& graph_;
};

struct Prediction {
  std::string name, meaning, link;  // The operator between the network's outputs and the prediction; "": none.
};

Prediction PredictionOf(const Plan& plan) {
  const Column& label = *plan.schema.Find(plan.label);
  switch (plan.learning.loss.kind) {
    case LossSpec::Kind::kBce:
      return {"probability", fmt::format("that {} is {}, from 0 to 1", label.name, fmt::join(label.positive, " or ")),
              "Sigmoid"};
    case LossSpec::Kind::kCrossEntropy:
      return {"probabilities",
              fmt::format("that {} is {}, in this order", label.name, fmt::join(ClassesOf(plan), ", ")), "Softmax"};
    case LossSpec::Kind::kPoisson:
      return {"value", fmt::format("the expected {}{}{}", label.name, label.unit.empty() ? "" : ", ", label.unit),
              "Exp"};
    case LossSpec::Kind::kCox:
      return {
          "score",
          fmt::format("the logarithm of the relative hazard of {}: the higher, the earlier it is expected", label.name),
          ""};
    default:
      return {"value", fmt::format("the predicted {}{}{}", label.name, label.unit.empty() ? "" : ", ", label.unit), ""};
  }
}

void WritePrediction(const Prediction& prediction, const std::string& z, const std::string& refused,
                     std::int64_t outputs, ElementType type, GraphWriter* graph) {
  std::string y = z;
  if (!prediction.link.empty()) {
    onnx::NodeProto* node = nullptr;
    y = graph->Node(prediction.link, {z}, &node);
    if (prediction.link == "Softmax") SetInteger(node, "axis", 1);
  }
  std::string name = prediction.name;
  while (graph->HasInput(name)) name = "predicted_" + name;  // A column may be called so.
  const std::string nothing =
      graph->Constant("nothing", type, {1, 1}, std::vector<double>{std::numeric_limits<double>::quiet_NaN()});
  graph->Node("Where", {refused, nothing, y}, nullptr, name);
  graph->Output(name, type, outputs,
                prediction.meaning + "; NaN where a value of the row is outside its declared range or levels");
}

Result<Preprocessing> PreprocessingOf(const Plan& plan, const ModelFile& model) {
  const auto text = model.metadata.find("preprocessing");
  if (text == model.metadata.end())
    return Fail(Code::kInvalid,
                "the model says nothing of its preprocessing; fetch it again: consilium study download");
  const Value value = TRY(ParseJson(text->second));
  return PreprocessingFromValue(plan, value);
}

}  // namespace

Result<Bytes> WriteOnnx(const Plan& plan, const ModelFile& model) {
  const auto of = model.metadata.find("plan");
  const ModelSpec spec = ModelOf(plan);
  if (of == model.metadata.end() || of->second != plan.id().Hex() || model.layout != LayoutOf(spec))
    return Fail(Code::kInvalid, "the model is not this plan's; give the plan whose study trained it");
  const Preprocessing preprocessing = TRY(PreprocessingOf(plan, model));

  onnx::ModelProto file;
  file.set_ir_version(kIrVersion);
  file.set_producer_name("consilium");
  file.set_producer_version(std::string(kProgramVersion));
  const Prediction prediction = PredictionOf(plan);
  file.set_doc_string(Warning(plan));
  file.mutable_graph()->set_name(plan.name);
  file.mutable_graph()->set_doc_string(plan.purpose);

  GraphWriter graph(file.mutable_graph());
  GraphColumns columns = WriteColumns(plan, preprocessing, &graph);
  const ElementType type =
      plan.learning.precision == Precision::kFloat ? onnx::TensorProto::FLOAT : onnx::TensorProto::DOUBLE;
  const std::string x = type == onnx::TensorProto::DOUBLE ? columns.x : graph.Cast(columns.x, type);
  const std::string z = NetworkWriter(spec, model.parameters, type, &graph).Write(x);
  WritePrediction(prediction, z, columns.refused, spec.outputs, type, &graph);

  onnx::OperatorSetIdProto* opset = file.add_opset_import();
  opset->set_domain("");
  opset->set_version(kOpset);
  const auto& nodes = file.graph().node();
  if (std::any_of(nodes.begin(), nodes.end(), [](const onnx::NodeProto& node) { return !node.domain().empty(); })) {
    onnx::OperatorSetIdProto* ml = file.add_opset_import();
    ml->set_domain("ai.onnx.ml");
    ml->set_version(kMlOpset);
  }
  std::map<std::string, std::string> metadata = model.metadata;
  metadata["columns"] = CanonicalJson(columns.described);
  metadata["predicts"] = prediction.meaning;
  if (const std::vector<std::string> classes = ClassesOf(plan); !classes.empty())
    metadata["classes"] = CanonicalJson(Value(Value::Array(classes.begin(), classes.end())));
  for (const auto& [key, value] : metadata) {
    onnx::StringStringEntryProto* entry = file.add_metadata_props();
    entry->set_key(key);
    entry->set_value(value);
  }
  constexpr std::size_t kMaxFile = std::numeric_limits<int>::max();  // Protobuf's own limit.
  if (file.ByteSizeLong() > kMaxFile)
    return Fail(Code::kInvalid, "the model is larger than an ONNX file can be (2 GiB); take model.safetensors");
  Bytes out(file.ByteSizeLong());
  CHECK(file.SerializeToArray(out.data(), static_cast<int>(out.size())));
  return out;
}

}  // namespace consilium
