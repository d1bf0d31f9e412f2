// `consilium-node roster`, `officer` and `key`: what a hospital's officers see of the federation's roster, sign, and
// propose. The officer's key is read here, by the officer's own command; the daemon only carries its signatures.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/roster/roster.h"
#include "hospital_node/commands.h"
#include "hospital_node/daemon.h"

namespace consilium::node {
namespace {

// The newest roster that this node holds, and this hospital in it.
struct Held {
  Value view;
  Roster roster;
  Digest hash;
  Member self;
};

Result<Held> Hold(const std::string& directory) {
  Held held;
  held.view = TRY(Ask(directory, "GET", "/v1/roster"));
  if (!held.view["federation"].IsString()) {
    return Fail(Code::kNotFound,
                "this node has no roster yet; it comes with the first connection: consilium-node run " + directory);
  }
  const Bytes bytes = TRY(FromBase64(held.view["roster"].AsString()));
  held.roster = TRY(ParseRoster(bytes));
  held.hash = Blake2b(bytes);
  const Member* self = held.roster.ByName(held.view["name"].AsString());
  if (self == nullptr || !held.view["number"].IsNumber()) {
    return Fail(Code::kRefused,
                fmt::format("{0} is not in the federation's roster yet; it is confirmed with: consilium "
                            "hospital confirm {0}",
                            held.view["name"].AsString()));
  }
  if (self->revoked)
    return Fail(Code::kRefused, fmt::format("{} was revoked; its officers have no say any more", self->name));
  held.self = *self;
  return held;
}

// Kept apart, for a proposal is made on the roster as it is.
Status RequireNoOther(const Held& held, const Bytes& roster) {
  const Value& proposal = held.view["proposal"];
  if (!proposal.IsObject() || proposal["roster"].AsString() == Base64(roster)) return {};
  return Fail(Code::kConflict, "another change of the roster is proposed; see it with: consilium-node roster show DIR");
}

Member& SelfIn(Roster* next, const Held& held) { return next->members[held.self.number - 1]; }

Roster Next(const Held& held) {
  Roster next = held.roster;
  next.seq += 1;
  next.previous = held.hash;
  return next;
}

Result<IdentityKey> OwnOfficer(const std::string& directory, const Held& held, const std::string& label) {
  IdentityKey key = TRY(LoadOfficerKey(directory, label));
  if (std::ranges::find(held.self.officers, key.verify_key()) != held.self.officers.end()) return key;
  return Fail(Code::kRefused,
              fmt::format("the key {} is no officer of {} in roster {}; choose another with --officer LABEL: "
                          "consilium-node officer list {}",
                          OfficerKeyFile(directory, label).string(), held.self.name, held.roster.seq, directory));
}

Result<Value> Post(const std::string& directory, ByteView roster, const std::vector<RosterSignature>& signatures) {
  Value list{Value::Array()};
  for (const RosterSignature& s : signatures)
    list.Push(Value().Set("key", s.key.Hex()).Set("signature", s.signature.Hex()));
  return Ask(directory, "POST", "/v1/roster", Value().Set("roster", Base64(roster)).Set("signatures", std::move(list)));
}

int Tell(const Terminal& terminal, const Result<Value>& answer, const std::string& after) {
  if (!answer) return terminal.Fail(answer.error());
  terminal.Document(*answer);
  const std::int64_t seq = (*answer)["seq"].AsInteger();
  if ((*answer)["complete"].AsBool()) {
    terminal.Say(fmt::format("Signed; roster {} is in force.{}", seq, after));
  } else {
    terminal.Say(
        fmt::format("Signed; roster {} is proposed. Still needed: {}. They type: consilium-node roster sign DIR", seq,
                    Printable((*answer)["missing"].AsString())));
  }
  return 0;
}

}  // namespace

int RosterShowCommand(const Terminal& terminal, const std::string& directory) {
  const auto view = Ask(directory, "GET", "/v1/roster");
  if (!view) return terminal.Fail(view.error());
  terminal.Document(*view);
  if (!(*view)["federation"].IsString()) {
    terminal.Say("This node has no roster yet; it comes with the first connection: consilium-node run " + directory);
    return 0;
  }
  std::string text = RosterText(*view);
  if ((*view)["proposal"].IsObject()) text += fmt::format("\nTo sign it: consilium-node roster sign {}", directory);
  if (!(*view)["connected"].AsBool())
    text += "\nThere is no connection with the coordinator now, so there may be news.";
  terminal.Say(text);
  return 0;
}

int RosterSignCommand(const Terminal& terminal, const std::string& directory, const std::string& officer, bool yes) {
  const auto answer = [&]() -> Result<Value> {
    const Held held = TRY(Hold(directory));
    const Value& proposal = held.view["proposal"];
    if (!proposal.IsObject()) {
      return Fail(Code::kNotFound, held.view["connected"].AsBool()
                                       ? "no change of the roster is proposed, so there is nothing to sign"
                                       : "this node is not connected, so it knows of no proposal; start it: "
                                         "consilium-node run " +
                                             directory);
    }
    const IdentityKey key = TRY(OwnOfficer(directory, held, officer));
    if (!terminal.json() || !yes) terminal.Note(RosterText(held.view) + "\n");
    if (!yes && !terminal.AskYes("Compare the words with the hospitals by telephone. Sign for " + held.self.name + "?"))
      return Fail(Code::kRefused, "not signed");
    const Bytes roster = TRY(FromBase64(proposal["roster"].AsString()));
    return Post(directory, roster, {SignRoster(roster, key)});
  }();
  return Tell(terminal, answer, "");
}

int OfficerListCommand(const Terminal& terminal, const std::string& directory) {
  const auto answer = [&]() -> Result<Value> {
    const Held held = TRY(Hold(directory));
    Value list{Value::Array{}};
    std::vector<VerifyKey> here;
    const auto add = [&](const VerifyKey& key, const Value& label) {
      const bool named = std::ranges::find(held.self.officers, key) != held.self.officers.end();
      Value item;
      item.Set("label", label).Set("fingerprint", OfficerWords(held.self, key));
      list.Push(item.Set("in_roster", named));
    };
    for (const std::string& label : OfficerLabels(directory)) {
      here.push_back(TRY(LoadOfficerKey(directory, label)).verify_key());
      add(here.back(), label);
    }
    for (const VerifyKey& key : held.self.officers) {
      if (!key.IsZero() && std::ranges::find(here, key) == here.end()) add(key, Value());
    }
    return Value().Set("hospital", held.self.name).Set("officers", std::move(list)).Set("notice", held.view["notice"]);
  }();
  if (!answer) return terminal.Fail(answer.error());
  terminal.Document(*answer);
  std::vector<std::vector<std::string>> table = {{"label", "in the roster", "fingerprint"}};
  for (const Value& item : (*answer)["officers"].AsArray()) {
    table.push_back({item["label"].IsString() ? item["label"].AsString() : "(key not here)",
                     item["in_roster"].AsBool() ? "yes" : "no", item["fingerprint"].AsString()});
  }
  const std::string& notice = (*answer)["notice"].AsString();
  terminal.Say(notice + (notice.empty() ? "" : "\n") + FormatTable(table));
  return 0;
}

int OfficerAddCommand(const Terminal& terminal, const std::string& directory, const std::string& label,
                      const std::string& officer) {
  const auto answer = [&]() -> Result<Value> {
    const Held held = TRY(Hold(directory));
    const IdentityKey signer = TRY(OwnOfficer(directory, held, officer));
    const IdentityKey added = TRY(MakeOfficerKey(directory, label));
    Roster next = Next(held);
    Member& self = SelfIn(&next, held);
    if (std::ranges::find(self.officers, added.verify_key()) != self.officers.end())
      return Fail(Code::kConflict, fmt::format("'{}' is an officer of {} already", label, self.name));
    self.officers.push_back(added.verify_key());
    const Bytes roster = Canonical(next);
    TRY(RequireNoOther(held, roster));
    terminal.Note(fmt::format("The new officer's key is {}; its words: {}", OfficerKeyFile(directory, label).string(),
                              OfficerWords(held.self, added.verify_key())));
    return Post(directory, roster, {SignRoster(roster, signer)});
  }();
  return Tell(terminal, answer, "");
}

int OfficerRemoveCommand(const Terminal& terminal, const std::string& directory, const std::string& wanted,
                         const std::string& officer) {
  const auto answer = [&]() -> Result<Value> {
    const Held held = TRY(Hold(directory));
    const IdentityKey signer = TRY(OwnOfficer(directory, held, officer));
    std::optional<VerifyKey> gone;
    for (const VerifyKey& key : held.self.officers) {
      if (OfficerWords(held.self, key).starts_with(wanted) && wanted.find('-') != std::string::npos) gone = key;
    }
    if (!gone) gone = TRY(LoadOfficerKey(directory, wanted)).verify_key();
    Roster next = Next(held);
    Member& self = SelfIn(&next, held);
    if (std::erase(self.officers, *gone) == 0)
      return Fail(Code::kNotFound,
                  fmt::format("'{}' is no officer of {} in roster {}", wanted, self.name, held.roster.seq));
    const Bytes roster = Canonical(next);
    TRY(RequireNoOther(held, roster));
    return Post(directory, roster, {SignRoster(roster, signer)});
  }();
  return Tell(terminal, answer, " That key counts no more; its file may be deleted.");
}

int KeyRotateCommand(const Terminal& terminal, const std::string& directory, const std::string& officer) {
  const auto answer = [&]() -> Result<Value> {
    const Held held = TRY(Hold(directory));
    const IdentityKey signer = TRY(OwnOfficer(directory, held, officer));
    const Keys keys = TRY(LoadKeys(directory));
    if (keys.identity.verify_key() != held.self.identity) {
      return Fail(Code::kConflict,
                  fmt::format("roster {} has other keys of {} than this directory; start the node, which "
                              "goes over to them: consilium-node run {}",
                              held.roster.seq, held.self.name, directory));
    }
    const std::optional<Keys> made = TRY(LoadNextKeys(directory, true));
    Roster next = Next(held);
    Member& self = SelfIn(&next, held);
    self.identity = made->identity.verify_key();
    self.transport = made->transport.public_key();
    const Bytes roster = Canonical(next);
    TRY(RequireNoOther(held, roster));
    terminal.Note(
        fmt::format("The new keys' fingerprint, which the other officers will ask for by telephone:\n\n    {}\n",
                    Fingerprint(self.identity, self.transport)));
    return Post(directory, roster,
                {SignRoster(roster, signer), SignRoster(roster, keys.identity), SignRoster(roster, made->identity)});
  }();
  return Tell(terminal, answer, " The node goes over to the new keys by itself.");
}

}  // namespace consilium::node
