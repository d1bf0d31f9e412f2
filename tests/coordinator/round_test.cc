// One attempt at a sum: who is counted, who is refused, when it ends.
#include "coordinator/round.h"

#include <gtest/gtest.h>

#include "common/privacy/encode.h"

namespace consilium::coordinator {
namespace {

using Do = Round::Verdict::Do;

Query SmallQuery() {
  Query query;
  query.round = 1;
  query.kind = "describe";
  query.params = Value(Value::Object{});
  query.Append("rows", 1, Role::kCount, 1000, 3);
  query.Finish();
  return query;
}

Bytes Ones(const Query& query) {
  Bytes words(query.WireBytes());
  for (std::size_t at = 0; at < words.size(); at += 8) words[at] = 1;
  return words;
}

class RoundTest : public testing::Test {
 protected:
  RoundTest() {
    RoundRecord record;
    record.round = 1;
    record.attempt = 7;
    record.cohort = {1, 2, 3};
    options_ = {record, SmallQuery(), Blake2b(View("context")), 2, Instant{}, std::chrono::seconds(60)};
  }
  Offer Upload(std::uint8_t variant = 1) const {
    Bytes words = Ones(options_.query);
    words[0] = variant;
    return {{}, 7, options_.context, InlineBlob(words)};
  }
  static void Add(Round* round, std::uint32_t from, const Offer& offer) {
    ASSERT_EQ(round->OnOffer(from, offer).act, Do::kAdd);
    ASSERT_TRUE(round->BeginFold(from, offer.vector.root));
    round->EndFold(from, true);
  }
  RoundOptions options_;
};

TEST_F(RoundTest, EndsAsSoonAsAllHaveUploaded) {
  Round round(options_);
  for (std::uint32_t i : {1, 2, 3}) Add(&round, i, Upload());
  round.OnTime(Instant{});
  EXPECT_EQ(round.state(), Round::State::kDone);
  EXPECT_EQ(round.survivors(), (std::vector<std::uint32_t>{1, 2, 3}));
  EXPECT_TRUE(round.Absent().empty());
  EXPECT_FALSE(round.NextDeadline().has_value());
}

TEST_F(RoundTest, CountsNobodyTwice) {
  Round round(options_);
  Add(&round, 1, Upload());
  EXPECT_EQ(round.OnOffer(1, Upload()).act, Do::kReceipt) << "the same bytes again get the same receipt";
  EXPECT_FALSE(round.BeginFold(1, Upload().vector.root));
  const Round::Verdict other = round.OnOffer(1, Upload(9));
  EXPECT_EQ(other.act, Do::kRefuse);
  EXPECT_EQ(other.reason, Reason::kContext);
}

TEST_F(RoundTest, RefusesStrangersAndOtherContextsAndLengths) {
  Round round(options_);
  EXPECT_EQ(round.OnOffer(4, Upload()).reason, Reason::kCohort);
  Offer stale = Upload();
  stale.context = Blake2b(View("yesterday"));
  EXPECT_EQ(round.OnOffer(1, stale).reason, Reason::kContext);
  Offer cut = Upload();
  cut.vector = InlineBlob(ByteView(cut.vector.content).first(8));
  EXPECT_EQ(round.OnOffer(1, cut).reason, Reason::kMalformed);
}

TEST_F(RoundTest, LeavesALostHospitalOutAfterItsGraceWhenTheOthersSuffice) {
  Round round(options_);
  Add(&round, 1, Upload());
  Add(&round, 2, Upload());
  const Instant lost = Instant{} + std::chrono::seconds(1);
  round.OnLost(3, lost);
  round.OnTime(lost + kGrace - std::chrono::milliseconds(1));
  EXPECT_EQ(round.state(), Round::State::kCollecting);
  EXPECT_EQ(round.NextDeadline(), lost + kGrace);
  round.OnTime(lost + kGrace);
  ASSERT_EQ(round.state(), Round::State::kDone);
  EXPECT_EQ(round.survivors(), (std::vector<std::uint32_t>{1, 2}));
  ASSERT_EQ(round.Absent().size(), 1U);
  EXPECT_EQ(round.Absent()[0], (Absence{3, Reason::kOffline}));
}

TEST_F(RoundTest, TakesAHospitalBackWithinTheAttempt) {
  Round round(options_);
  Add(&round, 1, Upload());
  Add(&round, 2, Upload());
  round.OnLost(3, Instant{});
  round.OnBack(3);
  round.OnTime(Instant{} + kGrace);
  EXPECT_EQ(round.state(), Round::State::kCollecting);
  Add(&round, 3, Upload());
  round.OnTime(Instant{} + kGrace);
  EXPECT_EQ(round.survivors().size(), 3U);
}

TEST_F(RoundTest, FailsBelowTheQuorumAtTheDeadlineAndRevealsNothing) {
  Round round(options_);
  Add(&round, 1, Upload());
  round.OnTime(Instant{} + options_.deadline);
  EXPECT_EQ(round.state(), Round::State::kFailed);
  EXPECT_EQ(round.failure(), Reason::kQuorum);
  EXPECT_TRUE(round.survivors().empty());
}

TEST_F(RoundTest, FailsAtOnceWhenTooManyDecline) {
  Round round(options_);
  Add(&round, 1, Upload());
  round.OnDeclined(2, Reason::kPolicy);
  round.OnDeclined(3, Reason::kRejected);
  round.OnTime(Instant{});
  EXPECT_EQ(round.state(), Round::State::kFailed);
  EXPECT_EQ(round.Absent()[0].reason, Reason::kPolicy);
}

TEST_F(RoundTest, ASpoiltSumFailsTheAttempt) {
  Round round(options_);
  const Offer offer = Upload();
  ASSERT_EQ(round.OnOffer(1, offer).act, Do::kAdd);
  ASSERT_TRUE(round.BeginFold(1, offer.vector.root));
  round.OnTime(Instant{} + options_.deadline);
  EXPECT_EQ(round.state(), Round::State::kCollecting) << "never concludes in the middle of an addition";
  round.EndFold(1, false);
  EXPECT_EQ(round.state(), Round::State::kFailed);
}

// ---- release = hospital ----

class OwnRoundTest : public RoundTest {
 protected:
  OwnRoundTest() {
    Query& query = options_.query;
    query = {};
    query.round = 1;
    query.kind = "evaluate";
    query.release = ReleaseTo::kHospital;
    query.Append("count", 2, Role::kCount, 1000, 1);
    query.Finish();
  }
  [[nodiscard]] Bytes Vector(std::uint8_t count, std::uint8_t counted = 1) const {
    Bytes words(options_.query.WireBytes());
    words[0] = count;
    words[words.size() - 8] = counted;
    return words;
  }
  // As the study does with an upload that came whole.
  bool Fold(Round* round, std::uint32_t from, const Bytes& vector) {
    const Offer offer{{}, 7, options_.context, InlineBlob(vector)};
    if (round->OnOffer(from, offer).act != Do::kAdd || !round->BeginFold(from, offer.vector.root)) return false;
    AddWords(Ring::kU64, std::span(*round->sum()).subspan(round->SlotOf(from), vector.size()), vector);
    round->EndFold(from, true);
    return round->Uploaded(from);
  }
};

TEST_F(OwnRoundTest, TheAnswerIsTheSurvivorsVectorsByNumberWhateverTheOrderOfArrival) {
  Round round(options_);
  EXPECT_EQ(round.sum()->size(), 3 * options_.query.WireBytes());
  EXPECT_TRUE(Fold(&round, 3, Vector(33)));
  EXPECT_TRUE(Fold(&round, 1, Vector(11)));
  round.OnDeclined(2, Reason::kFailedHere);
  round.OnTime(Instant{});
  ASSERT_EQ(round.state(), Round::State::kDone);
  const auto answer = Answer::Create(options_.query, round.survivors(), round.TakeWords());
  ASSERT_TRUE(answer) << answer.error().what;
  EXPECT_EQ(answer->survivors(), (std::vector<std::uint32_t>{1, 3}));
  Bytes expected = Vector(11), last = Vector(33);
  expected.insert(expected.end(), last.begin(), last.end());
  EXPECT_EQ(answer->words(), expected);
}

TEST_F(OwnRoundTest, ASecondUploadChangesNothing) {
  Round round(options_);
  EXPECT_TRUE(Fold(&round, 2, Vector(22)));
  const Offer same{{}, 7, options_.context, InlineBlob(Vector(22))},
      other{{}, 7, options_.context, InlineBlob(Vector(9))};
  EXPECT_EQ(round.OnOffer(2, same).act, Do::kReceipt);
  EXPECT_EQ(round.OnOffer(2, other).reason, Reason::kContext);
  EXPECT_TRUE(Fold(&round, 1, Vector(11)));
  EXPECT_TRUE(Fold(&round, 3, Vector(33)));
  round.OnTime(Instant{});
  const Bytes words = round.TakeWords();
  EXPECT_EQ(words[options_.query.WireBytes()], 22);
}

TEST_F(OwnRoundTest, AVectorThatDoesNotCountItsHospitalOnceIsNotTakenAndHarmsNobodyElse) {
  Round round(options_);
  EXPECT_FALSE(Fold(&round, 2, Vector(22, 2)));
  EXPECT_TRUE(Fold(&round, 1, Vector(11)));
  EXPECT_TRUE(Fold(&round, 3, Vector(33)));
  round.OnTime(Instant{});
  ASSERT_EQ(round.state(), Round::State::kDone);
  EXPECT_EQ(round.survivors(), (std::vector<std::uint32_t>{1, 3}));
  EXPECT_EQ(round.Absent().front(), (Absence{2, Reason::kMalformed}));
  EXPECT_TRUE(Answer::Create(options_.query, round.survivors(), round.TakeWords()));
}

TEST_F(OwnRoundTest, BelowTheQuorumNothingIsReleased) {
  Round round(options_);
  EXPECT_TRUE(Fold(&round, 2, Vector(22)));
  round.OnTime(Instant{} + options_.deadline);
  EXPECT_EQ(round.state(), Round::State::kFailed);
  EXPECT_TRUE(round.survivors().empty());
}

}  // namespace
}  // namespace consilium::coordinator
