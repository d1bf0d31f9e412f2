// An officer's work: invite hospitals, compare fingerprints, sign the next roster.
#pragma once

#include <string>

#include "cli/session.h"
#include "common/roster/roster.h"

namespace consilium::cli {

// Makes a token here; the coordinator learns its public key only.
Result<Secret> Invite(const Api& api, const std::string& name, Duration valid);

// The next roster with hospital `name` in it, as the coordinator proposes it and this side checked it.
struct Proposal {
  Bytes roster;                             // Canonical.
  std::vector<RosterSignature> membership;  // By the hospital itself.
  std::string name, words;                  // The words are computed here, from the keys in the roster.
};
Result<Proposal> ProposeRoster(const Api& api, const std::string& name);
// Signs with the officer's key and posts. kRefused when the key is not the federation's officer.
Result<Value> SignProposal(const Api& api, const Proposal& proposal, const IdentityKey& officer);

}  // namespace consilium::cli
