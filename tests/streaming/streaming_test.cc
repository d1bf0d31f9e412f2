// A set much larger than the memory it may take is read, described, gathered for whole epochs, trained on and scored
// without being held.
// Each test is a process of its own (ctest), so the peak of its memory is the test's.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <numeric>
#include <random>

#include "hospital_node/data/profile.h"
#include "hospital_node/data/source.h"
#include "hospital_node/training/table_source.h"
#include "hospital_node/workbench.h"
#include "tests/data/archives.h"
#include "tests/data/plans.h"
#include "tests/data/scratch.h"

namespace consilium::node {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMebi = std::size_t{1} << 20;

// The most memory that this process has had (VmHWM of /proc/self/status).
std::size_t PeakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kibi = 0;
    if (word == "VmHWM:" && status >> kibi) return kibi * 1024;
  }
  ADD_FAILURE() << "no VmHWM";
  return 0;
}

Plan PlanOver(const std::string& features, const std::string& schema) {
  return testing::PlanFrom(
      "[study]\nname = 't'\npurpose = 'p'\nresearcher = 'r'\n[data]\ndataset = 'd'\nschema = 's'\nlabel = 'sick'\n"
      "features = [" +
          features + "]\n[training]\n[preprocessing]\nstandardize = 'declared'\nimpute = 'constant'\n" +
          testing::kUnprotected,
      schema);
}

// All rows in a random order, in batches; the sum of every input.
double Epoch(TableSource<float>* source, std::uint32_t seed) {
  std::vector<std::uint32_t> order(source->rows());
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  constexpr std::size_t kBatch = 128;
  std::vector<float> x(kBatch * source->features()), y(kBatch);
  double sum = 0;
  for (std::size_t at = 0; at < order.size(); at += kBatch) {
    const std::size_t count = std::min(kBatch, order.size() - at);
    source->Gather(std::span(order).subspan(at, count), x.data(), y.data());
    for (std::size_t i = 0; i < count * source->features(); ++i) sum += static_cast<double>(x[i]);
  }
  return sum;
}

std::vector<std::uint32_t> AllRows(const Table& table) {
  std::vector<std::uint32_t> out(table.rows());
  std::iota(out.begin(), out.end(), 0U);
  return out;
}

constexpr std::uint32_t kImages = 400'000, kPixels = 784;  // 300 MiB; as a matrix of doubles 2.3 GiB.
constexpr const char* kImageSchema =
    "[columns.image]\ntype = 'tensor'\nshape = [28, 28]\nminimum = 0\nmaximum = 255\n"
    "[columns.sick]\ntype = 'label'\npositive = [1]\nnegative = [0]\n";

// Black images but for the last pixel of the last one; the file takes no block on the disk for the rest.
std::vector<std::string> WriteImages(const testing::Scratch& scratch, const std::vector<std::uint8_t>& labels) {
  const fs::path images = scratch.path() / "images";
  scratch.Write("images", testing::Idx<std::uint8_t>(0x08, {kImages, 28, 28}, {}));
  fs::resize_file(images, 16 + std::uintmax_t{kImages} * kPixels);
  std::fstream one(images, std::ios::in | std::ios::out | std::ios::binary);
  one.seekp(16 + std::streamoff{kImages} * kPixels - 1);
  one.put('\xff');
  scratch.Write("labels", testing::Idx<std::uint8_t>(0x08, {kImages}, labels));
  return {images.string(), (scratch.path() / "labels").string()};
}

TEST(Streaming, ImagesOfThreeHundredMegabytesTakeSixty) {
  testing::Scratch scratch;
  const std::vector<std::string> files = WriteImages(scratch, std::vector<std::uint8_t>(kImages, 1));
  const Plan plan = PlanOver("'image'", kImageSchema);
  const auto table = ReadIdx(files, plan.schema, {.memory_bytes = 8 * kMebi, .spool = {scratch.path(), ""}});
  ASSERT_TRUE(table.has_value()) << table.error().what;
  ASSERT_FALSE(table->store.InMemory());
  EXPECT_EQ(ProfilesOf(*table)[0].most, 255);
  TableSource<float> source(plan, *table, AllRows(*table), MakePreprocessing(plan, {}));
  EXPECT_EQ(Epoch(&source, 1), 1.0) << "the one white pixel";
  EXPECT_EQ(Epoch(&source, 2), 1.0);
  EXPECT_LT(PeakBytes(), 60 * kMebi);
}

// All that a study asks of a hospital: registration, approval, a round, its evaluation, the hospital's own figures.
TEST(Streaming, AStudyOfThreeHundredMegabytesOfImagesTakesTwoHundred) {
  testing::Scratch scratch;
  std::vector<std::uint8_t> labels(kImages);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = i % 4 == 0 ? 1 : 0;
  const Plan plan = PlanOver("'image'", kImageSchema);
  DataSetSpec spec{"d", "", kImageSchema};
  spec.format = Format::kIdx;
  spec.files = WriteImages(scratch, labels);
  const auto workbench = MakeWorkbench(scratch.path() / "spool");
  ASSERT_TRUE(workbench.has_value()) << workbench.error().what;
  const auto report = (*workbench)->Check(spec);
  ASSERT_TRUE(report.has_value()) << report.error().what;
  EXPECT_EQ((*report)["kept_bytes"].AsInteger(), std::int64_t{kImages} * kPixels);
  spec.sha256 = (*report)["sha256"].AsString();
  const Status approved = (*workbench)->Preflight(plan, spec);
  ASSERT_TRUE(approved.has_value()) << approved.error().what;

  const Bytes model = ParameterBlob(std::vector<double>(kPixels + 1, 0.0));
  const Given inputs{.inputs = {{BlobRoot(model), model}}};
  const Preprocessing scale = MakePreprocessing(plan, {});
  const Query train = TrainQuery(plan, 1, BlobRoot(model), scale, 2);
  const auto trained = (*workbench)->Compute(plan, spec, train, inputs);
  ASSERT_TRUE(trained.has_value()) << trained.error().what;
  EXPECT_EQ(trained->blocks[1][0], 1.0) << "more patients than the cap";
  EXPECT_LT(trained->blocks[0].back(), -0.5) << "a quarter of the images is positive: the bias says so";
  const auto scored = (*workbench)->Compute(plan, spec, EvaluateQuery(plan, 1, BlobRoot(model), scale, 2), inputs);
  ASSERT_TRUE(scored.has_value()) << scored.error().what;
  EXPECT_NEAR(scored->blocks[1][0] / kImages, 0.25, 0.01);
  const auto own = (*workbench)->OwnResults(plan, spec, train, model);
  ASSERT_TRUE(own.has_value()) << own.error().what;
  EXPECT_EQ((*own)["local"]["rows"].AsInteger(), static_cast<std::int64_t>(scored->blocks[1][0]));
  EXPECT_LT(PeakBytes(), 200 * kMebi);
}

// An image of a megapixel is 8 MiB a row in training: approval refuses what memory should not hold, and says what fits.
TEST(Streaming, ABatchThatMemoryShouldNotHoldIsRefusedAtApproval) {
  constexpr std::uint32_t kRows = 120, kSide = 1024;
  constexpr const char* kSchema =
      "[columns.image]\ntype = 'tensor'\nshape = [1024, 1024]\nminimum = 0\nmaximum = 255\n"
      "[columns.sick]\ntype = 'label'\npositive = [1]\nnegative = [0]\n";
  testing::Scratch scratch;
  scratch.Write("images", testing::Idx<std::uint8_t>(0x08, {kRows, kSide, kSide}, {}));
  fs::resize_file(scratch.path() / "images", 16 + std::uintmax_t{kRows} * kSide * kSide);
  scratch.Write("labels", testing::Idx<std::uint8_t>(0x08, {kRows}, std::vector<std::uint8_t>(kRows, 1)));
  DataSetSpec spec{"d", "", kSchema};
  spec.format = Format::kIdx;
  spec.files = {(scratch.path() / "images").string(), (scratch.path() / "labels").string()};
  const auto workbench = MakeWorkbench(scratch.path() / "spool");
  ASSERT_TRUE(workbench.has_value()) << workbench.error().what;
  spec.sha256 = (*(*workbench)->Check(spec))["sha256"].AsString();
  Plan plan = PlanOver("'image'", kSchema);
  plan.batch_size = 1'000'000;
  const Status refused = (*workbench)->Preflight(plan, spec);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kRefused);
  EXPECT_NE(refused.error().what.find("batch_size of at most 64"), std::string::npos) << refused.error().what;
  plan.batch_size = 64;
  const Status approved = (*workbench)->Preflight(plan, spec);
  EXPECT_TRUE(approved.has_value()) << approved.error().what;
}

TEST(Streaming, ATableOfNumbersIsReadOnceAndKept) {
  constexpr int kRows = 40'000, kColumns = 100;  // 30 MiB of doubles
  testing::Scratch scratch;
  std::string schema = "[columns.sick]\ntype = 'label'\npositive = [1]\nnegative = [0]\n", features, line,
              head = "sick";
  for (int j = 0; j < kColumns; ++j) {
    const std::string name = "c" + std::to_string(j);
    schema += "[columns." + name + "]\ntype = 'number'\nminimum = 0\nmaximum = 2\n";
    features += (j == 0 ? "'" : ", '") + name + "'";
    head += "," + name;
    line += ",1.5";
  }
  {
    std::ofstream csv(scratch.path() / "numbers.csv");
    csv << head << '\n';
    for (int i = 0; i < kRows; ++i) csv << i % 2 << line << '\n';
  }
  const std::size_t before = PeakBytes();
  const fs::path spool = scratch.path() / "spool";
  fs::create_directories(spool);
  const Plan plan = PlanOver(features, schema);
  const DataSetSpec spec{"d", (scratch.path() / "numbers.csv").string(), schema};
  const ReadOptions options{.memory_bytes = 2 * kMebi, .spool = {spool, "numbers"}};
  for (int time = 0; time < 2; ++time) {
    const auto table = ReadSource(spec, plan.schema, options);
    ASSERT_TRUE(table.has_value()) << table.error().what;
    TableSource<float> source(plan, *table, AllRows(*table), MakePreprocessing(plan, {}));
    EXPECT_EQ(Epoch(&source, 3), 0.5 * kRows * kColumns);
    scratch.Write("numbers.csv", "no longer needed");
  }
  EXPECT_LT(PeakBytes() - before, 20 * kMebi);
}

}  // namespace
}  // namespace consilium::node
