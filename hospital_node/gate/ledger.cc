#include "hospital_node/gate/ledger.h"

#include <fmt/format.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/twin.h"

namespace consilium::node {
namespace {

constexpr std::uint64_t kRowsAtOnce = 1000;

// Calls `take` with every row, or without one where it is missing. In batches, so that a long ledger is never held
// whole.
Status EachRow(const Storage* storage, std::uint64_t rows, const std::function<void(const Bytes* row)>& take) {
  if (rows > 0 && storage == nullptr) return Fail(Code::kCorrupt, "the ledger's rows cannot be read");
  for (std::uint64_t first = 1; first <= rows; first += kRowsAtOnce) {
    const std::uint64_t last = std::min(rows, first + kRowsAtOnce - 1);
    const auto batch = TRY(storage->Rows(std::string(kLedgerChain), first, last));
    if (batch.size() == last - first + 1) {
      for (const Bytes& row : batch) take(&row);
      continue;
    }
    for (std::uint64_t seq = first; seq <= last; ++seq) {  // Some are missing: which?
      const auto one = TRY(storage->Rows(std::string(kLedgerChain), seq, seq));
      take(one.size() == 1 ? one.data() : nullptr);
    }
  }
  return {};
}

// The rows' chain. From an UNLOCK row on it goes on from the head that the officer saw.
class Replay {
 public:
  // Whether the row follows from the one above it.
  bool Next(const Bytes* row, const LedgerRow* parsed) {
    static const Bytes kMissing;
    const bool unlock = parsed != nullptr && parsed->kind == LedgerRow::Kind::kUnlock;
    const bool follows = row != nullptr && (!unlock || parsed->after == head_.hash);
    if (unlock) head_.hash = parsed->after;
    head_ = ChainNext(head_, row == nullptr ? kMissing : *row);
    return follows;
  }
  [[nodiscard]] const ChainHead& head() const { return head_; }

 private:
  ChainHead head_;
};

}  // namespace

Ledger Ledger::Load(const Storage* storage, const ChainHead& head) {
  Ledger ledger;
  Replay replay;
  std::string wrong;  // What is, since the last UNLOCK.
  const Status read = EachRow(storage, head.seq, [&](const Bytes* bytes) {
    const auto row =
        bytes == nullptr ? Result<LedgerRow>(Fail(Code::kCorrupt, "it is missing")) : DecodeLedgerRow(*bytes);
    replay.Next(bytes, row ? &*row : nullptr);
    if (row && row->kind == LedgerRow::Kind::kUnlock) wrong.clear();
    const Status taken = row ? ledger.Take(*row) : std::unexpected(row.error());
    if (!taken && wrong.empty()) wrong = fmt::format("row {}: {}", replay.head().seq, taken.error().what);
  });
  ledger.head_ = head;
  if (!read) {
    ledger.Lock(read.error().what);
  } else if (!wrong.empty()) {
    ledger.Lock(wrong);
  } else if (replay.head() != head) {
    ledger.Lock("its rows do not lead to its head: a row was changed, removed or exchanged");
  }
  return ledger;
}

bool Ledger::Witness(const Storage* storage, const ChainHead& seen) {
  if (Omitted(Twin::kWitness)) return false;
  if (seen.seq == 0 || seen == head_ || seen == unlocked_ || seen == seen_) return false;
  if (seen.seq <= head_.seq) {
    Replay replay;
    ChainHead own;
    const Status read = EachRow(storage, seen.seq, [&](const Bytes* bytes) {
      const auto row = bytes == nullptr ? Result<LedgerRow>(Fail(Code::kCorrupt, "missing")) : DecodeLedgerRow(*bytes);
      replay.Next(bytes, row ? &*row : nullptr);
      own = replay.head();
    });
    if (read && own == seen) return false;
  }
  seen_ = seen;
  Lock(seen.seq > head_.seq
           ? fmt::format("the coordinator has seen row {} of it, but it ends with row {} here", seen.seq, head_.seq)
           : fmt::format("the coordinator has seen another row {} than the one here", seen.seq));
  return true;
}

void Ledger::Lock(std::string why) {
  if (locked()) return;
  lock_ = std::move(why);
  Log(LogLevel::kError, "ledger_locked", {{"why", lock_}});
}

std::vector<AppendChain> Ledger::Unlock(const std::map<StudyId, std::uint32_t>& last_attempts, std::int64_t wall_ms) {
  CHECK(locked());
  lock_.clear();
  LedgerRow row;
  row.kind = LedgerRow::Kind::kUnlock;
  row.wall_ms = wall_ms;
  row.after = head_.hash;
  row.seen = seen_;
  std::vector<AppendChain> writes = {Append(row)};
  seen_ = {};
  row.seen = {};
  for (const auto& [study, last] : last_attempts) {
    const Account* account = Find(study);
    if (last <= (account == nullptr ? 0 : account->last_committed)) continue;
    row.study = study;
    row.first_attempt = 1;
    row.last_attempt = last;
    row.after = head_.hash;
    writes.push_back(Append(row));
  }
  return writes;
}

void Ledger::Confirm(const StudyId& study, std::uint32_t last_attempt) {
  const Account* account = Find(study);
  const std::uint32_t committed = account == nullptr ? 0 : account->last_committed;
  if (committed == last_attempt) return;
  Lock(fmt::format("study {}: the ledger's last attempt is {}, the study's record says {}", study.Hex(), committed,
                   last_attempt));
}

const Ledger::Account* Ledger::Find(const StudyId& study) const {
  const auto found = accounts_.find(study);
  return found == accounts_.end() ? nullptr : &found->second;
}

AppendChain Ledger::Append(LedgerRow row) {
  CHECK(!locked());
  row.wall_ms = std::max(row.wall_ms, last_wall_ms_);
  // A refusal here would be a bug of the gate; the row is written all the same, and the next start finds it and locks.
  if (const Status taken = Take(row); !taken) Log(LogLevel::kError, "ledger_row", {{"why", taken.error().what}});
  AppendChain write{std::string(kLedgerChain), head_, Encode(row)};
  head_ = ChainNext(head_, write.row);
  return write;
}

Status Ledger::Take(const LedgerRow& row) {
  const auto bad = [&](std::string_view why) {
    return Fail(Code::kCorrupt, fmt::format("study {}, attempts {}..{}: {}", row.study.Hex(), row.first_attempt,
                                            row.last_attempt, why));
  };
  if (row.wall_ms < last_wall_ms_) return bad("dated before the row above it");
  last_wall_ms_ = row.wall_ms;
  if (row.kind == LedgerRow::Kind::kUnlock && row.study.IsZero()) {
    unlocked_ = row.seen;
    if (row.seen.seq == 0) return {};
    for (auto& [study, account] : accounts_) account.in_doubt |= account.released_from == 0;
    return {};
  }
  if (row.first_attempt == 0 || row.last_attempt < row.first_attempt) return bad("an empty range");
  Account& account = accounts_[row.study];
  switch (row.kind) {
    case LedgerRow::Kind::kReserve:
      if (account.reserved != 0 || row.first_attempt != 1)
        return bad("reserved twice, or not from the first attempt on");
      account.mechanism = row.mechanism;
      account.reserved = row.last_attempt;
      return {};
    case LedgerRow::Kind::kCommit:
      if (row.last_attempt > account.available()) return bad("committed without being reserved");
      if (row.first_attempt <= account.last_committed) return bad("committed twice, or below the last commit");
      account.committed += row.last_attempt - row.first_attempt + 1;
      account.last_committed = row.last_attempt;
      return {};
    case LedgerRow::Kind::kRelease:
      if (account.released_from != 0 || row.last_attempt != account.reserved ||
          row.first_attempt <= account.last_committed) {
        return bad("gives back what is not its to give back");
      }
      account.released_from = row.first_attempt;
      return {};
    case LedgerRow::Kind::kUnlock:  // The study's record says that these were used.
      if (account.mechanism.empty()) account.mechanism = std::string(kNoMechanism);
      account.committed += row.last_attempt - std::min(account.last_committed, row.last_attempt);
      account.last_committed = std::max(account.last_committed, row.last_attempt);
      account.reserved = std::max(account.reserved, row.last_attempt);
      account.released_from = 0;
      account.in_doubt = true;
      return {};
  }
  return bad("an unknown kind");
}

}  // namespace consilium::node
