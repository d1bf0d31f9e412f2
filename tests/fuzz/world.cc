// See world.h.
#include "tests/fuzz/world.h"

namespace consilium::fuzz {
namespace {

Plan MakePlan(const std::string& name, int columns, const std::string& task) {
  std::string schema = "[columns.outcome]\ntype = 'label'\npositive = [1]\nnegative = [0]\n", list;
  for (int i = 0; i < columns; ++i) {
    const std::string column = "x" + std::to_string(i);
    schema += "[columns." + column + "]\ntype = 'number'\nminimum = 0\nmaximum = 10\n";
    list += (i == 0 ? "'" : ", '") + column + "'";
  }
  const bool train = task == "train";
  const std::string text = "[study]\nname = '" + name + "'\npurpose = 'p'\nresearcher = 'r'\nround_deadline = '20s'\n" +
                           (train ? "rounds = 2\n" : "") + "[data]\ndataset = 'cohort'\nschema = 's'\n" +
                           (train ? "label = 'outcome'\nfeatures = [" + list +
                                        "]\n[training]\nweight_cap = 100\n[evaluation]\nper_hospital = 'released'\n"
                                  : "[describe]\ncolumns = [" + list + "]\nbins = " + task + "\n") +
                           "[privacy]\nmode = 'none'\n[aggregation]\nprofile = 'visible'\n";
  auto plan = ParsePlanToml(text, "plan.toml", [&](const std::string&) -> Result<std::string> { return schema; });
  CHECK(plan.has_value());
  return std::move(*plan);
}

}  // namespace

const IdentityKey& Identity(std::uint32_t n) {
  static std::map<std::uint32_t, IdentityKey> keys;
  const auto known = keys.find(n);
  if (known != keys.end()) return known->second;
  return keys.emplace(n, TestIdentity(static_cast<std::uint8_t>(n))).first->second;
}

const TransportKey& Transport(std::uint32_t n) {
  static std::map<std::uint32_t, TransportKey> keys;
  const auto known = keys.find(n);
  if (known != keys.end()) return known->second;
  return keys.emplace(n, TestTransport(static_cast<std::uint8_t>(n))).first->second;
}

const RosterChain& Chain() {
  static const RosterChain chain = [] {
    RosterChain made = TestChain(0);
    Roster next = After(made);
    for (std::uint32_t n = 1; n <= 3; ++n) next.members.push_back(TestMember(n));
    CHECK(made.Extend(SignAs(next, 1)).has_value());
    return made;
  }();
  return chain;
}

const std::vector<Plan>& Plans() {
  static const std::vector<Plan> plans = {MakePlan("small", 2, "16"), MakePlan("learn", 2, "train"),
                                          MakePlan("large", 9, "1024")};
  return plans;
}

SignedRoster NextLink(Source& source, const SignedRoster& last) {
  Roster next = *ParseRoster(last.roster);
  ++next.seq;
  next.previous = last.hash();
  const std::uint32_t change = source.Below(8), who = source.Below(static_cast<std::uint32_t>(next.members.size()));
  std::vector<RosterSignature> extra;
  Member& member = next.members[who];
  switch (change) {
    case 0:
      member.revoked = true;
      break;
    case 1:
      member.valid_until_ms = 1'800'000'000'000 + static_cast<std::int64_t>(source.Number(4));
      break;
    case 2:
      member.officers.push_back(Identity(240 + source.Below(8)).verify_key());
      break;
    case 3: {
      const auto n = static_cast<std::uint32_t>(next.members.size() + 1);
      next.members.push_back(TestMember(n));
      extra.push_back(Enrolled(next, next.members.back(), Identity(n)));
      break;
    }
    case 4:  // New keys.
      member.identity = Identity(60 + member.number).verify_key();
      member.transport = Transport(70 + member.number);
      break;
    case 5:
      next.seq += source.Byte();
      break;
    case 6:
      next.previous.bytes[0] ^= source.Byte();
      break;
    default:
      member.name += "-x";
      break;
  }
  SignedRoster link{Canonical(next), std::move(extra)};
  const std::uint8_t signers = source.Byte();
  for (std::uint32_t officer = 1; officer <= 4; ++officer) {
    if ((signers >> officer & 1U) != 0) link.signatures.push_back(SignRoster(link.roster, Identity(officer + 200)));
  }
  if ((signers & 1U) != 0) link.signatures.push_back(SignRoster(link.roster, Identity(90)));
  if ((signers & 32U) != 0) link.signatures.push_back(SignRoster(link.roster, Identity(who + 1)));
  if ((signers & 64U) != 0) link.signatures.push_back(SignRoster(link.roster, Identity(who + 61)));
  std::ranges::sort(link.signatures, {}, &RosterSignature::key);
  return link;
}

Value RosterBody(const SignedRoster& link) {
  Value signatures{Value::Array{}};
  for (const RosterSignature& s : link.signatures)
    signatures.Push(Value().Set("key", s.key.Hex()).Set("signature", s.signature.Hex()));
  return Value().Set("roster", Base64(link.roster)).Set("signatures", std::move(signatures));
}

SignedRoster LastLink(const sim::Disk& disk) {
  SignedRoster last = Chain().current_signed();
  for (const auto& [where, blob] : disk.durable().stored.state) {
    if (where.first == "roster") last = *ParseSignedRoster(blob);
  }
  return last;
}

Blob BlobOf(ByteView content) {
  if (content.size() <= kInlineBlob) return InlineBlob(content);
  return {BlobRoot(content), content.size(), BlobLeaves(content), {}};
}

}  // namespace consilium::fuzz
