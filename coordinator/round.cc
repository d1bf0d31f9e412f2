#include "coordinator/round.h"

#include "common/base/check.h"
#include "common/base/twin.h"

namespace consilium::coordinator {

Round::Round(RoundOptions options)
    : options_(std::move(options)),
      variant_(std::make_unique<PlainServer>(options_.record.cohort, options_.quorum)),
      sum_(std::make_shared<Bytes>(options_.query.AnswerBytes(options_.record.cohort.size()))) {
  CHECK(options_.quorum >= 2);  // A sum of one is that hospital's data.
}

bool Round::InCohort(std::uint32_t number) const {
  return std::binary_search(options_.record.cohort.begin(), options_.record.cohort.end(), number);
}

std::size_t Round::SlotOf(std::uint32_t number) const {
  if (options_.query.release == ReleaseTo::kSum) return 0;
  const auto& cohort = options_.record.cohort;
  const auto found = std::ranges::lower_bound(cohort, number);
  CHECK(found != cohort.end() && *found == number);  // BeginFold took it.
  return static_cast<std::size_t>(found - cohort.begin()) * options_.query.WireBytes();
}

std::span<std::uint8_t> Round::Slot(std::uint32_t number) {
  return std::span(*sum_).subspan(SlotOf(number), options_.query.WireBytes());
}

Bytes Round::TakeWords() {
  Bytes words = Omitted(Twin::kOneAnswer) ? *sum_ : std::move(*sum_);
  if (options_.query.release == ReleaseTo::kSum) return words;
  const std::size_t length = options_.query.WireBytes();
  std::size_t end = 0;
  for (const std::uint32_t number : survivors_) {  // Closes the gaps of those that are missing.
    if (const std::size_t slot = SlotOf(number); slot > end)
      std::memcpy(words.data() + end, words.data() + slot, length);
    end += length;
  }
  words.resize(end);
  return words;
}

Round::Verdict Round::OnOffer(std::uint32_t from, const Offer& offer) {
  using Do = Verdict::Do;
  if (state_ != State::kCollecting) return {Do::kIgnore};
  if (!Omitted(Twin::kStrangerUpload) && !InCohort(from)) return {Do::kRefuse, Reason::kCohort};
  if (!Omitted(Twin::kStaleOffer) && offer.context != options_.context) return {Do::kRefuse, Reason::kContext};
  if (offer.vector.bytes != options_.query.WireBytes()) return {Do::kRefuse, Reason::kMalformed};
  if (!Omitted(Twin::kDuplicateUpload)) {
    // Two different vectors of one hospital under one context: it lies, or was restored from an old backup.
    const auto known = offered_.find(from);
    if (known != offered_.end() && known->second != offer.vector.root) return {Do::kRefuse, Reason::kContext};
    if (added_.contains(from)) return {Do::kReceipt};
    if (folding_ == from) return {Do::kIgnore};
  }
  declined_.erase(from);
  offered_[from] = offer.vector.root;
  return {offer.vector.content.empty() ? Do::kPull : Do::kAdd};
}

bool Round::BeginFold(std::uint32_t from, const Digest& root) {
  if (state_ != State::kCollecting) return false;
  if (!Omitted(Twin::kDuplicateUpload) && added_.contains(from)) return false;
  const auto known = offered_.find(from);
  if (known == offered_.end() || known->second != root) return false;
  CHECK(!folding_.has_value());  // One writer at a time on the running sum.
  folding_ = from;
  return true;
}

void Round::EndFold(std::uint32_t from, bool intact) {
  CHECK(folding_ == from);
  folding_.reset();
  if (!intact) {
    state_ = State::kFailed;
    failure_ = Reason::kFailedHere;
    return;
  }
  if (options_.query.release == ReleaseTo::kHospital && !Answer::Create(options_.query, {from}, ToBytes(Slot(from)))) {
    std::ranges::fill(Slot(from), 0);
    declined_[from] = Reason::kMalformed;
    return;
  }
  added_.insert(from);
}

void Round::OnDeclined(std::uint32_t from, Reason reason) {
  if (InCohort(from) && !added_.contains(from)) declined_[from] = reason;
}

void Round::OnLost(std::uint32_t from, Instant now) {
  if (InCohort(from)) lost_.try_emplace(from, now);
}

void Round::OnBack(std::uint32_t from) { lost_.erase(from); }

Duration Round::TimeLeft(Instant now) const { return std::max(Duration(0), options_.opened + options_.deadline - now); }

std::optional<Instant> Round::NextDeadline() const {
  if (state_ != State::kCollecting) return std::nullopt;
  Instant next = options_.opened + options_.deadline;
  for (const auto& [number, at] : lost_) {
    const bool waited_for = !added_.contains(number) && !declined_.contains(number);
    if (waited_for && at + kGrace > looked_) next = std::min(next, at + kGrace);
  }
  return next;
}

// The upload phase ends when nobody is left to wait for, when those left have been gone for longer than kGrace and the
// others suffice, or at the deadline.
void Round::OnTime(Instant now) {
  if (state_ != State::kCollecting || folding_.has_value()) return;
  looked_ = now;
  if (now >= options_.opened + options_.deadline) return Finish();
  Settle(now);
}

void Round::Settle(Instant now) {
  std::size_t waiting = 0;
  std::size_t gone = 0;
  for (std::uint32_t number : options_.record.cohort) {
    if (added_.contains(number) || declined_.contains(number)) continue;
    const auto lost = lost_.find(number);
    ++(lost != lost_.end() && now >= lost->second + kGrace ? gone : waiting);
  }
  if (variant_->Complete(added_)) return Finish();
  if (waiting > 0) return;
  const bool sufficient = !variant_->Survivors(added_).empty();
  if (sufficient || gone == 0) Finish();  // With `gone` and too few, they may still come back before the deadline.
}

void Round::Finish() {
  survivors_ = variant_->Survivors(added_);
  if (Omitted(Twin::kQuorum) && survivors_.empty()) survivors_.assign(added_.begin(), added_.end());
  if (survivors_.empty()) {
    state_ = State::kFailed;
    failure_ = Reason::kQuorum;
    return;
  }
  state_ = State::kDone;
}

Digest Round::Transcript() const {
  Fields fields("consilium/transcript");
  for (std::uint32_t number : survivors_) fields.Add(number).Add(offered_.at(number));
  return fields.Hash();
}

std::vector<Absence> Round::Absent() const {
  std::vector<Absence> absent;
  for (std::uint32_t number : options_.record.cohort) {
    if (added_.contains(number)) continue;
    const auto declined = declined_.find(number);
    Reason reason = Reason::kDeadline;
    if (declined != declined_.end()) {
      reason = declined->second;
    } else if (lost_.contains(number)) {
      reason = Reason::kOffline;
    }
    absent.push_back({number, reason});
  }
  return absent;
}

}  // namespace consilium::coordinator
