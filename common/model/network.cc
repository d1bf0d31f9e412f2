// A model at work on a batch.
#include "common/model/network.h"

#include "common/base/check.h"

namespace consilium {

template <class Real>
Network<Real>::Network(const ModelSpec& model, std::size_t maximal_rows, Kernels kernels)
    : model_(model), maximal_rows_(maximal_rows), gemm_(kernels) {
  CHECK(maximal_rows > 0);
  const std::vector<DenseShape> shapes = DenseShapes(model);
  layers_.reserve(shapes.size());
  for (const DenseShape& shape : shapes) {
    const bool hidden = layers_.size() + 1 < shapes.size(), dropout = hidden && model.dropout > 0;
    const std::size_t units = maximal_rows * shape.outputs;
    Layer layer;
    layer.shape = shape;
    if (hidden && NeedsInput(model.activation)) layer.before = Buffer<Real>(units);
    layer.out = Buffer<Real>(units);
    if (dropout) layer.mask = Buffer<Real>(units);
    if (dropout) layer.dropped = Buffer<Real>(units);
    layer.delta = Buffer<Real>(units);
    if (shape.normed) {
      layer.normed = Buffer<Real>(units);
      layer.norm_delta = Buffer<Real>(units);
      layer.inverse_sd = Buffer<Real>(maximal_rows);
    }
    size_ = (shape.normed ? shape.shift : shape.bias) + shape.outputs;
    layers_.push_back(std::move(layer));
  }
}

template <class Real>
void Network<Real>::Dense(std::span<const Real> parameters, const Layer& layer, Real* out) {
  const DenseShape& s = layer.shape;
  gemm_.Multiply(rows_, s.outputs, s.inputs, {layer.input, s.inputs, false},
                 {parameters.data() + s.weight, s.inputs, true}, out);
}

template <class Real>
void Network<Real>::ForwardHidden(std::span<const Real> parameters, Layer* layer) {
  const DenseShape& s = layer->shape;
  const std::size_t count = rows_ * s.outputs;
  Real* before = layer->before.size() > 0 ? layer->before.data() : layer->out.data();
  const Real* p = parameters.data();
  if (s.normed) {
    Dense(parameters, *layer, layer->normed.data());
    AddBias(rows_, s.outputs, p + s.bias, layer->normed.data());
    LayerNorm(rows_, s.outputs, p + s.scale, p + s.shift, layer->normed.data(), layer->inverse_sd.data(), before);
    Activate(model_.activation, count, before, layer->out.data());
  } else {
    Dense(parameters, *layer, before);
    BiasActivate(model_.activation, rows_, s.outputs, p + s.bias, before, layer->out.data());
  }
  if (!dropout_) return;
  DropoutMask(model_.dropout, count, &*dropout_, layer->mask.data());
  Multiply(count, layer->mask.data(), layer->out.data(), layer->dropped.data());
}

template <class Real>
std::span<const Real> Network<Real>::Forward(std::span<const Real> parameters, std::size_t rows, const Real* x,
                                             std::optional<std::uint64_t> dropout_seed) {
  CHECK(parameters.size() == size_ && rows > 0 && rows <= maximal_rows_);
  rows_ = rows;
  dropout_.reset();
  if (dropout_seed && model_.dropout > 0) dropout_.emplace(*dropout_seed);
  for (Layer& layer : layers_) {
    layer.input = x;
    if (&layer == &layers_.back()) break;
    ForwardHidden(parameters, &layer);
    x = dropout_ ? layer.dropped.data() : layer.out.data();
  }
  Layer& last = layers_.back();
  Dense(parameters, last, last.out.data());
  AddBias(rows_, last.shape.outputs, parameters.data() + last.shape.bias, last.out.data());
  return {last.out.data(), rows * last.shape.outputs};
}

template <class Real>
void Network<Real>::BackwardHidden(std::span<const Real> parameters, const Layer& next, Layer* layer) {
  const DenseShape& s = layer->shape;
  const std::size_t count = rows_ * s.outputs;
  Real* d = s.normed ? layer->norm_delta.data() : layer->delta.data();
  gemm_.Multiply(rows_, next.shape.inputs, next.shape.outputs, {next.delta.data(), next.shape.outputs, false},
                 {parameters.data() + next.shape.weight, next.shape.inputs, false}, d);
  if (dropout_) Multiply(count, layer->mask.data(), d, d);
  const Real* before = layer->before.size() > 0 ? layer->before.data() : layer->out.data();
  ActivateBackward(model_.activation, count, before, layer->out.data(), d);
  if (!s.normed) return;
  std::copy_n(d, count, layer->delta.data());
  LayerNormBackward(rows_, s.outputs, parameters.data() + s.scale, layer->normed.data(), layer->inverse_sd.data(),
                    layer->delta.data());
}

template <class Real>
void Network<Real>::Backward(std::span<const Real> parameters) {
  CHECK(parameters.size() == size_ && rows_ > 0);
  for (std::size_t i = layers_.size() - 1; i-- > 0;) BackwardHidden(parameters, layers_[i + 1], &layers_[i]);
}

template <class Real>
void Network<Real>::Gradient(std::span<Real> gradient) {
  for (std::size_t i = 0; i < layers_.size(); ++i) Gradient(i, gradient);
}

template <class Real>
void Network<Real>::Gradient(std::size_t i, std::span<Real> gradient) {
  CHECK(gradient.size() == size_ && rows_ > 0);
  const Layer& layer = layers_[i];
  const DenseShape& s = layer.shape;
  gemm_.Multiply(s.outputs, s.inputs, rows_, {layer.delta.data(), s.outputs, true}, {layer.input, s.inputs, false},
                 gradient.data() + s.weight);
  ColumnSums(rows_, s.outputs, layer.delta.data(), gradient.data() + s.bias);
  if (!s.normed) return;
  LayerNormGradient(rows_, s.outputs, layer.normed.data(), layer.norm_delta.data(), gradient.data() + s.scale,
                    gradient.data() + s.shift);
}

template <class Real>
typename Network<Real>::LayerView Network<Real>::layer(std::size_t i) const {
  const Layer& at = layers_[i];
  return {at.shape, at.input, at.delta.data(), at.shape.normed ? at.normed.data() : nullptr,
          at.shape.normed ? at.norm_delta.data() : nullptr};
}

template class Network<float>;
template class Network<double>;

}  // namespace consilium
