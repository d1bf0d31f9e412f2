// Plans hold: one study has one byte string and one id, nothing impossible is read, and nothing is silently weakened.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "common/plan/strategy.h"
#include "tests/plan/texts.h"

namespace consilium {
namespace {

using testing::ExpectError;
using testing::Good;
using testing::kDescribe;
using testing::kSchema;
using testing::kTrain;
using testing::Read;
using testing::TextOf;
using testing::With;

TEST(Plan, DefaultsAreWrittenOut) {
  const Plan plan = Good(kTrain);
  EXPECT_EQ(plan.task, Plan::Task::kTrain);
  EXPECT_EQ(plan.profile, Plan::Profile::kVisible);
  EXPECT_EQ(plan.maximum_attempts, 2U * 22 + 20);
  const Value value = ParseJson(TextOf(plan)).value();
  EXPECT_EQ(
      CanonicalJson(value["study"]),
      R"({"maximum_attempts":64,"minimum_hospitals":2,"minimum_patients":10,"name":"Heart disease","purpose":"Predict heart disease at admission",)"
      R"("researcher":"researcher-1","round_deadline":"1m","rounds":20,"run":1})");
  EXPECT_EQ(
      CanonicalJson(value["training"]),
      R"({"algorithm":"fedavg","batch_size":32,"clip_norm":0,"l1":0,"l2":0,"learning_rate":0.1,"local_epochs":1,"local_steps":0,)"
      R"("loss":"bce","optimizer":"sgd","precision":"double","reproducible":false,"schedule":"constant","seed":1,)"
      R"("update_bound":8,"warm_up":0,"weight_cap":100000,"weight_decay":0})");
  EXPECT_EQ(CanonicalJson(value["model"]), R"({"init":"zeros","kind":"logistic"})");
  EXPECT_EQ(CanonicalJson(value["aggregation"]),
            R"({"colluders":1,"dropouts":"recover","profile":"visible","rule":"mean","tolerated_dropouts":0})");
  EXPECT_EQ(CanonicalJson(value["privacy"]), R"({"mode":"none"})");
  EXPECT_EQ(CanonicalJson(value["evaluation"]),
            R"({"every":0,"metrics":["auroc","accuracy","brier","log_loss"],"per_hospital":"local"})");
  EXPECT_EQ(value["data"]["schema"]["columns"].AsArray().size(), 5U);
}

TEST(Plan, CanonicalBytesComeBackAndOnlyThey) {
  for (const char* toml : {kTrain, kDescribe}) {
    const Plan plan = Good(toml);
    const Result<Plan> again = ParsePlan(Canonical(plan));
    ASSERT_TRUE(again.has_value()) << again.error().what;
    EXPECT_EQ(Canonical(*again), Canonical(plan));
    EXPECT_EQ(again->id(), plan.id());
    EXPECT_EQ(again->schema, plan.schema);
    const std::string text = TextOf(plan);
    for (const std::string& other :
         {text + " ", " " + text, With(text, "\"study\":{", "\"study\":{ "), With(text, "\"run\":1", "\"run\":1.0"),
          With(text, ",\"run\":1", ""), With(text, ",\"run\":1", ",\"run\":1,\"x\":1"),
          With(text, "\"run\":1", "\"run\":0"), With(text, "\"1m\"", "\"60s\""),
          With(text, "{\"mode\":\"none\"}", "{}"), std::string("{}"), std::string()}) {
      const Result<Plan> refused = ParsePlan(View(other));
      ASSERT_FALSE(refused.has_value()) << other.substr(0, 40);
      EXPECT_EQ(refused.error().code, Code::kInvalid);
    }
    EXPECT_EQ(ParsePlan(View(With(text, "\"mode\":\"none\"", "\"mode\":\"local\""))).error().code, Code::kRefused);
    EXPECT_FALSE(ParsePlan(View(With(text, "\"schema\":{", "\"schema\":\"schema.toml\",\"x\":{"))).has_value());
  }
}

TEST(Plan, AChangedByteIsAnotherStudy) {
  const std::string text = TextOf(Good(kTrain));
  const StudyId id = Good(kTrain).id();
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] = static_cast<char>(other[i] ^ 1);
    const Result<Plan> plan = ParsePlan(View(other));
    EXPECT_TRUE(!plan || plan->id() != id) << i;
  }
  EXPECT_NE(Good(With(kTrain, "rounds = 20", "rounds = 21")).id(), id);
  EXPECT_NE(Good(With(kTrain, "rounds = 20", "rounds = 20\nrun = 2")).id(), id);
  EXPECT_NE(Read(kTrain, With(kSchema, "maximum = 700", "maximum = 701"))->id(), id);
  EXPECT_EQ(Good(With(kTrain, "rounds = 20", "rounds = 20 # comment\nrun = 1")).id(), id);
}

TEST(Plan, AnUnknownKeyNamesTheNearest) {
  ExpectError(With(kTrain, "learning_rate = 0.1", "local_epoch = 2"),
              "plan.toml:14:1: [training]: unknown key 'local_epoch'; did you mean 'local_epochs'?");
  ExpectError(With(kTrain, "learning_rate = 0.1", "epochs = 2"), "did you mean 'local_epochs'?");
  ExpectError(With(kTrain, "[training]", "[trainning]"),
              "plan.toml:13:2: unknown key 'trainning'; did you mean 'training'?");
  ExpectError(With(kTrain, "rounds = 20", "round = 20"),
              "plan.toml:5:1: [study]: unknown key 'round'; did you mean 'rounds'?");
  ExpectError(With(kTrain, "purpose =", "porpose ="), "unknown key 'porpose'; did you mean 'purpose'?");
}

TEST(Plan, AnImpossibleValueIsNamedWithItsRange) {
  ExpectError(With(kTrain, "learning_rate = 0.1", "learning_rate = 0"),
              "plan.toml:14:1: [training] learning_rate: must be between 1e-06 and 100, got 0");
  for (const auto& [line, part] : std::vector<std::pair<std::string, std::string>>{
           {"rounds = 0", "rounds: must be a whole number between 1 and 100000, got 0"},
           {"rounds = 100001", "rounds"},
           {"rounds = 1.5", "rounds"},
           {"rounds = '20'", "rounds"},
           {"minimum_hospitals = 1", "minimum_hospitals: must be a whole number between 2"},
           {"minimum_patients = 0", "minimum_patients"},
           {"run = 0", "run"},
           {"round_deadline = 60", "round_deadline: must be a duration in quotes"},
           {"round_deadline = '1ms'", "round_deadline: must be between 1s and 24h, got 1ms"},
           {"maximum_attempts = 2", "maximum_attempts: is below the 3 sums"}}) {
    ExpectError(With(kTrain, "rounds = 20", line), part);
  }
  ExpectError(With(kTrain, "name = \"Heart disease\"", "name = \"\""), "name: must not be empty");
  ExpectError(With(kTrain, "name = \"Heart disease\"", "name = \"a\\nb\""), "without line breaks");
  ExpectError(With(kTrain, "name = \"Heart disease\"", "name = \"../etc\""), "must not have a '/'");
  for (const auto& [line, part] : std::vector<std::pair<std::string, std::string>>{
           {"local_epochs = 1\nlocal_steps = 1", "write one of them"},
           {"local_epochs = 0", "one of them must be"},
           {"batch_size = 0", "batch_size"},
           {"learning_rate = 101", "learning_rate"},
           {"l2 = -1", "l2"},
           {"seed = -1", "seed"},
           {"update_bound = 0", "update_bound"},
           {"weight_cap = 0", "weight_cap"},
           {"reproducible = 1", "reproducible"},
           {"algorithm = 'fedsgd'", "must be one of \"fedavg\", \"fedprox\""}}) {
    ExpectError(With(kTrain, "learning_rate = 0.1", line), part);
  }
  const std::string head = "[model]\nkind = 'resnet'\n";
  ExpectError(head + kTrain, "[model] kind: must be one of \"linear\", \"logistic\"");
  ExpectError("[preprocessing]\nimpute = 'median'\n" + std::string(kTrain),
              "impute: must be one of \"mean\", \"constant\"");
  ExpectError("[preprocessing]\nstandardize = 'federate'\n" + std::string(kTrain), "did you mean 'federated'?");
  ExpectError("[evaluation]\nmetrics = ['auc']\n" + std::string(kTrain), "'auc' is no metric");
  ExpectError("[evaluation]\nmetrics = []\n" + std::string(kTrain), "at least one");
  ExpectError("[evaluation]\nevery = 21\n" + std::string(kTrain), "more than the 20 rounds");
  ExpectError("[evaluation]\nsubgroups = ['sex']\n" + std::string(kTrain), "no subgroups yet");
  ExpectError("[evaluation]\nper_hospital = 'release'\n" + std::string(kTrain), "did you mean 'released'?");
  ExpectError(With(kTrain, "profile = \"visible\"", "profile = \"visible\"\nrule = 'median'"),
              "rule: must be one of \"mean\"");
  ExpectError(With(kTrain, "rounds = 20", "rounds = 20\nrounds = 21"), "plan.toml:6:");
  ExpectError("[study", "plan.toml:1:");
}

TEST(Plan, AnAbsentColumnNamesTheNearest) {
  ExpectError(With(kTrain, "\"age\"", "\"agee\""),
              "plan.toml:11:1: [data] features: 'agee' is no column of the schema; did you mean 'age'?");
  ExpectError(With(kTrain, "label = \"disease\"", "label = \"diseas\""),
              "label: 'diseas' is no column of the schema; did you mean 'disease'?");
  ExpectError(With(kTrain, "label = \"disease\"", "label = \"cp\""), "'cp' is the label");
  ExpectError(With(kTrain, "label = \"disease\"", "label = \"pid\""), "'pid' is the patient id");
  ExpectError(With(kTrain, "\"age\"", "\"chol\""), "'chol' is there twice");
  ExpectError(With(kTrain, "\"age\"", "\"disease\""), "'disease' is the label");
  ExpectError(With(kTrain, "\"age\"", "\"pid\""), "'pid' is the patient id");
  ExpectError(With(kTrain, "[\"age\", \"chol\", \"cp\"]", "[]"), "at least one column");
  ExpectError(With(kTrain, "schema.toml", "absent.toml"), "[data] schema: no file absent.toml");
  ExpectError(With(kTrain, "schema = \"schema.toml\"\n", ""), "schema: is required");
  ExpectError(With(kTrain, "label = \"disease\"", "label = \"disease\"\nsplit = 'column'"), "needs a [split] section");
  ExpectError(With(kTrain, "label = \"disease\"", "label = \"disease\"\ntest_fraction = 1"),
              "test_fraction: must be between 0.01 and 0.9");
  ExpectError(With(kDescribe, "\"age\"", "\"agee\""), "[describe] columns: 'agee' is no column");
  ExpectError(With(kDescribe, "\"age\"", "\"pid\""), "'pid' is the patient id");
  ExpectError(With(kDescribe, "\"age\"", "\"cp\""), "there twice");
  const Result<Plan> plan = Read(kTrain, "[columns.a]\ntype = 'nmber'\n");
  ASSERT_FALSE(plan.has_value());
  EXPECT_EQ(plan.error().what.rfind("schema.toml:2:1: [columns.a] type: must be one of", 0), 0U) << plan.error().what;
}

TEST(Plan, ASplitColumnTakesTheFractionsPlace) {
  const std::string schema =
      With(kSchema, "[columns.pid]",
           "[split]\ncolumn = \"part\"\ntrain = [0]\ntest = [1]\n[columns.part]\ntype = \"text\"\n[columns.pid]");
  const Result<Plan> plan = Read(With(kTrain, "label = \"disease\"", "label = \"disease\"\nsplit = 'column'"), schema);
  ASSERT_TRUE(plan.has_value()) << plan.error().what;
  EXPECT_TRUE(plan->use_split_column);
  EXPECT_EQ(plan->test_fraction, 0);
  EXPECT_TRUE(ParsePlan(Canonical(*plan)).has_value());
  EXPECT_FALSE(
      Read(With(kTrain, "label = \"disease\"", "label = \"disease\"\nsplit = 'column'\ntest_fraction = 0.2"), schema)
          .has_value());
}

TEST(Plan, NothingIsSilentlyWeakened) {
  for (const char* mode : {"local", "distributed", "hospital"}) {
    ExpectError(With(kTrain, "mode = \"none\"", "mode = \"" + std::string(mode) + "\"\nepsilon = 1\ndelta = 1e-5"),
                "plan.toml:17:1: [privacy] mode = \"" + std::string(mode) + "\" is not there yet", Code::kRefused);
  }
  ExpectError(With(kTrain, "profile = \"visible\"", "profile = \"secure\""), "nothing was weakened", Code::kRefused);
  ExpectError(With(kTrain, "mode = \"none\"", ""), "mode: is required");
  ExpectError(With(kTrain, "[privacy]\nmode = \"none\"\n", ""), "[privacy] mode: is required");
  ExpectError(With(kTrain, "profile = \"visible\"", ""), "profile: is required");
  for (const char* key : {"epsilon", "delta", "clip", "noise_multiplier"}) {
    ExpectError(With(kTrain, "mode = \"none\"", "mode = \"none\"\n" + std::string(key) + " = 1"),
                std::string(key) + " has no meaning with mode none");
  }
}

TEST(Plan, IsOneTask) {
  ExpectError(std::string(kTrain) + "[describe]\ncolumns = ['age']\n", "both there");
  ExpectError(With(kTrain, "[training]\nlearning_rate = 0.1", ""), "neither [training] nor [describe]");
  ExpectError(std::string(kDescribe) + "[evaluation]\n", "evaluation: has no meaning beside [describe]");
  ExpectError(With(kDescribe, "dataset = \"heart\"", "dataset = \"heart\"\nlabel = 'disease'"),
              "label: has no meaning beside [describe]");
  ExpectError(With(kDescribe, "[data]", "rounds = 2\n[data]"), "rounds: must be a whole number between 1 and 1");
}

TEST(Plan, CountsItsSums) {
  EXPECT_EQ(TotalSums(Good(kDescribe)), 1U);
  EXPECT_EQ(Good(kDescribe).maximum_attempts, 22U);
  const auto sums = [](const std::string& more) { return TotalSums(Good(more + kTrain)); };
  EXPECT_EQ(sums(""), 1U + 20 + 1);
  EXPECT_EQ(sums("[evaluation]\nevery = 5\n"), 1U + 20 + 4);
  EXPECT_EQ(sums("[evaluation]\nevery = 6\n"), 1U + 20 + 4);
  EXPECT_EQ(sums("[evaluation]\nevery = 20\n"), 1U + 20 + 1);
  EXPECT_EQ(sums("[evaluation]\nevery = 5\nper_hospital = 'released'\n"), 1U + 20 + 4 + 1);
  EXPECT_EQ(Good("[evaluation]\nper_hospital = 'released'\n" + std::string(kTrain)).maximum_attempts, 2U * 23 + 20);
  ExpectError(
      "[evaluation]\nper_hospital = 'released'\n" + With(kTrain, "rounds = 20", "rounds = 20\nmaximum_attempts = 22"),
      "below the 23 sums");
  EXPECT_EQ(sums("[preprocessing]\nstandardize = 'site'\n"), 1U + 20 + 1);
  EXPECT_EQ(sums("[preprocessing]\nstandardize = 'site'\nimpute = 'constant'\n"), 20U + 1);
}

TEST(Plan, DesignColumnsAreOneHotWithoutTheReference) {
  EXPECT_EQ(DesignColumns(Good(kTrain)), (std::vector<std::string>{"age", "chol", "cp=2", "cp=3", "cp=4"}));
}

constexpr const char* kImageSchema = R"([file]
parts = ["train", "test"]
[split]
column = "part"
train = ["train"]
test = ["test"]
[columns.image]
type = "tensor"
shape = [28, 28]
minimum = 0
maximum = 255
[columns.sick]
type = "label"
positive = [1]
negative = [0]
[columns.digit]
type = "label"
classes = ["a", "b", "c"]
)";

Result<Plan> ImagePlan(const std::string& label, const std::string& more = "") {
  const std::string toml =
      "[study]\nname = 'n'\npurpose = 'p'\nresearcher = 'r'\n[data]\ndataset = 'd'\nschema = 's'\n"
      "split = 'column'\nfeatures = ['image']\nlabel = '" +
      label + "'\n[training]\n[privacy]\nmode = 'none'\n[aggregation]\nprofile = 'visible'\n" + more;
  return ParsePlanToml(toml, "p.toml", [](const std::string&) -> Result<std::string> { return kImageSchema; });
}

TEST(Plan, ATensorIsOneDesignColumnOfManyInputs) {
  const auto plan = ImagePlan("sick");
  ASSERT_TRUE(plan.has_value()) << plan.error().what;
  EXPECT_EQ(DesignColumns(*plan), std::vector<std::string>{"image"});
  EXPECT_EQ(DesignWidth(*plan), 784U);
  EXPECT_TRUE(NeedsMoments(*plan)) << "one scale for the tensor as a whole";
  EXPECT_FALSE(NeedsMoments(*ImagePlan("sick", "[preprocessing]\nstandardize = 'declared'\n"))) << "nothing is imputed";
  EXPECT_EQ(ParsePlan(Canonical(*plan))->id(), plan->id());
  const std::string text = Summary(*plan);
  for (const char* part : {"image: an image of 28 x 28 numbers from 0 to 255", "the model's 785 parameters",
                           "the patients of the data set's own test part (test)"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_EQ(text.find("'part'"), std::string::npos) << "no column of that name is read";
}

TEST(Plan, AModelOfClassesHasAnOutputForEach) {
  const auto plan = ImagePlan("digit");
  ASSERT_TRUE(plan.has_value()) << plan.error().what;
  EXPECT_EQ(ModelOf(*plan).kind, ModelSpec::Kind::kSoftmax) << "as the label asks";
  EXPECT_EQ(ModelOf(*plan).outputs, 3U);
  const auto logistic = ImagePlan("digit", "[model]\nkind = 'logistic'\n");
  ASSERT_FALSE(logistic.has_value());
  EXPECT_NE(logistic.error().what.find("kind"), std::string::npos) << logistic.error().what;
  EXPECT_NE(logistic.error().what.find("softmax"), std::string::npos) << logistic.error().what;
}

TEST(Summary, OpensWithTheWarningAndSaysWhatLeaves) {
  const Plan plan = Good(kTrain);
  const std::string warning = "NO DIFFERENTIAL PRIVACY; THE COORDINATOR SEES EACH HOSPITAL'S CONTRIBUTION";
  EXPECT_EQ(Warning(plan), warning);
  const std::string text = Summary(plan);
  EXPECT_LT(text.find(warning), 120U);
  for (const char* part :
       {"researcher-1", "Predict heart disease at admission", "age: a number from 0 to 120 years",
        "cp: one of 1, 2, 3, 4", "disease: yes is 1, no is 0", "22 sums",
        "20 sums: how training here changed the model's 6 parameters", "64 attempts", "At least 2 hospitals",
        "at least 10 patients", "can steer the model", "Differences between successive rounds", "plan reject DIR",
        "'pid', which tells patients apart"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_NE(text.find(plan.id().Hex()), std::string::npos);
  EXPECT_NE(Summary(Good(kDescribe)).find("a histogram of 256 bins"), std::string::npos);
  Plan hidden = plan;
  hidden.privacy = Plan::Privacy::kDistributed;
  hidden.profile = Plan::Profile::kSecure;
  EXPECT_EQ(Warning(hidden), "");
  EXPECT_EQ(Summary(hidden).rfind("STUDY", 0), 0U);
}

TEST(Summary, SaysThatOwnFiguresLeaveUnderTheHospitalsNameAndWhoSeesThem) {
  const Plan plan = Good("[evaluation]\nper_hospital = 'released'\n" + std::string(kTrain));
  EXPECT_EQ(
      Warning(plan),
      "NO DIFFERENTIAL PRIVACY; THE COORDINATOR SEES EACH HOSPITAL'S CONTRIBUTION; FIGURES OF SINGLE HOSPITALS ARE "
      "RELEASED");
  const std::string text = Summary(plan), without = Summary(Good(kTrain));
  EXPECT_LT(text.find("THIS HOSPITAL'S OWN FIGURES ARE ASKED FOR"), text.find("STUDY ")) << "in the warning";
  for (const char* part :
       {"22 sums and THIS HOSPITAL'S OWN FIGURES, and nothing else", "  * 1 sum: how good the model is",
        "  * THIS HOSPITAL'S OWN FIGURES, under its name, once, at the end",
        "study sees them: the coordinator, the researcher and the other hospitals.", "release_own_figures = true",
        "Of single hospitals' figures: the coordinator, the other hospitals and the researcher",
        "the figures of that one can be computed although it does not"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_EQ(without.find("OWN FIGURES"), std::string::npos);
}

// Whatever the fields hold within their ranges, the bytes read back as the same study.
RC_GTEST_PROP(Plan, EveryPlanHasOneFormAndReadsBack, ()) {
  Plan plan = Good(kTrain);
  plan.run = static_cast<std::uint32_t>(*rc::gen::inRange(1, 1000001));
  plan.name = "n" + *rc::gen::container<std::string>(rc::gen::inRange<char>(0x30, 0x7f)).as("name");  // Without '/'.
  plan.name.resize(std::min<std::size_t>(plan.name.size(), 100));
  plan.rounds = static_cast<std::uint32_t>(*rc::gen::inRange(1, 100001));
  plan.evaluate_every = static_cast<std::uint32_t>(*rc::gen::inRange(0, static_cast<int>(plan.rounds) + 1));
  plan.maximum_attempts = 2 + TotalSums(plan) + static_cast<std::uint32_t>(*rc::gen::inRange(0, 1000000));
  plan.round_deadline = Duration(*rc::gen::inRange<std::int64_t>(1'000'000, 86'400'000'001));
  plan.test_fraction = 0.01 + *rc::gen::inRange(0, 1000) / 1000.0 * 0.89;
  plan.learning.optimizer.learning_rate = 1e-6 + *rc::gen::inRange(0, 1 << 30) / 1e8;
  plan.learning.optimizer.l2 = *rc::gen::inRange(0, 1000000) / 1e3;
  plan.seed = *rc::gen::inRange<std::uint64_t>(0, (1ULL << 53) - 1);
  plan.reproducible = *rc::gen::arbitrary<bool>();
  plan.standardize = *rc::gen::element<std::string>("federated", "site", "declared", "none");
  plan.per_hospital = *rc::gen::element<std::string>("local", "released");
  plan.schema.columns[1].maximum = 1 + *rc::gen::inRange(0, 1 << 30) / 7.0;
  const Result<Plan> again = ParsePlan(Canonical(plan));
  RC_ASSERT(again.has_value());
  RC_ASSERT(Canonical(*again) == Canonical(plan));
  RC_ASSERT(again->id() == plan.id());
  RC_ASSERT(again->learning.optimizer.learning_rate == plan.learning.optimizer.learning_rate);
  RC_ASSERT(again->per_hospital == plan.per_hospital);
  RC_ASSERT(again->round_deadline == plan.round_deadline);
  RC_ASSERT(again->schema == plan.schema);
}

}  // namespace
}  // namespace consilium
