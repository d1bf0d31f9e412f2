#include "cli/federation.h"

#include <fmt/format.h>

namespace consilium::cli {

Result<Secret> Invite(const Api& api, const std::string& name, Duration valid) {
  TRY(CheckHospitalName(name));
  const Value status = TRY(api.Get("/v1/status"));
  Token token;
  token.secret = Secret::Random(16);
  token.name = name;
  token.federation = status["federation"].AsString();
  const CurveKey key = TokenKey(token);
  const std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(valid).count();
  const Value answer = TRY(api.Post(
      "/v1/invitations", Value().Set("name", name).Set("key", key.public_key().Hex()).Set("expires_s", seconds)));
  token.endpoint = answer["endpoint"].AsString();
  token.server = TRY(TransportKey::FromHexText(answer["server_key"].AsString()));
  token.roster_fingerprint = TRY(Digest::FromHexText(answer["roster_fingerprint"].AsString()));
  TRY(CheckEndpoint(token.endpoint));
  if (!CheckFederationName(token.federation))
    return Fail(Code::kProtocol, "the coordinator names no federation; is its address right?");
  return FormatToken(token);
}

Result<Proposal> ProposeRoster(const Api& api, const std::string& name) {
  const Value answer = TRY(api.Get("/v1/roster/next?add=" + UrlEncode(name)));
  Proposal proposal;
  proposal.roster = TRY(FromBase64(answer["roster"].AsString()));
  const Roster roster = TRY(ParseRoster(proposal.roster));
  // The last member is the added one; what is shown to the officer comes from the very bytes that are signed.
  if (roster.members.empty() || roster.members.back().name != answer["name"].AsString()) {
    return Fail(Code::kProtocol,
                fmt::format("the coordinator proposes a roster that does not add {}; nothing was signed", name));
  }
  const Member& added = roster.members.back();
  proposal.name = added.name;
  proposal.words = Fingerprint(added.identity, added.transport);
  for (const Value& entry : answer["membership"].AsArray()) {
    proposal.membership.push_back({TRY(VerifyKey::FromHexText(entry["key"].AsString())),
                                   TRY(Signature::FromHexText(entry["signature"].AsString()))});
  }
  return proposal;
}

Result<Value> SignProposal(const Api& api, const Proposal& proposal, const IdentityKey& officer) {
  const Roster roster = TRY(ParseRoster(proposal.roster));
  if (roster.founder != officer.verify_key()) {
    return Fail(Code::kRefused,
                fmt::format("the stored officer key is not the officer of {}; log in again with --officer-key of that "
                            "federation's officer",
                            roster.federation));
  }
  std::vector<RosterSignature> signatures = {SignRoster(proposal.roster, officer)};
  signatures.insert(signatures.end(), proposal.membership.begin(), proposal.membership.end());
  Value list = Value(Value::Array());
  for (const RosterSignature& s : signatures)
    list.Push(Value().Set("key", s.key.Hex()).Set("signature", s.signature.Hex()));
  return api.Post("/v1/roster", Value().Set("roster", Base64(proposal.roster)).Set("signatures", list));
}

}  // namespace consilium::cli
