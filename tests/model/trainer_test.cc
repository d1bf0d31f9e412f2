// Local training: full batches reach the minimum, epochs and steps and batches mean what they say, hooks enter where
// they should, divergence is an error that says what to do, and a step allocates nothing.
#include "common/model/trainer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include "common/model/fit.h"
#include "tests/model/numbers.h"

namespace {
std::atomic<std::uint64_t> allocations{0};
}

// Every allocation of this program that goes through new or malloc's family passes here.
extern "C" {
void* __libc_malloc(std::size_t size);                           // NOLINT: glibc's own.
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT
void* malloc(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_memalign(alignment, size);
}
}

namespace consilium {
namespace {

using testing::SomeNumbers;
using Kind = ModelSpec::Kind;

struct Data {
  Matrix x;
  std::vector<double> y;
  Data(Eigen::Index rows, Eigen::Index columns) : x(rows, columns) {
    const std::vector<double> numbers = SomeNumbers<double>(static_cast<std::size_t>(rows * columns), 1),
                              noise = SomeNumbers<double>(static_cast<std::size_t>(rows), 2);
    std::ranges::copy(numbers, x.data());
    for (Eigen::Index i = 0; i < rows; ++i)
      y.push_back(x(i, 0) - x(i, 1) + noise[static_cast<std::size_t>(i)] > 0 ? 1 : 0);
  }
};

Recipe Logistic(std::uint32_t inputs) {
  const ModelSpec model{.inputs = inputs};
  return {.model = model, .loss = UsualLoss(model)};
}

Recipe SmallMlp(std::uint32_t inputs) {
  const ModelSpec model{
      .kind = Kind::kMlp, .inputs = inputs, .outputs = 2, .hidden = {8}, .initialisation = Initialisation::kDefault};
  return {.model = model, .loss = UsualLoss(model), .optimizer = UsualOptimizer(OptimizerSpec::Kind::kAdam)};
}

std::vector<double> Trained(const Recipe& recipe, const Data& data, const std::vector<double>& start,
                            const Hooks<double>& hooks = {}) {
  EXPECT_TRUE(CheckRecipe(recipe).has_value());
  const auto out = Fit(recipe, data.x, data.y, start, hooks);
  EXPECT_TRUE(out.has_value()) << out.error().what;
  return out.value_or(std::vector<double>());
}

// The gradient of the objective over all rows, by the network itself.
std::vector<double> FullGradient(const Recipe& recipe, const Data& data, const std::vector<double>& p) {
  const std::size_t rows = data.y.size();
  Network<double> network(recipe.model, rows, Kernels::kFastest);
  Loss<double> loss(recipe.loss, recipe.model.outputs, rows);
  std::vector<double> g(p.size());
  const auto z = network.Forward(p, rows, data.x.data());
  loss.Evaluate(rows, z.data(), data.y.data(), network.output_gradient().data());
  network.Backward(p);
  network.Gradient(g);
  AddPenalty<double>(recipe.optimizer.l1, recipe.optimizer.l2, Segments(recipe.model), p, g);
  return g;
}

TEST(Trainer, FullBatchesReachTheMinimum) {
  const Data data(60, 3);
  Recipe recipe = Logistic(3);
  recipe.optimizer.learning_rate = 1;
  recipe.optimizer.l2 = 0.1;
  recipe.training = {.epochs = 4000, .batch_size = 60};
  const std::vector<double> p = Trained(recipe, data, std::vector<double>(4, 0.0));
  EXPECT_LT(EuclideanNorm<double>(FullGradient(recipe, data, p)), 1e-9);
}

TEST(Trainer, OneFullBatchIsOneStepOfGradientDescent) {
  const Data data(10, 2);
  Recipe recipe = Logistic(2);
  recipe.optimizer.learning_rate = 0.2;
  recipe.optimizer.l2 = 0.5;
  recipe.training = {.epochs = 0, .steps = 1, .batch_size = 10};
  const std::vector<double> start(3, 0.25), g = FullGradient(recipe, data, start), p = Trained(recipe, data, start);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(p[i], start[i] - 0.2 * g[i], 1e-15);
}

TEST(Trainer, AnMlpLearnsWhatALineCannot) {
  Data data(200, 2);
  for (Eigen::Index i = 0; i < 200; ++i) data.y[static_cast<std::size_t>(i)] = data.x(i, 0) * data.x(i, 1) > 0 ? 1 : 0;
  for (const Precision precision : {Precision::kFloat, Precision::kDouble}) {
    Recipe recipe = SmallMlp(2);
    recipe.precision = precision;
    recipe.optimizer.learning_rate = 0.02;
    recipe.training = {.epochs = 150, .batch_size = 20};
    const std::vector<double> p = Trained(recipe, data, InitialParameters(recipe.model, 1));
    const Matrix predicted = Predict(recipe, data.x, p);
    int right = 0;
    for (Eigen::Index i = 0; i < 200; ++i)
      right += (predicted(i, 1) > 0.5) == (data.y[static_cast<std::size_t>(i)] == 1);
    EXPECT_GT(right, 185);
    EXPECT_NEAR(predicted.rowwise().sum().maxCoeff(), 1, 1e-6);
  }
}

TEST(Trainer, SameKeySameBitsOtherKeyOtherOrder) {
  const Data data(50, 3);
  for (Recipe recipe : {Logistic(3), SmallMlp(3)}) {
    recipe.model.dropout = recipe.model.kind == Kind::kMlp ? 0.2 : 0;
    for (const Precision precision : {Precision::kFloat, Precision::kDouble}) {
      for (const Kernels kernels : {Kernels::kFastest, Kernels::kReproducible}) {
        recipe.precision = precision;
        recipe.kernels = kernels;
        recipe.training = {.epochs = 3, .batch_size = 7};
        const std::vector<double> start = InitialParameters(recipe.model, 1), first = Trained(recipe, data, start);
        EXPECT_EQ(first, Trained(recipe, data, start));
        recipe.training.shuffle_key.bytes[31] = 1;
        EXPECT_NE(first, Trained(recipe, data, start));
      }
    }
  }
}

TEST(Trainer, StepsCountBatchesAcrossEpochs) {
  const Data data(10, 2);
  Recipe recipe = Logistic(2);
  // Ten rows in batches of four are three steps an epoch: six steps are two epochs.
  recipe.training = {.epochs = 2, .steps = 0, .batch_size = 4};
  const std::vector<double> start(3, 0.0), epochs = Trained(recipe, data, start);
  recipe.training = {.epochs = 0, .steps = 6, .batch_size = 4};
  EXPECT_EQ(epochs, Trained(recipe, data, start));
}

TEST(Trainer, ABatchLargerThanTheDataIsOneOfAll) {
  const Data data(10, 2);
  Recipe recipe = Logistic(2);
  recipe.training.batch_size = 10;
  const std::vector<double> start(3, 0.1), whole = Trained(recipe, data, start);
  recipe.training.batch_size = 1'000'000;
  EXPECT_EQ(whole, Trained(recipe, data, start));
}

TEST(Trainer, NoRowsChangeNothing) {
  const std::vector<double> start(3, 0.5);
  EXPECT_EQ(*Fit(Logistic(2), Matrix(0, 2), {}, start), start);
}

TEST(Trainer, GivenBatchesAreTheStepsThatShufflingWouldTake) {
  const Data data(23, 3);
  Recipe recipe = SmallMlp(3);
  recipe.training = {.epochs = 2, .batch_size = 5};
  std::vector<std::vector<std::uint32_t>> batches;
  std::vector<std::uint32_t> order(23);
  for (std::uint32_t epoch = 0; epoch < 2; ++epoch) {
    Shuffler({}).Shuffle(epoch, &order);
    for (std::size_t first = 0; first < 23; first += 5)
      batches.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(first),
                           order.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(23, first + 5)));
  }
  MatrixSource<double> source(data.x, data.y);
  const std::vector<double> start = InitialParameters(recipe.model, 1);
  std::vector<double> p = start;
  const auto run = Trainer<double>(recipe, 23).RunBatches(source, batches, p);
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->steps, 10U);
  EXPECT_NEAR(run->rates, 10 * 0.001, 1e-15);
  EXPECT_EQ(p, Trained(recipe, data, start));
}

TEST(Trainer, HooksEnterWhereTheyShould) {
  const Data data(12, 2);
  Recipe recipe = Logistic(2);
  recipe.optimizer.l2 = 0.3;
  recipe.optimizer.l1 = 0.05;
  recipe.training = {.epochs = 1, .batch_size = 12};
  const std::vector<double> start = {0.5, -0.25, 0.125}, anchor = {1, 1, 1}, correction = {0.5, 0, -2};
  const std::vector<double> g = FullGradient(recipe, data, start);
  for (const double clip : {0.0, 0.1}) {
    recipe.optimizer.clip_norm = clip;
    std::vector<double> proximal = g;
    for (std::size_t i = 0; i < 3; ++i) proximal[i] += 0.7 * (start[i] - anchor[i]);
    const double scale = clip > 0 ? clip / (EuclideanNorm<double>(proximal) + 1e-6) : 1;
    const std::vector<double> p = Trained(recipe, data, start, {0.7, anchor, correction});
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(p[i], start[i] - 0.1 * (proximal[i] * scale + correction[i]), 1e-14) << "clip " << clip;
  }
}

TEST(Trainer, TheScheduleGoesOnFromItsFirstTick) {
  const Data data(12, 2);
  Recipe recipe = Logistic(2);
  recipe.optimizer.schedule = {.kind = Schedule::Kind::kStep, .every = 2, .factor = 0.5};
  recipe.training = {.epochs = 4, .batch_size = 12};
  MatrixSource<double> source(data.x, data.y);
  std::vector<double> p(3, 0.0);
  EXPECT_NEAR(Trainer<double>(recipe, 12).Run(source, p)->rates, 0.1 + 0.1 + 0.05 + 0.05, 1e-15);
  recipe.training.first_tick = 2;
  EXPECT_NEAR(Trainer<double>(recipe, 12).Run(source, p)->rates, 0.05 + 0.05 + 0.025 + 0.025, 1e-15);
}

TEST(Trainer, DivergenceNamesTheStepAndTheMend) {
  Data data(40, 3);
  data.x *= 1e3;
  for (double& y : data.y) y = 100 * y;
  for (const Precision precision : {Precision::kFloat, Precision::kDouble}) {
    const ModelSpec model{.kind = Kind::kLinear, .inputs = 3};
    Recipe recipe{.model = model, .loss = UsualLoss(model), .precision = precision};
    recipe.training = {.epochs = 1000, .batch_size = 8};
    const auto diverged = Fit(recipe, data.x, data.y, std::vector<double>(4, 0.0));
    ASSERT_FALSE(diverged.has_value());
    for (const char* word : {"diverged at step ", "learning_rate", "clip_norm", "standardise"})
      EXPECT_NE(diverged.error().what.find(word), std::string::npos) << diverged.error().what;
    recipe.optimizer.clip_norm = 1;
    EXPECT_TRUE(Fit(recipe, data.x, data.y, std::vector<double>(4, 0.0)).has_value()) << "as the message says";
  }
}

TEST(Trainer, DivergenceInTheLastStepIsSeen) {
  const Data data(8, 2);
  Recipe recipe = Logistic(2);
  recipe.optimizer.learning_rate = 1e308;
  recipe.optimizer.l2 = 1e300;
  recipe.training = {.epochs = 1, .batch_size = 8};
  EXPECT_FALSE(Fit(recipe, data.x, data.y, std::vector<double>(3, 1.0)).has_value());
}

// Without it Adam's moments of a unit that fell silent make each step ten times slower.
TEST(Trainer, NumbersBelowAllNormalOnesAreZeroInTrainingOnly) {
  class Watch : public MatrixSource<float> {
   public:
    using MatrixSource::MatrixSource;
    void Gather(std::span<const std::uint32_t> rows, float* x, float* y) override {
      volatile float small = 1e-38F;
      small = small / 16;
      seen = small;
      MatrixSource::Gather(rows, x, y);
    }
    float seen = 1;
  };
  const Data data(10, 2);
  Watch source(data.x, data.y);
  std::vector<float> p(3, 0.0F);
  ASSERT_TRUE(Trainer<float>(Logistic(2), 10).Run(source, p).has_value());
  EXPECT_EQ(source.seen, 0);
  volatile float small = 1e-38F;
  small = small / 16;
  EXPECT_NE(small, 0) << "outside all is as before";
}

TEST(Predict, AModelBeyondAllNumbersKnowsNothing) {
  const double nan = std::nan("");
  EXPECT_EQ(Predict(Logistic(1), Matrix::Ones(1, 1), {nan, 0})(0, 0), 0.5);
  EXPECT_EQ(Predict(SmallMlp(1), Matrix::Ones(1, 1), std::vector<double>(34, nan))(0, 1), 0.5);
}

TEST(Predict, ManyRowsAreAsEachAlone) {
  const Data data(600, 3);
  for (const Recipe& recipe : {Logistic(3), SmallMlp(3)}) {
    const std::vector<double> p = SomeNumbers<double>(SizeOf(LayoutOf(recipe.model)), 4);
    const Matrix all = Predict(recipe, data.x, p);
    ASSERT_EQ(all.rows(), 600);
    for (const Eigen::Index row : {0, 255, 256, 599})
      EXPECT_LT((Predict(recipe, data.x.row(row), p) - all.row(row)).norm(), 1e-15);
  }
}

// A source that counts what is allocated between one batch and the next.
template <class Real>
class CountingSource : public BatchSource<Real> {
 public:
  explicit CountingSource(MatrixSource<Real>& inner) : inner_(inner) {}
  [[nodiscard]] std::size_t rows() const override { return inner_.rows(); }
  [[nodiscard]] std::size_t features() const override { return inner_.features(); }
  void Gather(std::span<const std::uint32_t> rows, Real* x, Real* y) override {
    const std::uint64_t now = allocations;
    if (batches_++ > 0) since_first_ += now - last_;
    inner_.Gather(rows, x, y);
    last_ = allocations;
  }
  void Restart() { batches_ = since_first_ = 0; }
  [[nodiscard]] std::uint64_t SinceFirst() const { return since_first_; }
  [[nodiscard]] std::uint64_t batches() const { return batches_; }

 private:
  MatrixSource<Real>& inner_;
  std::uint64_t batches_ = 0, last_ = 0, since_first_ = 0;
};

template <class Real>
std::uint64_t AllocationsOf(const Recipe& recipe, const Data& data) {
  EXPECT_TRUE(CheckRecipe(recipe).has_value());
  MatrixSource<Real> inner(data.x, data.y);
  CountingSource<Real> source(inner);
  std::vector<double> start = InitialParameters(recipe.model, 1);
  std::vector<Real> p(start.begin(), start.end());
  Trainer<Real> trainer(recipe, source.rows());
  EXPECT_TRUE(trainer.Run(source, p).has_value());  // oneDNN makes its kernels when a shape is first met.
  source.Restart();
  EXPECT_TRUE(trainer.Run(source, p).has_value());
  EXPECT_GT(source.batches(), 10U);
  return source.SinceFirst();
}

// Epochs end within the count: drawing the next order allocates nothing either.
TEST(Trainer, AStepAllocatesNothing) {
  const std::uint64_t before = allocations;
  std::free(std::malloc(100));  // NOLINT: the counter counts.
  ASSERT_GT(allocations, before);
  const Data data(100, 6);
  for (const OptimizerSpec::Kind kind : {OptimizerSpec::Kind::kSgd, OptimizerSpec::Kind::kAdam}) {
    Recipe recipe = SmallMlp(6);
    recipe.optimizer.kind = kind;
    recipe.optimizer.clip_norm = 1;
    recipe.optimizer.l1 = recipe.optimizer.l2 = 1e-4;
    recipe.model.layer_norm = true;
    recipe.model.dropout = 0.1;
    recipe.training = {.epochs = 4, .batch_size = 16};
    EXPECT_EQ(AllocationsOf<double>(recipe, data), 0U);
    recipe.kernels = Kernels::kReproducible;
    EXPECT_EQ(AllocationsOf<float>(recipe, data), 0U);
    recipe.kernels = Kernels::kFastest;
    EXPECT_EQ(AllocationsOf<float>(recipe, data), 0U) << "dnnl_sgemm's work memory comes from posix_memalign";
  }
  const ModelSpec cox{.kind = Kind::kCox, .inputs = 6};
  Recipe recipe{.model = cox, .loss = UsualLoss(cox)};
  recipe.training = {.epochs = 4, .batch_size = 8};
  Data survival(100, 6);
  survival.y = SomeNumbers<double>(200, 9);
  EXPECT_EQ(AllocationsOf<double>(recipe, survival), 0U);
}

}  // namespace
}  // namespace consilium
