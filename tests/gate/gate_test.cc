// Judge accepts an invitation only when everything holds, and names what does not; Seal turns a contribution into ring
// words; the only way to an offer goes through a commitment.
#include "hospital_node/gate/gate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "common/algorithms/derive.h"
#include "tests/memory.h"

namespace consilium::node {
namespace {

// Everything that Judge looks at, such that it accepts; each test spoils one thing.
struct Case {
  Plan plan;
  Query query;
  Invite invite;
  Roster named, current;
  ParticipantRecord record;
  SitePolicy policy;
  std::uint32_t pinned = 4, number = 2;
  std::uint32_t reserved = 10;
  std::optional<LedgerRow> released;
  bool roster_known = true, locked = false;

  Case() {
    plan.name = "p";
    plan.researcher = "researcher-1";
    plan.minimum_hospitals = 2;
    plan.maximum_attempts = 10;
    invite.study.bytes.fill(7);
    query.plan = invite.study;
    query.round = 3;
    query.kind = "train";
    query.params = Value().Set("inputs", Value().Set("model", BlobRoot(View("model")).Hex()));
    query.Append("delta", 4, Role::kDelta, 8, 3);
    query.Finish();
    invite.round = 3;
    invite.attempt = 5;
    invite.cohort = {1, 2, 4};
    invite.inputs = {InlineBlob(View("model"))};
    invite.last_release = Blake2b(View("release 2"));
    for (std::uint32_t n = 1; n <= 4; ++n) {
      Member member;
      member.number = n;
      member.name = "hospital-" + std::string(1, static_cast<char>('a' + n - 1));
      named.members.push_back(member);
    }
    current = named;
    record.consent = ParticipantRecord::Consent::kApproved;
    record.phase = StudyPhase::kRunning;
    record.last_release = invite.last_release;
  }

  [[nodiscard]] Reason Judged() const {
    MemoryStorage storage;
    Ledger ledger = Ledger::Load(&storage, {});
    if (reserved > 0) ledger.Append({LedgerRow::Kind::kReserve, invite.study, 1, reserved, "none", 0, 0, 1});
    if (released) ledger.Append(*released);
    if (locked) ledger.Confirm(invite.study, 99);
    return Judge({&invite, &query, &plan, roster_known ? &named : nullptr, &current, pinned, number}, record, policy,
                 ledger);
  }
};

Reason Spoilt(const std::function<void(Case&)>& spoil) {
  Case c;
  spoil(c);
  return c.Judged();
}

TEST(Judge, AcceptsWhatHolds) { EXPECT_EQ(Case().Judged(), Reason::kNone); }

TEST(Judge, NothingIsComputedForAPlanThatIsNotApproved) {
  EXPECT_EQ(Spoilt([](Case& c) { c.record.consent = ParticipantRecord::Consent::kPending; }), Reason::kNotApproved);
  EXPECT_EQ(Spoilt([](Case& c) { c.record.consent = ParticipantRecord::Consent::kRejected; }), Reason::kRejected);
  EXPECT_EQ(Spoilt([](Case& c) { c.reserved = 0; }), Reason::kNotApproved);
}

TEST(Judge, NothingIsComputedAfterTheEnd) {
  EXPECT_EQ(Spoilt([](Case& c) { c.record.phase = StudyPhase::kComplete; }), Reason::kWrongState);
  EXPECT_EQ(Spoilt([](Case& c) { c.record.phase = StudyPhase::kFailed; }), Reason::kWrongState);
  EXPECT_EQ(Spoilt([](Case& c) { c.record.phase = StudyPhase::kAborted; }), Reason::kAborted);
}

TEST(Judge, ALockedLedgerLetsNothingOut) {
  EXPECT_EQ(Spoilt([](Case& c) { c.locked = true; }), Reason::kLocked);
}

TEST(Judge, TheCohortIsAscendingMembersWithThisHospitalAmongThem) {
  EXPECT_EQ(Spoilt([](Case& c) { c.roster_known = false; }), Reason::kCohort);
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.cohort = {1, 3, 4}; }), Reason::kCohort);
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.cohort = {2, 1, 4}; }), Reason::kCohort);
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.cohort = {1, 2, 2}; }), Reason::kCohort);
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.cohort = {0, 1, 2}; }), Reason::kCohort);
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.cohort = {1, 2, 5}; }), Reason::kCohort);
  EXPECT_EQ(Spoilt([](Case& c) { c.current.members[3].revoked = true; }), Reason::kCohort);
  EXPECT_EQ(Spoilt([](Case& c) { c.number = 0; }), Reason::kCohort);
}

TEST(Judge, AHospitalThatNobodyHereWasShownNeedsANewApproval) {
  EXPECT_EQ(Spoilt([](Case& c) { c.pinned = 3; }), Reason::kCohort);
}

TEST(Judge, TooFewHospitalsForThePlanThePolicyOrAnybody) {
  EXPECT_EQ(Spoilt([](Case& c) { c.plan.minimum_hospitals = 4; }), Reason::kTooFewHospitals);
  EXPECT_EQ(Spoilt([](Case& c) { c.policy.minimum_hospitals = 4; }), Reason::kTooFewHospitals);
  EXPECT_EQ(Spoilt([](Case& c) {
              c.plan.minimum_hospitals = c.policy.minimum_hospitals = 1;
              c.invite.cohort = {2};
            }),
            Reason::kTooFewHospitals);
}

TEST(Judge, TheQueryIsOneThatThePlanCanAskInThisRound) {
  EXPECT_EQ(Spoilt([](Case& c) { c.query.round = 4; }), Reason::kQueryNotDerived);
  EXPECT_EQ(Spoilt([](Case& c) { c.query.plan.bytes[0] ^= 1; }), Reason::kQueryNotDerived);
  EXPECT_EQ(Spoilt([](Case& c) {
              c.query.kind = "dump";
              c.policy.allowed_kinds.emplace_back("dump");
            }),
            Reason::kQueryNotDerived);
  EXPECT_EQ(Spoilt([](Case& c) { c.plan.task = Plan::Task::kDescribe; }), Reason::kQueryNotDerived);
  EXPECT_EQ(Spoilt([](Case& c) { c.query.release = ReleaseTo::kHospital; }), Reason::kQueryNotDerived);
  EXPECT_EQ(Spoilt([](Case& c) { c.plan.update_bound = 4; }), Reason::kQueryNotDerived);
  EXPECT_EQ(Spoilt([](Case& c) { c.query.blocks[0].sigma = 1; }), Reason::kQueryNotDerived);
  EXPECT_EQ(Spoilt([](Case& c) {
              c.plan.standardize = "declared";
              c.plan.impute = "constant";
              c.query.kind = "describe";
            }),
            Reason::kQueryNotDerived)
      << "no moments are asked by such a plan";
  EXPECT_EQ(Spoilt([](Case& c) { c.query.kind = "describe"; }), Reason::kNone)
      << "the moments of a federated standardisation";
}

// A case whose next query releases this hospital's own figures, as the plan says.
struct OwnCase : Case {
  OwnCase() {
    Column age;
    age.name = "age";
    age.maximum = 100;
    plan.schema.columns = {age};
    plan.features = {"age"};
    plan.standardize = "declared";
    plan.impute = "constant";
    plan.rounds = 2;
    plan.per_hospital = "released";
    record.model = InlineBlob(View("model"));
    record.releases = 3;
    invite.round = 4;  // Two rounds of training, the evaluation, this.
    Ask();
  }
  void Ask() {
    query = OwnFiguresQuery(plan, plan.rounds, BlobRoot(View("model")), MakePreprocessing(plan, {}), 1);
    query.plan = invite.study;
    query.round = invite.round;
  }
};

TEST(Judge, OneHospitalsVectorIsReleasedOnlyWhereThePlanSaysSoAndAsItSays) {
  EXPECT_EQ(OwnCase().Judged(), Reason::kNone);
  const auto spoilt = [](const std::function<void(OwnCase&)>& spoil) {
    OwnCase c;
    spoil(c);
    return c.Judged();
  };
  EXPECT_EQ(spoilt([](OwnCase& c) { c.plan.per_hospital = "local"; }), Reason::kQueryNotDerived);
  EXPECT_EQ(spoilt([](OwnCase& c) { c.query.kind = "train"; }), Reason::kQueryNotDerived);
  EXPECT_EQ(spoilt([](OwnCase& c) { c.query.params.Set("bins", 8192); }), Reason::kQueryNotDerived);
  EXPECT_EQ(spoilt([](OwnCase& c) { c.query.blocks[3].length = 8192; }), Reason::kQueryNotDerived);
  EXPECT_EQ(spoilt([](OwnCase& c) { c.query.blocks[1].sigma = 1; }), Reason::kQueryNotDerived);
  EXPECT_EQ(spoilt([](OwnCase& c) { c.record.releases = 2; }), Reason::kQueryNotDerived) << "before its time";
  EXPECT_EQ(spoilt([](OwnCase& c) {
              c.invite.round = 3;
              c.record.releases = 2;
              c.Ask();
            }),
            Reason::kQueryNotDerived)
      << "in the place of another sum";
  EXPECT_EQ(spoilt([](OwnCase& c) { c.record.model = InlineBlob(View("another")); }), Reason::kQueryNotDerived)
      << "of another model than the last release published";
  EXPECT_EQ(spoilt([](OwnCase& c) { c.record.last_release = {}; }), Reason::kChain)
      << "who is behind gets the release first";
  EXPECT_EQ(spoilt([](OwnCase& c) { c.policy.release_own_figures = true; }), Reason::kNone)
      << "the switch decides what is in it, not whether it is answered";
  EXPECT_EQ(Spoilt([](Case& c) {
              c.plan.per_hospital = "released";
              c.query.release = ReleaseTo::kHospital;
            }),
            Reason::kQueryNotDerived)
      << "a vector of training";
}

TEST(OwnFigures, LeaveOnlyAsAnOfficerApprovedAndWhileTheSwitchIsOn) {
  using Own = ParticipantRecord::OwnFigures;
  ParticipantRecord record;
  EXPECT_FALSE(LetsOwnFiguresOut(record, {.release_own_figures = true})) << "approved when they stayed";
  record.own_figures = Own::kAllowed;
  EXPECT_FALSE(LetsOwnFiguresOut(record, {}));
  EXPECT_TRUE(LetsOwnFiguresOut(record, {.release_own_figures = true}));
  record.own_figures = Own::kReleased;
  EXPECT_FALSE(LetsOwnFiguresOut(record, {})) << "not once more";
  EXPECT_FALSE(SitePolicy().release_own_figures);
}

TEST(OwnFigures, WithheldAreZerosThatCountTheHospital) {
  OwnCase c;
  MemoryBlobs blobs;
  const auto sealed = Gate::Seal(c.query, Gate::Withheld(c.query), {}, PlainClient(), &blobs);
  ASSERT_TRUE(sealed) << sealed.error().what;
  EXPECT_TRUE(sealed->blank());
  Bytes expected(c.query.WireBytes());
  expected[expected.size() - 8] = 1;
  EXPECT_EQ(sealed->vector().content, expected);
  EXPECT_TRUE(Gate::Commit(*sealed, c.invite, c.query, 77, &c.record)) << "charged like any other";
  EXPECT_EQ(c.record.own_figures, ParticipantRecord::OwnFigures::kWithheld);
  RawContribution own = Gate::Withheld(c.query);
  own.blocks[0] = {1};
  const auto released = Gate::Seal(c.query, own, {}, PlainClient(), &blobs);
  EXPECT_FALSE(released->blank());
  Gate::Commit(*released, c.invite, c.query, 77, &c.record);
  EXPECT_EQ(c.record.own_figures, ParticipantRecord::OwnFigures::kReleased);
}

TEST(Judge, TheInputsAreThoseThatTheQueryNames) {
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.inputs = {}; }), Reason::kQueryNotDerived);
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.inputs = {InlineBlob(View("another"))}; }), Reason::kQueryNotDerived);
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.inputs.push_back(InlineBlob(View("more"))); }), Reason::kQueryNotDerived);
}

TEST(Judge, TheSitesPolicyOverridesThePlan) {
  EXPECT_EQ(Spoilt([](Case& c) { c.policy.allowed_kinds = {"describe"}; }), Reason::kPolicy);
  EXPECT_EQ(Spoilt([](Case& c) { c.policy.allowed_researchers = {"researcher-2"}; }), Reason::kPolicy);
  EXPECT_EQ(Spoilt([](Case& c) { c.policy.allowed_researchers = {"researcher-2", "researcher-1"}; }), Reason::kNone);
}

TEST(Judge, TheInvitationContinuesTheReleasesSeenHere) {
  EXPECT_EQ(Spoilt([](Case& c) { c.record.last_release = {}; }), Reason::kChain);
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.last_release = {}; }), Reason::kChain);
}

TEST(Judge, AttemptsBeyondTheReservationAreRefused) {
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.attempt = 10; }), Reason::kNone);
  EXPECT_EQ(Spoilt([](Case& c) { c.invite.attempt = 11; }), Reason::kBudget);
  EXPECT_EQ(Spoilt([](Case& c) {
              c.released = LedgerRow{LedgerRow::Kind::kRelease, c.invite.study, 5, 10, "none", 0, 0, 1};
            }),
            Reason::kBudget);
}

TEST(JudgePlan, SaysWhatThePolicyForbidsAndWhatToChange) {
  Plan plan;
  plan.researcher = "researcher-1";
  EXPECT_TRUE(JudgePlan(plan, {}));
  const Status kinds = JudgePlan(plan, {.allowed_kinds = {"describe"}});
  ASSERT_FALSE(kinds);
  EXPECT_EQ(kinds.error().code, Code::kRefused);
  EXPECT_NE(kinds.error().what.find("allowed_kinds"), std::string::npos);
  const Status researchers = JudgePlan(plan, {.allowed_researchers = {"researcher-2"}});
  ASSERT_FALSE(researchers);
  EXPECT_NE(researchers.error().what.find("researcher-1"), std::string::npos);
  plan.task = Plan::Task::kDescribe;
  EXPECT_TRUE(JudgePlan(plan, {.allowed_kinds = {"describe"}}));
}

TEST(JudgePlan, TheStricterThresholdForPatientsCounts) {
  Plan plan;
  plan.minimum_patients = 5;
  EXPECT_EQ(Stricter(plan, {.minimum_patients = 20}).minimum_patients, 20U);
  plan.minimum_patients = 50;
  EXPECT_EQ(Stricter(plan, {.minimum_patients = 20}).minimum_patients, 50U);
}

// ---- Seal, Commit, OfferOf ----

TEST(Seal, SaturatesCountsAndEndsWithTheContributor) {
  Case c;
  MemoryBlobs blobs;
  const Digest context = Blake2b(View("context"));
  const RawContribution raw{{{1.0, -100.0, std::nan(""), 8.0}}};
  auto sealed = Gate::Seal(c.query, raw, context, PlainClient(), &blobs);
  ASSERT_TRUE(sealed) << sealed.error().what;
  EXPECT_EQ(sealed->context(), context);
  EXPECT_EQ(sealed->saturated(), 1U);
  EXPECT_EQ(sealed->not_finite(), 1U);
  ASSERT_EQ(sealed->vector().bytes, c.query.WireBytes());
  EXPECT_TRUE(CheckBlob(sealed->vector()));
  EXPECT_TRUE(blobs.sealed.empty());
  auto answer = Answer::Create(c.query, {2}, sealed->vector().content);
  ASSERT_TRUE(answer) << answer.error().what;
  EXPECT_EQ(answer->Values("delta"), (std::vector<double>{1, -8, 0, 8}));
}

TEST(Seal, AContributionOfAnotherShapeDoesNotLeave) {
  Case c;
  MemoryBlobs blobs;
  EXPECT_FALSE(Gate::Seal(c.query, RawContribution{{{1.0, 2.0}}}, {}, PlainClient(), &blobs));
  EXPECT_FALSE(Gate::Seal(c.query, RawContribution{}, {}, PlainClient(), &blobs));
}

TEST(Seal, ALargeVectorGoesIntoTheBlobStoreUnderItsRoot) {
  Query query;
  query.Append("delta", 40000, Role::kDelta, 8, 3);
  query.Finish();
  MemoryBlobs blobs;
  auto sealed = Gate::Seal(query, RawContribution{{std::vector<double>(40000, 0.5)}}, {}, PlainClient(), &blobs);
  ASSERT_TRUE(sealed) << sealed.error().what;
  EXPECT_TRUE(sealed->vector().content.empty());
  EXPECT_EQ(sealed->vector().leaves.size(), 2U);
  EXPECT_TRUE(CheckBlob(sealed->vector()));
  ASSERT_TRUE(blobs.Has(sealed->vector().root));
  EXPECT_EQ(*blobs.Size(sealed->vector().root), query.WireBytes());
}

TEST(Commit, TheOfferIsWhatTheRecordIsCommittedToAndNothingElse) {
  Case c;
  MemoryBlobs blobs;
  EXPECT_FALSE(Gate::OfferOf(c.invite.study, c.record)) << "nothing was committed yet";
  const Digest context = Blake2b(View("context"));
  const auto sealed = Gate::Seal(c.query, RawContribution{{{1, 2, 3, 4}}}, context, PlainClient(), &blobs);
  ASSERT_TRUE(sealed);
  c.invite.query = InlineBlob(Canonical(c.query));
  const auto row = Gate::Commit(*sealed, c.invite, c.query, 77, &c.record);
  ASSERT_TRUE(row);
  EXPECT_EQ(*row, (LedgerRow{LedgerRow::Kind::kCommit, c.invite.study, 5, 5, "none", 0, 0, 77}));
  EXPECT_EQ(c.record.last_attempt, 5U);
  EXPECT_EQ(c.record.last_round, 3U);
  EXPECT_EQ(c.record.last_query, Canonical(c.query));
  const auto offer = Gate::OfferOf(c.invite.study, c.record);
  ASSERT_TRUE(offer);
  EXPECT_EQ(*offer, (Offer{c.invite.study, 5, context, sealed->vector()}));
  EXPECT_EQ(*Gate::OfferOf(c.invite.study, c.record), *offer);
  c.record.contribution = {};
  EXPECT_FALSE(Gate::OfferOf(c.invite.study, c.record)) << "dropped with its release";
}

}  // namespace
}  // namespace consilium::node
