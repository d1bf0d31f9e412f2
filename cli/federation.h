// An officer's work: invite hospitals, compare fingerprints, sign the next roster.
#pragma once

#include <string>
#include <vector>

#include "cli/session.h"
#include "common/roster/roster.h"

namespace consilium::cli {

// Makes a token here; the coordinator learns its public key only.
Result<Secret> Invite(const Api& api, const std::string& name, Duration valid);

// What the next roster shall change.
struct Change {
  std::vector<std::string> add;  // Enrolled hospitals; with valid_days also members.
  std::string revoke;
  int valid_days = 0;  // Of those added; 0: without end.
};
// The next roster, as the coordinator proposes it and this side checked it.
struct Proposal {
  Bytes roster;                             // Canonical.
  std::vector<RosterSignature> membership;  // By the added hospitals themselves.
  bool founder = false;                     // The founding officer decides, alone.
  std::string name, words;                  // Of each hospital named; computed here, from the keys in the roster.
  std::string text;                         // What is changed, for the officer; as the coordinator says.
};
Result<Proposal> ProposeRoster(const Api& api, const Change& change);
// Signs with the founding officer's key where there is one, and posts. kRefused when it is another's.
Result<Value> SignProposal(const Api& api, const Proposal& proposal, const IdentityKey* officer);

}  // namespace consilium::cli
