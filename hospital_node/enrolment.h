// Joining, as a pure core: sends one Enroll, takes the coordinator's rosters, and trusts them only when roster 0 is the
// one on the token.
//
//   Dialling -> Asked -> Done | Failed(error)
//
// The loop drives it like a node; it stops by itself.
#pragma once

#include <optional>

#include "common/roster/roster.h"
#include "common/turn/turn.h"

namespace consilium::node {

struct EnrolmentOptions {
  Bytes frame;                 // Enroll, signed; the same bytes at every try.
  std::string name, endpoint;  // For messages.
  TransportKey server_key;
  Digest roster_fingerprint;
  Duration patience = std::chrono::seconds(20);
};

// The state keys under which a node's rosters are kept.
PutState RosterState(const SignedRoster& roster, std::uint64_t seq);

class Enrolment : public Core {
 public:
  // `outcome` outlives the core and has a value once it has stopped.
  Enrolment(EnrolmentOptions options, std::optional<Status>* outcome)
      : options_(std::move(options)), outcome_(outcome) {}
  TurnResult Turn(std::vector<Event> events, Now now) override;

 private:
  void OnFrame(ByteView frame, TurnResult* result);
  void OnRosters(ByteView frame, const std::vector<SignedRoster>& rosters, TurnResult* result);
  void End(Status status, TurnResult* result);

  EnrolmentOptions options_;
  std::optional<Status>* outcome_;
  std::optional<Instant> deadline_;
  std::string last_loss_;
};

}  // namespace consilium::node
