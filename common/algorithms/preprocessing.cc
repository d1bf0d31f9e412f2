// Design columns and how they are imputed and scaled.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/algorithms/derive.h"
#include "common/base/check.h"

namespace consilium {
namespace {

constexpr double kWhole = 9007199254740992.0;  // 2^53

Result<std::vector<double>> ReadNumbers(const Value& value, std::size_t length, const char* name) {
  if (!value.IsArray() || value.AsArray().size() != length) {
    return Fail(Code::kProtocol,
                fmt::format("preprocessing.{} must have {} numbers, one per design column", name, length));
  }
  std::vector<double> out;
  for (const Value& one : value.AsArray()) {
    if (!one.IsNumber() || !std::isfinite(one.AsDouble()))
      return Fail(Code::kProtocol, fmt::format("preprocessing.{} holds something else than numbers", name));
    out.push_back(one.AsDouble());
  }
  return out;
}

}  // namespace

Value Number(double v) {
  CHECK(std::isfinite(v));
  if (v == std::floor(v) && std::fabs(v) < kWhole) return static_cast<std::int64_t>(v);
  return v;
}

Value Numbers(const std::vector<double>& values) {
  Value out{Value::Array{}};
  for (const double v : values) out.Push(Number(v));
  return out;
}

Range RangeOf(const Column& column) {
  const double half = (column.maximum - column.minimum) / 2;
  return {column.minimum + half, half > 0 ? half : 1};
}

GridValue ToGrid(double u) {
  const double whole = std::rint(std::clamp(u, -1.0, 1.0) * kGrid);
  const double coarse = std::rint(whole / kCoarse);
  return {coarse, whole - coarse * kCoarse};
}

std::vector<DesignSource> DesignSources(const Plan& plan) {
  std::vector<DesignSource> out;
  for (const std::string& name : plan.features) {
    const Column* column = plan.schema.Find(name);
    CHECK(column != nullptr);  // A parsed plan has the columns it names.
    if (column->type != Column::Type::kCategory) {
      out.push_back({column, -1, column->Elements()});
    } else {
      for (std::size_t level = 1; level < column->levels.size(); ++level)
        out.push_back({column, static_cast<int>(level)});
    }
  }
  return out;
}

std::vector<std::string> MomentColumns(const Plan& plan) {
  std::vector<std::string> out;
  if (!NeedsMoments(plan)) return out;
  for (const DesignSource& source : DesignSources(plan)) {
    const bool tensor = source.column->type == Column::Type::kTensor;
    if (source.level < 0 && (!tensor || plan.standardize == "federated")) out.push_back(source.column->name);
  }
  return out;
}

Preprocessing MakePreprocessing(const Plan& plan, const std::map<std::string, Moments>& moments) {
  Preprocessing out;
  for (const DesignSource& source : DesignSources(plan)) {
    double impute = 0, mean = 0, sd = 1;
    if (source.level < 0) {
      const Range range = RangeOf(*source.column);
      const auto found = moments.find(source.column->name);
      const Moments pooled = found != moments.end() ? found->second : Moments{range.middle, range.half};
      const bool tensor = source.column->type == Column::Type::kTensor;
      impute = plan.impute == "mean" && !tensor ? pooled.mean : range.middle;
      if (plan.standardize == "federated") {
        mean = pooled.mean;
        sd = pooled.sd > 0 ? pooled.sd : 1;
      } else if (plan.standardize == "declared") {
        mean = tensor ? source.column->minimum : range.middle;
        sd = tensor ? 2 * range.half : range.half;
      }
    }
    out.impute.push_back(impute);
    if (plan.standardize == "site") continue;
    out.mean.push_back(mean);
    out.sd.push_back(sd);
  }
  return out;
}

Value ToValue(const Preprocessing& preprocessing) {
  return Value()
      .Set("impute", Numbers(preprocessing.impute))
      .Set("mean", Numbers(preprocessing.mean))
      .Set("sd", Numbers(preprocessing.sd));
}

Result<Preprocessing> PreprocessingFromValue(const Plan& plan, const Value& value) {
  const Preprocessing declared = MakePreprocessing(plan, {});
  if (value.AsObject().size() != 3) return Fail(Code::kProtocol, "preprocessing must hold impute, mean and sd");
  Preprocessing out;
  out.impute = TRY(ReadNumbers(value["impute"], declared.impute.size(), "impute"));
  out.mean = TRY(ReadNumbers(value["mean"], declared.mean.size(), "mean"));
  out.sd = TRY(ReadNumbers(value["sd"], declared.sd.size(), "sd"));
  const std::vector<DesignSource> sources = DesignSources(plan);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const bool number = sources[i].level < 0, pooled = number && plan.standardize == "federated";
    const bool tensor = sources[i].column->type == Column::Type::kTensor;
    bool fits = (number && !tensor && plan.impute == "mean") || out.impute[i] == declared.impute[i];
    if (!out.mean.empty())
      fits = fits && out.sd[i] > 0 && (pooled || (out.mean[i] == declared.mean[i] && out.sd[i] == declared.sd[i]));
    if (!fits)
      return Fail(Code::kProtocol, fmt::format("preprocessing of design column {} is not what the plan says", i));
  }
  return out;
}

}  // namespace consilium
