// Models of every kind as ONNX files, each with a table's rows and what this program predicts for them; compare.py runs
// them through ONNX Runtime. The rows go the hospitals' own way: an npz file, the reader, the plan's preprocessing, the
// network. Parameters are drawn, not trained.
//
//   onnx_models FOLDER     writes NAME.onnx and NAME.json: {"inputs": {NAME: rows, null where missing}, "predicted":
//   rows}
#include <fmt/format.h>

#include <cstdio>
#include <random>

#include "common/base/check.h"
#include "common/base/files.h"
#include "common/onnx/onnx.h"
#include "hospital_node/data/source.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/design.h"
#include "hospital_node/training/table_rows.h"
#include "tests/data/archives.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRows = 300, kElements = 12;
constexpr const char* kSchema = R"([columns.age]
type = "number"
unit = "years"
minimum = 0
maximum = 110
[columns.year]
type = "number"
minimum = 1900
maximum = 2030
[columns.probability]
type = "number"
minimum = -1
maximum = 1
[columns.grade]
type = "category"
levels = ["1", "2", "3", "4"]
[columns.sex]
type = "category"
levels = ["0", "1"]
[columns.scan]
type = "tensor"
shape = [3, 4]
minimum = 0
maximum = 255
[columns.sick]
type = "label"
positive = ["1"]
negative = ["0"]
[columns.kind]
type = "label"
classes = ["1", "2", "3"]
[columns.cost]
type = "number"
unit = "EUR"
minimum = 0
maximum = 5000
[columns.days]
type = "number"
minimum = 0
maximum = 1000
)";

struct Case {
  const char *name, *data, *preprocessing, *model, *training;
};

constexpr const char *kSick = "label = 'sick'\n", *kKind = "label = 'kind'\n", *kCost = "label = 'cost'\n",
                     *kDays = "label = 'sick'\ntime = 'days'\n";
constexpr const char* kAll = "features = ['age', 'grade', 'year', 'probability', 'scan', 'sex']\n";
constexpr const char *kFederated = "standardize = 'federated'\n", *kSite = "standardize = 'site'\n";

// Label, model and loss of each kind; every activation with and without layer norm, in both precisions, comes below.
constexpr Case kCases[] = {
    {"logistic", kSick, kFederated, "kind = 'logistic'\n", ""},
    {"logistic-float", kSick, "standardize = 'declared'\nimpute = 'constant'\n", "kind = 'logistic'\n",
     "precision = 'float'\n"},
    {"logistic-site", kSick, kSite, "kind = 'logistic'\n", ""},
    {"softmax", kKind, kFederated, "kind = 'softmax'\n", ""},
    {"linear", kCost, "standardize = 'none'\n", "kind = 'linear'\n", ""},
    {"linear-huber", kCost, kFederated, "kind = 'linear'\n", "loss = 'huber'\n"},
    {"poisson", kCost, kFederated, "kind = 'poisson'\n", ""},
    {"cox", kDays, kFederated, "kind = 'cox'\n", ""},
    {"mlp-classes", kKind, kFederated, "kind = 'mlp'\nhidden = [16, 8]\ndropout = 0.5\nlayer_norm = true\n", ""},
    {"mlp-number", kCost, kFederated, "kind = 'mlp'\nhidden = [32]\n", "loss = 'squared'\n"},
    {"mlp-poisson", kCost, kFederated, "kind = 'mlp'\nhidden = [8]\nactivation = 'tanh'\n", "loss = 'poisson'\n"},
    {"mlp-cox", kDays, kSite, "kind = 'mlp'\nhidden = [8]\nactivation = 'sigmoid'\n", ""},
};

template <class T>
T Or(Result<T> result, const std::string& what) {
  if (result) {
    if constexpr (std::is_void_v<T>) {
      return;
    } else {
      return std::move(*result);
    }
  }
  fmt::print(stderr, "onnx_models: {}: {}\n", what, result.error().what);
  std::exit(1);
}

// What lies in the file, and the same as the graph takes it.
struct Cohort {
  std::map<std::string, std::vector<double>> columns;  // NaN where missing.
  std::vector<float> scan;

  Cohort() {
    std::mt19937_64 random(7);  // Its numbers are the standard's; uniform_int_distribution's are not.
    const auto fraction = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
    const auto draw = [&](const char* name, double from, double to, bool whole, double missing) {
      std::vector<double>& column = columns[name];
      for (std::size_t i = 0; i < kRows; ++i) {
        const double v = from + (to - from) * fraction();
        column.push_back(fraction() < missing ? NAN : whole ? std::floor(v) : v);
      }
    };
    draw("age", 18, 95, false, 0.15);
    draw("year", 1930, 2030, false, 0.15);
    draw("probability", -1, 1, false, 0.15);
    draw("grade", 1, 5, true, 0.15);
    draw("sex", 0, 2, true, 0.15);
    draw("sick", 0, 2, true, 0);
    draw("kind", 1, 4, true, 0);
    draw("cost", 0, 5000, false, 0);
    draw("days", 1, 1000, false, 0);
    for (std::size_t i = 0; i < kRows * kElements; ++i) scan.push_back(static_cast<float>(255 * fraction()));
  }

  void Write(const fs::path& path) const {
    std::vector<testing::ZipEntry> entries = {
        {"scan.npy", testing::Npy("<f4", fmt::format("({}, 3, 4)", kRows), testing::Raw(scan))}};
    for (const auto& [name, column] : columns)
      entries.push_back({name + ".npy", testing::Npy("<f8", fmt::format("({},)", kRows), testing::Raw(column))});
    Or(WriteFileAtomic(path, View(testing::Zip(entries))), "the rows");
  }

  // One row's value of a column, in the shape of the graph's input.
  [[nodiscard]] Value InputOf(const Column& column, std::size_t row) const {
    if (column.type == Column::Type::kTensor) {
      Value out{Value::Array{}};
      for (std::size_t i = 0; i < kElements; i += 4) {
        Value line{Value::Array{}};
        for (std::size_t j = 0; j < 4; ++j) line.Push(Number(scan[row * kElements + i + j]));
        out.Push(std::move(line));
      }
      return out;
    }
    const double v = columns.at(column.name)[row];
    const bool category = column.type == Column::Type::kCategory;
    if (std::isnan(v)) return Value().Push(category ? Value("") : Value());
    if (!category) return Value().Push(Number(v));
    return Value().Push(fmt::format("{:.{}f}", v, row % 2));  // "1" and "1.0" are one level.
  }
};

Plan PlanOf(const Case& one) {
  const std::string toml = fmt::format(
      "[study]\nname = '{}'\npurpose = 'Try the exported file.'\nresearcher = 'r'\n[data]\ndataset = 'd'\n"
      "schema = 's'\n{}{}[preprocessing]\n{}[model]\n{}[training]\n{}"
      "[privacy]\nmode = 'none'\n[aggregation]\nprofile = 'visible'\n",
      one.name, one.data, kAll, one.preprocessing, one.model, one.training);
  return Or(ParsePlanToml(toml, "plan", [](const std::string&) -> Result<std::string> { return kSchema; }), one.name);
}

// As the study would leave it: through the file that hospitals' models come in.
ModelFile ModelFor(const Plan& plan, const Preprocessing& preprocessing) {
  const Layout layout = LayoutOf(ModelOf(plan));
  std::vector<double> parameters;
  std::mt19937_64 random(11);
  for (const Tensor& tensor : layout) {
    const bool scale = tensor.name.ends_with("scale");
    for (std::uint64_t i = 0; i < tensor.size(); ++i)
      parameters.push_back((scale ? 1 : 0) + static_cast<double>(random() >> 11) * 0x1p-53 - 0.5);
  }
  const Bytes file = WriteSafetensors(layout, parameters,
                                      {{"plan", plan.id().Hex()},
                                       {"name", plan.name},
                                       {"rounds", "1"},
                                       {"preprocessing", CanonicalJson(ToValue(preprocessing))}});
  return Or(ReadSafetensors(file), plan.name);
}

void Write(const Case& one, const fs::path& folder, const Cohort& cohort, const node::Table& table) {
  const Plan plan = PlanOf(one);
  const Preprocessing pooled = MakePreprocessing(
      plan, {{"age", {54.3, 11.7}}, {"year", {1975.6, 21.3}}, {"probability", {0.03, 0.57}}, {"scan", {127.1, 73.9}}});
  std::vector<std::size_t> rows(kRows);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  const Preprocessing own = plan.standardize == "site" ? node::SiteScaled(plan, table, rows, pooled) : pooled;
  const ModelFile model = ModelFor(plan, pooled);
  const node::RowScores scores =
      node::PredictRows(node::RoundRecipe(plan, 0, {}), {{plan, table, rows, own}}, model.parameters);

  Value inputs{Value::Object{}}, predicted{Value::Array{}};
  for (const std::string& name : plan.features) {
    Value all{Value::Array{}};
    for (const std::size_t row : rows) all.Push(cohort.InputOf(*plan.schema.Find(name), row));
    inputs.Set(name, std::move(all));
  }
  const std::vector<DesignSource> sources = DesignSources(plan);
  for (std::size_t i = 0; plan.standardize == "site" && i < sources.size(); ++i) {
    if (sources[i].level >= 0) continue;
    const auto set = [&](const char* what, double value) {
      Value row{Value::Array{}}, both{Value::Array{}};
      row.Push(Number(value));
      both.Push(std::move(row));
      inputs.Set(sources[i].column->name + what, std::move(both));
    };
    set("/mean", own.mean[i]);
    set("/sd", own.sd[i]);
  }
  for (Eigen::Index row = 0; row < scores.predicted.rows(); ++row) {
    Value outputs{Value::Array{}};
    for (Eigen::Index c = 0; c < scores.predicted.cols(); ++c) outputs.Push(Number(scores.predicted(row, c)));
    predicted.Push(std::move(outputs));
  }
  const Value document = Value().Set("inputs", std::move(inputs)).Set("predicted", std::move(predicted));
  Or(WriteFileAtomic(folder / fmt::format("{}.json", one.name), View(CanonicalJson(document))), one.name);
  Or(WriteFileAtomic(folder / fmt::format("{}.onnx", one.name), Or(WriteOnnx(plan, model), one.name)), one.name);
}

int Main(const fs::path& folder) {
  fs::create_directories(folder);
  const Cohort cohort;
  cohort.Write(folder / "rows.npz");
  node::DataSetSpec spec{"d", "", kSchema};
  spec.format = node::Format::kNpz;
  spec.files = {(folder / "rows.npz").string()};
  const node::Table table =
      Or(node::ReadSource(spec, Or(ParseSchema(kSchema, "schema"), "schema"), {}), "the reader of the rows");
  for (const Case& one : kCases) Write(one, folder, cohort, table);
  for (const char* activation : {"relu", "tanh", "sigmoid", "gelu"}) {
    for (const char* precision : {"float", "double"}) {
      for (const bool norm : {false, true}) {
        const std::string name = fmt::format("mlp-{}-{}{}", activation, precision, norm ? "-norm" : "");
        const std::string model =
            fmt::format("kind = 'mlp'\nhidden = [24, 12]\nactivation = '{}'\nlayer_norm = {}\n", activation, norm);
        const std::string training = fmt::format("precision = '{}'\n", precision);
        Write({name.c_str(), kSick, kFederated, model.c_str(), training.c_str()}, folder, cohort, table);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace consilium

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "onnx_models FOLDER\n");
    return 2;
  }
  return consilium::Main(argv[1]);
}
