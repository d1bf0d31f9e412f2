// The workbench: what `data check` tells a hospital, what approval refuses, and files that change under it.
#include "hospital_node/workbench.h"

#include <gtest/gtest.h>

#include "hospital_node/data/table.h"
#include "tests/data/plans.h"
#include "tests/learning/federation.h"

namespace consilium {
namespace {

using testing::Scratch;
using testing::SmallDescribePlan;
using testing::SmallTrainPlan;

class WorkbenchTest : public ::testing::Test {
 protected:
  node::DataSetSpec Spec() { return {"cohort", scratch_.path().string(), testing::kSmallSchema}; }
  void Patients(int count) {
    std::string csv = "id,age,dose,grade,sick\n";
    for (int i = 0; i < count; ++i)
      csv += "p" + std::to_string(i) + "," + std::to_string(20 + i % 60) + ",0.5," + std::to_string(1 + i % 3) + "," +
             std::to_string(i % 2) + "\n";
    scratch_.Write("patients.csv", csv);
  }

  Scratch scratch_;
  node::FileWorkbench workbench_;
};

TEST_F(WorkbenchTest, CheckReportsWhatIsThere) {
  scratch_.Write("patients.csv", "id,age,dose,grade,sick,note\na,40,0,1,1,x\na,60,?,2,0,x\nb,?,?,,,x\n");
  const auto report = workbench_.Check(Spec());
  ASSERT_TRUE(report.has_value()) << report.error().what;
  EXPECT_EQ((*report)["rows"].AsInteger(), 3);
  EXPECT_EQ((*report)["patients"].AsInteger(), 2);
  EXPECT_EQ((*report)["files"].AsArray().size(), 1U);
  const Value& age = (*report)["columns"].AsArray()[0];
  EXPECT_EQ(age["missing"].AsInteger(), 1);
  EXPECT_EQ(age["mean"].AsDouble(), 50);
  const std::string warnings = CanonicalJson((*report)["warnings"]);
  EXPECT_NE(warnings.find("only 2 patients"), std::string::npos) << warnings;
  EXPECT_NE(warnings.find("\\\"note\\\""), std::string::npos);
  EXPECT_NE(warnings.find("1 rows have no"), std::string::npos);
}

TEST_F(WorkbenchTest, CheckWarnsOfASingleClassAndOfColumnsWithoutValues) {
  const auto warnings = [this](const char* csv) {
    scratch_.Write("patients.csv", std::string("id,age,dose,grade,sick\n") + csv);
    const auto report = workbench_.Check(Spec());
    EXPECT_TRUE(report.has_value()) << report.error().what;
    return CanonicalJson((*report)["warnings"]);
  };
  EXPECT_NE(warnings("a,40,0,1,1\nb,41,0,1,1\nc,41,0,1,\n").find("all \\\"sick\\\" are positive"), std::string::npos);
  EXPECT_NE(warnings("a,40,0,1,0\nb,41,0,1,0\n").find("all \\\"sick\\\" are negative"), std::string::npos);
  EXPECT_EQ(warnings("a,40,0,1,0\nb,41,0,1,1\n").find("all \\\"sick\\\""), std::string::npos);
  const std::string none = warnings("a,?,0,1,\nb,?,0,1,\n");
  EXPECT_NE(none.find("column \\\"age\\\" is missing in every row"), std::string::npos) << none;
  EXPECT_NE(none.find("column \\\"sick\\\" is missing in every row"), std::string::npos) << none;
}

TEST_F(WorkbenchTest, CheckNamesTheValueAndOthersDoNot) {
  scratch_.Write("patients.csv", "id,age,dose,grade,sick\na,secretive,0,1,1\n");
  const auto check = workbench_.Check(Spec());
  ASSERT_FALSE(check.has_value());
  EXPECT_EQ(check.error().code, Code::kInvalid);
  EXPECT_NE(check.error().what.find("patients.csv:2: column \"age\""), std::string::npos);
  EXPECT_NE(check.error().what.find("secretive"), std::string::npos) << "the hospital's own terminal";
  const auto preflight = workbench_.Preflight(SmallTrainPlan(), Spec());
  ASSERT_FALSE(preflight.has_value());
  EXPECT_EQ(preflight.error().what.find("secretive"), std::string::npos) << "this may reach a log";
  EXPECT_NE(preflight.error().what.find("patients.csv:2"), std::string::npos);
}

TEST_F(WorkbenchTest, FilesThatAreNotThoseThatWereRegisteredAreRefused) {
  Patients(60);
  node::DataSetSpec registered = Spec();
  registered.sha256 = (*workbench_.Check(Spec()))["sha256"].AsString();
  EXPECT_EQ(registered.sha256.size(), 64U);
  EXPECT_TRUE(workbench_.Preflight(SmallTrainPlan(), registered).has_value());
  Patients(61);
  const auto changed = workbench_.Preflight(SmallTrainPlan(), registered);
  ASSERT_FALSE(changed.has_value());
  EXPECT_EQ(changed.error().code, Code::kRefused);
  EXPECT_NE(changed.error().what.find("consilium-node data add"), std::string::npos) << changed.error().what;
  Patients(60);
  EXPECT_TRUE(workbench_.Preflight(SmallTrainPlan(), registered).has_value()) << "the same bytes are the same data";
}

TEST_F(WorkbenchTest, ComputesNothingForFewerPatientsThanTheMinimum) {
  Patients(60);
  Plan plan = SmallDescribePlan(60);
  const Query query = (*MakeAlgorithm(plan))->Next(2)->query;
  EXPECT_TRUE(workbench_.Compute(plan, Spec(), query, {}).has_value());
  Patients(59);
  const auto refused = workbench_.Compute(plan, Spec(), query, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kRefused);
}

// Everybody withdrew: the data set is there, and nobody is in it.
TEST_F(WorkbenchTest, AnEmptyHospitalIsToldAndTakesNoPart) {
  Patients(20);
  node::DataSetSpec spec = Spec();
  for (int i = 0; i < 20; ++i) spec.excluded.insert(node::PatientMark("p" + std::to_string(i)));
  const auto report = workbench_.Check(spec);
  ASSERT_TRUE(report.has_value()) << report.error().what;
  EXPECT_EQ((*report)["rows"].AsInteger(), 0);
  EXPECT_EQ((*report)["warnings"].AsArray().size(), 1U) << CanonicalJson((*report)["warnings"]);
  EXPECT_NE((*report)["warnings"].AsArray()[0].AsString().find("only 0 patients"), std::string::npos);
  for (Plan plan : {SmallTrainPlan(), SmallDescribePlan()}) {
    const auto refused = workbench_.Preflight(plan, spec);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::kRefused);
    EXPECT_NE(refused.error().what.find("has 0 patients"), std::string::npos) << refused.error().what;
    const auto silent = workbench_.Compute(plan, spec, (*MakeAlgorithm(plan))->Next(2)->query, {});
    ASSERT_FALSE(silent.has_value());
    EXPECT_EQ(silent.error().code, Code::kRefused);
  }
  const auto own = workbench_.OwnResults(SmallTrainPlan(), spec, {}, {});
  ASSERT_TRUE(own.has_value()) << own.error().what;
  EXPECT_EQ((*own)["test_rows"].AsInteger(), 0);
  EXPECT_EQ(own->AsObject().at("local")["auroc"], Value());
}

TEST_F(WorkbenchTest, AFileWhosePatientsAllWithdrewHidesNoOther) {
  Patients(20);
  scratch_.Write("second.csv", "id,age,dose,grade,sick\nq,40,0,1,1\n");
  node::DataSetSpec spec = Spec();
  spec.excluded = {node::PatientMark("q")};
  const auto report = workbench_.Check(spec);
  ASSERT_TRUE(report.has_value()) << report.error().what;
  EXPECT_EQ((*report)["patients"].AsInteger(), 20);
  scratch_.Write("second.csv", "id,age,dose,grade,sick\n");
  const auto hollow = workbench_.Check(spec);
  ASSERT_FALSE(hollow.has_value()) << "a file without rows was not exported whole";
  EXPECT_NE(hollow.error().what.find("second.csv: has a header but no rows of data"), std::string::npos);
}

TEST_F(WorkbenchTest, PreflightAcceptsDataThatFit) {
  Patients(60);
  EXPECT_TRUE(workbench_.Preflight(SmallTrainPlan(), Spec()).has_value());
  EXPECT_TRUE(workbench_.Preflight(SmallDescribePlan(60), Spec()).has_value());
}

TEST_F(WorkbenchTest, PreflightRefusesFewerPatientsThanThePlanAsks) {
  Patients(60);
  const auto refused = workbench_.Preflight(SmallDescribePlan(61), Spec());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kRefused);
  EXPECT_NE(refused.error().what.find("60 patients"), std::string::npos);
  Plan plan = SmallTrainPlan();
  plan.minimum_patients = 60;
  EXPECT_FALSE(workbench_.Preflight(plan, Spec()).has_value()) << "half of them are held back for testing";
}

TEST_F(WorkbenchTest, PreflightRefusesAnotherSchema) {
  Patients(60);
  node::DataSetSpec spec = Spec();
  spec.schema.replace(spec.schema.find("maximum = 100"), 13, "maximum = 110");
  const auto refused = workbench_.Preflight(SmallTrainPlan(), spec);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_NE(refused.error().what.find("'age'"), std::string::npos) << refused.error().what;
  EXPECT_FALSE(workbench_.Preflight(SmallTrainPlan(), {"cohort", scratch_.path().string(), "no schema"}).has_value());
  EXPECT_FALSE(workbench_.Preflight(SmallTrainPlan(), {"cohort", "/nowhere", testing::kSmallSchema}).has_value());
}

TEST_F(WorkbenchTest, FilesThatChangeAreReadAgain) {
  Patients(60);
  const Plan plan = SmallDescribePlan();
  const Query query = MakeAlgorithm(plan).value()->Next(2)->query;
  EXPECT_EQ(workbench_.Compute(plan, Spec(), query, {})->blocks[1][0], 60);
  EXPECT_EQ(workbench_.Compute(plan, Spec(), query, {})->blocks[1][0], 60);
  Patients(61);
  EXPECT_EQ(workbench_.Compute(plan, Spec(), query, {})->blocks[1][0], 61);
  scratch_.Write("zz.csv", "id,age,dose,grade,sick\nq,40,0,1,1\n");
  EXPECT_EQ(workbench_.Compute(plan, Spec(), query, {})->blocks[1][0], 62);
}

TEST_F(WorkbenchTest, OwnResultsOfADescriptionAreCounts) {
  Patients(60);
  const auto own = workbench_.OwnResults(SmallDescribePlan(), Spec(), Query(), {});
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ((*own)["patients"].AsInteger(), 60);
}

TEST_F(WorkbenchTest, OwnResultsWithoutARoundHaveNoFederatedFigures) {
  Patients(60);
  const auto own = workbench_.OwnResults(SmallTrainPlan(), Spec(), Query(), {});
  ASSERT_TRUE(own.has_value()) << own.error().what;
  EXPECT_TRUE((*own)["federated"].IsNull());
  EXPECT_TRUE((*own)["local"]["auroc_defined"].AsBool());
}

}  // namespace
}  // namespace consilium
