// Nothing runs before an officer of this hospital has said yes, to exactly these bytes; policy and data can say no; a
// rejection stops what runs; what the control socket shows is what is stored.
#include <fmt/format.h>

#include "tests/node/bench.h"

namespace consilium::node {
namespace {

class Consent : public Bench {
 protected:
  void Offered() {
    Greet();
    AddData();
    OfferPlan();
    sent_.clear();
  }
  [[nodiscard]] std::string Path(std::string_view what = "") const {
    return fmt::format("/v1/plans/{}{}", plan_.id().Hex(), what);
  }
  std::string Message(const Value& body) { return body["error"]["message"].AsString(); }
};

TEST_F(Consent, APlanIsPendingUntilAnOfficerApprovesIt) {
  Offered();
  EXPECT_EQ(Ask("GET", "/v1/plans")["plans"].AsArray().at(0)["consent"].AsString(), "pending");
  EXPECT_EQ(AuditEvents().back(), "offered");
  Say(TestInvite(1, 1));
  EXPECT_EQ(Take<Decline>()->reason, Reason::kNotApproved);
  EXPECT_TRUE(runs_.empty());

  int status = 0;
  EXPECT_EQ(Approve(&status)["consent"].AsString(), "approved");
  EXPECT_EQ(status, 200);
  const auto verdict = Take<PlanVerdict>();
  ASSERT_TRUE(verdict);
  EXPECT_TRUE(verdict->approved);
  EXPECT_EQ(verdict->roster, chain_.hash());
  EXPECT_EQ(AuditEvents().back(), "approved");
  ASSERT_EQ(LedgerRows().size(), 1U);
  EXPECT_EQ(LedgerRows()[0].kind, LedgerRow::Kind::kReserve);
  EXPECT_EQ(LedgerRows()[0].last_attempt, plan_.maximum_attempts);
  EXPECT_EQ(LedgerRows()[0].mechanism, "none");
  EXPECT_EQ(Record().officer, "officer-1");
  Say(TestInvite(1, 1));
  Work();
  EXPECT_EQ(Count<Offer>(), 1U);
}

TEST_F(Consent, TheReservationIsInTheTransactionOfTheApproval) {
  Offered();
  RequestReceived request;
  request.id = 900;
  request.method = "POST";
  request.path = Path("/approve");
  request.body.Set("officer", "o");
  Turn({request});
  ASSERT_EQ(runs_.size(), 1U);
  EXPECT_TRUE(LedgerRows().empty());
  consilium::Run run = std::move(runs_.front());
  runs_.clear();
  const TurnResult result = service_->Turn({JobFinished{run.job, run.work()}}, At());
  bool reserved = false, stored = false;
  for (const Write& write : result.transaction) {
    const auto* append = std::get_if<AppendChain>(&write);
    reserved |= append != nullptr && append->name == "ledger";
    stored |= std::holds_alternative<PutState>(write);
  }
  EXPECT_TRUE(reserved && stored);
  EXPECT_EQ(result.sends.size(), 1U);
  ASSERT_EQ(result.replies.size(), 1U);
  EXPECT_EQ(result.replies[0].request, 900U);
}

TEST_F(Consent, ApprovingAgainReservesOnce) {
  Offered();
  Approve();
  Approve();
  EXPECT_EQ(LedgerRows().size(), 1U);
}

TEST_F(Consent, TheVerdictIsRepeatedAfterEveryGreeting) {
  Offered();
  Approve();
  sent_.clear();
  Greet();
  EXPECT_TRUE(Take<PlanVerdict>()->approved);
  Restart();
  EXPECT_TRUE(Take<PlanVerdict>()->approved);
  OfferPlan();
  EXPECT_TRUE(Take<PlanVerdict>()->approved) << "a plan that is offered again has its verdict already";
}

TEST_F(Consent, OneChangedByteIsAnotherStudy) {
  Offered();
  Approve();
  Plan changed = plan_;
  changed.learning.optimizer.learning_rate = 0.2;
  Say(PlanOffer{changed.id(), InlineBlob(Canonical(changed))});
  EXPECT_EQ(Ask("GET", "/v1/plans/" + changed.id().Hex())["consent"].AsString(), "pending");
  sent_.clear();
  Say(PlanOffer{plan_.id(), InlineBlob(View("{\"not\":\"the plan\"}"))});
  Say(PlanOffer{StudyId{}, InlineBlob(Canonical(changed))});
  EXPECT_EQ(Take<Refused>()->reason, Reason::kMalformed);
  EXPECT_EQ(Ask("GET", "/v1/plans")["plans"].AsArray().size(), 2U);
}

TEST_F(Consent, AnAbsentDataSetRefusesAndSaysWhatToType) {
  Greet();
  OfferPlan();
  int status = 0;
  const Value body = Approve(&status);
  EXPECT_EQ(status, 403);
  EXPECT_NE(Message(body).find("consilium-node data add DIR cohort"), std::string::npos) << Message(body);
  EXPECT_TRUE(LedgerRows().empty());
}

TEST_F(Consent, DataThatDoNotFitRefuse) {
  plan_.minimum_patients = 31;
  Offered();
  int status = 0;
  EXPECT_NE(Message(Approve(&status)).find("30 patients"), std::string::npos);
  EXPECT_EQ(status, 403);
  EXPECT_EQ(Record().consent, ParticipantRecord::Consent::kPending);
}

TEST_F(Consent, TheSitesThresholdForPatientsOverridesThePlan) {
  policy_.minimum_patients = 31;
  Start();
  Offered();
  int status = 0;
  Approve(&status);
  EXPECT_EQ(status, 403);
}

TEST_F(Consent, ThePolicyRefusesResearchersAndKinds) {
  policy_.allowed_researchers = {"researcher-2"};
  Start();
  Offered();
  int status = 0;
  EXPECT_NE(Message(Approve(&status)).find("researcher-1"), std::string::npos);
  EXPECT_EQ(status, 403);
  EXPECT_EQ(Count<PlanVerdict>(), 0U);
}

TEST_F(Consent, AnApprovalNeedsAnOfficer) {
  Offered();
  int status = 0;
  Ask("POST", Path("/approve"), Value().Set("officer", ""), &status);
  EXPECT_EQ(status, 400);
  Ask("POST", Path("/approve"), {}, &status);
  EXPECT_EQ(status, 400);
}

TEST_F(Consent, AHospitalThatIsNotConfirmedYetCannotApprove) {
  chain_ = TestChain(1);
  Greet();
  AddData();
  OfferPlan();
  int status = 0;
  EXPECT_NE(Message(Approve(&status)).find("hospital confirm"), std::string::npos);
  EXPECT_EQ(status, 403);
}

TEST_F(Consent, AHospitalThatJoinsLaterNeedsANewApproval) {
  chain_ = TestChain(2);
  Offered();
  Approve();
  chain_ = TestChain(3);
  Restart();
  Say(TestInvite(1, 1));
  EXPECT_EQ(Take<Decline>()->reason, Reason::kCohort) << "nobody here was shown hospital-c";
  Approve();
  Say(TestInvite(1, 1));
  Work();
  EXPECT_EQ(Count<Offer>(), 1U);
  EXPECT_EQ(LedgerRows().size(), 2U);
}

// ---- rejection ----

TEST_F(Consent, ARejectionIsAVerdictAndALaterApprovalReplacesIt) {
  Offered();
  EXPECT_EQ(Ask("POST", Path("/reject"), Value().Set("officer", "o"))["consent"].AsString(), "rejected");
  const auto no = Take<PlanVerdict>();
  ASSERT_TRUE(no);
  EXPECT_FALSE(no->approved);
  EXPECT_EQ(no->reason, Reason::kRejected);
  Say(TestInvite(1, 1));
  EXPECT_EQ(Take<Decline>()->reason, Reason::kRejected);
  Approve();
  EXPECT_TRUE(Take<PlanVerdict>()->approved);
}

TEST_F(Consent, RejectingARunningPlanLeavesTheAttempt) {
  Join();
  Say(TestInvite(1, 1));
  Ask("POST", Path("/reject"), Value().Set("officer", "o"));
  EXPECT_EQ(Count<Offer>(), 0U);
  EXPECT_EQ(Count<PlanVerdict>(), 1U);
  EXPECT_EQ(Take<Decline>()->reason, Reason::kRejected);
  EXPECT_EQ(LedgerRows().size(), 1U);
}

TEST_F(Consent, RejectingAfterTheOfferTakesTheContributionBack) {
  Join();
  Say(TestInvite(1, 1));
  Work();
  Ask("POST", Path("/reject"), Value().Set("officer", "o"));
  EXPECT_EQ(Record().contribution.bytes, 0U);
  sent_.clear();
  Say(TestInvite(1, 1));
  EXPECT_EQ(Take<Decline>()->reason, Reason::kRejected);
}

TEST_F(Consent, ARejectionOvertakesAnApprovalWhoseDataAreStillChecked) {
  Offered();
  RequestReceived approve;
  approve.id = 800;
  approve.method = "POST";
  approve.path = Path("/approve");
  approve.body.Set("officer", "o");
  Turn({approve});
  RequestReceived reject = approve;
  reject.id = 801;
  reject.path = Path("/reject");
  Turn({reject});
  EXPECT_EQ(replies_[800].status, 409);
  EXPECT_EQ(replies_[801].status, 200);
  Work();
  EXPECT_EQ(Record().consent, ParticipantRecord::Consent::kRejected);
}

TEST_F(Consent, NothingIsDecidedAfterTheEnd) {
  Offered();
  Say(StudyState{plan_.id(), StudyPhase::kAborted, Reason::kAborted, 0});
  int status = 0;
  Approve(&status);
  EXPECT_EQ(status, 409);
  Ask("POST", Path("/reject"), Value().Set("officer", "o"), &status);
  EXPECT_EQ(status, 409);
}

// ---- the other requests ----

TEST_F(Consent, APlanIsShownWholeByIdPrefixOrName) {
  Offered();
  for (const std::string& name : {plan_.id().Hex(), plan_.id().Hex().substr(0, 6), plan_.name}) {
    const Value plan = Ask("GET", "/v1/plans/" + name);
    EXPECT_EQ(plan["study"].AsString(), plan_.id().Hex());
    EXPECT_EQ(plan["summary"].AsString(), Summary(plan_));
    EXPECT_EQ(plan["warning"].AsString(), Warning(plan_));
    EXPECT_EQ(CanonicalJson(plan["plan"]), Text(Canonical(plan_)));
    ASSERT_EQ(plan["members"].AsArray().size(), 3U);
    const Member& first = chain_.current().members.front();
    EXPECT_EQ(plan["members"].AsArray()[0]["fingerprint"].AsString(), Fingerprint(first.identity, first.transport));
  }
  int status = 0;
  Ask("GET", "/v1/plans/" + plan_.id().Hex().substr(0, 5), {}, &status);
  EXPECT_EQ(status, 404) << "five characters are too few";
  Plan twin = plan_;
  twin.run = 2;
  Say(PlanOffer{twin.id(), InlineBlob(Canonical(twin))});
  Ask("GET", "/v1/plans/" + plan_.name, {}, &status);
  EXPECT_EQ(status, 409);
}

TEST_F(Consent, DataSetsAreCheckedAndKept) {
  int status = 0;
  const auto body = [](const char* name, const char* folder) {
    return Value().Set("name", name).Set("folder", folder).Set("schema", "[columns]");
  };
  EXPECT_EQ(Ask("POST", "/v1/datasets/check", body("cohort", "/data"), &status)["patients"].AsInteger(), 30);
  EXPECT_EQ(status, 200);
  EXPECT_TRUE(Ask("GET", "/v1/datasets")["datasets"].AsArray().empty());
  EXPECT_NE(Message(Ask("POST", "/v1/datasets", body("cohort", "/broken"), &status)).find("a.csv:3"),
            std::string::npos);
  EXPECT_EQ(status, 400);
  Ask("POST", "/v1/datasets", body("../x", "/data"), &status);
  EXPECT_EQ(status, 400);
  Ask("POST", "/v1/datasets", body("cohort", "relative"), &status);
  EXPECT_EQ(status, 400);
  Ask("POST", "/v1/datasets", body("cohort", "/data"), &status);
  EXPECT_EQ(status, 200);
  Start();
  const Value list = Ask("GET", "/v1/datasets")["datasets"];
  ASSERT_EQ(list.AsArray().size(), 1U);
  EXPECT_EQ(list.AsArray()[0]["folder"].AsString(), "/data");
  EXPECT_EQ(list.AsArray()[0]["rows"].AsInteger(), 40);
}

// The checks of two withdrawals run at once, and marks are hashes however they are typed.
TEST_F(Consent, WithdrawalsThatOvertakeEachOtherAllCount) {
  const std::string schema =
      "[patient]\nid = \"id\"\n[columns.id]\ntype = \"text\"\n[columns.y]\ntype = \"label\"\n"
      "positive = [1]\nnegative = [0]\n";
  Ask("POST", "/v1/datasets", Value().Set("name", "cohort").Set("folder", "/data").Set("schema", schema));
  const std::string first(64, 'a'), second(64, 'b');
  std::vector<Event> events;
  for (const std::string& mark : {first, std::string(64, 'B')}) {
    RequestReceived request;
    request.id = ++request_;
    request.method = "POST";
    request.path = "/v1/datasets/exclude";
    request.local = true;
    request.body = Value().Set("name", "cohort").Set("marks", Value().Push(mark));
    events.emplace_back(std::move(request));
  }
  Turn(std::move(events));
  Work();
  const Stored stored = *storage_.Load();
  const Value data_set = *ParseJson(Text(stored.state.at({"dataset", "cohort"})));
  EXPECT_EQ(data_set["excluded"], Value().Push(first).Push(second)) << CanonicalJson(data_set);
}

TEST_F(Consent, OtherDataDoNotSlipUnderAnApprovedPlan) {
  Join();
  int status = 0;
  Ask("POST", "/v1/datasets", Value().Set("name", "cohort").Set("folder", "/other").Set("schema", "[columns]"),
      &status);
  EXPECT_EQ(status, 409);
  AddData();
  EXPECT_EQ(Ask("GET", "/v1/datasets")["datasets"].AsArray()[0]["folder"].AsString(), "/data");
}

TEST_F(Consent, StatusAndBudgetShowWhatIsStored) {
  const Value before = Ask("GET", "/v1/status");
  EXPECT_FALSE(before["connected"].AsBool(true));
  EXPECT_TRUE(before["number"].IsNull());
  Join();
  Say(TestInvite(1, 1));
  const Value busy = Ask("GET", "/v1/status");
  EXPECT_TRUE(busy["connected"].AsBool());
  EXPECT_EQ(busy["number"].AsInteger(), kSelf);
  EXPECT_EQ(busy["roster"]["hash"].AsString(), chain_.hash().Hex());
  EXPECT_EQ(busy["jobs"].AsInteger(), 1);
  EXPECT_EQ(busy["studies"].AsArray()[0]["stage"].AsString(), "computing");
  Work();
  const Value budget = Ask("GET", "/v1/budget");
  EXPECT_EQ(budget["rows"].AsInteger(), 2);
  const Value& study = budget["studies"].AsArray().at(0);
  EXPECT_EQ(study["reserved"].AsInteger(), plan_.maximum_attempts);
  EXPECT_EQ(study["committed"].AsInteger(), 1);
  EXPECT_EQ(study["released"].AsInteger(), 0);
}

TEST_F(Consent, TheAuditChainIsExportedWhole) {
  Join();
  const std::string text = Ask("GET", "/v1/audit/export").AsString();
  std::string expected;
  ChainHead head;
  for (const Bytes& row : storage_.rows["audit"]) expected += AuditLine(&head, row);
  EXPECT_EQ(text, expected + AuditEnd(head));
  EXPECT_EQ(head, (*storage_.Load()).chains["audit"]);
  EXPECT_EQ(AuditEvents(), (std::vector<std::string>{"roster", "roster", "roster", "roster", "offered", "approved"}));
  storage_.rows["audit"][2][20] ^= 1;
  int status = 0;
  Ask("GET", "/v1/audit/export", {}, &status);
  EXPECT_EQ(status, 500);
}

TEST_F(Consent, AnUnknownRequestIsNotFound) {
  int status = 0;
  for (const char* path : {"/", "/v1", "/v1/", "/v1/nothing", "/v1/plans/unknown", "/v1/datasets/x", "/v2/status"}) {
    Ask("GET", path, {}, &status);
    EXPECT_EQ(status, 404) << path;
  }
  Ask("POST", "/v1/status", {}, &status);
  EXPECT_EQ(status, 404);
}

TEST_F(Consent, ALockedLedgerRefusesApprovalAndDeclinesInvitations) {
  Join();
  storage_.rows["ledger"][0].back() ^= 1;
  Restart();
  int status = 0;
  EXPECT_NE(Message(Approve(&status)).find("locked"), std::string::npos);
  EXPECT_EQ(status, 403);
  Say(TestInvite(1, 1));
  EXPECT_EQ(Take<Decline>()->reason, Reason::kLocked);
  Say(StudyState{plan_.id(), StudyPhase::kAborted, Reason::kAborted, 0});
  EXPECT_EQ(LedgerRows().size(), 1U) << "nothing is added to a ledger in doubt";
}

}  // namespace
}  // namespace consilium::node
