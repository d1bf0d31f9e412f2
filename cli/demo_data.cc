// The demo's generator.
#include "cli/demo_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>

#include "common/base/check.h"
#include "common/base/files.h"

namespace consilium::demo {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  double Normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += Uniform();
    return sum;
  }

 private:
  std::uint64_t state_;
};

// e^x for |x| <= 40 by Taylor at x / 1024 and ten squarings.
double Exp(double x) {
  const double y = std::clamp(x, -40.0, 40.0) / 1024;
  double result = 1 + y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4)));
  for (int i = 0; i < 10; ++i) result *= result;
  return result;
}
double Logistic(double x) { return 1 / (1 + Exp(-x)); }

struct Character {
  std::uint32_t patients = 0;
  double shift = 0, base = 0;
  double missing = 0;  // Of the laboratory values.
  bool has_chol = true;
};

struct Patient {
  double age, trestbps, chol, thalach, oldpeak;
  int sex, fbs, exang, cp, restecg;
};

int Threshold(double v, std::initializer_list<double> cuts) {
  return static_cast<int>(std::count_if(cuts.begin(), cuts.end(), [&](double cut) { return v > cut; }));
}

Patient MakePatient(const Character& hospital, Random& random) {
  const double s = hospital.shift + random.Normal();
  const auto chance = [&](double logit) { return random.Uniform() < Logistic(logit) ? 1 : 0; };
  Patient p{};
  p.age = std::clamp(std::round(54 + 4 * s + 7.5 * random.Normal()), 28.0, 90.0);
  p.sex = chance(0.8 + 0.2 * s);
  p.trestbps = std::clamp(std::round(130 + 0.35 * (p.age - 54) + 3 * s + 16 * random.Normal()), 80.0, 220.0);
  p.chol = std::clamp(std::round(240 + 0.6 * (p.age - 54) + 5 * s + 45 * random.Normal()), 100.0, 600.0);
  p.fbs = chance(-1.9 + 0.25 * s);
  p.thalach = std::clamp(std::round(152 - 0.9 * (p.age - 54) - 6 * s + 19 * random.Normal()), 60.0, 215.0);
  p.exang = chance(-1 + 0.7 * s);
  p.oldpeak = std::clamp(std::round(10 * (0.7 + 0.55 * s + 0.9 * random.Normal())) / 10, 0.0, 7.0);
  p.cp = 1 + Threshold(0.8 * s + random.Normal(), {-1.4, -0.5, 0.35});
  p.restecg = Threshold(0.25 * s + random.Normal(), {0.5, 0.9});
  return p;
}

double DiseaseLogit(const Character& hospital, const Patient& p) {
  constexpr std::array<double, 4> kPain = {0, -0.3, 0.2, 1.5};
  constexpr std::array<double, 3> kEcg = {0, 0.4, 0.5};
  return hospital.base - 2.1 + 0.045 * (p.age - 54) + 0.9 * p.sex + 0.012 * (p.trestbps - 130) +
         0.006 * (p.chol - 240) + 0.35 * p.fbs - 0.028 * (p.thalach - 150) + 0.8 * p.exang + 0.6 * p.oldpeak +
         kPain[static_cast<std::size_t>(p.cp - 1)] + kEcg[static_cast<std::size_t>(p.restecg)];
}

std::vector<Character> MakeCharacters(std::uint32_t hospitals, Random& random) {
  std::vector<std::uint32_t> order(hospitals);
  for (std::uint32_t i = 0; i < hospitals; ++i) order[i] = i;
  for (std::size_t i = hospitals; i > 1; --i) std::swap(order[i - 1], order[random.Next() % i]);
  std::vector<Character> out(hospitals);
  for (std::uint32_t i = 0; i < hospitals; ++i) {
    const double place = hospitals > 1 ? static_cast<double>(order[i]) / (hospitals - 1) : 1;
    out[i].patients = static_cast<std::uint32_t>(90 + 330 * place * place * std::sqrt(place));
    out[i].shift = 0.55 * random.Normal();
    out[i].base = 0.6 * random.Normal();
    out[i].missing = 0.02 + 0.13 * random.Uniform();
    out[i].has_chol = i % 4 != 2;
  }
  return out;
}

std::string Lost(Random& random) { return random.Uniform() < 0.5 ? "" : "NA"; }

std::string Row(const std::string& id, const Character& hospital, Random& random) {
  const Patient p = MakePatient(hospital, random);
  const bool disease = random.Uniform() < Logistic(DiseaseLogit(hospital, p));
  const auto measured = [&](const std::string& text, double missing) {
    return random.Uniform() < missing ? Lost(random) : text;
  };
  std::string row = fmt::format("{},{:.0f},{}", id, p.age, p.sex);
  row += "," + measured(fmt::format("{:.0f}", p.trestbps), hospital.missing / 2);
  row += "," + measured(fmt::format("{:.0f}", p.chol), hospital.has_chol ? hospital.missing : 1);
  row += "," + measured(fmt::format("{}", p.fbs), hospital.missing);
  row += "," + measured(fmt::format("{:.0f}", p.thalach), hospital.missing / 2);
  row += "," + measured(fmt::format("{}", p.exang), hospital.missing / 2);
  row += "," + measured(fmt::format("{:.1f}", p.oldpeak), hospital.missing);
  row += fmt::format(",{}", p.cp);
  row += "," + measured(fmt::format("{}", p.restecg), hospital.missing / 4);
  return row + fmt::format(",{}\n", disease ? 1 : 0);
}

std::string List(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "\"" : ", \"") + name + "\"";
  return "[" + out + "]";
}

// n_min: one hospital may be away from three on.
std::uint32_t MinimumHospitals(std::uint32_t hospitals) { return std::max(2U, hospitals > 2 ? hospitals - 1 : 2U); }

std::string StudyHead(const DemoStudy& study, const char* name, const char* purpose) {
  return fmt::format(R"([study]
name = "{}"
purpose = "{}"
researcher = "Demo researcher"
minimum_hospitals = {}
minimum_patients = 10
)",
                     name, purpose, MinimumHospitals(study.hospitals));
}

constexpr const char* kNoProtection = R"(
# No differential privacy, and the coordinator sees each hospital's contribution: for generated or public data only.
[privacy]
mode = "none"

[aggregation]
profile = "visible"
tolerated_dropouts = 1
)";

}  // namespace

std::string HospitalName(std::uint32_t index) {
  std::string letters;
  for (std::uint32_t n = index + 1; n > 0; n = (n - 1) / 26)
    letters.insert(letters.begin(), static_cast<char>('a' + (n - 1) % 26));
  return "hospital-" + letters;
}

std::vector<DemoHospital> MakeHospitals(std::uint32_t hospitals, std::uint64_t seed) {
  CHECK(hospitals >= 1 && hospitals <= 1000);
  Random random(seed);
  std::vector<DemoHospital> out;
  for (const Character& character : MakeCharacters(hospitals, random)) {
    Random own(random.Next());  // So that one hospital's patients do not depend on another's number.
    DemoHospital hospital{HospitalName(static_cast<std::uint32_t>(out.size())), character.patients,
                          "patient,age,sex,trestbps,chol,fbs,thalach,exang,oldpeak,cp,restecg,disease\n"};
    for (std::uint32_t i = 0; i < character.patients; ++i) {
      hospital.csv += Row(fmt::format("{}-{:04}", hospital.name, i + 1), character, own);
    }
    out.push_back(std::move(hospital));
  }
  return out;
}

std::string DemoSchema() {
  return R"(# What a hospital's table must look like; `consilium-node data check` holds a file against it.
[file]
pattern = "*.csv"
missing = ["", "NA"]

[patient]
id = "patient"

[columns.patient]
type = "text"

[columns.age]
type = "number"
unit = "years"
minimum = 18
maximum = 110

[columns.sex]
type = "category"
levels = ["0", "1"]
meaning = "0 female, 1 male"

[columns.trestbps]
type = "number"
unit = "mmHg"
minimum = 60
maximum = 260
meaning = "resting systolic blood pressure"

[columns.chol]
type = "number"
unit = "mg/dl"
minimum = 80
maximum = 700
meaning = "serum cholesterol"

[columns.fbs]
type = "category"
levels = ["0", "1"]
meaning = "fasting blood sugar above 120 mg/dl"

[columns.thalach]
type = "number"
unit = "1/min"
minimum = 40
maximum = 230
meaning = "highest heart rate reached"

[columns.exang]
type = "category"
levels = ["0", "1"]
meaning = "angina on exertion"

[columns.oldpeak]
type = "number"
unit = "mm"
minimum = 0
maximum = 10
meaning = "ST depression on exertion"

[columns.cp]
type = "category"
levels = ["1", "2", "3", "4"]
meaning = "chest pain: 1 typical angina, 2 atypical, 3 no angina, 4 none"

[columns.restecg]
type = "category"
levels = ["0", "1", "2"]
meaning = "resting ECG: 0 normal, 1 ST-T wave, 2 hypertrophy"

[columns.disease]
type = "label"
positive = ["1"]
negative = ["0"]
meaning = "coronary disease"
)";
}

std::string DescribePlan(const DemoStudy& study) {
  std::vector<std::string> columns = study.table.features;
  columns.push_back(study.table.label);
  return StudyHead(study, "demo-describe", "Describe the patients of all hospitals in one table.") +
         fmt::format(R"(
[data]
dataset = "{}"
schema = "{}"

[describe]
columns = {}
bins = 256
)",
                     study.dataset, study.schema_file, List(columns)) +
         kNoProtection;
}

std::string TrainPlan(const DemoStudy& study) {
  return StudyHead(study, "demo-train", "Train one model of heart disease with the patients of all hospitals.") +
         fmt::format(R"(rounds = {}
round_deadline = "30s"

[data]
dataset = "{}"
schema = "{}"
label = "{}"
features = {}
test_fraction = 0.4

[preprocessing]
impute = "mean"
standardize = "federated"

[model]
kind = "logistic"

[training]
algorithm = "fedavg"
local_epochs = 2
batch_size = 32
learning_rate = 0.1
l2 = 0.005
seed = 1
update_bound = 8
weight_cap = 1000

[evaluation]
every = {}
)",
                     study.rounds, study.dataset, study.schema_file, study.table.label, List(study.table.features),
                     study.rounds >= 5 ? 5 : 0) +
         kNoProtection;
}

Status WriteDemoData(const std::string& folder, const DemoStudy& study, std::uint64_t seed) {
  namespace fs = std::filesystem;
  const auto write = [](const fs::path& path, const std::string& text) -> Status {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error)
      return Fail(Code::kIo, fmt::format("{}: cannot be made ({})", path.parent_path().string(), error.message()));
    return WriteFileAtomic(path, View(text));
  };
  for (const DemoHospital& hospital : MakeHospitals(study.hospitals, seed)) {
    TRY(write(fs::path(folder) / hospital.name / "patients.csv", hospital.csv));
  }
  TRY(write(fs::path(folder) / study.schema_file, DemoSchema()));
  TRY(write(fs::path(folder) / "describe.toml", DescribePlan(study)));
  return write(fs::path(folder) / "train.toml", TrainPlan(study));
}

}  // namespace consilium::demo
