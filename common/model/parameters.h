// A model's parameters: one flat vector with a named layout, and its two file forms.
#pragma once

#include <string>
#include <vector>

#include "common/crypto/hash.h"
#include "common/settings/value.h"

namespace consilium {

struct Tensor {
  std::string name;
  std::vector<std::uint64_t> shape;
  [[nodiscard]] std::uint64_t size() const;
  bool operator==(const Tensor&) const = default;
};
using Layout = std::vector<Tensor>;
std::uint64_t SizeOf(const Layout& layout);

// What travels as a query's input: float32, little-endian, tensors in order, nothing else.
Bytes ParameterBlob(const std::vector<double>& parameters);
Result<std::vector<double>> ParseParameterBlob(ByteView blob, const Layout& layout);

// safetensors (F32): 8-byte LE header length, JSON header with "__metadata__" (string to string), data.
Bytes WriteSafetensors(const Layout& layout, const std::vector<double>& parameters,
                       const std::map<std::string, std::string>& metadata);
struct ModelFile {
  Layout layout;
  std::vector<double> parameters;
  std::map<std::string, std::string> metadata;
};
Result<ModelFile> ReadSafetensors(ByteView file);  // Bounds everything first.

}  // namespace consilium
