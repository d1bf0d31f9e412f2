// What an ONNX file holds: versions, inputs as a hospital has its columns, the output, parameters and where it all
// comes from. What it computes is compared with ONNX Runtime by ./run test --full.
#include "common/onnx/onnx.h"

#include <gtest/gtest.h>
#include <onnx/onnx.pb.h>

#include "common/algorithms/derive.h"
#include "tests/data/plans.h"

namespace consilium {
namespace {

using testing::SmallTrainPlan;

constexpr const char* kSchema = R"([columns.age]
type = "number"
unit = "years"
minimum = 0
maximum = 100
[columns.value]
type = "number"
minimum = 0
maximum = 1
[columns.scan]
type = "tensor"
shape = [2, 3]
minimum = 0
maximum = 255
[columns.grade]
type = "label"
classes = ["low", "middle", "high"]
[columns.cost]
type = "number"
minimum = 0
maximum = 10
[columns.sick]
type = "label"
positive = ["1"]
negative = ["0"]
[columns.days]
type = "number"
minimum = 0
maximum = 10
)";

// A plan over age, value and scan.
Plan PlanOf(const std::string& label, const std::string& further) {
  return testing::PlanFrom(
      "[study]\nname = 't'\npurpose = 'p'\nresearcher = 'r'\n[data]\ndataset = 'd'\nschema = 's'\n"
      "features = ['age', 'value', 'scan']\nlabel = " +
          label + "\n" + further + testing::kUnprotected,
      kSchema);
}

ModelFile ModelFor(const Plan& plan) {
  const Layout layout = LayoutOf(ModelOf(plan));
  ModelFile out{layout, {}, {{"plan", plan.id().Hex()}, {"rounds", "3"}, {"warning", Warning(plan)}}};
  for (std::uint64_t i = 0; i < SizeOf(layout); ++i) out.parameters.push_back(static_cast<double>(i) / 4);
  out.metadata["preprocessing"] = CanonicalJson(ToValue(MakePreprocessing(plan, {{"age", {40, 10}}})));
  return out;
}

onnx::ModelProto Written(const Plan& plan) {
  const auto file = WriteOnnx(plan, ModelFor(plan));
  onnx::ModelProto out;
  if (!file) {
    ADD_FAILURE() << file.error().what;
  } else {
    EXPECT_TRUE(out.ParseFromArray(file->data(), static_cast<int>(file->size())));
  }
  return out;
}

// "age: 11[N,1]", 11 being the element's type.
std::string Text(const onnx::ValueInfoProto& value) {
  const onnx::TypeProto::Tensor& tensor = value.type().tensor_type();
  std::string out = value.name() + ": " + std::to_string(tensor.elem_type()) + "[";
  for (const auto& dim : tensor.shape().dim())
    out += (out.ends_with("[") ? "" : ",") + (dim.has_dim_param() ? dim.dim_param() : std::to_string(dim.dim_value()));
  return out + "]";
}
std::vector<std::string> Inputs(const onnx::ModelProto& model) {
  std::vector<std::string> out;
  for (const auto& input : model.graph().input()) out.push_back(Text(input));
  return out;
}
std::vector<std::string> Operators(const onnx::ModelProto& model) {
  std::vector<std::string> out;
  for (const auto& node : model.graph().node()) out.push_back(node.op_type());
  return out;
}
bool Has(const onnx::ModelProto& model, const std::string& op) {
  const auto all = Operators(model);
  return std::find(all.begin(), all.end(), op) != all.end();
}
const onnx::TensorProto* Constant(const onnx::ModelProto& model, const std::string& name) {
  for (const auto& tensor : model.graph().initializer()) {
    if (tensor.name() == name) return &tensor;
  }
  return nullptr;
}
std::map<std::string, std::string> Metadata(const onnx::ModelProto& model) {
  std::map<std::string, std::string> out;
  for (const auto& entry : model.metadata_props()) out[entry.key()] = entry.value();
  return out;
}

constexpr int kFloat = onnx::TensorProto::FLOAT, kDouble = onnx::TensorProto::DOUBLE;

TEST(Onnx, IsIr8AndOpset17WithColumnsAsAHospitalHasThem) {
  const Plan plan = SmallTrainPlan();
  const onnx::ModelProto model = Written(plan);
  EXPECT_EQ(model.ir_version(), 8);
  ASSERT_EQ(model.opset_import_size(), 2);
  EXPECT_EQ(model.opset_import(0).domain(), "");
  EXPECT_EQ(model.opset_import(0).version(), 17);
  EXPECT_EQ(model.opset_import(1).domain(), "ai.onnx.ml");
  EXPECT_EQ(model.producer_name(), "consilium");
  EXPECT_EQ(Inputs(model), (std::vector<std::string>{"age: 11[N,1]", "grade: 8[N,1]", "dose: 11[N,1]"}));
  ASSERT_EQ(model.graph().output_size(), 1);
  EXPECT_EQ(Text(model.graph().output(0)), "probability: 11[N,1]");
  EXPECT_EQ(*WriteOnnx(plan, ModelFor(plan)), *WriteOnnx(plan, ModelFor(plan))) << "the same model, the same bytes";
}

TEST(Onnx, SaysWhereItComesFrom) {
  const Plan plan = SmallTrainPlan();
  const onnx::ModelProto model = Written(plan);
  const auto metadata = Metadata(model);
  EXPECT_EQ(metadata.at("plan"), plan.id().Hex());
  EXPECT_EQ(metadata.at("rounds"), "3");
  EXPECT_EQ(metadata.at("warning"), Warning(plan));
  EXPECT_EQ(model.doc_string(), Warning(plan)) << "no differential privacy: said where viewers look";
  EXPECT_EQ(metadata.at("predicts"), "that sick is 1, from 0 to 1");
  const auto columns = ParseJson(metadata.at("columns"));
  ASSERT_TRUE(columns.has_value());
  EXPECT_EQ(columns->AsArray().at(1)["levels"].AsArray().size(), 3U);
  EXPECT_EQ(columns->AsArray().at(0)["maximum"].AsDouble(), 100);
}

TEST(Onnx, HoldsTheParametersAndThePreprocessing) {
  const Plan plan = SmallTrainPlan();
  const onnx::ModelProto model = Written(plan);
  const onnx::TensorProto* weight = Constant(model, "/layer0.weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(std::vector<std::int64_t>(weight->dims().begin(), weight->dims().end()), (std::vector<std::int64_t>{1, 4}));
  std::vector<double> values(4);
  ASSERT_EQ(weight->raw_data().size(), 32U);
  std::memcpy(values.data(), weight->raw_data().data(), 32);
  EXPECT_EQ(values, (std::vector<double>{0, 0.25, 0.5, 0.75}));
  const onnx::TensorProto* mean = Constant(model, "/mean0");
  ASSERT_NE(mean, nullptr);
  double age = 0;
  std::memcpy(&age, mean->raw_data().data(), sizeof age);
  EXPECT_EQ(age, 40);
}

TEST(Onnx, LevelsAreTakenInEverySpellingAndOthersAreRefused) {
  const onnx::ModelProto model = Written(SmallTrainPlan());
  std::map<std::string, std::int64_t> numbers;
  std::int64_t fallback = 0;
  for (const auto& node : model.graph().node()) {
    if (node.op_type() != "LabelEncoder") continue;
    EXPECT_EQ(node.domain(), "ai.onnx.ml");
    const auto& keys = node.attribute(0);
    for (int i = 0; i < keys.strings_size(); ++i) numbers[keys.strings(i)] = node.attribute(1).ints(i);
    fallback = node.attribute(2).i();
  }
  EXPECT_EQ(numbers, (std::map<std::string, std::int64_t>{
                         {"1", 0}, {"1.0", 0}, {"2", 1}, {"2.0", 1}, {"3", 2}, {"3.0", 2}, {"", -1}, {"?", -1}}));
  EXPECT_EQ(fallback, -2) << "neither a level nor missing";
}

TEST(Onnx, OutputsAreNamedForWhatTheyAre) {
  const std::string network = "[model]\nkind = 'mlp'\nhidden = [4]\n";
  const auto output = [](const onnx::ModelProto& model) { return Text(model.graph().output(0)); };
  const onnx::ModelProto classes = Written(PlanOf("'grade'", "[training]\n"));
  EXPECT_EQ(output(classes), "probabilities: 11[N,3]");
  EXPECT_TRUE(Has(classes, "Softmax"));
  EXPECT_EQ(Metadata(classes).at("classes"), R"(["low","middle","high"])");
  EXPECT_EQ(classes.opset_import_size(), 1) << "without categories no second set of operators";
  const onnx::ModelProto number = Written(PlanOf("'cost'", network + "[training]\n"));
  EXPECT_EQ(output(number), "predicted_value: 1[N,1]") << "a column is called value";
  EXPECT_FALSE(Has(number, "Exp"));
  EXPECT_TRUE(Has(Written(PlanOf("'cost'", "[model]\nkind = 'poisson'\n[training]\n")), "Exp"));
  const onnx::ModelProto times = Written(PlanOf("'sick'\ntime = 'days'", "[training]\n"));
  EXPECT_EQ(output(times), "score: 11[N,1]");
  EXPECT_FALSE(Has(times, "Sigmoid"));
}

TEST(Onnx, LayersAreThoseOfThePlanAndDropoutIsForTraining) {
  for (const auto& [activation, op] : std::map<std::string, std::string>{
           {"relu", "Relu"}, {"tanh", "Tanh"}, {"sigmoid", "Sigmoid"}, {"gelu", "Erf"}}) {
    const onnx::ModelProto model =
        Written(PlanOf("'sick'",
                       "[model]\nkind = 'mlp'\nhidden = [4, 3]\nlayer_norm = true\ndropout = 0.5\n"
                       "activation = '" +
                           activation + "'\n[training]\n"));
    EXPECT_TRUE(Has(model, op)) << activation;
    EXPECT_FALSE(Has(model, "Dropout"));
    const auto all = Operators(model);
    EXPECT_EQ(std::count(all.begin(), all.end(), "Gemm"), 3);
    EXPECT_EQ(std::count(all.begin(), all.end(), "LayerNormalization"), 2);
    EXPECT_EQ(Constant(model, "/layer2.weight")->data_type(), kFloat);
  }
}

TEST(Onnx, ASitesOwnScaleIsAnInput) {
  const onnx::ModelProto model = Written(PlanOf("'sick'", "[preprocessing]\nstandardize = 'site'\n[training]\n"));
  EXPECT_EQ(Inputs(model), (std::vector<std::string>{"age: 11[N,1]", "value: 11[N,1]", "age/mean: 11[1,1]",
                                                     "age/sd: 11[1,1]", "value/mean: 11[1,1]", "value/sd: 11[1,1]",
                                                     "scan: 1[N,2,3]", "scan/mean: 11[1,1]", "scan/sd: 11[1,1]"}));
  EXPECT_EQ(Constant(model, "/mean0"), nullptr);
  EXPECT_EQ(Constant(model, "/impute0")->data_type(), kDouble);
}

TEST(Onnx, AModelOfAnotherPlanIsRefused) {
  const Plan plan = SmallTrainPlan(), other = SmallTrainPlan("standardize = 'none'\n");
  EXPECT_EQ(WriteOnnx(other, ModelFor(plan)).error().code, Code::kInvalid);
  ModelFile file = ModelFor(plan);
  file.layout.pop_back();
  file.parameters.pop_back();
  EXPECT_FALSE(WriteOnnx(plan, file).has_value()) << "another layout";
  file = ModelFor(plan);
  file.metadata.erase("preprocessing");
  EXPECT_FALSE(WriteOnnx(plan, file).has_value());
  file.metadata["preprocessing"] = "{}";
  EXPECT_FALSE(WriteOnnx(plan, file).has_value());
}

}  // namespace
}  // namespace consilium
