// The node's pure core: bytes, requests and time in; one transaction, sends and jobs out. It owns the participants (one
// a study), the ledger and the consent; sockets, threads, clocks and files belong to daemon.cc (or to the simulator).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/roster/roster.h"
#include "common/turn/turn.h"
#include "hospital_node/data/workbench.h"
#include "hospital_node/gate/policy.h"

namespace consilium::node {

struct ServiceOptions {
  IdentityKey identity;
  TransportKey transport;  // This node's TK: finds itself in the roster.
  // The core stops, and sets *keys_replaced, when a roster gives up this TK, and when the coordinator admits it no more
  // while another one is at hand.
  std::optional<TransportKey> other_transport = {};
  bool* keys_replaced = nullptr;
  TransportKey server_key;
  Digest roster_fingerprint;  // First trust: H of roster 0.
  std::string name, build;
  SitePolicy policy;
  Stored stored;  // state: roster/<seq>, dataset/<name>, study/<id>; chains ledger, audit
  // A chain that was verified in this process, for a simulation of many nodes; instead of stored rosters.
  std::optional<RosterChain> verified = {};
  const Storage* storage = nullptr;  // Read only, for rows of chains.
  BlobStore* blobs = nullptr;
  const Workbench* workbench = nullptr;
};

class Service : public Core {
 public:
  static Result<std::unique_ptr<Service>> Create(ServiceOptions options, Now now);
};

}  // namespace consilium::node
