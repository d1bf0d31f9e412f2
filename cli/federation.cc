#include "cli/federation.h"

#include <fmt/format.h>

#include "common/settings/terminal.h"

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

Result<Proposal> ProposeRoster(const Api& api, const Change& change) {
  std::string query = change.revoke.empty() ? "" : "&revoke=" + UrlEncode(change.revoke);
  for (const std::string& name : change.add) query += (query.empty() ? "&add=" : ",") + UrlEncode(name);
  if (change.valid_days > 0) query += fmt::format("&valid_days={}", change.valid_days);
  const Value answer = TRY(api.Get("/v1/roster/next?" + query.substr(1)));
  Proposal proposal;
  proposal.roster = TRY(FromBase64(answer["roster"].AsString()));
  proposal.founder = answer["founder"].AsBool();
  const Roster roster = TRY(ParseRoster(proposal.roster));
  // What is shown to the officer of the hospital itself comes from the very bytes that are signed.
  std::vector<std::string> names = change.add;
  if (!change.revoke.empty()) names.push_back(change.revoke);
  for (const std::string& name : names) {
    const Member* member = roster.ByName(name);
    if (member == nullptr || member->revoked != (name == change.revoke)) {
      return Fail(
          Code::kProtocol,
          fmt::format("the coordinator proposes a roster that is not what was asked for {}; nothing was signed", name));
    }
    const std::string words = Fingerprint(member->identity, member->transport);
    proposal.name += (proposal.name.empty() ? "" : ", ") + name;
    proposal.words += (proposal.words.empty() ? "" : ", ") + words;
    proposal.text += fmt::format("{}'s fingerprint:\n\n    {}\n\n", Printable(name), words);
  }
  for (const Value& line : answer["changes"].AsArray()) proposal.text += Printable(line.AsString()) + "\n";
  for (const Value& entry : answer["membership"].AsArray()) {
    proposal.membership.push_back({TRY(VerifyKey::FromHexText(entry["key"].AsString())),
                                   TRY(Signature::FromHexText(entry["signature"].AsString()))});
  }
  return proposal;
}

Result<Value> SignProposal(const Api& api, const Proposal& proposal, const IdentityKey* officer) {
  const Roster roster = TRY(ParseRoster(proposal.roster));
  std::vector<RosterSignature> signatures = proposal.membership;
  if (officer != nullptr) {
    if (roster.founder != officer->verify_key()) {
      return Fail(Code::kRefused,
                  fmt::format("the stored officer key is not the officer of {}; log in again with --officer-key of "
                              "that federation's officer",
                              roster.federation));
    }
    signatures.push_back(SignRoster(proposal.roster, *officer));
  }
  Value list = Value(Value::Array());
  for (const RosterSignature& s : signatures)
    list.Push(Value().Set("key", s.key.Hex()).Set("signature", s.signature.Hex()));
  return api.Post("/v1/roster", Value().Set("roster", Base64(proposal.roster)).Set("signatures", list));
}

}  // namespace consilium::cli
