// Text of others: files that people write, canonical JSON that peers send, lines that are pasted.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "common/http/address.h"
#include "common/plan/plan.h"
#include "common/settings/terminal.h"
#include "common/storage/audit.h"
#include "common/turn/reply.h"
#include "coordinator/config.h"
#include "hospital_node/config.h"
#include "tests/fuzz/fuzz.h"
#include "tests/roster/federation.h"

namespace consilium::fuzz {
namespace {

// A folder of this process in memory, where there is such a thing.
const std::filesystem::path& Scratch() {
  struct Folder {
    Folder() {
      std::string name = std::filesystem::exists("/dev/shm") ? "/dev/shm/fuzz-XXXXXX" : "/tmp/fuzz-XXXXXX";
      CHECK(mkdtemp(name.data()) != nullptr);
      path = name;
    }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
  };
  static const Folder folder;
  return folder.path;
}

void Put(const std::filesystem::path& path, ByteView bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  CHECK(file != nullptr);
  CHECK(bytes.empty() || std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
  std::fclose(file);
}

constexpr const char* kSchema =
    "[columns.age]\ntype = 'number'\nminimum = 0\nmaximum = 120\n"
    "[columns.cp]\ntype = 'category'\nlevels = [1, 2, 3]\n"
    "[columns.y]\ntype = 'label'\npositive = [1]\nnegative = [0]\n";

// The chain of three hospitals, and one roster after it if there is one in `canonical`, signed by whom it takes.
void TrySuccessor(const Roster& roster, ByteView canonical) {
  static const RosterChain chain = TestChain(3);
  SignedRoster next{ToBytes(canonical), {}};
  for (const std::uint32_t officer : {1U, 2U, 3U})
    next.signatures.push_back(SignRoster(canonical, TestOfficer(officer)));
  for (const Member& member : roster.members) {
    if (member.number > 3 && member.number < 10)
      next.signatures.push_back(Enrolled(roster, member, TestIdentity(static_cast<std::uint8_t>(member.number))));
  }
  std::ranges::sort(next.signatures, {}, &RosterSignature::key);
  const auto draft = chain.Examine(next);
  CHECK(Says(draft));
  if (!draft) return;
  CHECK(draft->roster == roster && roster.seq == chain.current().seq + 1 && roster.previous == chain.hash());
  CHECK(!draft->changes.empty() && draft->Complete() == draft->Missing().empty());
  CHECK(!RosterText(RosterView(chain, &next, 1'800'000'000'000)).empty());
  RosterChain longer = chain;
  const Status extended = longer.Extend(next);
  CHECK(extended.has_value() == draft->Complete());
  if (extended)
    CHECK(longer.current() == roster && longer.hash() == next.hash() && longer.Find(chain.hash()) != nullptr);
}

}  // namespace

// An error with a place, or a value that survives both ways of writing it.
void Json(ByteView input) {
  const Result<Value> value = ParseJson(Text(input));
  if (!value) {
    CHECK(value.error().what.starts_with("JSON, "));
    return;
  }
  for (const std::string& text : {CanonicalJson(*value), PrettyJson(*value)}) {
    const Result<Value> again = ParseJson(text, {.bytes = 64 << 20});
    CHECK(again.has_value() && *again == *value && CanonicalJson(*again) == CanonicalJson(*value));
  }
}

void Toml(ByteView input) {
  const Result<Value> value = ParseToml(Text(input), "fuzz.toml");
  if (value) {
    const Result<Value> again = ParseJson(CanonicalJson(*value), {.bytes = 8 << 20, .depth = 64});
    CHECK(again.has_value() && *again == *value);
  } else {
    CHECK(value.error().what.starts_with("fuzz.toml:"));
  }
  // Any text may stand in a string of a file that we write.
  const auto text = ParseJson(CanonicalJson(Value(Text(input))));  // As UTF-8.
  CHECK(text.has_value());
  const Result<Value> written = ParseToml("k = " + TomlString(text->AsString()) + " # end\n", "w.toml");
  CHECK(written.has_value() && (*written)["k"].IsString());
  if (Printable(text->AsString()) == text->AsString()) CHECK((*written)["k"] == *text);
}

// An error, or a schema that every way of writing it gives back.
void SchemaToml(ByteView input) {
  const Result<Schema> schema = ParseSchema(Text(input), "fuzz.toml");
  CHECK(Says(schema));
  if (!schema) return;
  const Result<Schema> value = SchemaFromValue(ToValue(*schema), "again");
  CHECK(value.has_value() && *value == *schema);
  const Result<Schema> toml = ParseSchema(consilium::SchemaToml(*schema), "again");
  CHECK(toml.has_value() && *toml == *schema);
  for (const Column& column : schema->columns) CHECK(Compatible(*schema, *toml, column.name).has_value());
}

// An error, or a study whose bytes read back as the same study.
void PlanToml(ByteView input) {
  const Result<Plan> plan =
      ParsePlanToml(Text(input), "plan.toml", [](const std::string&) -> Result<std::string> { return kSchema; });
  CHECK(Says(plan));
  if (!plan) return;
  const Result<Plan> again = ParsePlan(Canonical(*plan));
  CHECK(again.has_value() && again->id() == plan->id());
  CHECK(Summary(*again) == Summary(*plan));
}

void PlanJson(ByteView input) {
  const Result<Plan> plan = ParsePlan(input);
  CHECK(Says(plan));
  if (!plan) return;
  CHECK(std::ranges::equal(Canonical(*plan), input));
  CHECK(!Summary(*plan).empty() && !Warning(*plan).empty());
  CHECK(TotalSums(*plan) >= 1);
}

// What is read is written and read as the same.
void NodeConfig(ByteView input) {
  Put(node::ConfigFile(Scratch()), input);
  const auto config = node::LoadConfig(Scratch());
  CHECK(Says(config));
  if (!config) return;
  CHECK(config->policy.minimum_hospitals >= 2);
  CHECK(node::WriteConfig(Scratch(), *config).has_value());
  const auto again = node::LoadConfig(Scratch());
  CHECK(again.has_value() && again->name == Printable(config->name));
  CHECK(again->endpoint == Printable(config->endpoint));
  CHECK(again->server_key == config->server_key && again->roster_fingerprint == config->roster_fingerprint);
  CHECK(again->log_level == config->log_level);
}

void CoordinatorConfig(ByteView input) {
  Put(coordinator::ConfigFile(Scratch()), input);
  const auto config = coordinator::LoadConfig(Scratch());
  CHECK(Says(config));
  if (!config) return;
  CHECK(coordinator::CheckConfig(*config).has_value());
  CHECK(coordinator::WriteConfig(Scratch(), *config).has_value());
  const auto again = coordinator::LoadConfig(Scratch());
  CHECK(again.has_value() && again->federation == config->federation && again->listen == config->listen);
  CHECK(again->http == config->http && again->endpoint == config->endpoint && again->log_level == config->log_level);
}

// A token as it is pasted; and, since a fuzzer guesses no checksum, one with a right checksum around any bytes.
void TokenText(ByteView input) {
  const auto check = [](const std::string& text) {
    const Result<Token> token = ParseToken(text);
    if (!token) {
      CHECK(!token.error().what.empty());
      return;
    }
    CHECK(token->secret.size() == 16 && CheckHospitalName(token->name) && CheckEndpoint(token->endpoint));
    const Secret line = FormatToken(*token);
    const Result<Token> again = ParseToken(Text(line.view()));
    CHECK(again.has_value() && again->name == token->name && again->endpoint == token->endpoint);
    CHECK(again->server == token->server && again->roster_fingerprint == token->roster_fingerprint);
    CHECK(again->federation == token->federation && EqualConstantTime(again->secret.view(), token->secret.view()));
    CHECK(text.find(Text(line.view())) != std::string::npos);  // One token, one text.
  };
  check(std::string(Text(input)));
  Bytes sealed = ToBytes(input);
  const Digest sum = Blake2b(input);
  sealed.insert(sealed.end(), sum.bytes.begin(), sum.bytes.begin() + 4);
  check("consilium1." + Base64(sealed));
}

// A roster, a signed roster, and a roster that wants to be the next one.
void RosterJson(ByteView input) {
  const Result<Roster> roster = ParseRoster(input);
  CHECK(Says(roster));
  if (roster) {
    CHECK(std::ranges::equal(Canonical(*roster), input));
    TrySuccessor(*roster, input);
  }
  const Result<SignedRoster> link = ParseSignedRoster(input);
  CHECK(Says(link));
  if (!link) return;
  const Result<SignedRoster> again = ParseSignedRoster(Encode(*link));
  CHECK(again.has_value() && again->roster == link->roster && again->signatures == link->signatures);
  const auto founded = RosterChain::Found(*link, link->hash());
  CHECK(Says(founded));
  if (founded) CHECK(founded->current().seq == 0 && founded->current().members.empty());
}

void Address(ByteView input) {
  const std::string text(Text(input));
  if (const auto parsed = ParseHostPort(text)) {
    CHECK(!parsed->host.empty() && parsed->port >= 0 && parsed->port <= 65535);
    const auto again = ParseHostPort("[" + parsed->host + "]:" + std::to_string(parsed->port));
    CHECK(again.has_value() && again->host == parsed->host && again->port == parsed->port);
    (void)IsLoopback(parsed->host);
  } else {
    CHECK(!parsed.error().what.empty());
  }
  const Status endpoint = CheckEndpoint(text);
  CHECK(Says(endpoint));
  if (endpoint) CHECK(ParseHostPort(text.substr(6)).has_value());
  if (const auto duration = ParseDuration(text)) {
    CHECK(*duration >= Duration(0));
    const auto again = ParseDuration(DurationText(*duration));
    CHECK(again.has_value() && *again == *duration);
  } else {
    CHECK(!duration.error().what.empty());
  }
  CHECK(Says(CheckHospitalName(text)) && Says(CheckFederationName(text)));
  const auto bytes = FromBase64(text);
  if (bytes) CHECK(Base64(*bytes) == text);
  const auto hex = FromHex(text);
  if (hex) CHECK(Hex(*hex).size() == text.size());
}

// An exported log as it comes; and one that is right, of which one byte is changed.
void AuditExport(ByteView input) {
  const AuditVerdict verdict = VerifyExport(Text(input));
  CHECK(verdict.valid == verdict.reason.empty() && verdict.valid == (verdict.first_bad_row == 0));
  Source source(input);
  const std::uint64_t at = source.Number(2);
  const std::uint8_t change = source.Byte();
  std::string text;
  ChainHead head;
  const std::string_view rows = Text(source.Rest());
  for (std::size_t from = 0; from < rows.size() && head.seq < 8;) {
    const std::size_t end = std::min(rows.find('\n', from), rows.size());
    if (const auto row = ParseJson(rows.substr(from, end - from))) text += AuditLine(&head, View(CanonicalJson(*row)));
    from = end + 1;
  }
  text += AuditEnd(head);
  const AuditVerdict whole = VerifyExport(text);
  CHECK(whole.valid && whole.rows == head.seq);
  if (change == 0) return;
  text[at % text.size()] = static_cast<char>(static_cast<unsigned char>(text[at % text.size()]) ^ change);
  CHECK(!VerifyExport(text).valid);
}

}  // namespace consilium::fuzz
