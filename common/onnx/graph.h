// An ONNX graph in the making, over the classes that protoc generates from ONNX's own schema.
#pragma once

#include <onnx/onnx.pb.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace consilium {

using ElementType = onnx::TensorProto::DataType;

// Inputs and outputs have names for people. Everything inside is called "/...", which no column's name can be.
class GraphWriter {
 public:
  explicit GraphWriter(onnx::GraphProto* graph) : graph_(graph) {}

  // [N, shape...], N being the number of rows of a batch; without rows just [shape...].
  std::string Input(const std::string& name, ElementType type, const std::vector<std::int64_t>& shape, bool rows,
                    const std::string& meaning);
  void Output(const std::string& name, ElementType type, std::int64_t width, const std::string& meaning);
  [[nodiscard]] bool HasInput(const std::string& name) const;

  std::string Constant(const std::string& name, ElementType type, const std::vector<std::int64_t>& shape,
                       std::span<const double> values);
  // A node with one output, whose name it returns: one of its own unless `output` gives it. `*node` for attributes.
  std::string Node(const std::string& op, const std::vector<std::string>& inputs, onnx::NodeProto** node = nullptr,
                   const std::string& output = "");
  std::string Cast(const std::string& value, ElementType to);
  std::string Concat(const std::vector<std::string>& values, std::int64_t axis);  // Of one value: itself.

 private:
  onnx::GraphProto* graph_;
  int nodes_ = 0;
};

void SetInteger(onnx::NodeProto* node, const std::string& name, std::int64_t value);
void SetIntegers(onnx::NodeProto* node, const std::string& name, std::span<const std::int64_t> values);
void SetReal(onnx::NodeProto* node, const std::string& name, float value);
void SetTexts(onnx::NodeProto* node, const std::string& name, std::span<const std::string> values);

}  // namespace consilium
