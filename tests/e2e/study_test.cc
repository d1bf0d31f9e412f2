// A whole federation does what it is for: describes, trains, hands out files, and is watched while it does.
#include "common/crypto/hash.h"
#include "common/model/parameters.h"
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

TEST(Study, DescribesTheHospitalsTogether) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({.name = "table-one", .describe = true});
  federation.ApproveAll(study);
  const ProgramOutput watched = federation.Cli({"study", "watch", "table-one"});
  EXPECT_EQ(watched.status, 0) << watched.err;
  EXPECT_NE(watched.out.find("trestbps"), std::string::npos);
  EXPECT_NE((watched.out + watched.err).find("NO DIFFERENTIAL PRIVACY"), std::string::npos);

  const Value described = federation.CliJson({"study", "show", study})["results"]["describe"];
  std::int64_t rows = 0;
  for (int i = 0; i < kHospitals; ++i)
    rows += federation.NodeJson(i, {"data", "list", "DIR"})["datasets"].AsArray().at(0)["rows"].AsInteger();
  EXPECT_EQ(described["rows"].AsInteger(), rows);
  EXPECT_EQ(described["hospitals"].AsInteger(), kHospitals);
  federation.ExpectOneAnswerPerRound(study);
}

TEST(Study, TrainsAndHandsOutModelReportAndLog) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({});
  federation.ApproveAll(study);

  // A document a change on stdout; the last one says how it ended.
  const ProgramOutput watched = federation.Cli({"study", "watch", study.substr(0, 10), "--json"});
  EXPECT_EQ(watched.status, 0) << watched.err;
  const auto last_line = watched.out.rfind('\n', watched.out.size() - 2);
  const auto last = ParseJson(watched.out.substr(last_line == std::string::npos ? 0 : last_line + 1));
  ASSERT_TRUE(last.has_value()) << watched.out;
  EXPECT_EQ((*last)["phase"].AsString(), "complete");

  const Value files = federation.CliJson({"study", "download", study, "--out", federation.root() / "results"});
  const std::string model = ReadText(files["model"].AsString());
  const Value shown = federation.CliJson({"study", "show", study});
  EXPECT_EQ(Sha256(View(model)).Hex(), shown["model_sha256"].AsString());
  const auto parsed = ReadSafetensors(View(model));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().what;
  EXPECT_GT(parsed->parameters.size(), 10U);
  EXPECT_NE(ReadText(files["onnx"].AsString()).find(study), std::string::npos) << "the file says whose model it is";
  EXPECT_NE(ReadText(files["report"].AsString()).find("NO DIFFERENTIAL PRIVACY"), std::string::npos);
  const Value& evaluation = shown["results"]["evaluation"];
  EXPECT_GT(evaluation["auroc_low"].AsDouble(), 0.6);
  EXPECT_LT(evaluation["auroc_high"].AsDouble() - evaluation["auroc_low"].AsDouble(), 1e-3);

  const Value verified = federation.CliJson({"audit", "verify", files["audit"].AsString()});
  EXPECT_TRUE(verified["valid"].AsBool());
  EXPECT_GT(verified["rows"].AsInteger(), 20);
  for (int i = 0; i < kHospitals; ++i) {
    ASSERT_TRUE(WaitUntil([&] { return federation.NodeJson(i, {"results", "DIR"})["results"].AsArray().size() == 1; }));
    const Value results = federation.NodeJson(i, {"results", "DIR"})["results"].AsArray().at(0)["results"];
    EXPECT_TRUE(results["local"].IsObject());
    EXPECT_TRUE(results["federated"].IsObject());
  }
  federation.ExpectOneAnswerPerRound(study);
}

TEST(Study, TheSameBytesAgainAreTheSameStudy) {
  Federation federation;
  federation.StartCoordinator();
  const auto plan = federation.WritePlan(PlanText({}));
  const Value first = federation.CliJson({"study", "submit", plan});
  const Value second = federation.CliJson({"study", "submit", plan});
  EXPECT_TRUE(first["created"].AsBool());
  EXPECT_FALSE(second["created"].AsBool());
  EXPECT_EQ(first["study"], second["study"]);
  EXPECT_EQ(federation.CliJson({"study", "list"})["studies"].AsArray().size(), 1U);
  EXPECT_EQ(federation.CliJson({"study", "check", plan})["study"], first["study"]);
}

TEST(Study, OneChangedByteIsAnotherStudyThatNeedsItsOwnApproval) {
  Federation federation;
  federation.StartAll();
  const std::string first = federation.Submit({.rounds = 2});
  federation.ApproveAll(first);
  EXPECT_EQ(federation.WaitEnd(first)["phase"].AsString(), "complete");

  const std::string second = federation.Submit({.rounds = 3});
  ASSERT_NE(first, second);
  federation.Approve(0, second);
  federation.Approve(1, second);
  const HttpClient third = HttpClient::Unix(federation.node(2) / "control.sock");
  ASSERT_TRUE(WaitUntil([&] { return JsonOf(third.Get("/v1/plans/" + second).value_or(HttpReply{})).has_value(); }));
  EXPECT_EQ(JsonOf(*third.Get("/v1/plans/" + second)).value()["consent"].AsString(), "pending");
  EXPECT_EQ(federation.Study(second)["phase"].AsString(), "awaiting consent");
  EXPECT_EQ(federation.Study(second)["releases"].AsInteger(), 0);
  federation.Approve(2, second);
  EXPECT_EQ(federation.WaitEnd(second)["phase"].AsString(), "complete");
}

TEST(Study, ANodeAnswersWhileItComputes) {
  Federation federation;
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 40, .local_epochs = 10000});
  federation.ApproveAll(study);
  const bool seen = WaitUntil([&] { return federation.NodeJson(0, {"status", "DIR"})["jobs"].AsInteger() > 0; });
  EXPECT_TRUE(seen) << "no answer came while a job was running";
  EXPECT_EQ(federation.CliJson({"study", "abort", study})["phase"].AsString(), "aborted");
  EXPECT_EQ(federation.Cli({"study", "watch", study}).status, 1);
}

}  // namespace
}  // namespace consilium::e2e
