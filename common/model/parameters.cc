// Parameters as bytes: the blob of a query's input, and safetensors files.
#include "common/model/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/base/check.h"

namespace consilium {
namespace {

static_assert(std::endian::native == std::endian::little, "float32 goes out as it lies in memory");

constexpr std::uint64_t kMaxParameters = 1ULL << 28;
constexpr std::uint64_t kMaxHeaderBytes = 1 << 20;
constexpr std::size_t kMaxTensors = 4096;
constexpr std::size_t kMaxDimensions = 8;
constexpr std::size_t kHeaderAlignment = 8;

void AppendFloat(double value, Bytes* out) {
  const auto bits = std::bit_cast<std::array<std::uint8_t, 4>>(static_cast<float>(value));
  out->insert(out->end(), bits.begin(), bits.end());
}

Result<std::vector<double>> ReadFloats(ByteView bytes) {
  std::vector<double> out(bytes.size() / 4);
  for (std::size_t i = 0; i < out.size(); ++i) {
    float value = 0;
    std::memcpy(&value, bytes.data() + 4 * i, 4);
    if (!std::isfinite(value)) return Fail(Code::kInvalid, fmt::format("parameter {} is not a finite number", i));
    out[i] = value;
  }
  return out;
}

struct Placed {
  Tensor tensor;
  std::uint64_t first = 0, last = 0;  // Bytes in the data part.
};

Status BadHeader(const std::string& why) { return Fail(Code::kInvalid, "safetensors header: " + why); }

Result<Placed> ReadTensor(const std::string& name, const Value& entry, std::uint64_t data_bytes) {
  const auto refuse = [&](const std::string& why) {
    return Fail(Code::kInvalid, fmt::format("safetensors tensor '{}': {}", name, why));
  };
  if (!entry.IsObject() || entry.AsObject().size() != 3) return refuse("expected dtype, shape and data_offsets");
  if (entry["dtype"].AsString() != "F32") return refuse("only dtype F32 is read here");
  if (!entry["shape"].IsArray() || entry["shape"].AsArray().size() > kMaxDimensions) return refuse("bad shape");
  Placed placed;
  placed.tensor.name = name;
  std::uint64_t size = 1;
  for (const Value& extent : entry["shape"].AsArray()) {
    const std::int64_t n = extent.IsInteger() ? extent.AsInteger() : 0;
    if (n < 1 || static_cast<std::uint64_t>(n) > kMaxParameters / size) return refuse("bad shape");
    size *= static_cast<std::uint64_t>(n);
    placed.tensor.shape.push_back(static_cast<std::uint64_t>(n));
  }
  const auto& offsets = entry["data_offsets"].AsArray();
  if (offsets.size() != 2 || !offsets[0].IsInteger() || !offsets[1].IsInteger()) return refuse("bad data_offsets");
  const std::int64_t first = offsets[0].AsInteger(), last = offsets[1].AsInteger();
  if (first < 0 || last < first || static_cast<std::uint64_t>(last) > data_bytes)
    return refuse("data_offsets lie outside the file");
  placed.first = static_cast<std::uint64_t>(first);
  placed.last = static_cast<std::uint64_t>(last);
  if (placed.last - placed.first != 4 * size) return refuse("data_offsets do not match the shape");
  return placed;
}

Result<std::map<std::string, std::string>> ReadMetadata(const Value& metadata) {
  std::map<std::string, std::string> out;
  if (!metadata.IsObject()) return Fail(Code::kInvalid, "safetensors header: __metadata__ must be an object");
  for (const auto& [key, value] : metadata.AsObject()) {
    if (!value.IsString()) return Fail(Code::kInvalid, "safetensors header: __metadata__ holds strings only");
    out[key] = value.AsString();
  }
  return out;
}

// The tensors must tile the data part without gap or overlap, so that every byte of the file has one meaning.
Status CheckTiling(std::vector<Placed>* tensors, std::uint64_t data_bytes) {
  std::sort(tensors->begin(), tensors->end(), [](const Placed& a, const Placed& b) { return a.first < b.first; });
  std::uint64_t next = 0;
  for (const Placed& placed : *tensors) {
    if (placed.first != next) return BadHeader("tensors overlap or leave a gap");
    next = placed.last;
  }
  if (next != data_bytes) return BadHeader("data after the last tensor");
  return {};
}

}  // namespace

std::uint64_t Tensor::size() const {
  std::uint64_t product = 1;
  for (const std::uint64_t extent : shape) {
    CHECK(extent >= 1 && extent <= kMaxParameters / product);
    product *= extent;
  }
  return product;
}

std::uint64_t SizeOf(const Layout& layout) {
  std::uint64_t sum = 0;
  for (const Tensor& tensor : layout) sum += tensor.size();
  CHECK(sum <= kMaxParameters);
  return sum;
}

Bytes ParameterBlob(const std::vector<double>& parameters) {
  Bytes out;
  out.reserve(parameters.size() * 4);
  for (const double value : parameters) AppendFloat(value, &out);
  return out;
}

Result<std::vector<double>> ParseParameterBlob(ByteView blob, const Layout& layout) {
  const std::uint64_t wanted = SizeOf(layout) * 4;
  if (blob.size() != wanted) {
    return Fail(Code::kInvalid, fmt::format("the model has {} bytes where its layout needs {}", blob.size(), wanted));
  }
  return ReadFloats(blob);
}

Bytes WriteSafetensors(const Layout& layout, const std::vector<double>& parameters,
                       const std::map<std::string, std::string>& metadata) {
  CHECK(SizeOf(layout) == parameters.size());
  Value notes{Value::Object{}};
  for (const auto& [key, value] : metadata) notes.Set(key, value);
  Value header;
  header.Set("__metadata__", std::move(notes));
  std::uint64_t offset = 0;
  for (const Tensor& tensor : layout) {
    Value shape{Value::Array{}};
    for (const std::uint64_t extent : tensor.shape) shape.Push(extent);
    const std::uint64_t end = offset + 4 * tensor.size();
    Value offsets;
    offsets.Push(offset).Push(end);
    Value entry;
    entry.Set("dtype", "F32").Set("shape", std::move(shape)).Set("data_offsets", std::move(offsets));
    header.Set(tensor.name, std::move(entry));
    offset = end;
  }
  std::string json = CanonicalJson(header);
  json.resize((json.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');
  CHECK(json.size() <= kMaxHeaderBytes);
  Bytes out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<std::uint8_t>(json.size() >> (8 * i)));
  out.insert(out.end(), json.begin(), json.end());
  for (const double value : parameters) AppendFloat(value, &out);
  return out;
}

Result<ModelFile> ReadSafetensors(ByteView file) {
  if (file.size() < 8) return Fail(Code::kInvalid, "not a safetensors file: shorter than its 8-byte header length");
  std::uint64_t header_bytes = 0;
  for (int i = 0; i < 8; ++i) header_bytes |= static_cast<std::uint64_t>(file[static_cast<std::size_t>(i)]) << (8 * i);
  if (header_bytes < 2 || header_bytes > kMaxHeaderBytes || header_bytes > file.size() - 8) {
    return Fail(Code::kInvalid, "not a safetensors file: its header length lies outside the file or above 1 MiB");
  }
  const std::string_view json = Text(file.subspan(8, header_bytes));
  if (json.front() != '{') return Fail(Code::kInvalid, "not a safetensors file: the header is not a JSON object");
  const ByteView data = file.subspan(8 + header_bytes);
  const Value header =
      TRY(ParseJson(json.substr(0, json.find_last_not_of(' ') + 1), {.bytes = kMaxHeaderBytes, .depth = 8}));
  if (header.AsObject().size() > kMaxTensors) return Fail(Code::kInvalid, "safetensors header: too many tensors");
  ModelFile out;
  std::vector<Placed> tensors;
  for (const auto& [name, entry] : header.AsObject()) {
    if (name == "__metadata__") {
      out.metadata = TRY(ReadMetadata(entry));
    } else {
      tensors.push_back(TRY(ReadTensor(name, entry, data.size())));
    }
  }
  if (Status tiled = CheckTiling(&tensors, data.size()); !tiled) return std::unexpected(tiled.error());
  for (Placed& placed : tensors) out.layout.push_back(std::move(placed.tensor));
  out.parameters = TRY(ReadFloats(data));
  return out;
}

}  // namespace consilium
