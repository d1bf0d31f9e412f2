// The coordinator's pure core: bytes, requests and time in; one transaction, sends and jobs out. It owns every study
// and every session; sockets, threads, clocks and files belong to daemon.cc (or to the simulator).
#pragma once

#include <memory>
#include <string>

#include "common/roster/roster.h"
#include "common/turn/turn.h"

namespace consilium::coordinator {

struct ServiceOptions {
  IdentityKey identity;     // Signs every message.
  TransportKey server_key;  // CURVE public key.
  std::string endpoint;     // What tokens tell hospitals: tcp://HOST:PORT.
  std::string build;
  Stored stored;  // state: roster/<seq>, draft/next, token/<name>, invitation/<name>, enrolment/<name>, study/<id>;
                  // chain audit
  const Storage* storage = nullptr;  // Read only, for rows of chains.
  BlobStore* blobs = nullptr;        // Read by jobs and for downloads; jobs Put answers.
};

class Service : public Core {
 public:
  // kCorrupt when stored bytes do not verify; says which and how to go on.
  static Result<std::unique_ptr<Service>> Create(ServiceOptions options, Now now);
};

// What `init` commits before the first start: roster 0, the admin token's hash.
std::vector<Write> FoundingWrites(const SignedRoster& roster0, std::string_view admin_token);

}  // namespace consilium::coordinator
