// The graph's parts.
#include "common/onnx/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "common/base/check.h"

namespace consilium {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

template <class T>
void Append(double value, std::string* out) {
  const T cast = static_cast<T>(value);
  out->append(reinterpret_cast<const char*>(&cast), sizeof cast);
}

onnx::AttributeProto* Attribute(onnx::NodeProto* node, const std::string& name, onnx::AttributeProto::AttributeType t) {
  onnx::AttributeProto* out = node->add_attribute();
  out->set_name(name);
  out->set_type(t);
  return out;
}

}  // namespace

std::string GraphWriter::Input(const std::string& name, ElementType type, const std::vector<std::int64_t>& shape,
                               bool rows, const std::string& meaning) {
  onnx::ValueInfoProto* input = graph_->add_input();
  input->set_name(name);
  input->set_doc_string(meaning);
  onnx::TypeProto::Tensor* tensor = input->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  if (rows) tensor->mutable_shape()->add_dim()->set_dim_param("N");
  for (const std::int64_t extent : shape) tensor->mutable_shape()->add_dim()->set_dim_value(extent);
  return name;
}

void GraphWriter::Output(const std::string& name, ElementType type, std::int64_t width, const std::string& meaning) {
  onnx::ValueInfoProto* output = graph_->add_output();
  output->set_name(name);
  output->set_doc_string(meaning);
  onnx::TypeProto::Tensor* tensor = output->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  tensor->mutable_shape()->add_dim()->set_dim_param("N");
  tensor->mutable_shape()->add_dim()->set_dim_value(width);
}

bool GraphWriter::HasInput(const std::string& name) const {
  return std::any_of(graph_->input().begin(), graph_->input().end(),
                     [&](const onnx::ValueInfoProto& input) { return input.name() == name; });
}

std::string GraphWriter::Constant(const std::string& name, ElementType type, const std::vector<std::int64_t>& shape,
                                  std::span<const double> values) {
  onnx::TensorProto* tensor = graph_->add_initializer();
  tensor->set_name("/" + name);
  tensor->set_data_type(type);
  for (const std::int64_t extent : shape) tensor->add_dims(extent);
  std::string* raw = tensor->mutable_raw_data();
  raw->reserve(values.size() * sizeof(double));
  for (const double value : values) {
    if (type == onnx::TensorProto::FLOAT) {
      Append<float>(value, raw);
    } else if (type == onnx::TensorProto::INT64) {
      Append<std::int64_t>(value, raw);
    } else {
      CHECK(type == onnx::TensorProto::DOUBLE);
      Append<double>(value, raw);
    }
  }
  return tensor->name();
}

std::string GraphWriter::Node(const std::string& op, const std::vector<std::string>& inputs, onnx::NodeProto** node,
                              const std::string& output) {
  onnx::NodeProto* made = graph_->add_node();
  made->set_op_type(op);
  made->set_name(fmt::format("/{}.{}", nodes_++, op));
  for (const std::string& input : inputs) made->add_input(input);
  made->add_output(output.empty() ? made->name() : output);
  if (node != nullptr) *node = made;
  return made->output(0);
}

std::string GraphWriter::Cast(const std::string& value, ElementType to) {
  onnx::NodeProto* node = nullptr;
  std::string out = Node("Cast", {value}, &node);
  SetInteger(node, "to", to);
  return out;
}

std::string GraphWriter::Concat(const std::vector<std::string>& values, std::int64_t axis) {
  if (values.size() == 1) return values.front();
  onnx::NodeProto* node = nullptr;
  std::string out = Node("Concat", values, &node);
  SetInteger(node, "axis", axis);
  return out;
}

void SetInteger(onnx::NodeProto* node, const std::string& name, std::int64_t value) {
  Attribute(node, name, onnx::AttributeProto::INT)->set_i(value);
}

void SetIntegers(onnx::NodeProto* node, const std::string& name, std::span<const std::int64_t> values) {
  onnx::AttributeProto* attribute = Attribute(node, name, onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute->add_ints(value);
}

void SetReal(onnx::NodeProto* node, const std::string& name, float value) {
  Attribute(node, name, onnx::AttributeProto::FLOAT)->set_f(value);
}

void SetTexts(onnx::NodeProto* node, const std::string& name, std::span<const std::string> values) {
  onnx::AttributeProto* attribute = Attribute(node, name, onnx::AttributeProto::STRINGS);
  for (const std::string& value : values) attribute->add_strings(value);
}

}  // namespace consilium
