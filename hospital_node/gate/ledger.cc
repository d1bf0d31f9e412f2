#include "hospital_node/gate/ledger.h"

#include <fmt/format.h>

#include "common/base/check.h"
#include "common/base/log.h"

namespace consilium::node {
namespace {

constexpr std::uint64_t kRowsAtOnce = 1000;

// Calls `take` with every row, in batches, so that a long ledger is never held whole.
Status EachRow(const Storage* storage, std::uint64_t rows, const std::function<Status(ByteView)>& take) {
  if (rows > 0 && storage == nullptr) return Fail(Code::kCorrupt, "the ledger's rows cannot be read");
  for (std::uint64_t first = 1; first <= rows; first += kRowsAtOnce) {
    const std::uint64_t last = std::min(rows, first + kRowsAtOnce - 1);
    const auto batch = TRY(storage->Rows(std::string(kLedgerChain), first, last));
    if (batch.size() != last - first + 1)
      return Fail(Code::kCorrupt, fmt::format("rows {}..{} are not all there", first, last));
    for (const Bytes& row : batch) TRY(take(row));
  }
  return {};
}

}  // namespace

Ledger Ledger::Load(const Storage* storage, const ChainHead& head) {
  Ledger ledger;
  ChainHead replayed;
  const Status loaded = EachRow(storage, head.seq, [&](ByteView bytes) -> Status {
    replayed = ChainNext(replayed, bytes);
    const LedgerRow row = TRY(DecodeLedgerRow(bytes));
    return ledger.Take(row);
  });
  ledger.head_ = head;
  if (!loaded) {
    ledger.Lock(loaded.error().what);
  } else if (replayed != head) {
    ledger.Lock("its rows do not lead to its head: a row was changed, removed or exchanged");
  }
  return ledger;
}

void Ledger::Lock(std::string why) {
  if (locked()) return;
  lock_ = std::move(why);
  Log(LogLevel::kError, "ledger_locked", {{"why", lock_}});
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
  if (row.first_attempt == 0 || row.last_attempt < row.first_attempt) return bad("an empty range");
  if (row.wall_ms < last_wall_ms_) return bad("dated before the row above it");
  last_wall_ms_ = row.wall_ms;
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
  }
  return bad("an unknown kind");
}

}  // namespace consilium::node
