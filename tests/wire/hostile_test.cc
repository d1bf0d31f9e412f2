// What a peer with a good key but ill will may send: well-signed envelopes around payloads that break a limit. Each is
// malformed (kProtocol), none costs more than its size, and a wrong signature is found before the payload is parsed.
#include <gtest/gtest.h>

#include "common/wire/framing.h"  // Before Cap'n Proto's own headers, for clang.

#include <capnp/any.h>

#include "schemas/wire.capnp.h"
#include "tests/wire/examples.h"

namespace consilium {
namespace {

using framing::Raw;

Bytes Framed(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  std::vector<std::uint32_t> table = {static_cast<std::uint32_t>(segments.size() - 1)};
  for (const auto& segment : segments) table.push_back(static_cast<std::uint32_t>(segment.size()));
  if (table.size() % 2 != 0) table.push_back(0);
  Bytes out(table.size() * 4);
  std::memcpy(out.data(), table.data(), out.size());
  for (const auto& segment : segments) out.insert(out.end(), segment.asBytes().begin(), segment.asBytes().end());
  return out;
}
Bytes Framed(capnp::MessageBuilder& builder) { return Framed(builder.getSegmentsForOutput()); }

Bytes Sealed(ByteView payload, std::string_view kind, const IdentityKey& key = TestKey()) {
  capnp::MallocMessageBuilder builder(64 + payload.size() / 8);
  auto root = builder.initRoot<schema::Envelope>();
  root.setPayload(Raw(payload));
  root.setSignature(Raw(key.Sign(Fields("HSA1/msg").AddText(kind).Add(Blake2b(payload)).bytes())));
  return Framed(builder);
}

// A message that is good until a test spoils it.
struct Draft {
  capnp::MallocMessageBuilder builder{1 << 16};
  schema::Message::Builder message = builder.initRoot<schema::Message>();

  Result<Message> Read(std::string_view kind) {
    return ReadFrame(Sealed(Framed(builder), kind), TestKey().verify_key());
  }
  bool Good(std::string_view kind) { return Read(kind).has_value(); }
  // Malformed, and not for a reason that the test did not mean.
  std::string WhyMalformed(std::string_view kind) {
    auto read = Read(kind);
    if (read.has_value()) return "";
    EXPECT_EQ(read.error().code, Code::kProtocol);
    return read.error().what;
  }
};

const Digest kZero;
void Fill(schema::Blob::Builder out, const Blob& blob) {
  out.setRoot(Raw(blob.root));
  out.setBytes(blob.bytes);
  auto leaves = out.initLeaves(32 * blob.leaves.size());
  for (std::size_t i = 0; i < blob.leaves.size(); ++i)
    std::memcpy(leaves.begin() + 32 * i, blob.leaves[i].bytes.data(), 32);
  out.setContent(Raw(blob.content));
}
schema::Hello::Builder GoodHello(Draft& draft) {
  auto hello = draft.message.initHello();
  hello.setVersionHigh(1);
  hello.initLedger().setHash(Raw(kZero));
  hello.initUnlocked().setHash(Raw(kZero));
  return hello;
}
schema::Invite::Builder GoodInvite(Draft& draft) {
  auto invite = draft.message.initInvite();
  invite.setStudy(Raw(kZero));
  invite.setRoster(Raw(kZero));
  invite.setLastRelease(Raw(kZero));
  Fill(invite.initQuery(), InlineBlob(View("q")));
  return invite;
}
schema::Release::Builder GoodRelease(Draft& draft) {
  auto release = draft.message.initRelease();
  for (auto set : {&schema::Release::Builder::setStudy, &schema::Release::Builder::setPrevious,
                   &schema::Release::Builder::setQuery, &schema::Release::Builder::setAnswer,
                   &schema::Release::Builder::setTranscript}) {
    (release.*set)(Raw(kZero));
  }
  release.initModel().setRoot(Raw(kZero));
  return release;
}

TEST(Hostile, DraftsAreGoodBeforeTheyAreSpoilt) {
  Draft hello, invite, release;
  GoodHello(hello);
  GoodInvite(invite);
  GoodRelease(release);
  EXPECT_TRUE(hello.Good("Hello"));
  EXPECT_TRUE(invite.Good("Invite")) << invite.WhyMalformed("Invite");
  EXPECT_TRUE(release.Good("Release")) << release.WhyMalformed("Release");
}

TEST(Hostile, TheSignatureCoversTheKind) {
  Draft draft;
  GoodHello(draft);
  EXPECT_EQ(draft.Read("Welcome").error().code, Code::kUnauthorised);
}

TEST(Hostile, AWrongSignatureIsFoundBeforeThePayloadIsParsed) {
  Draft draft;
  GoodInvite(draft).setRoster(Raw(Bytes(31)));
  EXPECT_FALSE(draft.WhyMalformed("Invite").empty());
  const Bytes frame = Sealed(Framed(draft.builder), "Invite", TestKey(2));
  EXPECT_EQ(ReadFrame(frame, TestKey().verify_key()).error().code, Code::kUnauthorised);
}

TEST(Hostile, SeveralSegmentsAreMalformed) {
  capnp::MallocMessageBuilder builder(4, capnp::AllocationStrategy::FIXED_SIZE);
  auto hello = builder.initRoot<schema::Message>().initHello();
  hello.setVersionHigh(1);
  hello.initLedger().setHash(Raw(kZero));
  ASSERT_GT(builder.getSegmentsForOutput().size(), 1U);
  auto read = ReadFrame(Sealed(Framed(builder), "Hello"), TestKey().verify_key());
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().what, "a message has several segments");
}

TEST(Hostile, AnEnvelopeHasOneEncoding) {
  const Bytes payload = OpenEnvelope(EncodeFrame(Hello{}, TestKey()))->payload;
  const Bytes good = Sealed(payload, "Hello");
  ASSERT_TRUE(ReadFrame(good, TestKey().verify_key()).has_value());
  Bytes spare = good;  // A word to spare, accounted for in the segment table.
  spare.resize(spare.size() + 8);
  ++spare[4];
  EXPECT_EQ(OpenEnvelope(spare).error().code, Code::kProtocol);
  capnp::MallocMessageBuilder swapped(256);  // The same content in another order of words.
  auto root = swapped.initRoot<schema::Envelope>();
  root.setSignature(Raw(OpenEnvelope(good)->signature));
  root.setPayload(Raw(payload));
  EXPECT_EQ(OpenEnvelope(Framed(swapped)).error().code, Code::kProtocol);
  Bytes trailing = payload;  // Bytes after the payload's segment, signed.
  trailing.resize(trailing.size() + 8);
  EXPECT_EQ(ReadFrame(Sealed(trailing, "Hello"), TestKey().verify_key()).error().code, Code::kProtocol);
}

TEST(Hostile, AFrameOverTheLimitIsNotEvenOpened) {
  Draft draft;
  GoodHello(draft);
  Bytes payload = Framed(draft.builder);
  const std::size_t words = (kMaxMessage - payload.size()) / 8 + 1;
  payload.resize(payload.size() + 8 * words);
  EXPECT_EQ(OpenEnvelope(Sealed(payload, "Hello")).error().what, "a frame is larger than 2 MiB");
  EXPECT_EQ(ReadChunk(Bytes(kMaxMessage + 1, 0x80)).error().what, "a frame is larger than 2 MiB");
}

TEST(Hostile, UnknownKindsAndEnumerantsAreMalformed) {
  Draft kind;
  GoodHello(kind);
  auto raw = kind.builder.getRoot<capnp::AnyStruct>();
  raw.getDataSection()[0] = 200;
  EXPECT_NE(kind.WhyMalformed("Hello").find("its kind is unknown"), std::string::npos);
  for (std::uint16_t reason : {34, 999, 65535}) {
    Draft draft;
    auto refused = draft.message.initRefused();
    refused.setStudy(Raw(kZero));
    EXPECT_TRUE(draft.Good("Refused"));
    refused.setReason(static_cast<schema::Reason>(reason));
    EXPECT_NE(draft.WhyMalformed("Refused").find("enumerant"), std::string::npos);
  }
  Draft heartbeat;
  heartbeat.message.initHeartbeat().setStudy(Raw(kZero));
  EXPECT_TRUE(heartbeat.Good("Heartbeat"));
  heartbeat.message.getHeartbeat().setPhase(static_cast<schema::Heartbeat::Phase>(5));
  EXPECT_FALSE(heartbeat.Good("Heartbeat"));
}

// Heads go on as JSON, whose numbers end there.
TEST(Hostile, AChainLongerThanAnyIsMalformed) {
  Draft hello;
  GoodHello(hello);
  hello.message.getHello().getLedger().setSeq(kMaxChainSeq);
  EXPECT_TRUE(hello.Good("Hello"));
  hello.message.getHello().getLedger().setSeq(kMaxChainSeq + 1);
  EXPECT_NE(hello.WhyMalformed("Hello").find("longer than any"), std::string::npos);
}

TEST(Hostile, ListsOverTheirLimitAreMalformed) {
  Draft marks, cohort, inputs, rosters, absent;
  GoodHello(marks).initStudies(kMaxStudyMarks + 1);
  EXPECT_NE(marks.WhyMalformed("Hello").find("more study marks than 4096"), std::string::npos);
  auto numbers = GoodInvite(cohort).initCohort(kMaxHospitals + 1);
  for (std::uint32_t i = 0; i < numbers.size(); ++i) numbers.set(i, i + 1);
  EXPECT_NE(cohort.WhyMalformed("Invite").find("more hospitals than 10000"), std::string::npos);
  for (auto blob : GoodInvite(inputs).initInputs(kMaxInputs + 1)) Fill(blob, {});
  EXPECT_NE(inputs.WhyMalformed("Invite").find("more blobs than 16"), std::string::npos);
  for (auto blob : rosters.message.initRoster().initRosters(kMaxRostersPerUpdate + 1))
    Fill(blob, InlineBlob(View("r")));
  EXPECT_NE(rosters.WhyMalformed("Roster").find("more blobs than 16"), std::string::npos);
  GoodRelease(absent).initAbsent(kMaxHospitals + 1);
  EXPECT_NE(absent.WhyMalformed("Release").find("more absent hospitals than 10000"), std::string::npos);
  Draft counted;
  GoodRelease(counted).initCounted(kMaxHospitals + 1);
  EXPECT_NE(counted.WhyMalformed("Release").find("more counted hospitals than 10000"), std::string::npos);
}

TEST(Hostile, ARosterDraftHasItsHashAndEachKeyOnce) {
  const auto draft_with = [](Draft& draft, unsigned signatures) {
    auto roster = draft.message.initRosterDraft();
    roster.setHash(Raw(Filled<Digest>(1)));
    Fill(roster.initRoster(), InlineBlob(View("r")));
    auto list = roster.initSignatures(signatures);
    for (unsigned i = 0; i < signatures; ++i) {
      auto key = Filled<VerifyKey>(static_cast<std::uint8_t>(i));
      key.bytes[31] = static_cast<std::uint8_t>(i >> 8);
      list[i].setKey(Raw(key));
      list[i].setSignature(Raw(Filled<Signature>(9)));
    }
    return roster;
  };
  Draft good, twice, zero, many, cut;
  draft_with(good, 2);
  EXPECT_TRUE(good.Good("RosterDraft")) << good.WhyMalformed("RosterDraft");
  auto list = draft_with(twice, 2).getSignatures();
  list[1].setKey(list[0].asReader().getKey());
  EXPECT_NE(twice.WhyMalformed("RosterDraft").find("signs a roster twice"), std::string::npos);
  draft_with(zero, 0).setHash(Raw(kZero));
  EXPECT_NE(zero.WhyMalformed("RosterDraft").find("zero hash"), std::string::npos);
  draft_with(many, 0).initSignatures(kMaxRosterSignatures + 1);
  EXPECT_NE(many.WhyMalformed("RosterDraft").find("more signatures than 10000"), std::string::npos);
  draft_with(cut, 1).getSignatures()[0].setSignature(Raw(Bytes(63)));
  EXPECT_NE(cut.WhyMalformed("RosterDraft"), "");
}

TEST(Hostile, SetsAreAscendingFromOne) {
  for (std::pair<std::uint32_t, std::uint32_t> set : {std::pair{2U, 1U}, {3U, 3U}, {0U, 1U}}) {
    Draft invite, release;
    auto cohort = GoodInvite(invite).initCohort(2);
    cohort.set(0, set.first);
    cohort.set(1, set.second);
    EXPECT_NE(invite.WhyMalformed("Invite").find("not ascending"), std::string::npos);
    auto absent = GoodRelease(release).initAbsent(2);
    absent[0].setHospital(set.first);
    absent[1].setHospital(set.second);
    EXPECT_NE(release.WhyMalformed("Release").find("not ascending"), std::string::npos);
    Draft counting;
    auto counted = GoodRelease(counting).initCounted(2);
    counted[0].setHospital(set.first);
    counted[1].setHospital(set.second);
    EXPECT_NE(counting.WhyMalformed("Release").find("counted hospitals are not ascending"), std::string::npos);
  }
}

// Half a billion elements in one word: read as structs, each would have cost as much as a real one.
TEST(Hostile, AListOfNothingIsNotWorthMoreThanItsBytes) {
  Draft draft;
  GoodHello(draft);
  auto hello = draft.builder.getRoot<capnp::AnyStruct>().getPointerSection()[0].getAs<capnp::AnyStruct>();
  hello.getPointerSection()[1].initAs<capnp::List<capnp::Void>>((1U << 29) - 1);
  EXPECT_NE(draft.WhyMalformed("Hello").find("traversal limit"), std::string::npos) << draft.WhyMalformed("Hello");
  hello.getPointerSection()[1].initAs<capnp::List<capnp::Void>>(4096);
  EXPECT_FALSE(draft.Good("Hello"));
}

// All rosters of an update point at one content: the message would be read as many times its size.
TEST(Hostile, ManyPointersToOneContentRunIntoTheTraversalLimit) {
  Draft draft;
  auto rosters = draft.message.initRoster().initRosters(kMaxRostersPerUpdate);
  const Blob blob = InlineBlob(Bytes(kInlineBlob, 7));
  for (auto out : rosters) Fill(out, InlineBlob(View("r")));
  Fill(rosters[0], blob);
  ASSERT_TRUE(draft.Good("Roster"));
  Bytes payload = Framed(draft.builder);
  const auto word = [&](std::size_t at) {
    std::uint64_t value = 0;
    std::memcpy(&value, payload.data() + 8 * at, 8);
    return value;
  };
  const auto target = [&](std::size_t pointer) {
    return pointer + 1 + static_cast<std::size_t>(static_cast<std::int32_t>(word(pointer) & 0xFFFFFFFF) >> 2);
  };
  const std::size_t message = target(1);             // One data word, one pointer.
  const std::size_t roster = target(message + 1);    // One data word, one pointer.
  const std::size_t first = target(roster + 1) + 1;  // After the list's tag; 1 data word, 3 pointers.
  const std::size_t content = target(first + 3);
  for (std::size_t i = 1; i < kMaxRostersPerUpdate; ++i) {
    const std::size_t pointer = first + 4 * i + 3;
    const std::uint64_t moved = (word(first + 3) & ~0xFFFFFFFFULL) | ((content - pointer - 1) << 2 | 1);
    std::memcpy(payload.data() + 8 * pointer, &moved, 8);
    std::memcpy(payload.data() + 8 * (first + 4 * i), &blob.bytes, 8);
    std::memcpy(payload.data() + 8 * target(first + 4 * i + 1), blob.root.bytes.data(), 32);
  }
  auto read = ReadFrame(Sealed(payload, "Roster"), TestKey().verify_key());
  ASSERT_FALSE(read.has_value());
  EXPECT_NE(read.error().what.find("traversal limit"), std::string::npos) << read.error().what;
}

TEST(Hostile, BlobsThatDoNotGiveTheirRootAreMalformed) {
  const auto why = [](const Blob& blob) {
    Draft draft;
    auto offer = draft.message.initPlanOffer();
    offer.setStudy(Raw(kZero));
    Fill(offer.initPlan(), blob);
    return draft.WhyMalformed("PlanOffer");
  };
  const Blob small = InlineBlob(View("plan")), large = LargeBlob(2 * kLeafBytes);
  EXPECT_EQ(why(small), "");
  EXPECT_EQ(why(large), "");
  EXPECT_NE(why({}), "") << "a plan must be there";
  Blob blob = small;
  blob.content[0] ^= 1;
  EXPECT_NE(why(blob).find("content does not give its root"), std::string::npos);
  blob = small;
  blob.bytes = 3;
  EXPECT_NE(why(blob), "");
  blob = small;
  blob.leaves = {MerkleLeaf(small.content)};
  EXPECT_NE(why(blob), "") << "leaves and content";
  blob = large;
  blob.content = small.content;
  EXPECT_NE(why(blob), "") << "content and leaves";
  blob = large;
  blob.leaves[1].bytes[0] ^= 1;
  EXPECT_NE(why(blob).find("leaves do not give its root"), std::string::npos);
  blob = large;
  ++blob.bytes;
  EXPECT_NE(why(blob).find("leaves do not fit its size"), std::string::npos);
  blob = large;
  blob.bytes = kMaxBlob + 1;
  EXPECT_NE(why(blob).find("larger than 4 GiB"), std::string::npos);
  blob.bytes = UINT64_MAX;
  EXPECT_NE(why(blob).find("larger than 4 GiB"), std::string::npos);
  blob = {.root = BlobRoot(Bytes(kInlineBlob + 1)),
          .bytes = kInlineBlob + 1,
          .leaves = {},
          .content = Bytes(kInlineBlob + 1)};
  EXPECT_NE(why(blob).find("more bytes inside a message"), std::string::npos);
}

TEST(Hostile, TextsAreShortUtf8WithoutControlCharacters) {
  const auto good = [](std::string_view name) {
    Draft draft;
    auto hello = GoodHello(draft);
    auto text = hello.initBuild(static_cast<unsigned>(name.size()));
    std::memcpy(text.begin(), name.data(), name.size());
    return draft.Good("Hello");
  };
  EXPECT_TRUE(good(""));
  EXPECT_TRUE(good("Universit\u00e4tsklinikum \u6f22 \U0001F3E5"));
  EXPECT_TRUE(good(std::string(kMaxText, 'a')));
  EXPECT_FALSE(good(std::string(kMaxText + 1, 'a')));
  using namespace std::string_view_literals;
  for (std::string_view bad :
       {"\x1b[31m"sv, "a\nb"sv, "a\0b"sv, "\x7f"sv, "\xc2\x9b"sv, "\xff"sv, "\xc3"sv, "\xc0\x80"sv, "\xe0\x80\x80"sv,
        "\xed\xa0\x80"sv, "\xf4\x90\x80\x80"sv, "\xf0\x80\x80\x80"sv, "\x80"sv, "\xe6\xbc"sv}) {
    EXPECT_FALSE(good(bad)) << Hex(View(bad));
  }
}

TEST(Hostile, PullsVersionsHeartbeatsAndNamesStayWithinTheirLimits) {
  for (std::pair<std::uint32_t, std::uint32_t> bad : {std::pair{0U, 0U}, {0U, 5U}, {16384U, 1U}}) {
    Draft draft;
    auto pull = draft.message.initPull();
    pull.setRoot(Raw(kZero));
    pull.setFirst(bad.first);
    pull.setCount(bad.second);
    EXPECT_FALSE(draft.Good("Pull"));
  }
  Draft versions;
  GoodHello(versions).setVersionLow(2);
  EXPECT_NE(versions.WhyMalformed("Hello").find("version range"), std::string::npos);
  for (std::uint32_t ms : {0U, kMaxHeartbeatMs + 1}) {
    Draft draft;
    auto welcome = draft.message.initWelcome();
    welcome.initLedger().setHash(Raw(kZero));
    welcome.setHeartbeatMs(1);
    EXPECT_TRUE(draft.Good("Welcome"));
    welcome.setHeartbeatMs(ms);
    EXPECT_FALSE(draft.Good("Welcome"));
  }
  Enroll nameless = std::get<Enroll>(Examples()[3]);
  nameless.name.clear();
  EXPECT_EQ(ReadEnroll(EncodeFrame(nameless, TestKey())).error().code, Code::kProtocol);
}

TEST(Hostile, WhatTheSecureProfileWillSendIsKnownAndNotActedOn) {
  Draft setup, sid, accepts;
  GoodInvite(setup).initSetup().setSlots(64);
  GoodInvite(sid).setSid(Raw(kZero));
  GoodInvite(accepts).initAccepts(1);
  for (Draft* draft : {&setup, &sid, &accepts}) {
    ASSERT_TRUE(draft->Good("Invite")) << draft->WhyMalformed("Invite");
    EXPECT_EQ(*draft->Read("Invite"), Message(Later{7}));
  }
  Draft advert;
  advert.message.initAdvert().initSeen(20000);
  ASSERT_TRUE(advert.Good("Advert")) << advert.WhyMalformed("Advert");
  EXPECT_EQ(*advert.Read("Advert"), Message(Later{9}));
  for (std::uint16_t kind : {7, 9, 10, 11, 12, 13, 14, 18, 19, 20, 21}) {
    const Message later = Later{kind};
    EXPECT_EQ(*ReadFrame(EncodeFrame(later, TestKey()), TestKey().verify_key()), later) << KindName(later);
  }
}

}  // namespace
}  // namespace consilium
