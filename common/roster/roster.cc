// The roster as canonical JSON, and what one roster by itself must satisfy.
#include "common/roster/roster.h"

#include <fmt/format.h>

#include <set>

#include "common/base/check.h"

namespace consilium {
namespace {

constexpr std::size_t kMostOfficers = 16, kMostFederationBytes = 128;
constexpr std::int64_t kMostInteger = (std::int64_t{1} << 53) - 1;  // What JSON carries exactly.

Value MemberValue(const Member& member) {
  Value officers{Value::Array()};
  for (const VerifyKey& officer : member.officers) officers.Push(officer.Hex());
  Value out;
  out.Set("number", member.number).Set("id", member.id.Hex()).Set("name", member.name);
  out.Set("identity", member.identity.Hex())
      .Set("transport", member.transport.Hex())
      .Set("officers", std::move(officers));
  out.Set("valid_from_ms", member.valid_from_ms).Set("valid_until_ms", member.valid_until_ms);
  out.Set("revoked", member.revoked);
  return out;
}

template <class Key>
Key ReadHex(Reader& reader, const std::string& name) {
  const auto key = Key::FromHexText(reader.String(name));
  if (key) return *key;
  reader.Refuse(name, key.error().what);
  return {};
}

Result<Member> ReadMember(const Value& value) {
  Reader reader(value, "roster", "member");
  Member member;
  member.number = static_cast<std::uint32_t>(reader.Integer("number", 1, UINT32_MAX));
  member.id = ReadHex<HospitalId>(reader, "id");
  member.name = reader.String("name");
  member.identity = ReadHex<VerifyKey>(reader, "identity");
  member.transport = ReadHex<TransportKey>(reader, "transport");
  for (const std::string& text : reader.Strings("officers")) {
    const auto officer = VerifyKey::FromHexText(text);
    if (!officer) reader.Refuse("officers", officer.error().what);
    member.officers.push_back(officer.value_or(VerifyKey{}));
  }
  member.valid_from_ms = reader.Integer("valid_from_ms", 0, kMostInteger);
  member.valid_until_ms = reader.Integer("valid_until_ms", 0, kMostInteger);
  member.revoked = reader.Bool("revoked", false);
  TRY(reader.Finish());
  return member;
}

std::unexpected<Error> Bad(std::string why) {
  return Fail(Code::kInvalid, "the roster is not valid: " + std::move(why));
}

Status CheckMember(const Member& member, std::size_t position) {
  if (member.number != position) return Bad(fmt::format("member {} has the number {}", position, member.number));
  TRY(CheckHospitalName(member.name));
  if (member.id.IsZero()) return Bad(fmt::format("{} has no id", member.name));
  if (member.officers.size() > kMostOfficers) {
    return Bad(
        fmt::format("{} has {} officers; at most {} are kept", member.name, member.officers.size(), kMostOfficers));
  }
  if (member.valid_until_ms != 0 && member.valid_until_ms <= member.valid_from_ms) {
    return Bad(fmt::format("{} is valid until before it is valid from", member.name));
  }
  return {};
}

// A key that serves twice could sign as one party what it was shown as the other.
Status CheckKeysAreDistinct(const Roster& roster) {
  std::set<std::array<std::uint8_t, 32>> seen;
  const auto fresh = [&](const auto& key) { return !key.IsZero() && seen.insert(key.bytes).second; };
  if (!fresh(roster.server_identity) || !fresh(roster.server_transport) || !fresh(roster.founder)) {
    return Bad("the server's two keys and the founder's must be there and differ");
  }
  for (const Member& member : roster.members) {
    bool good = fresh(member.identity) && fresh(member.transport);
    for (const VerifyKey& officer : member.officers)
      good = (officer.IsZero() || fresh(officer)) && good;  // Zero: none.
    if (!good) return Bad(fmt::format("{} lacks a key, or has one that is used already", member.name));
  }
  return {};
}

Status CheckRoster(const Roster& roster) {
  TRY(CheckFederationName(roster.federation));
  std::set<HospitalId> ids;
  std::set<std::string> names;
  for (std::size_t i = 0; i < roster.members.size(); ++i) {
    const Member& member = roster.members[i];
    TRY(CheckMember(member, i + 1));
    if (!ids.insert(member.id).second) return Bad(fmt::format("the id of {} is used already", member.name));
    if (!names.insert(member.name).second) return Bad(fmt::format("two hospitals are named {}", member.name));
  }
  return CheckKeysAreDistinct(roster);
}

template <class Predicate>
const Member* FindMember(const std::vector<Member>& members, Predicate matches) {
  const auto found = std::find_if(members.begin(), members.end(), matches);
  return found == members.end() ? nullptr : &*found;
}

}  // namespace

bool Member::HasOfficer() const {
  return std::any_of(officers.begin(), officers.end(), [](const VerifyKey& key) { return !key.IsZero(); });
}

// Clocks of different places differ, so the beginning is taken with a day's grace; the end is the coordinator's to
// hold.
bool Member::ExpiredAt(std::int64_t wall_ms) const {
  constexpr std::int64_t kDay = 24LL * 3600 * 1000;
  return (valid_until_ms != 0 && wall_ms >= valid_until_ms) || wall_ms + kDay < valid_from_ms;
}

const Member* Roster::ByNumber(std::uint32_t number) const {
  // Numbers are places, from 1. Every hospital looks up the whole cohort for every invitation.
  if (number >= 1 && number <= members.size() && members[number - 1].number == number) return &members[number - 1];
  return FindMember(members, [&](const Member& m) { return m.number == number; });
}
const Member* Roster::ByTransport(const TransportKey& key) const {
  return FindMember(members, [&](const Member& m) { return m.transport == key; });
}
const Member* Roster::ByName(std::string_view name) const {
  return FindMember(members, [&](const Member& m) { return m.name == name; });
}

Status CheckHospitalName(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!name.empty() && name.size() <= 63 && plain(name.front()) &&
      std::all_of(name.begin(), name.end(), [&](char c) { return plain(c) || c == '-'; })) {
    return {};
  }
  return Fail(Code::kInvalid,
              fmt::format("{} is no hospital's name; use 1 to 63 of a-z, 0-9 and -, and do not begin with -",
                          CanonicalJson(Value(name.substr(0, 80)))));
}

Status CheckFederationName(std::string_view name) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (!name.empty() && name.size() <= kMostFederationBytes && std::none_of(name.begin(), name.end(), control))
    return {};
  return Fail(Code::kInvalid, fmt::format("{} is no federation's name; use 1 to {} bytes without control characters",
                                          CanonicalJson(Value(name.substr(0, 160))), kMostFederationBytes));
}

Bytes Canonical(const Roster& roster) {
  Value members{Value::Array()};
  for (const Member& member : roster.members) members.Push(MemberValue(member));
  Value out;
  out.Set("seq", roster.seq).Set("previous", roster.previous.Hex()).Set("federation", roster.federation);
  out.Set("server_identity", roster.server_identity.Hex()).Set("server_transport", roster.server_transport.Hex());
  out.Set("founder", roster.founder.Hex()).Set("members", std::move(members));
  return ToBytes(View(CanonicalJson(out)));
}

Result<Roster> ParseRoster(ByteView canonical) {
  const Value value = TRY(ParseJson(Text(canonical), {.bytes = kMaxRosterBytes}));
  Reader reader(value, "roster", "");
  Roster roster;
  roster.seq = static_cast<std::uint64_t>(reader.Integer("seq", 0, kMostInteger));
  roster.previous = ReadHex<Digest>(reader, "previous");
  roster.federation = reader.String("federation");
  roster.server_identity = ReadHex<VerifyKey>(reader, "server_identity");
  roster.server_transport = ReadHex<TransportKey>(reader, "server_transport");
  roster.founder = ReadHex<VerifyKey>(reader, "founder");
  const Value* members = reader.Take("members");
  TRY(reader.Finish());
  if (members == nullptr || !members->IsArray()) return Bad("its members are no list");
  for (const Value& member : members->AsArray()) roster.members.push_back(TRY(ReadMember(member)));
  TRY(CheckRoster(roster));
  const Bytes again = Canonical(roster);
  if (!std::equal(again.begin(), again.end(), canonical.begin(), canonical.end())) {
    return Bad("its bytes are not canonical, so its hash would not be the only one");
  }
  return roster;
}

}  // namespace consilium
