// One attempt at one private sum, from the first upload to the survivors.
//
//   Advertising -> Sharing -> Collecting -> Agreeing -> Unmasking -> Done
//        \____________\___________\____________\___________\-> Failed(reason)
//
// The visible profile (Plain) begins at Collecting and ends at Done; the other phases belong to Straight and Hsa1.
// Round owns no socket, thread or clock, and no vector but the one running sum: memory does not grow with hospitals.
// With release = hospital each member has a slot of its own in it, to which its upload is added: it becomes the answer.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>

#include "common/base/time.h"
#include "common/secagg/variant.h"
#include "common/wire/records.h"

namespace consilium::coordinator {

// How long a hospital that was online is waited for before the others go on without it.
inline constexpr Duration kGrace = std::chrono::seconds(5);

struct RoundOptions {
  RoundRecord record;
  Query query;     // Parsed record.query.
  Digest context;  // ctx; every offer must name it.
  std::uint32_t quorum = 2;
  Instant opened;
  Duration deadline = std::chrono::seconds(60);
};

class Round {
 public:
  enum class State : std::uint8_t { kAdvertising, kSharing, kCollecting, kAgreeing, kUnmasking, kDone, kFailed };
  // What the owner does with an offer.
  struct Verdict {
    enum class Do : std::uint8_t { kAdd, kPull, kReceipt, kIgnore, kRefuse } act = Do::kIgnore;
    Reason reason = Reason::kNone;
  };

  explicit Round(RoundOptions options);

  // First upload from a member under our context: kAdd (inline) or kPull. The same again: kReceipt (added) or kPull
  // (on its way). From outside the cohort, under another context or with another root: kRefuse.
  Verdict OnOffer(std::uint32_t from, const Offer& offer);
  // The owner folds whole uploads into the sum, one after another (inline at once, spooled ones in a job), between
  // BeginFold and EndFold. BeginFold is false when the upload is not wanted (any more) or was counted already.
  bool BeginFold(std::uint32_t from, const Digest& root);
  // Not intact: the sum is spoilt, the attempt fails. With release = hospital a vector that does not count its hospital
  // once is not taken, which the sum over all could not attribute: from is then not Uploaded but declined.
  void EndFold(std::uint32_t from, bool intact);
  [[nodiscard]] const std::shared_ptr<Bytes>& sum() const { return sum_; }
  [[nodiscard]] std::size_t SlotOf(std::uint32_t number) const;  // Offset in the sum of what this member adds to.
  [[nodiscard]] Bytes TakeWords();  // Once Done: the sum, or the survivors' slots, ascending. Leaves nothing here.

  void OnDeclined(std::uint32_t from, Reason reason);
  void OnLost(std::uint32_t from, Instant now);
  void OnBack(std::uint32_t from);
  void OnTime(Instant now);                                   // Early or repeated calls are harmless.
  [[nodiscard]] std::optional<Instant> NextDeadline() const;  // nullopt once Done or Failed.

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] Reason failure() const { return failure_; }
  [[nodiscard]] const std::vector<std::uint32_t>& survivors() const { return survivors_; }  // Once Done.
  [[nodiscard]] Digest Transcript() const;            // H over the survivors' roots, ascending.
  [[nodiscard]] std::vector<Absence> Absent() const;  // Members of the cohort that are not in the sum, and why.
  [[nodiscard]] bool folding() const { return folding_.has_value(); }
  [[nodiscard]] bool Uploaded(std::uint32_t number) const { return added_.contains(number); }
  [[nodiscard]] bool InCohort(std::uint32_t number) const;
  [[nodiscard]] const RoundRecord& record() const { return options_.record; }
  [[nodiscard]] const Query& query() const { return options_.query; }
  [[nodiscard]] const Digest& context() const { return options_.context; }
  [[nodiscard]] Duration TimeLeft(Instant now) const;

 private:
  [[nodiscard]] std::span<std::uint8_t> Slot(std::uint32_t number);
  void Settle(Instant now);
  void Finish();

  RoundOptions options_;
  std::unique_ptr<SumServer> variant_;
  State state_ = State::kCollecting;
  Reason failure_ = Reason::kNone;
  std::shared_ptr<Bytes> sum_;
  std::map<std::uint32_t, Digest> offered_;  // Root of each member's upload.
  std::set<std::uint32_t> added_;            // In the sum.
  std::optional<std::uint32_t> folding_;
  std::map<std::uint32_t, Reason> declined_;
  std::map<std::uint32_t, Instant> lost_;
  std::vector<std::uint32_t> survivors_;
  Instant looked_;  // The latest OnTime: a grace that had passed by then needs no further wake-up.
};

}  // namespace consilium::coordinator
