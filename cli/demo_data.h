// Patients for the demo: a cohort that looks like the heart-disease studies of the 1980s and is made up from the
// equations below; nothing is copied from anybody. The same seed gives the same bytes on every machine: integer
// generator, sums of twelve uniforms for normals, and an exponential made of + - * / only.
//
// Hospital h of N has its own character, which is what federated learning has to live with:
//   size     n_h = 90 + 330 (h' / (N - 1))^2.5 patients, where h' runs through the hospitals in a shuffled order
//   case mix shift_h ~ N(0, 0.55) moves age (years: 54 + 5 shift_h), vessels and the share of asymptomatic chest pain
//   referral base_h ~ N(0, 0.6) moves the prevalence beyond what the columns explain
//   gaps     missing rates per column; one hospital in four (the third, from three on) never measured cholesterol
//
// A patient: severity s = shift_h + z0, z ~ N(0, 1) independent
//   age      = 54 + 4 s + 7.5 z1                         28 .. 90 years
//   sex      = male when u < logistic(0.8 + 0.2 s)       0 female, 1 male
//   trestbps = 130 + 0.35 (age - 54) + 3 s + 16 z2       80 .. 220 mmHg
//   chol     = 240 + 0.6 (age - 54) + 5 s + 45 z3        100 .. 600 mg/dl
//   fbs      = 1 when u < logistic(-1.9 + 0.25 s)        fasting blood sugar above 120 mg/dl
//   thalach  = 152 - 0.9 (age - 54) - 6 s + 19 z4        60 .. 215 beats a minute
//   exang    = 1 when u < logistic(-1 + 0.7 s)           angina on exertion
//   oldpeak  = max(0, 0.7 + 0.55 s + 0.9 z5)             0 .. 7 mm
//   cp       = 1 .. 4 by thresholds -1.4, -0.5, 0.35 of 0.8 s + z6
//   restecg  = 0, 1, 2 by thresholds 0.5, 0.9 of 0.25 s + z7
//   logit P(disease) = base_h - 2.1 + 0.045 (age - 54) + 0.9 [male] + 0.012 (trestbps - 130) + 0.006 (chol - 240)
//       + 0.35 fbs - 0.028 (thalach - 150) + 0.8 exang + 0.6 oldpeak + {0, -0.3, 0.2, 1.5}[cp] + {0, 0.4, 0.5}[restecg]
// Values are rounded as a clinic would write them, then some are lost: written as an empty field or "NA".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/error.h"

namespace consilium::demo {

struct DemoHospital {
  std::string name;  // hospital-a, hospital-b, ...
  std::uint32_t patients = 0;
  std::string csv;
};

// The demo's cohort unless another is asked for: of 20 seeds with four hospitals, 16 have a federated model that beats
// at least three of the hospitals alone on their own test patients, and this one has it at all four.
inline constexpr std::uint64_t kDemoSeed = 15;

std::string HospitalName(std::uint32_t index);  // From 0: hospital-a ... hospital-z, hospital-aa ...
// 1 to 1000 hospitals.
std::vector<DemoHospital> MakeHospitals(std::uint32_t hospitals, std::uint64_t seed);
std::string DemoSchema();  // TOML; fits the files above.

// What plans say about the table: the generated one by default.
struct DemoTable {
  std::string label = "disease";
  std::vector<std::string> features = {"age",     "sex",   "trestbps", "chol", "fbs",
                                       "thalach", "exang", "oldpeak",  "cp",   "restecg"};
};
struct DemoStudy {
  DemoTable table;
  std::string schema_file = "schema.toml";  // Beside the plan.
  std::string dataset = "cohort";
  std::uint32_t hospitals = 4;
  std::uint32_t rounds = 20;
};
// Plan TOML. Mode none, profile visible: both written out, as the demo says on every screen.
std::string DescribePlan(const DemoStudy& study);
std::string TrainPlan(const DemoStudy& study);

// FOLDER/hospital-a/patients.csv ..., FOLDER/schema.toml, FOLDER/describe.toml, FOLDER/train.toml.
Status WriteDemoData(const std::string& folder, const DemoStudy& study, std::uint64_t seed);

}  // namespace consilium::demo
