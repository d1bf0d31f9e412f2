// The set-up id and the sum context are those of the protocol's known answers, for both variants; every field of an
// attempt changes its context; the visible profile's server names survivors only at the quorum.
#include "common/secagg/variant.h"

#include <gtest/gtest.h>

namespace consilium {
namespace {

Digest D(std::string_view hex) { return *Digest::FromHexText(hex); }

struct Slot {
  std::uint32_t slot, round, attempt;
  std::vector<std::uint32_t> cohort;
  std::string query, last_release;  // Stand-ins; "" for the first sum.
  std::string context;
};

SetupFields GoldenSetup(std::uint32_t counter, std::uint32_t slots, std::uint32_t t,
                        std::vector<std::uint32_t> cohort) {
  const auto n = static_cast<std::uint32_t>(cohort.size());
  return {.federation = "golden federation",
          .roster = D("2a5b532389fa7c742639968bb9685dd7d54a632c15f0bf5366053d45b9e22e5e"),
          .plan = D("c472852c5755766422cffad74883d4bf899912e680c4bc0592afe9fab9d844cd"),
          .counter = counter,
          .slots = slots,
          .n = n,
          .t = t,
          .m = t,
          .cohort = std::move(cohort)};
}

SumFields Sum(const Digest& sid, const Digest& h1, const Bytes& h2, const Slot& slot) {
  return {.sid = sid,
          .h1 = ToBytes(h1),
          .h2 = h2,
          .slot = slot.slot,
          .round = slot.round,
          .attempt = slot.attempt,
          .query = Blake2b(View(slot.query)),
          .last_release = slot.last_release.empty() ? Digest{} : Blake2b(View(slot.last_release)),
          .cohort = slot.cohort};
}

TEST(Context, StraightKnownAnswers) {
  const Digest sid = SetupId(GoldenSetup(7, 4, 0, {1, 2, 3, 4}));
  EXPECT_EQ(sid.Hex(), "91a61d9b60f275d62d48e8d9f07128098ef50efe37d38f616026751cd822c43d");
  const Digest h1 = D("1d550e3c4b7347ce518d39d2bfd6c455e669d77a26d2585ff189f760a6331268");
  const std::vector<Slot> slots = {
      {0,
       1,
       2,
       {1, 2, 3, 4},
       "golden query straight 0",
       "",
       "dd0e0aa1be47b2d2b7cb4331d0e44f9e93344f423c525582d657bd39244e62bc"},
      {1,
       2,
       5,
       {1, 2, 4},
       "golden query straight 1",
       "golden R6 straight 1",
       "f0f3b617b1133aad1db292fb231d029437c2bfc93a8260a6f41f23642f7c50d5"},
      {3,
       3,
       7,
       {1, 2, 3, 4},
       "golden query straight 3",
       "golden R6 straight 2",
       "e4f2afaf4d31942ae20d4fb7c32105877dd5b5004439274f6c9694c8036cf5a2"},
  };
  for (const Slot& slot : slots) EXPECT_EQ(SumContext(Sum(sid, h1, {}, slot)).Hex(), slot.context);
}

TEST(Context, Hsa1KnownAnswers) {
  const Digest sid = SetupId(GoldenSetup(8, 2, 4, {2, 3, 5, 8, 9}));
  EXPECT_EQ(sid.Hex(), "8bd346cefb64a481fb81d50074334a78fe9f4e7a195e312ba244d42c9926e0f7");
  const Digest h1 = D("c4274e546e8a9add1b046f6a92679f5718cc47b837efc3ffd18d5f382593db2c");
  const Bytes h2 = ToBytes(D("dee7fe92b7ec499d2441450b877de45eed90602680269e817ed80f02751faa9b"));
  const std::vector<Slot> slots = {
      {0,
       1,
       3,
       {2, 3, 5, 8, 9},
       "golden query hsa1 0",
       "",
       "ac3b617bd67bf07c063101f222c5f6c464236de6c2f49d1f3a617c6c9f74ac2b"},
      {1,
       2,
       4,
       {2, 3, 5, 8, 9},
       "golden query hsa1 1",
       "golden R6 hsa1 1",
       "06309098292026cdea6f3fc388a44b640568949aa82306615055a897b868f56e"},
  };
  for (const Slot& slot : slots) EXPECT_EQ(SumContext(Sum(sid, h1, h2, slot)).Hex(), slot.context);
}

TEST(Context, PlainIsASetupOfItsOwnCohort) {
  const Digest roster = Blake2b(View("roster")), query = Blake2b(View("query")), release = Blake2b(View("release"));
  StudyId study;
  study.bytes.fill(9);
  SetupFields setup{.federation = "f", .roster = roster, .plan = {}, .n = 3, .cohort = {1, 2, 5}};
  setup.plan.bytes = study.bytes;
  SumFields sum;
  sum.sid = SetupId(setup);
  sum.round = 4;
  sum.attempt = 6;
  sum.query = query;
  sum.last_release = release;
  sum.cohort = {1, 2, 5};
  EXPECT_EQ(PlainContext("f", roster, study, 4, 6, query, release, {1, 2, 5}), SumContext(sum));
}

TEST(Context, EveryFieldOfAnAttemptChangesIt) {
  const Digest a = Blake2b(View("a")), b = Blake2b(View("b"));
  const StudyId study{}, other = *StudyId::From(b);
  const std::set<Digest> all = {
      PlainContext("f", a, study, 1, 1, a, a, {1, 2}), PlainContext("g", a, study, 1, 1, a, a, {1, 2}),
      PlainContext("f", b, study, 1, 1, a, a, {1, 2}), PlainContext("f", a, other, 1, 1, a, a, {1, 2}),
      PlainContext("f", a, study, 2, 1, a, a, {1, 2}), PlainContext("f", a, study, 1, 2, a, a, {1, 2}),
      PlainContext("f", a, study, 1, 1, b, a, {1, 2}), PlainContext("f", a, study, 1, 1, a, b, {1, 2}),
      PlainContext("f", a, study, 1, 1, a, a, {1, 3}), PlainContext("f", a, study, 1, 1, a, a, {1, 2, 3}),
  };
  EXPECT_EQ(all.size(), 10U);
}

TEST(PlainServer, NamesSurvivorsAtTheQuorumAndNobodyBelowIt) {
  const PlainServer server({1, 2, 4, 7}, 3);
  EXPECT_TRUE(server.Survivors({}).empty());
  EXPECT_TRUE(server.Survivors({1, 7}).empty());
  EXPECT_EQ(server.Survivors({7, 1, 4}), (std::vector<std::uint32_t>{1, 4, 7}));
  EXPECT_EQ(server.Survivors({1, 2, 4, 7}), (std::vector<std::uint32_t>{1, 2, 4, 7}));
}

TEST(PlainServer, AStrangerNeitherCountsNorSurvives) {
  const PlainServer server({1, 2, 4}, 2);
  EXPECT_TRUE(server.Survivors({1, 3, 9}).empty());
  EXPECT_EQ(server.Survivors({1, 3, 4}), (std::vector<std::uint32_t>{1, 4}));
}

TEST(PlainServer, CompleteWhenAllOfTheCohortAreIn) {
  const PlainServer server({1, 2, 4}, 2);
  EXPECT_FALSE(server.Complete({1, 2}));
  EXPECT_TRUE(server.Complete({1, 2, 4}));
}

TEST(PlainClient, LeavesTheWordsAsTheyAre) {
  Bytes tile = {1, 2, 3, 4};
  PlainClient().Mask(tile, 16);
  EXPECT_EQ(tile, (Bytes{1, 2, 3, 4}));
}

TEST(PlainServerDeathTest, AQuorumOfOneIsABug) { EXPECT_DEATH(PlainServer({1, 2}, 1), "quorum"); }

}  // namespace
}  // namespace consilium
