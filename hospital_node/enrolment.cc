#include "hospital_node/enrolment.h"

#include <fmt/format.h>

#include "common/wire/codec.h"

namespace consilium::node {
namespace {

Error Explain(Reason reason, const EnrolmentOptions& options) {
  switch (reason) {
    case Reason::kBadToken:
      return {Code::kUnauthorised,
              fmt::format("the coordinator does not accept this token: it is spent, expired or not its own; ask the "
                          "officer for a new one (consilium invite {})",
                          options.name)};
    case Reason::kNameTaken:
      return {Code::kConflict,
              fmt::format("a hospital called {} is enrolled already; ask the officer for a token with another name",
                          options.name)};
    default:
      return {Code::kProtocol, fmt::format("the coordinator refused to enrol {}: {}", options.name, Name(reason))};
  }
}

Result<RosterChain> Follow(const std::vector<SignedRoster>& rosters, const Digest& fingerprint) {
  if (rosters.empty()) return Fail(Code::kProtocol, "the coordinator sent no roster");
  RosterChain chain = TRY(RosterChain::Found(rosters.front(), fingerprint));
  for (std::size_t i = 1; i < rosters.size(); ++i) TRY(chain.Extend(rosters[i]));
  return chain;
}

}  // namespace

PutState RosterState(const SignedRoster& roster, std::uint64_t seq) {
  return {"roster", fmt::format("{:020}", seq), Encode(roster)};
}

TurnResult Enrolment::Turn(std::vector<Event> events, Now now) {
  TurnResult result;
  if (!deadline_) deadline_ = now.instant + options_.patience;
  for (const Event& event : events) {
    if (outcome_->has_value()) break;
    if (const auto* connected = std::get_if<PeerConnected>(&event)) {
      result.sends.emplace_back(Send{connected->peer, options_.frame});
    } else if (const auto* lost = std::get_if<PeerLost>(&event)) {
      last_loss_ = lost->reason;
      // The token's key is the only credential: a key that ZAP refuses will not be accepted by trying again.
      if (lost->reason == "key refused") End(std::unexpected(Explain(Reason::kBadToken, options_)), &result);
    } else if (const auto* frame = std::get_if<FrameReceived>(&event)) {
      OnFrame(frame->frame, &result);
    }
  }
  if (!outcome_->has_value() && now.instant >= *deadline_) {
    End(Fail(Code::kUnreachable,
             fmt::format("{} does not answer ({}); check that the coordinator runs and that this machine may dial "
                         "that port, then type the same command again",
                         options_.endpoint, last_loss_.empty() ? "no answer" : last_loss_)),
        &result);
  }
  result.wake = deadline_;
  result.stop = outcome_->has_value();
  return result;
}

// The sender's identity key is in the rosters themselves; until then CURVE, with the server key from the token, stands
// behind a frame. Nothing is kept before roster 0 has the token's fingerprint and the frame verifies under its key.
void Enrolment::OnFrame(ByteView frame, TurnResult* result) {
  const auto message = ReadBeforeTrust(frame);
  if (!message) return End(std::unexpected(message.error()), result);
  if (const auto* refused = std::get_if<Refused>(&*message))
    return End(std::unexpected(Explain(refused->reason, options_)), result);
  const auto* update = std::get_if<RosterUpdate>(&*message);
  if (update == nullptr || update->first != 0) return;
  std::vector<SignedRoster> rosters;
  for (const Blob& blob : update->rosters) {
    auto roster = ParseSignedRoster(blob.content);
    if (!roster) return End(std::unexpected(roster.error()), result);
    rosters.push_back(std::move(*roster));
  }
  OnRosters(frame, rosters, result);
}

void Enrolment::OnRosters(ByteView frame, const std::vector<SignedRoster>& rosters, TurnResult* result) {
  const auto chain = Follow(rosters, options_.roster_fingerprint);
  if (!chain) return End(std::unexpected(chain.error()), result);
  if (const auto verified = ReadFrame(frame, chain->current().server_identity); !verified) {
    return End(std::unexpected(verified.error()), result);
  }
  for (std::size_t seq = 0; seq < rosters.size(); ++seq)
    result->transaction.emplace_back(RosterState(rosters[seq], seq));
  End({}, result);
}

void Enrolment::End(Status status, TurnResult* result) {
  if (!outcome_->has_value()) *outcome_ = std::move(status);
  result->stop = true;
}

}  // namespace consilium::node
