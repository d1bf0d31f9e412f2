// Raw columns to model inputs: impute, scale, one-hot. In double, as hospitals do it, so that nothing is rounded before
// the model's own precision. Numbers that follow one another are worked on as one matrix.
#include "common/onnx/columns.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <set>

#include "common/base/check.h"

namespace consilium {
namespace {

constexpr auto kDouble = onnx::TensorProto::DOUBLE;
constexpr auto kFloat = onnx::TensorProto::FLOAT;
constexpr std::int64_t kMissing = -1, kUnknown = -2;  // Beside the levels' numbers.

Value Codes(const std::vector<std::string>& codes) { return Value(Value::Array(codes.begin(), codes.end())); }

// Ways to write a level, so that 1 from a column of whole numbers and 1.0 from one of decimals are the level "1".
std::vector<std::string> Spellings(const std::string& code) {
  std::vector<std::string> out = {code};
  const std::string key = CodeKey(code);
  double number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  if (error != std::errc() || end != key.data() + key.size() || !std::isfinite(number)) return out;
  out.push_back(key);
  if (number == std::floor(number)) out.push_back(fmt::format("{:.1f}", number));
  return out;
}

class ColumnsWriter {
 public:
  ColumnsWriter(const Plan& plan, const Preprocessing& preprocessing, GraphWriter* graph)
      : plan_(plan), preprocessing_(preprocessing), sources_(DesignSources(plan)), graph_(*graph) {}

  GraphColumns Write() {
    Value described{Value::Array{}};
    for (std::size_t at = 0; at < sources_.size();) {
      const std::size_t first = at;
      const Column::Type type = sources_[at].column->type;
      if (type == Column::Type::kCategory) {
        while (at < sources_.size() && sources_[at].column == sources_[first].column) ++at;
        WriteCategory(*sources_[first].column);
      } else if (type == Column::Type::kTensor) {
        WriteTensor(at++);
      } else {
        while (at < sources_.size() && sources_[at].column->type == Column::Type::kNumber) ++at;
        WriteNumbers(first, at);
      }
    }
    for (const std::string& name : plan_.features) described.Push(Described(*plan_.schema.Find(name)));
    const std::string zero = graph_.Constant("zero", kFloat, {1, 1}, std::vector<double>{0});
    const std::string refused = graph_.Node("Greater", {Any(graph_.Concat(refused_, 1)), zero});
    return {graph_.Concat(parts_, 1), refused, std::move(described)};
  }

 private:
  // Whether any of a row's flags, [N, k] as float, is set: [N, 1].
  std::string Any(const std::string& flags) {
    onnx::NodeProto* node = nullptr;
    std::string out = graph_.Node("ReduceMax", {flags}, &node);
    SetIntegers(node, "axes", std::vector<std::int64_t>{1});
    SetInteger(node, "keepdims", 1);
    return out;
  }

  std::string Row(const std::string& name, const std::vector<double>& values) {
    return graph_.Constant(name, kDouble, {1, static_cast<std::int64_t>(values.size())}, values);
  }

  // (x - mean) / sd for design columns [first, last). With "site" both are inputs: each hospital's own.
  std::string Scale(const std::string& x, std::size_t first, std::size_t last) {
    const std::string label = fmt::format("{}", first);
    if (plan_.standardize == "none") return x;
    std::string mean, sd;
    if (plan_.standardize == "site") {
      std::vector<std::string> means, sds;
      for (std::size_t i = first; i < last; ++i) {
        const std::string& name = sources_[i].column->name;
        means.push_back(graph_.Input(name + "/mean", kDouble, {1, 1}, false, "of this hospital's training rows"));
        sds.push_back(graph_.Input(name + "/sd", kDouble, {1, 1}, false, "of this hospital's training rows; not 0"));
      }
      mean = graph_.Concat(means, 1);
      sd = graph_.Concat(sds, 1);
    } else {
      const auto at = [&](const std::vector<double>& all) {
        return std::vector<double>(all.begin() + static_cast<std::ptrdiff_t>(first),
                                   all.begin() + static_cast<std::ptrdiff_t>(last));
      };
      mean = Row("mean" + label, at(preprocessing_.mean));
      sd = Row("sd" + label, at(preprocessing_.sd));
    }
    return graph_.Node("Div", {graph_.Node("Sub", {x, mean}), sd});
  }

  void WriteNumbers(std::size_t first, std::size_t last) {
    std::vector<std::string> inputs;
    std::vector<double> least, most, impute;
    for (std::size_t i = first; i < last; ++i) {
      const Column& column = *sources_[i].column;
      inputs.push_back(
          graph_.Input(column.name, kDouble, {1}, true,
                       fmt::format("a number{}{} from {} to {}; NaN where it is missing",
                                   column.unit.empty() ? "" : ", ", column.unit, column.minimum, column.maximum)));
      least.push_back(column.minimum);
      most.push_back(column.maximum);
      impute.push_back(preprocessing_.impute[i]);
    }
    const std::string x = graph_.Concat(inputs, 1), label = fmt::format("{}", first);
    // A missing value is neither below nor above.
    const std::string below = graph_.Node("Less", {x, Row("minimum" + label, least)});
    const std::string above = graph_.Node("Greater", {x, Row("maximum" + label, most)});
    refused_.push_back(Any(graph_.Cast(graph_.Node("Or", {below, above}), kFloat)));
    const std::string missing = graph_.Node("IsNaN", {x});
    parts_.push_back(Scale(graph_.Node("Where", {missing, Row("impute" + label, impute), x}), first, last));
  }

  // A tensor is there whole; an element that is not a number in the range is refused.
  void WriteTensor(std::size_t at) {
    const Column& column = *sources_[at].column;
    const std::string input =
        graph_.Input(column.name, kFloat, std::vector<std::int64_t>(column.shape.begin(), column.shape.end()), true,
                     fmt::format("a tensor of {}, each element from {} to {}", ShapeText(column.shape), column.minimum,
                                 column.maximum));
    onnx::NodeProto* flatten = nullptr;
    const std::string flat = graph_.Node("Flatten", {input}, &flatten);
    SetInteger(flatten, "axis", 1);
    const std::string x = graph_.Cast(flat, kDouble), label = fmt::format("{}", at);
    const std::string from = graph_.Node("GreaterOrEqual", {x, Row("minimum" + label, {column.minimum})});
    const std::string to = graph_.Node("LessOrEqual", {x, Row("maximum" + label, {column.maximum})});
    const std::string outside = graph_.Node("Not", {graph_.Node("And", {from, to})});
    refused_.push_back(Any(graph_.Cast(outside, kFloat)));
    parts_.push_back(Scale(x, at, at + 1));
  }

  void WriteCategory(const Column& column) {
    std::string listed;
    for (const std::string& level : column.levels) listed += (listed.empty() ? "" : ", ") + level;
    const std::string input = graph_.Input(column.name, onnx::TensorProto::STRING, {1}, true,
                                           fmt::format("a category, one of {}; empty where it is missing", listed));
    std::set<std::string> seen;
    std::vector<std::string> keys;
    std::vector<std::int64_t> numbers;
    const auto add = [&](const std::string& code, std::int64_t number) {
      for (const std::string& spelling : Spellings(code)) {
        if (!seen.insert(spelling).second) continue;
        keys.push_back(spelling);
        numbers.push_back(number);
      }
    };
    for (std::size_t i = 0; i < column.levels.size(); ++i) add(column.levels[i], static_cast<std::int64_t>(i));
    add("", kMissing);
    for (const auto* codes : {&column.missing, &plan_.schema.missing}) {
      for (const std::string& code : *codes) add(code, kMissing);
    }
    onnx::NodeProto* encoder = nullptr;
    const std::string code = graph_.Node("LabelEncoder", {input}, &encoder);
    encoder->set_domain("ai.onnx.ml");
    SetTexts(encoder, "keys_strings", keys);
    SetIntegers(encoder, "values_int64s", numbers);
    SetInteger(encoder, "default_int64", kUnknown);
    const auto constant = [&](const std::string& name, const std::vector<double>& values) {
      return graph_.Constant(column.name + "/" + name, onnx::TensorProto::INT64,
                             {1, static_cast<std::int64_t>(values.size())}, values);
    };
    const std::string unknown = graph_.Node("Equal", {code, constant("unknown", {kUnknown})});
    refused_.push_back(graph_.Cast(unknown, kFloat));
    std::vector<double> levels;
    for (std::size_t i = 1; i < column.levels.size(); ++i) levels.push_back(static_cast<double>(i));
    parts_.push_back(graph_.Cast(graph_.Node("Equal", {code, constant("levels", levels)}), kDouble));
  }

  [[nodiscard]] Value Described(const Column& column) const {
    Value out = Value().Set("name", column.name).Set("type", TypeName(column.type)).Set("unit", column.unit);
    if (!column.meaning.empty()) out.Set("meaning", column.meaning);
    if (column.type == Column::Type::kCategory) return out.Set("levels", Codes(column.levels));
    if (column.type == Column::Type::kTensor)
      out.Set("shape", Value(Value::Array(column.shape.begin(), column.shape.end())));
    return out.Set("minimum", Number(column.minimum)).Set("maximum", Number(column.maximum));
  }

  const Plan& plan_;
  const Preprocessing& preprocessing_;
  const std::vector<DesignSource> sources_;
  GraphWriter& graph_;
  std::vector<std::string> parts_, refused_;  // Of the design matrix; [N, k] as float.
};

}  // namespace

GraphColumns WriteColumns(const Plan& plan, const Preprocessing& preprocessing, GraphWriter* graph) {
  return ColumnsWriter(plan, preprocessing, graph).Write();
}

}  // namespace consilium
