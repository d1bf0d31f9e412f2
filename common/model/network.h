// A model at work on a batch: forward keeps what backward needs, backward keeps dL/d(output) of every layer, and only
// then are gradients formed. So a per-example norm can be had between the two without a per-example gradient: a dense
// layer's is ||input||^2 ||delta||^2 plus, for its bias, ||delta||^2 (Goodfellow 2015).
//
//   x -> [dense -> (layer norm) -> activation -> (dropout)] * -> dense -> outputs
//
// All memory is made at construction, for a maximal batch. Not thread-safe.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "common/model/buffer.h"
#include "common/model/gemm.h"
#include "common/model/layers.h"
#include "common/model/spec.h"

namespace consilium {

template <class Real>
class Network {
 public:
  // `model` has passed CheckModel.
  Network(const ModelSpec& model, std::size_t maximal_rows, Kernels kernels);

  [[nodiscard]] std::size_t size() const { return size_; }  // Of the flat parameter vector.
  [[nodiscard]] std::size_t inputs() const { return model_.inputs; }
  [[nodiscard]] std::size_t outputs() const { return model_.outputs; }
  [[nodiscard]] std::size_t maximal_rows() const { return maximal_rows_; }

  // x: [rows, inputs], which must stay until Gradient. Returns the outputs [rows, outputs], before any link (logits).
  // With a dropout seed it is a training step's, whose masks follow from the seed; without, a prediction's.
  std::span<const Real> Forward(std::span<const Real> parameters, std::size_t rows, const Real* x,
                                std::optional<std::uint64_t> dropout_seed = std::nullopt);
  // dL/d(outputs) of the last Forward's batch: the caller fills it in, then calls Backward with the same parameters.
  [[nodiscard]] std::span<Real> output_gradient() { return {layers_.back().delta.data(), rows_ * model_.outputs}; }
  void Backward(std::span<const Real> parameters);
  // Writes (not adds) the gradient of the whole batch, in the parameters' layout; of one layer, its part of that.
  void Gradient(std::span<Real> gradient);
  void Gradient(std::size_t layer, std::span<Real> gradient);

  // After Backward: layer i's input [rows, inputs] and dL/d(dense output) [rows, outputs].
  struct LayerView {
    DenseShape shape;
    const Real* input = nullptr;
    const Real* delta = nullptr;
    const Real *normed = nullptr, *norm_delta = nullptr;  // With layer norm: its normalised values, dL/d(its output).
  };
  [[nodiscard]] std::size_t layers() const { return layers_.size(); }
  [[nodiscard]] LayerView layer(std::size_t i) const;

 private:
  struct Layer {
    DenseShape shape;
    const Real* input = nullptr;
    Buffer<Real> before;  // The activation's input, where backward needs it.
    Buffer<Real> out;     // The activation's output; the last layer's dense output.
    Buffer<Real> mask, dropped;
    Buffer<Real> normed, inverse_sd;
    Buffer<Real> delta, norm_delta;
  };
  void ForwardHidden(std::span<const Real> parameters, Layer* layer);
  void Dense(std::span<const Real> parameters, const Layer& layer, Real* out);
  void BackwardHidden(std::span<const Real> parameters, const Layer& next, Layer* layer);

  ModelSpec model_;
  std::size_t maximal_rows_, size_ = 0, rows_ = 0;
  std::optional<PublicRandom> dropout_;
  Gemm<Real> gemm_;
  std::vector<Layer> layers_;
};

extern template class Network<float>;
extern template class Network<double>;

}  // namespace consilium
