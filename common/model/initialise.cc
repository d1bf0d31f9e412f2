// First parameters. Compiled without contraction: coordinator and hospitals must derive the same bits.
#include <cmath>

#include "common/base/check.h"
#include "common/model/random.h"
#include "common/model/spec.h"

namespace consilium {
namespace {

// What hospitals receive is float32.
double AsSent(double v) { return static_cast<double>(static_cast<float>(v)); }

struct Filler {
  std::uint64_t seed;
  std::vector<double>* out;

  [[nodiscard]] PublicRandom Stream(const std::string& tensor) const {
    return PublicRandom(Fields("consilium/initial").AddText(std::to_string(seed)).AddText(tensor).Hash());
  }
  void Uniform(const std::string& tensor, std::uint64_t first, std::uint64_t length, double bound) const {
    PublicRandom random = Stream(tensor);
    for (std::uint64_t i = 0; i < length; ++i) (*out)[first + i] = AsSent((2 * random.Uniform() - 1) * bound);
  }
  void Normal(const std::string& tensor, std::uint64_t first, std::uint64_t length, double sd) const {
    PublicRandom random = Stream(tensor);
    for (std::uint64_t i = 0; i < length; ++i) (*out)[first + i] = AsSent(random.Normal() * sd);
  }
};

void FillDense(const DenseShape& dense, Initialisation initialisation, const Filler& filler, const std::string& weight,
               const std::string& bias) {
  const auto in = static_cast<double>(dense.inputs), sum = static_cast<double>(dense.inputs + dense.outputs);
  const std::uint64_t size = dense.inputs * dense.outputs;
  switch (initialisation) {
    case Initialisation::kZeros:
      break;
    case Initialisation::kDefault:
      filler.Uniform(weight, dense.weight, size, 1 / std::sqrt(in));
      filler.Uniform(bias, dense.bias, dense.outputs, 1 / std::sqrt(in));
      break;
    case Initialisation::kKaimingUniform:
      filler.Uniform(weight, dense.weight, size, std::sqrt(6 / in));
      break;
    case Initialisation::kKaimingNormal:
      filler.Normal(weight, dense.weight, size, std::sqrt(2 / in));
      break;
    case Initialisation::kXavierUniform:
      filler.Uniform(weight, dense.weight, size, std::sqrt(6 / sum));
      break;
    case Initialisation::kXavierNormal:
      filler.Normal(weight, dense.weight, size, std::sqrt(2 / sum));
      break;
  }
}

}  // namespace

std::vector<double> InitialParameters(const ModelSpec& model, std::uint64_t seed) {
  const Layout layout = LayoutOf(model);
  std::vector<double> out(SizeOf(layout), 0.0);
  const std::vector<DenseShape> shapes = DenseShapes(model);
  std::size_t tensor = 0;
  for (const DenseShape& dense : shapes) {
    FillDense(dense, model.initialisation, {seed, &out}, layout[tensor].name, layout[tensor + 1].name);
    tensor += dense.normed ? 4 : 2;
    for (std::uint64_t i = 0; dense.normed && i < dense.outputs; ++i) out[dense.scale + i] = 1;
  }
  return out;
}

}  // namespace consilium
