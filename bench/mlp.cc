// Training an MLP of MNIST's size, 784-256-128-10, ReLU, softmax, Adam: samples a second on one thread, everything
// included (drawing the order, gathering bytes into floats, loss, steps). The limit is what cannot be avoided: the
// eight matrix products at dnnl_sgemm's own rate for these very shapes, and Adam's seven passes over the parameters'
// memory without its arithmetic.
#include <fmt/format.h>

#include <algorithm>

#include "bench/harness.h"
#include "common/base/check.h"
#include "common/model/trainer.h"

namespace consilium::bench {
namespace {

constexpr std::size_t kImages = 60'000, kInputs = 784, kClasses = 10;
constexpr std::size_t kRows = 8192, kSpread = kImages / kRows;  // A turn is an epoch over some, from all over memory.

// Images as idx files hold them: a byte a pixel.
class Images : public BatchSource<float> {
 public:
  Images() : pixels_(kImages * kInputs) {
    PublicRandom random(std::uint64_t{1});
    for (std::uint8_t& pixel : pixels_) {
      const std::uint64_t word = random.Word();
      pixel = (word & 7) < 6 ? 0 : static_cast<std::uint8_t>(word >> 8);  // Most of a digit is background.
    }
  }
  [[nodiscard]] std::size_t rows() const override { return kRows; }
  [[nodiscard]] std::size_t features() const override { return kInputs; }
  void Gather(std::span<const std::uint32_t> rows, float* x, float* y) override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i + kAhead < rows.size()) Fetch(At(rows[i + kAhead]));
      const std::uint8_t* __restrict from = At(rows[i]);
      for (std::size_t j = 0; j < kInputs; ++j) x[j] = static_cast<float>(from[j]) * (1.0F / 255);
      x += kInputs;
      *y++ = static_cast<float>(rows[i] % kClasses);
    }
  }

 private:
  static constexpr std::size_t kAhead = 2;  // Rows lie anywhere: ask for one while others are converted.
  [[nodiscard]] const std::uint8_t* At(std::uint32_t row) const { return pixels_.data() + row * kSpread * kInputs; }
  static void Fetch(const std::uint8_t* row) {
    for (std::size_t at = 0; at < kInputs; at += 64) __builtin_prefetch(row + at);
  }
  std::vector<std::uint8_t> pixels_;
};

Recipe MnistRecipe(std::uint32_t batch, Kernels kernels) {
  Recipe recipe;
  recipe.model = {.kind = ModelSpec::Kind::kMlp,
                  .inputs = kInputs,
                  .outputs = kClasses,
                  .hidden = {256, 128},
                  .initialisation = Initialisation::kDefault};
  recipe.loss = UsualLoss(recipe.model);
  recipe.optimizer = UsualOptimizer(OptimizerSpec::Kind::kAdam);
  recipe.training = {.epochs = 1, .batch_size = batch};
  recipe.precision = Precision::kFloat;
  recipe.kernels = kernels;
  return recipe;
}

// The products of one step, on buffers of their own.
class Products {
 public:
  Products(const ModelSpec& model, std::size_t batch) : batch_(batch), shapes_(DenseShapes(model)) {
    for (const DenseShape& shape : shapes_) {
      weights_.emplace_back(shape.inputs * shape.outputs);
      gradients_.emplace_back(shape.inputs * shape.outputs);
      inputs_.emplace_back(batch * shape.inputs);
      deltas_.emplace_back(batch * shape.outputs);
      for (Buffer<float>* buffer : {&weights_.back(), &inputs_.back(), &deltas_.back()})
        std::fill_n(buffer->data(), buffer->size(), 0.01F);
    }
    scratch_ = Buffer<float>(batch * kInputs);
  }
  void Run() {
    for (std::size_t i = 0; i < shapes_.size(); ++i) Forward(i);
    for (std::size_t i = shapes_.size(); i-- > 0;) Backward(i);
  }

 private:
  void Forward(std::size_t i) {
    const DenseShape& s = shapes_[i];
    gemm_.Multiply(batch_, s.outputs, s.inputs, {inputs_[i].data(), s.inputs, false},
                   {weights_[i].data(), s.inputs, true}, scratch_.data());
  }
  void Backward(std::size_t i) {
    const DenseShape& s = shapes_[i];
    gemm_.Multiply(s.outputs, s.inputs, batch_, {deltas_[i].data(), s.outputs, true},
                   {inputs_[i].data(), s.inputs, false}, gradients_[i].data());
    if (i == 0) return;  // Nobody asks for the gradient of the images.
    gemm_.Multiply(batch_, s.inputs, s.outputs, {deltas_[i].data(), s.outputs, false},
                   {weights_[i].data(), s.inputs, false}, scratch_.data());
  }

  std::size_t batch_;
  std::vector<DenseShape> shapes_;
  std::vector<Buffer<float>> weights_, gradients_, inputs_, deltas_;
  Buffer<float> scratch_;
  Gemm<float> gemm_{Kernels::kFastest};
};

// What Adam reads and writes: four vectors in, three out.
class Memory {
 public:
  explicit Memory(std::size_t size) : p_(size), g_(size), m_(size), v_(size) {}
  void Run() {
    float* __restrict p = p_.data();
    const float* __restrict g = g_.data();
    float* __restrict m = m_.data();
    float* __restrict v = v_.data();
    for (std::size_t i = 0; i < p_.size(); ++i) {
      m[i] += g[i];
      v[i] += g[i];
      p[i] += m[i] + v[i];
    }
  }

 private:
  Buffer<float> p_, g_, m_, v_;
};

Figure Measure(std::uint32_t batch, Kernels kernels, double seconds, Images* images) {
  const Recipe recipe = MnistRecipe(batch, kernels);
  const std::vector<double> start = InitialParameters(recipe.model, 1);
  Buffer<float> parameters(start.size());
  std::copy(start.begin(), start.end(), parameters.data());
  Trainer<float> trainer(recipe, images->rows());
  Products products(recipe.model, batch);
  Memory memory(start.size());
  const std::size_t steps = kRows / batch;
  const auto train = [&] { CHECK(trainer.Run(*images, parameters.span()).has_value()); };
  const auto multiply = [&] {
    for (std::size_t step = 0; step < steps; ++step) products.Run();
  };
  const auto pass = [&] {
    for (std::size_t step = 0; step < steps; ++step) memory.Run();
  };
  const auto times = InTurns(seconds, {train, multiply, pass});
  constexpr auto samples = static_cast<double>(kRows);
  return {.name = fmt::format("{}/{}", kernels == Kernels::kFastest ? "mlp" : "mlp_reproducible", batch),
          .unit = "samples/s",
          .limit_name = "dnnl_sgemm of these shapes + Adam's memory",
          .value = samples / Median(times[0]),
          .limit = samples / (Median(times[1]) + Median(times[2])),
          .repeats = static_cast<std::uint32_t>(times[0].size()),
          .spread = Spread(times[0])};
}

}  // namespace

void Mlp(const Options& options, const std::function<void(const Figure&)>& print) {
  Images images;
  for (const std::uint32_t batch : {32U, 64U, 128U, 256U})
    print(Measure(batch, Kernels::kFastest, options.seconds, &images));
  print(Measure(128, Kernels::kReproducible, options.seconds, &images));
}

}  // namespace consilium::bench
