#include "common/wire/messages.h"

#include "common/base/check.h"
#include "common/wire/kinds.h"

namespace consilium {
namespace {

template <std::size_t N>
std::string_view At(const std::array<std::string_view, N>& names, std::size_t index) {
  CHECK(index < N);
  return names[index];
}

// By the index in Message; Later has its own table.
constexpr std::array<std::string_view, std::variant_size_v<Message> - 1> kKindNames = {
    "Hello", "Welcome", "Refused", "Enroll",  "Roster",  "PlanOffer", "PlanVerdict", "Invite",     "Decline",
    "Offer", "Pull",    "Receipt", "Release", "Abandon", "Heartbeat", "StudyState",  "RosterDraft"};

}  // namespace

std::string_view Name(Reason reason) {
  static constexpr std::array<std::string_view, kReasons> kNames = {"none",
                                                                    "version",
                                                                    "unknown_peer",
                                                                    "revoked",
                                                                    "bad_token",
                                                                    "name_taken",
                                                                    "malformed",
                                                                    "bad_signature",
                                                                    "wrong_state",
                                                                    "unknown_study",
                                                                    "not_approved",
                                                                    "rejected",
                                                                    "policy",
                                                                    "too_few_hospitals",
                                                                    "too_few_patients",
                                                                    "data_unfit",
                                                                    "budget",
                                                                    "stale_attempt",
                                                                    "context",
                                                                    "cohort",
                                                                    "query_not_derived",
                                                                    "chain",
                                                                    "locked",
                                                                    "deadline",
                                                                    "quorum",
                                                                    "offline",
                                                                    "aborted",
                                                                    "failed_here",
                                                                    "busy",
                                                                    "shutting_down",
                                                                    "expired",
                                                                    "single_class",
                                                                    "diverged",
                                                                    "memory"};
  return At(kNames, static_cast<std::size_t>(reason));
}

std::string_view Name(StudyPhase phase) {
  static constexpr std::array<std::string_view, kStudyPhases> kNames = {"awaiting consent", "running", "paused",
                                                                        "complete",         "aborted", "failed"};
  return At(kNames, static_cast<std::size_t>(phase));
}

std::string_view KindName(const Message& message) {
  if (const auto* later = std::get_if<Later>(&message)) return WireKindName(later->kind);
  return At(kKindNames, message.index());
}

std::string_view WireKindName(std::uint16_t kind) { return At(kWireKinds, kind); }

Blob InlineBlob(ByteView content) {
  CHECK(content.size() <= kInlineBlob);
  if (content.empty()) return {};
  return {.root = BlobRoot(content), .bytes = content.size(), .leaves = {}, .content = ToBytes(content)};
}

Status CheckBlob(const Blob& blob) {
  if (blob.bytes > kMaxBlob) return Fail(Code::kProtocol, "a blob is larger than 4 GiB");
  if (blob.bytes == 0) {
    if (!blob.leaves.empty() || !blob.content.empty())
      return Fail(Code::kProtocol, "an empty blob has content or leaves");
    if (blob.root.IsZero() || blob.root == MerkleRoot({})) return {};
    return Fail(Code::kProtocol, "an empty blob has another root than the empty tree's");
  }
  if (blob.bytes <= kInlineBlob) {
    if (!blob.leaves.empty() || blob.content.size() != blob.bytes) {
      return Fail(Code::kProtocol, "a small blob is not whole inside its message");
    }
    if (BlobRoot(blob.content) != blob.root) return Fail(Code::kProtocol, "a blob's content does not give its root");
    return {};
  }
  if (!blob.content.empty()) return Fail(Code::kProtocol, "a large blob has its content inside the message");
  if (blob.leaves.size() != (blob.bytes + kLeafBytes - 1) / kLeafBytes) {
    return Fail(Code::kProtocol, "a blob's leaves do not fit its size");
  }
  if (MerkleRoot(blob.leaves) != blob.root) return Fail(Code::kProtocol, "a blob's leaves do not give its root");
  return {};
}

}  // namespace consilium
