// A data set of many gigabytes through `data add`, approval, a round of training and its evaluation, under a gigabyte
// of memory.
//
//   large_set csv|idx FOLDER GIGABYTES [EPOCHS]
//
// Makes a set of that size in FOLDER (numbers as CSV, or images as idx), does with it through the workbench what a node
// does, and prints how long each step took and the most memory it needed. Exit 1 above 1 GB.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

#include "common/algorithms/derive.h"
#include "common/crypto/sodium.h"
#include "hospital_node/workbench.h"

namespace consilium::node {
namespace {

namespace fs = std::filesystem;

constexpr double kGiga = 1e9;
constexpr std::size_t kNumbers = 250, kSidePixels = 56, kBatch = 128;

std::size_t PeakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kibi = 0;
    if (word == "VmHWM:" && status >> kibi) return kibi * 1024;
  }
  return 0;
}

class Steps {
 public:
  void Done(const std::string& what) {
    const auto now = std::chrono::steady_clock::now();
    fmt::print("| {} | {:.1f} | {:.0f} |\n", what, std::chrono::duration<double>(now - last_).count(),
               static_cast<double>(PeakBytes()) / 1e6);
    std::fflush(stdout);
    last_ = std::chrono::steady_clock::now();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

struct Made {
  DataSetSpec spec;
  std::string features;
};

// Rows of numbers with seven digits, and a label.
Made MakeCsv(const fs::path& folder, std::size_t rows) {
  std::string schema = "[columns.sick]\ntype = 'label'\npositive = [1]\nnegative = [0]\n", head = "sick", features;
  for (std::size_t j = 0; j < kNumbers; ++j) {
    const std::string name = "c" + std::to_string(j);
    schema += "[columns." + name + "]\ntype = 'number'\nminimum = 0\nmaximum = 1\n";
    head += "," + name;
    features += (j == 0 ? "'" : ", '") + name + "'";
  }
  std::ofstream csv(folder / "numbers.csv", std::ios::binary);
  csv << head << '\n';
  std::mt19937_64 random(1);
  std::string line;
  for (std::size_t i = 0; i < rows; ++i) {
    line = i % 2 == 0 ? "0" : "1";
    for (std::size_t j = 0; j < kNumbers; ++j) {
      std::uint64_t digits = random() % 10'000'000;
      line += ",0.0000000";
      for (auto at = line.rbegin(); digits > 0; digits /= 10) *at++ = static_cast<char>('0' + digits % 10);
    }
    line += '\n';
    csv << line;
  }
  return {{"large", (folder / "numbers.csv").string(), schema}, features};
}

std::string Big(std::uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
}

Made MakeIdx(const fs::path& folder, std::size_t rows) {
  const auto count = static_cast<std::uint32_t>(rows), side = static_cast<std::uint32_t>(kSidePixels);
  std::ofstream images(folder / "images", std::ios::binary), labels(folder / "labels", std::ios::binary);
  images << std::string("\0\0\x08\3", 4) << Big(count) << Big(side) << Big(side);
  labels << std::string("\0\0\x08\1", 4) << Big(count);
  std::mt19937_64 random(1);
  std::string image(kSidePixels * kSidePixels, '\0');
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t at = 0; at < image.size(); at += 8) {
      const std::uint64_t pixels = random();
      std::memcpy(image.data() + at, &pixels, 8);
    }
    images << image;
    labels << static_cast<char>(i % 2);
  }
  Made made{{"large", "",
             fmt::format("[columns.image]\ntype = 'tensor'\nshape = [{0}, {0}]\nminimum = 0\nmaximum = 255\n"
                         "[columns.sick]\ntype = 'label'\npositive = [1]\nnegative = [0]\n",
                         kSidePixels)},
            "'image'"};
  made.spec.format = Format::kIdx;
  made.spec.files = {(folder / "images").string(), (folder / "labels").string()};
  return made;
}

Result<Plan> PlanFor(const Made& made, std::uint32_t epochs) {
  const std::string toml = fmt::format(
      "[study]\nname = 't'\npurpose = 'p'\nresearcher = 'r'\n[data]\ndataset = 'large'\nschema = 's'\n"
      "label = 'sick'\nfeatures = [{}]\n[training]\nlocal_epochs = {}\nbatch_size = {}\nlearning_rate = 0.001\n"
      "[preprocessing]\nstandardize = 'site'\nimpute = 'constant'\n[privacy]\nmode = 'none'\n[aggregation]\n"
      "profile = 'visible'\n",
      made.features, epochs, kBatch);
  return ParsePlanToml(toml, "plan", [&](const std::string&) -> Result<std::string> { return made.spec.schema; });
}

Status Run(const std::string& kind, const fs::path& folder, double gigabytes, std::uint32_t epochs) {
  const bool csv = kind == "csv";
  const std::size_t row_bytes = csv ? kNumbers * sizeof(double) : kSidePixels * kSidePixels;
  const auto rows = static_cast<std::size_t>(gigabytes * kGiga / static_cast<double>(row_bytes));
  Steps steps;
  fmt::print(
      "{} rows of {} bytes, {:.2f} GB as the node keeps them ({})\n\n| step | seconds | peak memory, MB "
      "|\n|---|---|---|\n",
      rows, row_bytes, static_cast<double>(rows * row_bytes) / kGiga, kind);
  Made made = csv ? MakeCsv(folder, rows) : MakeIdx(folder, rows);
  steps.Done("making the files");
  const auto workbench = TRY(MakeWorkbench(folder / "spool"));
  const Value report = TRY(workbench->Check(made.spec));
  made.spec.sha256 = report["sha256"].AsString();
  steps.Done("data add: hash, read, check, keep, describe");
  const Plan plan = TRY(PlanFor(made, epochs));
  TRY(workbench->Preflight(plan, made.spec));
  steps.Done("approval: hash again, open what is kept, split");
  const Bytes model = ParameterBlob(InitialParameters(ModelOf(plan), plan.seed));
  const std::map<Digest, Bytes> inputs = {{BlobRoot(model), model}};
  const Preprocessing scale = MakePreprocessing(plan, {});
  const Query train = TrainQuery(plan, 1, BlobRoot(model), scale, 2);
  const RawContribution trained = TRY(workbench->Compute(plan, made.spec, train, inputs));
  steps.Done(fmt::format("a round of training: the site's own scale, {} epoch(s) in batches of {}", epochs, kBatch));
  const Query evaluate = EvaluateQuery(plan, 1, BlobRoot(model), scale, 2);
  const RawContribution scored = TRY(workbench->Compute(plan, made.spec, evaluate, inputs));
  steps.Done("evaluation on the held-out rows");
  const Value own = TRY(workbench->OwnResults(plan, made.spec, train, model));
  steps.Done("the hospital's own figures: trained alone, scored twice");
  workbench->Keep({});
  fmt::print("\nWeight {}, {} rows held out, AUROC alone {:.4f} (of random labels); what was kept is gone: {}\n",
             trained.blocks[1][0], scored.blocks[1][0], own["local"]["auroc"].AsDouble(),
             fs::is_empty(folder / "spool") ? "yes" : "no");
  if (PeakBytes() > kGiga) return Fail(Code::kIo, "more than 1 GB of memory was needed");
  return {};
}

}  // namespace
}  // namespace consilium::node

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "large_set csv|idx FOLDER GIGABYTES [EPOCHS]\n");
    return 2;
  }
  consilium::InitSodium();
  const std::filesystem::path folder = argv[2];
  std::filesystem::create_directories(folder);
  const auto epochs = static_cast<std::uint32_t>(argc > 4 ? std::atoi(argv[4]) : 1);
  const auto ran = consilium::node::Run(argv[1], folder, std::atof(argv[3]), epochs);
  std::filesystem::remove_all(folder);
  if (ran) return 0;
  fmt::print(stderr, "large_set: {}\n", ran.error().what);
  return 1;
}
