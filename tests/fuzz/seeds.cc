// See seeds.h.
#include "tests/fuzz/seeds.h"

#include "common/algorithms/algorithm.h"
#include "common/algorithms/derive.h"
#include "common/base/files.h"
#include "common/model/spec.h"
#include "common/turn/reply.h"
#include "common/wire/records.h"
#include "hospital_node/data/table_file.h"
#include "hospital_node/training/control.h"
#include "tests/data/archives.h"
#include "tests/fuzz/world.h"
#include "tests/wire/examples.h"

namespace consilium::fuzz {
namespace {

class Writer {
 public:
  explicit Writer(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void Put(const std::string& target, const std::string& name, ByteView bytes) const {
    std::filesystem::create_directories(folder_ / target);
    CHECK(WriteFileAtomic(folder_ / target / name, bytes, 0644).has_value());
  }
  void Put(const std::string& target, const std::string& name, std::string_view text) const {
    Put(target, name, View(text));
  }

 private:
  std::filesystem::path folder_;
};

void Wire(const Writer& writer) {
  for (const Message& message : Examples()) {
    const Bytes frame = EncodeFrame(message, TestKey());
    const std::string name(KindName(message));
    writer.Put("envelope", name, frame);
    writer.Put("message", name, OpenEnvelope(frame)->payload);
  }
  for (std::uint16_t kind = 10; kind < 27; ++kind) {
    if (kind == 15 || kind == 16 || kind == 17 || kind > 20) continue;
    writer.Put("message", "later-" + std::to_string(kind), PayloadOf(Later{kind}));
  }
  writer.Put("message", "later-20", PayloadOf(Later{20}));
  writer.Put("message", "later-21", PayloadOf(Later{21}));
  Bytes chunk = ChunkHead(Filled<Digest>(1), 4, 1);
  chunk.resize(chunk.size() + 20, 7);
  writer.Put("chunk", "one-leaf", chunk);
  chunk.insert(chunk.begin(), 0x80);
  writer.Put("chunk", "three-leaves", chunk);
}

void Records(const Writer& writer) {
  auto algorithm = MakeAlgorithm(Plans()[1]);
  StudyRecord study;
  study.plan = Canonical(Plans()[1]);
  study.phase = StudyPhase::kRunning;
  study.attempts = 3;
  study.algorithm = (*algorithm)->Save();
  study.open = RoundRecord{1, 3, Canonical((*algorithm)->Next(3)->query), {1, 2, 3}, Filled<Digest>(3), {}, {}};
  study.verdicts[1] = {Plans()[1].id(), true, Reason::kNone, Filled<Digest>(4)};
  writer.Put("record", "study", Encode(study));
  writer.Put("record", "algorithm", Encode(study.algorithm));
  ParticipantRecord participant;
  participant.plan = Canonical(Plans()[0]);
  participant.consent = ParticipantRecord::Consent::kApproved;
  participant.officer = "officer-1";
  participant.contribution = InlineBlob(Bytes(64, 3));
  participant.results = ToBytes(View("{}"));
  participant.memory = {2, InlineBlob(Bytes(48, 1))};
  participant.pending = {3, InlineBlob(Bytes(48, 2))};
  participant.counted = 2;
  writer.Put("record", "participant", Encode(participant));
  writer.Put("record", "ledger",
             Encode(LedgerRow{LedgerRow::Kind::kCommit, Filled<StudyId>(1), 2, 3, "none", 0.5, 1, 9}));
}

void JsonTexts(const Writer& writer) {
  for (const Plan& plan : Plans()) {
    writer.Put("plan_json", plan.name, Canonical(plan));
    auto algorithm = MakeAlgorithm(plan);
    Query query = (*algorithm)->Next(3)->query;
    query.plan = plan.id();
    query.round = 1;
    writer.Put("query", plan.name, Canonical(query));
  }
  Query own = OwnFiguresQuery(Plans()[1], 2, Filled<Digest>(1), MakePreprocessing(Plans()[1], {}), 1);
  own.plan = Plans()[1].id();
  own.round = 5;
  writer.Put("query", "own-figures", Canonical(own));
  writer.Put("json", "plan", Canonical(Plans()[1]));
  const std::vector<std::pair<std::string, Bytes>> changes = {
      {"revoke", {0, 1, 14}},       {"validity", {1, 0, 1, 2, 3, 4, 14}},
      {"officer", {2, 1, 1, 14}},   {"member", {3, 0, 14}},
      {"keys", {4, 1, 110}},        {"seq", {5, 0, 3, 14}},
      {"previous", {6, 0, 1, 14}},  {"name", {7, 0, 14}},
      {"one-signature", {0, 2, 2}},
  };
  for (const auto& [name, bytes] : changes) {
    Source source(bytes);
    const SignedRoster link = NextLink(source, Chain().links().back());
    writer.Put("roster", name, link.roster);
    writer.Put("roster", name + "-signed", Encode(link));
  }
  writer.Put("roster", "founding", Encode(Chain().links().front()));
  ChainHead head;
  std::string log = AuditLine(&head, View(R"({"at_ms":1,"event":"founded"})"));
  log += AuditLine(&head, View(R"({"at_ms":2,"event":"invited","hospital":"hospital-d"})"));
  writer.Put("audit", "export", log + AuditEnd(head));
  writer.Put("audit", "rows", std::string_view("\0\x09\x01{\"a\":1}\n{\"b\":[1,2.5,\"c\"]}\n", 30));
}

// Zeros, but for a weight where there is one, up to the plan's last query, which releases hospitals' own figures: one
// that does, and one that withholds.
Bytes OwnFiguresAnswer() {
  Bytes bytes = {1};
  auto algorithm = *MakeAlgorithm(Plans()[1]);
  while (algorithm->Next(2)->query.release == ReleaseTo::kSum) {
    const Query query = algorithm->Next(2)->query;
    const std::size_t word = query.ring == Ring::kU32 ? 4 : 8;
    const std::size_t first = bytes.size() + 2;
    bytes.resize(first + query.Coordinates() - 1, 0);
    Bytes words(query.WireBytes(), 0);
    std::size_t at = 0;
    for (const Block& block : query.blocks) {
      if (block.role == Role::kWeight) bytes[first + at] = words[word * at] = 1;
      at += block.length;
    }
    words[words.size() - word] = 2;
    CHECK(algorithm->Absorb(query, *Answer::Create(query, {1, 2}, words)).has_value());
  }
  bytes.insert(bytes.end(), {0, 3, 0, 16, 6});  // present: 2^52 in ring units
  for (std::uint64_t i = 0; i < 2 + 2 * kOwnBins; ++i)
    bytes.insert(bytes.end(), {0, static_cast<std::uint8_t>(i % 5), 5});  // Counts: times 2^40.
  return bytes;
}

void Others(const Writer& writer) {
  const Token token{.secret = Secret::Copy(Bytes(16, 9)),
                    .name = "hospital-a",
                    .endpoint = "tcp://127.0.0.1:7800",
                    .server = TestTransport(91),
                    .roster_fingerprint = Filled<Digest>(1),
                    .federation = "heart study"};
  const Secret line = FormatToken(token);
  writer.Put("token", "line", Text(line.view()));
  const Bytes payload = *FromBase64(Text(line.view()).substr(11));
  writer.Put("token", "payload", ByteView(payload).first(payload.size() - 4));
  writer.Put("safetensors", "logistic", WriteSafetensors(LayoutOf({.inputs = 3}), {1, 2, 3, 4}, {{"rounds", "3"}}));
  writer.Put("memory", "first", node::Encode(node::Control{{0, 0, 0, 0, 0}, 0}));
  writer.Put("memory", "later", node::Encode(node::Control{{0.5, -1, 0.25, 3, -0.125}, 0.75}));
  writer.Put("safetensors", "blob", ParameterBlob({1, 2, 3, 4}));
  for (std::uint8_t plan = 0; plan < 4; ++plan) {
    for (std::uint8_t style = 0; style < 4; ++style) {
      Bytes bytes = {plan, 1, style};
      for (int i = 0; i < 150; ++i) bytes.push_back(static_cast<std::uint8_t>(style == 1 ? i % 8 == 6 : i * 7));
      writer.Put("answer", std::to_string(plan) + "-" + std::to_string(style), bytes);
    }
  }
  writer.Put("answer", "own-figures", OwnFiguresAnswer());
  for (const char* text : {"127.0.0.1:7880", "[::1]:0", "tcp://a-b.example:7800", "tcp://[fe80::1%25eth0]:1", "90s",
                           "250ms", "hospital-a", "00ff"}) {
    writer.Put("address", Blake2b(View(text)).Hex().substr(0, 8), std::string_view(text));
  }
}

void Arrays(const Writer& writer) {
  using testing::Idx;
  using testing::Npy;
  using testing::Raw;
  const std::vector<std::uint8_t> bytes = {1, 2, 3, 4, 50, 60, 70, 80};
  const std::string idx = Idx<std::uint8_t>(0x08, {2, 2, 2}, bytes);
  writer.Put("idx", "bytes", idx);
  writer.Put("idx", "gzip", testing::Gzip(idx));
  writer.Put("idx", "shorts", Idx<std::int16_t>(0x0B, {2, 1}, {-1, 300}));
  writer.Put("idx", "doubles", Idx<double>(0x0E, {1, 2}, {0.5, NAN}));
  const std::string images = Npy("|u1", "(2, 2, 2)", Raw(bytes)),
                    labels = Npy("<i8", "(2, 1)", Raw<std::int64_t>({2, 0}));
  const std::string ages = Npy(">f4", "(2,)", Raw<float>({3.5F, NAN}, true), 2),
                    ids = Npy("<u2", "(2,)", Raw<std::uint16_t>({7, 9}));
  writer.Put("npy", "images", images);
  writer.Put("npy", "labels", labels);
  writer.Put("npy", "ages", ages);
  const std::vector<testing::ZipEntry> all = {
      {"image.npy", images}, {"label.npy", labels}, {"age.npy", ages, false}, {"id.npy", ids, false}};
  writer.Put("npz", "all", testing::Zip(all));
  writer.Put("npz", "zip64", testing::Zip(all, {.zip64 = true}));
  writer.Put("npz", "parts", testing::Zip({{"train_x.npy", images}, {"test_x.npy", images}}));
  writer.Put("npz", "overlap", testing::Zip(all, {.shift = 20}));
  writer.Put("npz", "claim", testing::Zip(all, {.claim_size = 1U << 30}));
  node::Table table;
  table.series.resize(3);
  table.series[0].element = node::Element::kU8;
  table.series[1].column.type = Column::Type::kLabel;
  table.series[1].numbers = {2, NAN};
  table.patient = {0, 1};
  table.patient_ids = {{"7", "9"}, 2};
  table.files = {"set.npz"};
  const Bytes tail = node::TableTail(table);
  std::string input = {0, 24};  // Two rows of four bytes and a double.
  writer.Put("table_file", "two-rows", input + std::string(Text(tail)));
}

// Bit 128: the next event comes in the same turn. Bit 64: jobs are done at once.
void Events(const Writer& writer) {
  constexpr std::uint8_t kNow = 64;
  const auto coordinator = [&](const std::string& name, const Bytes& bytes) {
    writer.Put("coordinator_turn", name, bytes);
  };
  const Bytes begin[3] = {{26, 14, 0, 27, 0}, {26, 14, 1, 27, 1}, {26, 14, 2, 27, 2}};
  const auto with = [](Bytes bytes, const Bytes& more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return bytes;
  };
  coordinator("small", with(begin[0], {28}));
  coordinator("learn", with(begin[1], {28, 28, 28, 28, 28, 28}));
  coordinator("large", with(begin[2], {28, 29, kNow | 29, 29, kNow | 29}));
  coordinator("large-lies", with(begin[2], {28, 9, 0, 3, 0, 1, 2, 0, 0, 29, kNow | 29}));
  coordinator("crashes", with(begin[1], {21, 3, 28, 26, 28, 21, 1, 28, 26, 28, 20, 26, 28}));
  coordinator("false-words", with(begin[0], {6, 0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 0, 7, 28}));
  coordinator("false-counts", with(begin[1], {6, 0, 3, 1, 127, 255, 255, 255, 255, 255, 255, 255, 3, 5, 1, 5, 2}));
  coordinator("declines", with(begin[0], {7, 0, 0, 1, 5, 0, 17, 30, 28, 17, 30, 28}));
  coordinator("beats",
              with(begin[0], {10, 0, 1, 3, 0, 255, 255, 255, 255, 255, 255, 255, 255, 1, 1, 1, 1, 1, 1, 1, 1}));
  Bytes far = {15, 6, 4, 1, 0, 18};
  far.resize(far.size() + 18, '9');
  coordinator("requests", with(begin[1], {15, 7, 7, 1, 2, 0, 15, 7, 7, 1, 3, 0, 15, 6, 7, 1, 4, 0, 15, 6, 7, 1, 5, 0}));
  coordinator("rows-far-away", with(begin[1], far));
  coordinator("far-ledger",
              with(begin[0], {2, 0, 2, 0, 7, 16, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 2, 0, 2, 0, 5, 1, 1, 0, 0}));
  coordinator("revoked", with(begin[0], {22, 0, 0, 14, 28, 17, 30}));
  coordinator("enrolment", {26, 23, 1, 0, 24, 0, 22, 3, 0, 14, 15, 10, 3, 0, 20});
  coordinator("drafts", {26, 11, 0, 0, 1, 2, 0, 11, 1, 0, 1, 4, 0, 20, 26, 15, 7, 9, 0});
  coordinator("raw", {26, 12, 0, 4, 1, 2, 3, 4, 13, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  for (std::uint8_t i = 0; i < 10; ++i)
    coordinator("mutated-" + std::to_string(i), with(begin[0], {25, 1, 0, i, 0, 0, 40, 5, 25, 2, 1, i, 0, 0, 33, 1}));
  coordinator("pulls", with(begin[2], {8, 0, 0, 0, 0, 8, 1, 0, 1, 1, 2, 0, 4, 1, 0, 9, 9, 9, 0, 17, 200, 18, 3}));

  const auto node = [&](const std::string& name, const Bytes& bytes) { writer.Put("node_turn", name, bytes); };
  const Bytes ready[3] = {{28, 29, 0}, {28, 29, 1}, {28, 29, 2}};
  node("small", with(ready[0], {kNow | 8, 0, 0, 0, 12, 0, 10, 0, 4}));
  node("learn", with(ready[1], {kNow | 8, 1, 4, 0, 12, 0, 10, 1, 8, 0, kNow | 8, 1, 4, 0, 10, 1, 12, 0}));
  node("large", with(ready[2], {kNow | 8, 2, 0, 0, 15, 1, 0, 0, 15, 1, 0, 3, 12, 0}));
  node("large-input", with(ready[1], {8, 1, 12, 0, 31, kNow | 31, 12, 0}));
  node("false-size", with(ready[1], {8, 1, 44, 0, 31, kNow | 31, 8, 1, 13, 0, 31, kNow | 31}));
  node("sizes-at-odds", {28, 3, 0, 0, 0, 14, 7, 31, 0, 23, 31, 7, 5});
  node("plan-pulled", {28, 4, 0, 0, 7, 1, 31, 4, 0, 0, 23, 1, 31, 1, 0, 28, 4, 0, 0, 7, 1, 31});
  node("false-size-later", with(ready[1], {8, 1, 44, 0, 4, 0, 192, 11, 1, 1, 1, 1, 0, 28, 4, 0, 128, 31, 31}));
  node("withdrawals", with(ready[0], {128 | 7, 0, 3, 1, 0, 7, 0, 3, 2, 0, kNow | 23, 0, 7, 0, 3, 5, 1}));
  node("crashes",
       with(ready[1], {25, 2, kNow | 8, 1, 4, 0, 28, 25, 1, kNow | 8, 1, 4, 0, 28, kNow | 8, 1, 4, 0, 24, 28}));
  node("contexts", with(ready[0], {kNow | 8, 0, 0, 0, 9, 0, 0, 0, 1, 0, 9, 0, 1, 3, 6, 0, 9, 0, 0, 5, 1, 0}));
  node("rosters", with(ready[0], {3, 0, 0, 0, 14, 0, 1, kNow | 8, 0, 0, 0, 17, 0, 1, 2, 0, 0, 27, 0, 0, 4, 21, 80, 0}));
  node("revoked", with(ready[0], {3, 0, 0, 1, 14, 0, 1, 8, 0, 0, 0}));
  node("locked", {28,  2,   0,   0,   9,   7,   0,   3,   1,   26,  41,  13,  23,  '{', '"',
                  'o', 'f', 'f', 'i', 'c', 'e', 'r', '"', ':', '"', 'o', '1', '"', '}'});
  node("far-witness", with(ready[0], {2, 0, 0, 9, 7, 1, 16, 0, 0, 0, 0, 0, 0, 1, 1, 24}));
  node("releases", with(ready[1], {10, 1, 1, 3, 10, 1, 2, 1, 10, 1, 12, 15, 0, 31, 10, 1, 16, 9}));
  node("states", with(ready[0], {13, 0, 3, 0, 9, 28, 13, 0, 4, 0, 0, 26, 0, 0, 26, 0, 6}));
  node("rejected", with(ready[0], {8, 0, 0, 0, 6, 0, 23, 0, 5, 0, kNow | 23, 0, kNow | 8, 0, 0, 0}));
  node("raw", {28, 19, 4, 1, 2, 3, 4, 28, 20, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  node("times", with(ready[0], {21, 255, 255, 22, 1, 1, 1, 28, 1, 0, 1, 0, 1, 0, 28, 18, 0, 0, 3, 18, 3, 0, 0}));
}

}  // namespace

int WriteSeeds(const std::filesystem::path& folder) {
  const Writer writer(folder);
  Wire(writer);
  Records(writer);
  JsonTexts(writer);
  Others(writer);
  Arrays(writer);
  Events(writer);
  return 0;
}

}  // namespace consilium::fuzz
