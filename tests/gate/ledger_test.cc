// The ledger is what its rows say, survives a restart as it was, and is locked by anything that does not add up.
#include "hospital_node/gate/ledger.h"

#include <gtest/gtest.h>

#include "tests/memory.h"

namespace consilium::node {
namespace {

StudyId Study(std::uint8_t n) {
  StudyId study;
  study.bytes.fill(n);
  return study;
}
LedgerRow Row(LedgerRow::Kind kind, std::uint8_t study, std::uint32_t first, std::uint32_t last,
              std::int64_t wall_ms = 5) {
  return {kind, Study(study), first, last, std::string(kNoMechanism), 0, 0, wall_ms};
}
LedgerRow Reserve(std::uint8_t study, std::uint32_t last) { return Row(LedgerRow::Kind::kReserve, study, 1, last); }
LedgerRow Commit(std::uint8_t study, std::uint32_t attempt) {
  return Row(LedgerRow::Kind::kCommit, study, attempt, attempt);
}

class LedgerTest : public testing::Test {
 protected:
  void Append(Ledger* ledger, LedgerRow row) { ASSERT_TRUE(storage_.Commit({ledger->Append(std::move(row))})); }
  Ledger Reload() { return Ledger::Load(&storage_, storage_.Load()->chains["ledger"]); }
  // Writes rows without the ledger's own judgement.
  void Force(const std::vector<LedgerRow>& rows) {
    for (const LedgerRow& row : rows) {
      ASSERT_TRUE(storage_.Commit({AppendChain{"ledger", storage_.Load()->chains["ledger"], Encode(row)}}));
    }
  }
  MemoryStorage storage_;
};

TEST_F(LedgerTest, CountsWhatWasReservedCommittedAndReleasedAcrossARestart) {
  Ledger ledger = Reload();
  EXPECT_EQ(ledger.Find(Study(1)), nullptr);
  Append(&ledger, Reserve(1, 22));
  Append(&ledger, Reserve(2, 5));
  Append(&ledger, Commit(1, 1));
  Append(&ledger, Commit(1, 3));
  Append(&ledger, Row(LedgerRow::Kind::kRelease, 1, 4, 22));
  for (const Ledger& l : {ledger, Reload()}) {
    EXPECT_FALSE(l.locked()) << l.lock();
    EXPECT_EQ(l.head().seq, 5U);
    ASSERT_NE(l.Find(Study(1)), nullptr);
    EXPECT_EQ(l.Find(Study(1))->reserved, 22U);
    EXPECT_EQ(l.Find(Study(1))->committed, 2U);
    EXPECT_EQ(l.Find(Study(1))->last_committed, 3U);
    EXPECT_EQ(l.Find(Study(1))->released(), 19U);
    EXPECT_EQ(l.Find(Study(1))->available(), 3U);
    EXPECT_EQ(l.Find(Study(2))->available(), 5U);
  }
  EXPECT_EQ(ledger.head(), Reload().head());
}

TEST_F(LedgerTest, WallTimeNeverGoesBack) {
  Ledger ledger = Reload();
  Append(&ledger, Row(LedgerRow::Kind::kReserve, 1, 1, 9, 1000));
  Append(&ledger, Row(LedgerRow::Kind::kCommit, 1, 1, 1, 400));
  EXPECT_EQ(DecodeLedgerRow(storage_.rows["ledger"][1])->wall_ms, 1000);
  EXPECT_FALSE(Reload().locked());
}

TEST_F(LedgerTest, AChangedRemovedOrExchangedRowLocks) {
  Ledger ledger = Reload();
  Append(&ledger, Reserve(1, 9));
  Append(&ledger, Commit(1, 1));
  Append(&ledger, Commit(1, 2));
  const std::vector<Bytes> good = storage_.rows["ledger"];
  const ChainHead head = ledger.head();

  storage_.rows["ledger"][1] = Encode(Commit(1, 3));
  EXPECT_TRUE(Ledger::Load(&storage_, head).locked());
  storage_.rows["ledger"] = {good[0], good[2], good[1]};
  EXPECT_TRUE(Ledger::Load(&storage_, head).locked());
  storage_.rows["ledger"] = {good[0], good[1]};
  EXPECT_TRUE(Ledger::Load(&storage_, head).locked());
  storage_.rows["ledger"] = {good[0], good[1], {1, 2, 3}};
  EXPECT_TRUE(Ledger::Load(&storage_, head).locked());
  storage_.rows["ledger"] = good;
  EXPECT_FALSE(Ledger::Load(&storage_, head).locked());
}

TEST_F(LedgerTest, AnHonestChainOfRowsThatDoNotAddUpLocks) {
  const auto locks = [&](const std::vector<LedgerRow>& rows) {
    storage_ = {};
    Force(rows);
    const Ledger ledger = Reload();
    EXPECT_EQ(ledger.locked(), !ledger.lock().empty());
    return ledger.locked();
  };
  EXPECT_TRUE(locks({Commit(1, 1)})) << "a commit without a reservation";
  EXPECT_TRUE(locks({Reserve(1, 3), Commit(1, 4)})) << "beyond the reservation";
  EXPECT_TRUE(locks({Reserve(1, 3), Commit(1, 2), Commit(1, 2)})) << "twice";
  EXPECT_TRUE(locks({Reserve(1, 3), Commit(1, 2), Commit(1, 1)})) << "back";
  EXPECT_TRUE(locks({Reserve(1, 3), Reserve(1, 9)})) << "reserved twice";
  EXPECT_TRUE(locks({Reserve(1, 3), Commit(1, 2), Row(LedgerRow::Kind::kRelease, 1, 2, 3)}))
      << "gives back what was used";
  EXPECT_TRUE(locks({Reserve(1, 3), Row(LedgerRow::Kind::kRelease, 1, 1, 3), Commit(1, 1)}))
      << "uses what was given back";
  EXPECT_TRUE(locks({Row(LedgerRow::Kind::kReserve, 1, 1, 3, 9), Row(LedgerRow::Kind::kCommit, 1, 1, 1, 8)}))
      << "dated back";
  EXPECT_FALSE(locks({Reserve(1, 3), Commit(1, 1), Commit(1, 3)}));
}

TEST_F(LedgerTest, ARecordAheadOfTheLedgerLocksAndSoDoesOneBehindIt) {
  Force({Reserve(1, 9), Commit(1, 4)});
  for (const std::uint32_t last_attempt : {3U, 4U, 5U}) {
    Ledger ledger = Reload();
    ledger.Confirm(Study(1), last_attempt);
    EXPECT_EQ(ledger.locked(), last_attempt != 4) << last_attempt;
  }
  Ledger ledger = Reload();
  ledger.Confirm(Study(2), 0);
  EXPECT_FALSE(ledger.locked()) << "a study that joined nothing";
}

// ---- the coordinator as a witness ----

TEST_F(LedgerTest, AWitnessOfMoreRowsOrOfOtherRowsLocks) {
  Ledger ledger = Reload();
  std::vector<ChainHead> heads = {ledger.head()};
  for (const LedgerRow& row : {Reserve(1, 9), Commit(1, 1), Commit(1, 2)}) {
    Append(&ledger, row);
    heads.push_back(ledger.head());
  }
  for (const ChainHead& head : heads) {
    EXPECT_FALSE(ledger.Witness(&storage_, head)) << "its own row " << head.seq;
    EXPECT_FALSE(ledger.locked());
  }
  for (const ChainHead& seen :
       {ChainHead{4, heads[3].hash}, ChainHead{3, heads[2].hash}, ChainHead{1, heads[2].hash}}) {
    Ledger copy = Reload();
    EXPECT_TRUE(copy.Witness(&storage_, seen)) << seen.seq;
    EXPECT_TRUE(copy.locked());
    EXPECT_EQ(copy.seen(), seen);
    EXPECT_FALSE(copy.Witness(&storage_, seen)) << "no news";
  }
}

TEST_F(LedgerTest, UnlockingLetsGoOfTheWitnessAndGivesNothingBackThatMayHaveBeenUsed) {
  Ledger ledger = Reload();
  Append(&ledger, Reserve(1, 9));
  Append(&ledger, Commit(1, 1));
  Append(&ledger, Reserve(2, 5));
  Append(&ledger, Row(LedgerRow::Kind::kRelease, 2, 1, 5));
  const ChainHead seen{7, Digest{}};
  ASSERT_TRUE(ledger.Witness(&storage_, seen));
  ASSERT_TRUE(storage_.Commit({}));
  for (AppendChain& write : ledger.Unlock({{Study(1), 1}}, 9)) ASSERT_TRUE(storage_.Commit({write}));
  Append(&ledger, Commit(1, 4));
  for (Ledger l : {ledger, Reload()}) {
    EXPECT_FALSE(l.locked()) << l.lock();
    EXPECT_EQ(l.head().seq, 6U) << "one UNLOCK row";
    EXPECT_EQ(l.unlocked(), seen);
    EXPECT_FALSE(l.Witness(&storage_, seen)) << "an officer let go of it";
    EXPECT_TRUE(l.Find(Study(1))->in_doubt);
    EXPECT_FALSE(l.Find(Study(2))->in_doubt) << "it had ended before";
    EXPECT_EQ(l.Find(Study(1))->last_committed, 4U);
    EXPECT_TRUE(l.Witness(&storage_, {8, Digest{}})) << "another one counts";
  }
}

TEST_F(LedgerTest, UnlockingADamagedChainKeepsItsRowsAndCountsWhatTheRecordsKnow) {
  Ledger good = Reload();
  for (const LedgerRow& row : {Reserve(1, 9), Commit(1, 1), Commit(1, 2), Reserve(2, 3)}) Append(&good, row);
  const std::vector<Bytes> rows = storage_.rows["ledger"];
  const struct {
    const char* what;
    std::function<void(std::vector<Bytes>&)> damage;
  } cases[] = {{"a changed row", [](auto& r) { r[1] = Encode(Commit(1, 5)); }},
               {"a row that does not parse", [](auto& r) { r[2] = {1, 2, 3}; }},
               {"a row that is gone", [](auto& r) { r.pop_back(); }},
               {"the RESERVE is no row any more", [](auto& r) { r[0] = {}; }}};
  for (const auto& c : cases) {
    storage_.rows["ledger"] = rows;
    c.damage(storage_.rows["ledger"]);
    Ledger ledger = Reload();
    ASSERT_TRUE(ledger.locked()) << c.what;
    MemoryStorage damaged = storage_;
    const std::size_t kept = damaged.rows["ledger"].size();
    damaged.rows["ledger"].resize(rows.size());  // As SQLite has it: the next row keeps its number.
    for (AppendChain& write : ledger.Unlock({{Study(1), 6}}, 9)) ASSERT_TRUE(damaged.Commit({write})) << c.what;
    if (kept < rows.size()) damaged.rows["ledger"][kept] = {9};
    const Ledger reloaded = Ledger::Load(&damaged, damaged.Load()->chains["ledger"]);
    EXPECT_FALSE(reloaded.locked()) << c.what << ": " << reloaded.lock();
    ASSERT_NE(reloaded.Find(Study(1)), nullptr) << c.what;
    EXPECT_EQ(reloaded.Find(Study(1))->last_committed, 6U) << c.what;
    EXPECT_TRUE(reloaded.Find(Study(1))->in_doubt) << c.what;
    damaged.rows["ledger"].back() = Encode(Commit(1, 8));  // Damage after it counts again.
    EXPECT_TRUE(Ledger::Load(&damaged, damaged.Load()->chains["ledger"]).locked()) << c.what;
  }
}

}  // namespace
}  // namespace consilium::node
