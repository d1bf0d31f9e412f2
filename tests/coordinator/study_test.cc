// One study: consent, one answer a round, restarts that go on where the last commit was.
#include "coordinator/study.h"

#include <gtest/gtest.h>

#include "common/privacy/encode.h"

namespace consilium::coordinator {
namespace {

constexpr const char* kPlan = R"([study]
name = "table one"
purpose = "describe the cohort"
researcher = "researcher-1"
minimum_hospitals = 2
round_deadline = "60s"
[data]
dataset = "heart"
schema = "schema.toml"
[describe]
columns = ["age"]
bins = 8
[privacy]
mode = "none"
[aggregation]
profile = "visible"
)";
constexpr const char* kSchema = "[columns.age]\ntype = \"number\"\nminimum = 0\nmaximum = 120\n";

IdentityKey Key(std::uint8_t fill) { return IdentityKey::FromSeed(Bytes(32, fill)); }
CurveKey Curve(std::uint8_t fill) { return CurveKey::FromSecret(Bytes(32, fill)); }

class StudyTest : public testing::Test {
 protected:
  explicit StudyTest(const std::string& text = kPlan, const std::string& schema = kSchema) : chain_(MakeChain(3)) {
    auto plan = ParsePlanToml(text, "plan.toml", [&](const std::string&) -> Result<std::string> { return schema; });
    EXPECT_TRUE(plan.has_value()) << plan.error().what;
    plan_ = *plan;
    study_ = *Study::Submit(Canonical(plan_), context(), now_);
    Take();
  }

  static RosterChain MakeChain(int hospitals) {
    const IdentityKey founder = Key(100);
    Roster roster{.seq = 0,
                  .previous = {},
                  .federation = "test",
                  .server_identity = Key(99).verify_key(),
                  .server_transport = Curve(99).public_key(),
                  .founder = founder.verify_key(),
                  .members = {}};
    SignedRoster first{Canonical(roster), {}};
    first.signatures.push_back(SignRoster(first.roster, founder));
    auto chain = RosterChain::Found(first, first.hash());
    EXPECT_TRUE(chain.has_value());
    for (int i = 1; i <= hospitals; ++i) {
      Roster next = chain->current();
      next.seq += 1;
      next.previous = chain->hash();
      const std::string name = "hospital-" + std::to_string(i);
      const IdentityKey identity = Key(static_cast<std::uint8_t>(i));
      HospitalId id;
      id.bytes[0] = static_cast<std::uint8_t>(i);
      next.members.push_back({.number = static_cast<std::uint32_t>(i),
                              .id = id,
                              .name = name,
                              .identity = identity.verify_key(),
                              .transport = Curve(static_cast<std::uint8_t>(i)).public_key(),
                              .officers = {},
                              .valid_from_ms = 1,
                              .valid_until_ms = 0,
                              .revoked = false});
      SignedRoster signed_next{Canonical(next), {}};
      signed_next.signatures.push_back(SignRoster(signed_next.roster, founder));
      signed_next.signatures.push_back(SignMembership(
          MembershipBytes("test", name, identity.verify_key(), next.members.back().transport, {}), identity));
      EXPECT_TRUE(chain->Extend(signed_next).has_value());
    }
    return std::move(*chain);
  }

  StudyContext context() const { return {&key_, &chain_}; }

  // Carries effects out as the service would: keeps what is persisted, files messages by hospital.
  void Take() {
    Effects effects = study_->TakeEffects();
    for (const Write& write : effects.writes) {
      if (const auto* put = std::get_if<PutState>(&write)) disk_ = put->blob;
    }
    for (Value& audit : effects.audits) audits_.push_back(std::move(audit));
    for (Effects::ToHospital& send : effects.sends) {
      if (const auto* frame = std::get_if<Bytes>(&send.what)) {
        sent_[send.number].push_back(*ReadFrame(*frame, key_.verify_key()));
      } else {
        sent_[send.number].push_back(std::get<Message>(send.what));
      }
    }
    for (const Effects::Fetch& fetch : effects.fetches) study_->OnUploadArrived(fetch.blob.root, now_);
    for (const Effects::Fold& fold : effects.folds) {
      AddWords(fold.ring, std::span(*fold.sum).subspan(fold.offset, fold.bytes), large_.at(fold.root));
      study_->OnFolded(fold.number, fold.root, true, study_->round()->record().attempt, now_);
    }
    if (!effects.fetches.empty() || !effects.folds.empty()) Take();
  }
  void Online(std::uint32_t number, const StudyMark* mark = nullptr) {
    study_->OnHello(number, mark, now_);
    Take();
  }
  void Approve(std::uint32_t number) {
    study_->OnVerdict(number, {study_->id(), true, Reason::kNone, chain_.hash()}, now_);
    Take();
  }
  void Later(Duration duration) {
    now_.instant += duration;
    study_->OnTime(now_);
    Take();
  }
  template <class M>
  std::optional<M> Last(std::uint32_t number) const {
    const auto found = sent_.find(number);
    if (found == sent_.end()) return std::nullopt;
    for (auto at = found->second.rbegin(); at != found->second.rend(); ++at) {
      if (const auto* message = std::get_if<M>(&*at)) return *message;
    }
    return std::nullopt;
  }
  std::size_t Audits(std::string_view event) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(audits_, [&](const Value& row) { return row["event"].AsString() == event; }));
  }
  // What an honest hospital answers to its last invitation: all present, `rows` rows, the rest zero.
  Offer Contribution(std::uint32_t number, double rows) {
    const Invite invite = *Last<Invite>(number);
    const Query query = *ParseQuery(invite.query.content);
    RawContribution raw;
    for (const Block& block : query.blocks) {
      if (block.name == kCountBlock) continue;
      const bool own = query.release == ReleaseTo::kHospital && rows == 0;  // Withholds.
      const double value = block.name == "rows" || block.name == "hist_positive" ? rows
                           : block.role == Role::kPresent && !own                ? 1
                                                                                 : 0;
      raw.blocks.emplace_back(block.length, value);
    }
    const Bytes words = *Encode(query, raw, nullptr);
    large_[BlobRoot(words)] = words;
    const Digest context = PlainContext("test", invite.roster, invite.study, invite.round, invite.attempt,
                                        HashOf(query), invite.last_release, invite.cohort);
    return {
        invite.study, invite.attempt, context,
        words.size() <= kInlineBlob ? InlineBlob(words) : Blob{BlobRoot(words), words.size(), BlobLeaves(words), {}}};
  }
  void Upload(std::uint32_t number, double rows) {
    study_->OnOffer(number, Contribution(number, rows), now_);
    Take();
  }
  void Restart() {
    const StudyRecord record = *DecodeStudyRecord(disk_);
    study_ = *Study::Restore(record, context(), now_);
    Take();
  }
  double Rows() const { return study_->algorithm().Results()["describe"]["rows"].AsDouble(); }

  IdentityKey key_ = Key(99);
  RosterChain chain_;
  Plan plan_;
  static constexpr BootId kBoot{{1}};
  Now now_{Instant{} + std::chrono::hours(1), 1, kBoot};
  std::unique_ptr<Study> study_;
  Bytes disk_;
  std::map<Digest, Bytes> large_;  // Uploads by root, for the folds of those that are pulled.
  std::vector<Value> audits_;
  std::map<std::uint32_t, std::vector<Message>> sent_;
};

TEST_F(StudyTest, AsksEveryMemberAndStartsWhenAllHaveAnswered) {
  for (std::uint32_t i : {1, 2, 3}) Online(i);
  for (std::uint32_t i : {1, 2, 3}) EXPECT_TRUE(Last<PlanOffer>(i).has_value());
  Approve(1);
  Approve(2);
  EXPECT_FALSE(Last<Invite>(1).has_value()) << "the third has not answered yet";
  study_->OnVerdict(3, {study_->id(), false, Reason::kRejected, chain_.hash()}, now_);
  Take();
  ASSERT_TRUE(Last<Invite>(1).has_value());
  EXPECT_EQ(Last<Invite>(1)->cohort, (std::vector<std::uint32_t>{1, 2}));
  EXPECT_FALSE(Last<Invite>(3).has_value()) << "who rejected is never invited";
}

TEST_F(StudyTest, StartsWithEnoughApprovalsAfterAQuietDeadline) {
  for (std::uint32_t i : {1, 2, 3}) Online(i);
  Approve(1);
  Later(plan_.round_deadline * 2);
  EXPECT_FALSE(Last<Invite>(1).has_value()) << "one approval is below the minimum, however long it waits";
  Approve(2);
  EXPECT_EQ(study_->NextDeadline(now_.instant), now_.instant + plan_.round_deadline);
  Later(plan_.round_deadline);
  EXPECT_TRUE(Last<Invite>(1).has_value());
}

TEST_F(StudyTest, OneAnswerIsTheExactSumAndEndsTheStudy) {
  for (std::uint32_t i : {1, 2, 3}) Online(i);
  for (std::uint32_t i : {1, 2, 3}) Approve(i);
  Upload(1, 100);
  Upload(2, 20);
  EXPECT_FALSE(Last<Release>(1).has_value());
  Upload(3, 3);
  for (std::uint32_t i : {1, 2, 3}) {
    ASSERT_TRUE(Last<Release>(i).has_value());
    EXPECT_TRUE(Last<Release>(i)->last);
    EXPECT_EQ(Last<Receipt>(i)->attempt, 1U);
  }
  EXPECT_EQ(Rows(), 123);
  EXPECT_EQ(study_->record().phase, StudyPhase::kComplete);
  EXPECT_EQ(Audits("answer"), 1U);
}

TEST_F(StudyTest, ARestartRepeatsTheOpenAttemptAsItWas) {
  for (std::uint32_t i : {1, 2, 3}) Online(i);
  for (std::uint32_t i : {1, 2, 3}) Approve(i);
  const Invite before = *Last<Invite>(1);
  Upload(1, 100);
  Later(std::chrono::seconds(20));
  Restart();
  sent_.clear();
  const StudyMark mark{study_->id(), 0, {}};
  for (std::uint32_t i : {1, 2, 3}) Online(i, &mark);
  Invite after = *Last<Invite>(1);
  EXPECT_EQ(std::exchange(after.time_left_ms, before.time_left_ms), 40'000U) << "what it has left of 60 s";
  EXPECT_EQ(after, before) << "same attempt, same context, so the same bytes come back, uncharged";
  Upload(1, 100);
  Upload(2, 20);
  Upload(3, 3);
  EXPECT_EQ(Rows(), 123);
  EXPECT_EQ(study_->record().attempts, 1U);
  Restart();
  for (std::uint32_t i : {1, 2, 3}) Online(i, &mark);
  EXPECT_EQ(Audits("answer"), 1U) << "a finished round is never computed again";
  EXPECT_EQ(Last<Release>(2)->seq, 1U) << "who missed the release gets it again";
}

TEST_F(StudyTest, RestartsGiveAnAttemptNoMoreTime) {
  for (std::uint32_t i : {1, 2, 3}) Online(i);
  for (std::uint32_t i : {1, 2, 3}) Approve(i);
  const StudyMark mark{study_->id(), 0, {}};
  for (int restarts = 0; restarts < 3; ++restarts) {
    Later(std::chrono::seconds(15));
    Restart();
    for (std::uint32_t i : {1, 2, 3}) Online(i, &mark);
    EXPECT_EQ(Audits("attempt_failed"), 0U) << "its minute is not over";
    EXPECT_EQ(Last<Invite>(1)->attempt, 1U);
  }
  Later(std::chrono::seconds(15));
  EXPECT_EQ(Audits("attempt_failed"), 1U);
  EXPECT_FALSE(study_->record().open.has_value());
}

// How much time went by cannot be known, nor how often this has happened before.
TEST_F(StudyTest, AnAttemptOfAnotherBootIsOver) {
  const BootId another{{2}}, unknown{};
  for (const BootId& boot : {another, unknown}) {
    Now then{Instant{} + std::chrono::hours(1), 1, boot};
    study_ = *Study::Submit(Canonical(plan_), context(), now_ = then);
    audits_.clear();
    for (std::uint32_t i : {1, 2, 3}) Online(i);
    for (std::uint32_t i : {1, 2, 3}) Approve(i);
    ASSERT_TRUE(study_->record().open.has_value());
    now_.boot = boot == unknown ? unknown : kBoot;
    Restart();
    Later(Duration(0));
    EXPECT_EQ(Audits("attempt_failed"), 1U);
    EXPECT_FALSE(study_->record().open.has_value());
  }
}

TEST_F(StudyTest, AClockThatStepsBackGivesAnAttemptNoMoreTime) {
  for (std::uint32_t i : {1, 2, 3}) Online(i);
  for (std::uint32_t i : {1, 2, 3}) Approve(i);
  now_.instant -= std::chrono::minutes(30);  // As after a snapshot of the machine was put back.
  Restart();
  Later(Duration(0));
  EXPECT_EQ(Audits("attempt_failed"), 1U);
}

TEST_F(StudyTest, AMissingHospitalIsNamedAndLeftOutAndALateOneTakenIn) {
  for (std::uint32_t i : {1, 2, 3}) Online(i);
  for (std::uint32_t i : {1, 2, 3}) Approve(i);
  Upload(1, 100);
  Upload(2, 20);
  study_->OnLost(3, now_);
  Take();
  Later(kGrace);
  const Release release = *Last<Release>(1);
  EXPECT_EQ(release.survivors, (std::vector<std::uint32_t>{1, 2}));
  ASSERT_EQ(release.absent.size(), 1U);
  EXPECT_EQ(release.absent[0], (Absence{3, Reason::kOffline}));
  EXPECT_EQ(Rows(), 120);
}

TEST_F(StudyTest, BelowTheQuorumItSaysWhyAndTriesAgain) {
  for (std::uint32_t i : {1, 2, 3}) Online(i);
  for (std::uint32_t i : {1, 2, 3}) Approve(i);
  Upload(1, 100);
  Later(plan_.round_deadline);
  EXPECT_EQ(Last<Abandon>(1)->reason, Reason::kQuorum);
  EXPECT_EQ(Audits("attempt_failed"), 1U);
  EXPECT_FALSE(Last<Release>(1).has_value());
  Later(std::chrono::seconds(10));
  EXPECT_EQ(Last<Invite>(1)->attempt, 2U);
  EXPECT_EQ(Last<Invite>(1)->round, 1U);
  for (std::uint32_t i : {1, 2, 3}) Upload(i, 1);
  EXPECT_EQ(Rows(), 3);
}

TEST_F(StudyTest, AttemptsAreNeverMoreThanThePlanAllows) {
  for (std::uint32_t i : {1, 2, 3}) Online(i);
  for (std::uint32_t i : {1, 2, 3}) Approve(i);
  for (std::uint32_t i = 0; i < plan_.maximum_attempts + 5; ++i) {
    Later(plan_.round_deadline);
    Later(std::chrono::seconds(10));
  }
  EXPECT_EQ(study_->record().attempts, plan_.maximum_attempts);
  EXPECT_EQ(study_->record().phase, StudyPhase::kFailed);
  EXPECT_EQ(study_->record().reason, Reason::kBudget);
}

TEST_F(StudyTest, AbortTellsEverybodyAndStaysEnded) {
  for (std::uint32_t i : {1, 2, 3}) Online(i);
  for (std::uint32_t i : {1, 2, 3}) Approve(i);
  study_->Abort(now_);
  Take();
  EXPECT_EQ(Last<StudyState>(2)->phase, StudyPhase::kAborted);
  const std::size_t invites = sent_[1].size();
  Restart();
  Later(std::chrono::hours(1));
  EXPECT_EQ(sent_[1].size(), invites);
  EXPECT_EQ(study_->record().phase, StudyPhase::kAborted);
}

TEST_F(StudyTest, AnAbortIsToldWhereNobodyHasDecidedYet) {
  for (std::uint32_t n : {1, 2, 3}) Online(n);
  Approve(1);
  study_->Abort(now_);
  Take();
  for (std::uint32_t n : {1, 2, 3}) EXPECT_EQ(Last<StudyState>(n)->phase, StudyPhase::kAborted) << n;
}

TEST_F(StudyTest, HospitalsThatAreAheadAreNamed) {
  Online(1);
  EXPECT_TRUE(study_->ahead().empty());
  const StudyMark mark{study_->id(), 7, {}};
  Online(2, &mark);
  EXPECT_EQ(study_->ahead(), (std::map<std::uint32_t, std::uint32_t>{{2, 7}}));
  Online(2);
  EXPECT_TRUE(study_->ahead().empty()) << "it was restored as well";
}

TEST_F(StudyTest, APausedStudyEndsItsAttemptAndBeginsNoOther) {
  EXPECT_FALSE(study_->Pause(now_)) << "it is not running yet";
  for (std::uint32_t n : {1, 2, 3}) Online(n);
  for (std::uint32_t n : {1, 2, 3}) Approve(n);
  EXPECT_FALSE(Study::Submit(Canonical(plan_), context(), now_).value()->Resume(now_));
  EXPECT_TRUE(study_->Resume(now_)) << "running already";
  study_->OnDecline(1, 1, Reason::kFailedHere, now_);
  study_->OnDecline(2, 1, Reason::kFailedHere, now_);
  EXPECT_TRUE(study_->Pause(now_));
  EXPECT_TRUE(study_->Pause(now_));
  study_->OnDecline(3, 1, Reason::kFailedHere, now_);  // The attempt fails; another would follow.
  Take();
  EXPECT_EQ(Audits("attempt_failed"), 1U);
  EXPECT_EQ(Last<StudyState>(1)->phase, StudyPhase::kPaused);
  Later(std::chrono::minutes(5));
  EXPECT_EQ(study_->record().attempts, 1U);
  study_ = *Study::Restore(*DecodeStudyRecord(disk_), context(), now_);
  for (std::uint32_t n : {1, 2, 3}) Online(n);
  Later(std::chrono::minutes(5));
  EXPECT_EQ(study_->record().attempts, 1U) << "a restart resumes nothing";
  EXPECT_TRUE(study_->Resume(now_));
  Take();
  EXPECT_EQ(study_->record().attempts, 2U);
  EXPECT_EQ(Audits("paused"), 1U);
  EXPECT_EQ(Audits("resumed"), 1U);
}

// ---- a plan that releases the figures of single hospitals ----

class OwnFiguresTest : public StudyTest {
 protected:
  OwnFiguresTest()
      : StudyTest(R"([study]
name = "own figures"
purpose = "compare hospitals"
researcher = "researcher-1"
minimum_hospitals = 2
[data]
dataset = "heart"
schema = "schema.toml"
label = "sick"
features = ["age"]
[preprocessing]
impute = "constant"
standardize = "declared"
[training]
learning_rate = 0.1
[evaluation]
per_hospital = "released"
[privacy]
mode = "none"
[aggregation]
profile = "visible"
)",
                  std::string(kSchema) + "[columns.sick]\ntype = \"label\"\npositive = [1]\nnegative = [0]\n") {
    for (std::uint32_t i : {1, 2, 3}) Online(i);
    for (std::uint32_t i : {1, 2, 3}) Approve(i);
    for (int sum = 0; sum < 2; ++sum) {  // The training and the pooled evaluation.
      for (std::uint32_t i : {1, 2, 3}) Upload(i, 0);
    }
  }
  [[nodiscard]] std::string Released() const {
    std::string out;
    const Value results = study_->algorithm().Results();
    for (const Value& entry : results["released"].AsArray())
      out += CanonicalJson(entry["hospital"]) + ":" +
             (entry["released"].AsBool() ? CanonicalJson(entry["rows"]) : std::string("not")) + " ";
    return out;
  }
  [[nodiscard]] Value LastAudit(std::string_view event) const {
    for (auto row = audits_.rbegin(); row != audits_.rend(); ++row) {
      if ((*row)["event"].AsString() == event) return *row;
    }
    return {};
  }
};

TEST_F(OwnFiguresTest, AreTheLastAnswerAndTheLogNamesWhoReleased) {
  EXPECT_EQ(study_->record().releases, 2U);
  ASSERT_EQ(ParseQuery(Last<Invite>(1)->query.content)->release, ReleaseTo::kHospital);
  Upload(2, 0);
  Upload(3, 33);
  EXPECT_EQ(study_->record().phase, StudyPhase::kRunning);
  Upload(1, 11);
  EXPECT_EQ(Released(), "1:2200 2:not 3:6600 ") << "200 bins of 11 and 33 rows";
  EXPECT_EQ(study_->record().phase, StudyPhase::kComplete);
  EXPECT_TRUE(Last<Release>(1)->last);
  const Value row = LastAudit("released_figures");
  EXPECT_EQ(CanonicalJson(row["released"]), R"(["hospital-1","hospital-3"])");
  EXPECT_EQ(CanonicalJson(row["not_released"]), R"(["hospital-2"])");
  EXPECT_EQ(Audits("released_figures"), 1U);
  EXPECT_EQ(row["attempt"].AsInteger(), 3);
}

TEST_F(OwnFiguresTest, ARestartInMidAttemptRepeatsItAsItWas) {
  const Invite before = *Last<Invite>(1);
  Upload(1, 11);
  Restart();
  sent_.clear();
  const StudyMark mark{study_->id(), 2, study_->record().last_release};
  for (std::uint32_t i : {1, 2, 3}) Online(i, &mark);
  Invite after = *Last<Invite>(1);
  after.time_left_ms = before.time_left_ms;
  EXPECT_EQ(after, before);
  for (std::uint32_t i : {3, 2, 1}) Upload(i, i * 11);
  EXPECT_EQ(Released(), "1:2200 2:4400 3:6600 ");
  EXPECT_EQ(study_->record().attempts, 3U);
  const std::string answers = Released();
  Restart();
  EXPECT_EQ(Released(), answers);
  EXPECT_EQ(Audits("released_figures"), 1U);
}

TEST_F(OwnFiguresTest, ASecondDifferentUploadIsRefusedAndASecondEqualOneReceipted) {
  Upload(1, 11);
  sent_[1].clear();
  const Invite invite = *Last<Invite>(2);
  sent_[1].push_back(invite);
  Upload(1, 11);
  EXPECT_TRUE(Last<Receipt>(1).has_value());
  Upload(1, 12);
  EXPECT_EQ(Last<Refused>(1)->reason, Reason::kContext);
  EXPECT_EQ(Audits("offer_refused"), 1U);
  Upload(2, 0);
  Upload(3, 0);
  EXPECT_EQ(Released(), "1:2200 2:not 3:not ");
}

TEST_F(OwnFiguresTest, BelowTheQuorumNothingIsReleasedAndItIsTriedAgain) {
  Upload(1, 11);
  Later(plan_.round_deadline);
  EXPECT_EQ(Audits("attempt_failed"), 1U);
  EXPECT_EQ(Released(), "");
  Later(std::chrono::seconds(10));
  EXPECT_EQ(Last<Invite>(1)->attempt, 4U);
  EXPECT_EQ(Last<Invite>(1)->round, 3U);
  for (std::uint32_t i : {1, 2, 3}) Upload(i, 11);
  EXPECT_EQ(Released(), "1:2200 2:2200 3:2200 ");
}

TEST_F(OwnFiguresTest, AVectorThatCountsItsHospitalTwiceIsRefusedByName) {
  Offer twice = Contribution(2, 22);
  Bytes words = twice.vector.content;
  words[words.size() - 8] = 2;
  twice.vector = InlineBlob(words);
  study_->OnOffer(2, twice, now_);
  Take();
  EXPECT_EQ(Last<Refused>(2)->reason, Reason::kMalformed);
  Upload(1, 11);
  Upload(3, 33);
  EXPECT_EQ(Released(), "1:2200 3:6600 ");
  EXPECT_EQ(Last<Release>(1)->absent.front(), (Absence{2, Reason::kMalformed}));
}

}  // namespace
}  // namespace consilium::coordinator
