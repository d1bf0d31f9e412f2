// The bytes of every kind that is sent, and of every record, are held: a change of encoding is a decision (a new wire
// version, a new user_version), never an accident. tests/vectors/wire_golden.json has hex of what is short, and
// SHA-256.
#include <gtest/gtest.h>

#include "common/base/files.h"
#include "common/wire/records.h"
#include "tests/wire/examples.h"

namespace consilium {
namespace {

Value Golden(ByteView bytes) {
  Value golden;
  golden.Set("bytes", bytes.size()).Set("sha256", Sha256(bytes).Hex());
  if (bytes.size() <= 512) golden.Set("hex", Hex(bytes));
  return golden;
}

Value Encoded() {
  Value frames, records;
  for (const Message& message : Examples()) {
    if (!std::holds_alternative<Later>(message))
      frames.Set(std::string(KindName(message)), Golden(EncodeFrame(message, TestKey())));
  }
  frames.Set("Chunk", Golden(ChunkHead(Filled<Digest>(64), 4, 4)));
  const auto digest = Filled<Digest>(64);
  AlgorithmState state{.step = 2, .vectors = {{"global", {0.5, -1.25}}}, .results = Value::Object{}, .bases = {digest}};
  state.results.Set("rounds", 2);
  const RoundRecord open{.round = 3,
                         .attempt = 4,
                         .query = ToBytes(View("{}")),
                         .cohort = {1, 2},
                         .roster = digest,
                         .last_release = digest,
                         .inputs = {LargeBlob(kInlineBlob + 1)},
                         .boot = Filled<BootId>(16),
                         .opened = Instant(Duration(5))};
  const StudyRecord study{
      .plan = ToBytes(View("{}")),
      .phase = StudyPhase::kRunning,
      .reason = Reason::kNone,
      .attempts = 4,
      .releases = 2,
      .last_release = digest,
      .release_frame = Bytes(9, 1),
      .algorithm = state,
      .open = open,
      .verdicts = {{2, {.study = Filled<StudyId>(1), .approved = true, .reason = Reason::kNone, .roster = digest}}},
      .submitted_ms = 1,
      .ended_ms = 2};
  const ParticipantRecord participant{.plan = ToBytes(View("{}")),
                                      .consent = ParticipantRecord::Consent::kApproved,
                                      .officer = "officer",
                                      .pinned_roster = digest,
                                      .phase = StudyPhase::kRunning,
                                      .reason = Reason::kNone,
                                      .last_attempt = 4,
                                      .last_round = 3,
                                      .context = digest,
                                      .contribution = InlineBlob(View("vector")),
                                      .releases = 2,
                                      .last_release = digest,
                                      .model = {},
                                      .results = ToBytes(View("{}")),
                                      .last_query = {},
                                      .reserved = true,
                                      .own_figures = ParticipantRecord::OwnFigures::kAllowed};
  const LedgerRow row{.kind = LedgerRow::Kind::kCommit,
                      .study = Filled<StudyId>(1),
                      .first_attempt = 4,
                      .last_attempt = 4,
                      .mechanism = "none",
                      .q = 0,
                      .z = 0,
                      .wall_ms = 1,
                      .after = digest,
                      .seen = {.seq = 9, .hash = digest}};
  records.Set("AlgorithmState", Golden(Encode(state))).Set("StudyRecord", Golden(Encode(study)));
  records.Set("ParticipantRecord", Golden(Encode(participant))).Set("LedgerRow", Golden(Encode(row)));
  Value all;
  all.Set("frames", frames).Set("records", records);
  return all;
}

TEST(Golden, TheEncodingOfWhatIsSentAndKeptDoesNotChange) {
  auto file = ReadFile(CONSILIUM_SOURCE_DIR "/tests/vectors/wire_golden.json", 1 << 20);
  ASSERT_TRUE(file.has_value()) << file.error().what;
  auto golden = ParseJson(Text(*file));
  ASSERT_TRUE(golden.has_value()) << golden.error().what;
  const Value encoded = Encoded();
  ASSERT_EQ(encoded["frames"].AsObject().size(), 18U);
  EXPECT_TRUE(encoded == *golden) << "the encoding is now\n" << PrettyJson(encoded);
}

TEST(Golden, FramesOfTheFileAreReadBack) {
  auto file = ReadFile(CONSILIUM_SOURCE_DIR "/tests/vectors/wire_golden.json", 1 << 20);
  ASSERT_TRUE(file.has_value());
  const Value golden = *ParseJson(Text(*file));
  int read = 0;
  for (const Message& message : Examples()) {
    const Value& hex = golden["frames"][KindName(message)]["hex"];
    if (!hex.IsString()) continue;
    EXPECT_EQ(*ReadFrame(*FromHex(hex.AsString()), TestKey().verify_key()), message);
    ++read;
  }
  EXPECT_GE(read, 9);
}

}  // namespace
}  // namespace consilium
