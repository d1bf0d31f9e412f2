// A roster, and what is proposed to follow it, for people.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>

#include "common/roster/roster.h"
#include "common/settings/terminal.h"

namespace consilium {
namespace {

std::string_view StateOf(const Member& member, std::int64_t wall_ms) {
  if (member.revoked) return "revoked";
  return member.ExpiredAt(wall_ms) ? "expired" : "member";
}

Value List(const std::vector<std::string>& texts) {
  Value out{Value::Array{}};
  for (const std::string& text : texts) out.Push(text);
  return out;
}

Value ProposalView(const RosterChain& chain, const SignedRoster& proposal) {
  const auto draft = chain.Examine(proposal);
  if (!draft) return {};
  Value out;
  out.Set("seq", draft->roster.seq).Set("hash", proposal.hash().Hex()).Set("roster", Base64(proposal.roster));
  out.Set("changes", List(draft->changes)).Set("signed_by", List(draft->signed_by));
  out.Set("needed", draft->electorate.m).Set("missing", draft->Missing()).Set("may_sign", List(draft->may_sign));
  return out;
}

std::string Cell(const Value& value) { return Printable(value.AsString()); }

std::string Joined(const Value& texts) {
  std::vector<std::string> out;
  for (const Value& text : texts.AsArray()) out.push_back(Cell(text));
  return out.empty() ? "nobody yet" : fmt::format("{}", fmt::join(out, ", "));
}

std::string RuleText(const Value& rule) {
  if (rule["founder"].AsBool())
    return "The founding officer alone signs the next roster, until three hospitals have officers.";
  return fmt::format("The next roster needs the officers of {} of {} hospitals.", rule["m"].AsInteger(),
                     rule["n"].AsInteger());
}

}  // namespace

std::string UtcDate(std::int64_t wall_ms) {
  const std::time_t seconds = static_cast<std::time_t>(wall_ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::string OfficerWords(const Member& member, const VerifyKey& officer) { return Fingerprint(officer, member.id); }

std::string DemoNotice(const RosterChain& chain) {
  if (chain.electorate().m > 1) return {};
  return "DEMO FEDERATION: ONE OFFICER ALONE DECIDES WHO IS A MEMBER";
}

Value RosterView(const RosterChain& chain, const SignedRoster* proposal, std::int64_t wall_ms) {
  const Roster& roster = chain.current();
  const Electorate electorate = chain.electorate();
  Value members{Value::Array{}};
  for (const Member& member : roster.members) {
    Value officers{Value::Array{}};
    for (const VerifyKey& officer : member.officers) {
      if (!officer.IsZero()) officers.Push(OfficerWords(member, officer));
    }
    Value item;
    item.Set("number", member.number).Set("name", member.name).Set("state", StateOf(member, wall_ms));
    item.Set("fingerprint", Fingerprint(member.identity, member.transport)).Set("officers", std::move(officers));
    members.Push(item.Set("valid_until_ms", member.valid_until_ms));
  }
  Value out;
  out.Set("federation", roster.federation).Set("seq", roster.seq).Set("hash", chain.hash().Hex());
  out.Set("roster", Base64(chain.current_signed().roster)).Set("notice", DemoNotice(chain));
  out.Set("rule", Value().Set("founder", electorate.founder).Set("n", electorate.n).Set("m", electorate.m));
  out.Set("members", std::move(members));
  return out.Set("proposal", proposal == nullptr ? Value() : ProposalView(chain, *proposal));
}

std::string RosterText(const Value& view) {
  std::string out;
  if (!view["notice"].AsString().empty()) out += Cell(view["notice"]) + "\n";
  out +=
      fmt::format("Roster {} of {}. {}\n", view["seq"].AsInteger(), Cell(view["federation"]), RuleText(view["rule"]));
  std::vector<std::vector<std::string>> table = {{"number", "name", "state", "officers", "keys until", "fingerprint"}};
  for (const Value& member : view["members"].AsArray()) {
    const std::int64_t until = member["valid_until_ms"].AsInteger();
    table.push_back({std::to_string(member["number"].AsInteger()), Cell(member["name"]), Cell(member["state"]),
                     std::to_string(member["officers"].AsArray().size()), until == 0 ? "-" : UtcDate(until),
                     Cell(member["fingerprint"])});
  }
  if (table.size() > 1) out += FormatTable(table);
  const Value& proposal = view["proposal"];
  if (!proposal.IsObject()) return out + "No change is proposed.";
  out += fmt::format("\nProposed as roster {}:\n", proposal["seq"].AsInteger());
  for (const Value& change : proposal["changes"].AsArray()) out += "  " + Cell(change) + "\n";
  out += fmt::format("Signed by {}.", Joined(proposal["signed_by"]));
  if (!proposal["missing"].AsString().empty()) out += fmt::format(" Still needed: {}.", Cell(proposal["missing"]));
  return out;
}

}  // namespace consilium
