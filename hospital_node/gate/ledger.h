// The hospital's ledger: which attempts of which study were reserved, committed and released. It is a hash chain,
// rebuilt from its rows at start; a chain that is broken, that goes back, that the records are ahead of or that the
// coordinator has seen more of is locked: nothing is computed here until an officer has looked.
//
//   RESERVE 1..T at approval -> COMMIT a..a with every attempt joined -> RELEASE of what was not used, at the end
//   UNLOCK: an officer's word that the rows before it stand as they are
#pragma once

#include <map>
#include <string>

#include "common/turn/turn.h"
#include "common/wire/records.h"

namespace consilium::node {

inline constexpr std::string_view kLedgerChain = "ledger";
inline constexpr std::string_view kNoMechanism = "none";  // No differential privacy: attempts are counted all the same.

class Ledger {
 public:
  struct Account {  // Of one study.
    std::string mechanism;
    std::uint32_t reserved = 0;   // Attempts 1..reserved.
    std::uint32_t committed = 0;  // How many.
    std::uint32_t last_committed = 0;
    std::uint32_t released_from = 0;  // Attempts from here on were given back; 0 when none.
    bool in_doubt = false;  // Rows of it may be lost: what is reserved counts as used and is never given back.
    [[nodiscard]] std::uint32_t released() const { return released_from == 0 ? 0 : reserved - released_from + 1; }
    [[nodiscard]] std::uint32_t available() const { return reserved - released(); }  // Attempts 1..available.
  };

  // Rows 1..head.seq as stored. Whatever is wrong with those after the last UNLOCK locks.
  static Ledger Load(const Storage* storage, const ChainHead& head);

  // The records say that this study's last joined attempt is `last_attempt`; a ledger that knows of fewer (a restored
  // copy) or more locks.
  void Confirm(const StudyId& study, std::uint32_t last_attempt);

  // The highest head that the coordinator was told. One that is neither a row of this ledger nor let go of by an
  // officer means that this directory was put back to an earlier state, so that what has left since is not counted
  // here: locks. True when that is news.
  bool Witness(const Storage* storage, const ChainHead& seen);
  void Lock(std::string why);  // The first reason stays.

  // An officer has looked: the rows stand as they are. What may be lost of them counts as used: in studies whose
  // records know of more attempts (`last_attempts`) those are committed, and after a witness's lock nothing that is
  // reserved now is given back. Writes to append, in order. Only while locked.
  std::vector<AppendChain> Unlock(const std::map<StudyId, std::uint32_t>& last_attempts, std::int64_t wall_ms);

  [[nodiscard]] const Account* Find(const StudyId& study) const;
  [[nodiscard]] const std::map<StudyId, Account>& accounts() const { return accounts_; }
  [[nodiscard]] const ChainHead& head() const { return head_; }
  [[nodiscard]] std::int64_t last_wall_ms() const { return last_wall_ms_; }  // Of the last row; 0 without one.
  [[nodiscard]] bool locked() const { return !lock_.empty(); }
  [[nodiscard]] const ChainHead& seen() const { return seen_; }          // The witness that locked; zero when none did.
  [[nodiscard]] const ChainHead& unlocked() const { return unlocked_; }  // The last one that an officer let go of.
  [[nodiscard]] const std::string& lock() const { return lock_; }        // Why, for people; "" when it is not.

  // The write that appends this row; wall time never goes back below the last row's. Not while locked.
  AppendChain Append(LedgerRow row);

 private:
  Status Take(const LedgerRow& row);

  std::map<StudyId, Account> accounts_;
  ChainHead head_;
  std::int64_t last_wall_ms_ = 0;
  std::string lock_;
  ChainHead seen_, unlocked_;
};

}  // namespace consilium::node
