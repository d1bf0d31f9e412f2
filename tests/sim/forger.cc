// See forger.h.
#include "tests/sim/forger.h"

#include <algorithm>

#include "common/algorithms/derive.h"

namespace consilium::sim {

void Forger::AfterHospital(std::uint32_t number, const IdentityKey& rogue_key, const Bytes& frame) {
  if (!rogue_) return;
  bool worth_acting = number == rogue_->number;
  if (!IsChunk(frame)) {
    const auto message = Peek(frame);
    const auto* offer = message ? std::get_if<Offer>(&*message) : nullptr;
    if (offer != nullptr) overheard_ = *offer;
    if (offer != nullptr && number == rogue_->number) offers_.push_back(frame);
    worth_acting |= offer != nullptr;
  }
  if (!worth_acting || !Now()) return;
  if (!offers_.empty() && context_.random.PerMille(500)) {
    context_.Note("hospital {} REPLAYS an offer", rogue_->number);
    return network_.FromEnd(rogue_->end, offers_[context_.random.Below(offers_.size())]);
  }
  ForgeOffer(rogue_key);
}

// Under the context of the latest attempt, invited or not: a first, or a second and different upload.
void Forger::ForgeOffer(const IdentityKey& key) {
  if (!overheard_ || overheard_->vector.content.empty()) return;
  Offer offer = *overheard_;
  Bytes vector = offer.vector.content;
  vector[context_.random.Below(std::max<std::size_t>(vector.size() - 8, 1))] ^= 1;
  offer.vector = InlineBlob(vector);
  context_.Note("hospital {} FORGES an offer for attempt {}", rogue_->number, offer.attempt);
  watch_.OnForged(rogue_->number, std::move(vector));
  network_.FromEnd(rogue_->end, EncodeFrame(offer, key));
}

void Forger::AfterCoordinator(std::size_t ends, const IdentityKey& key, const std::vector<TransportKey>& peers,
                              const Bytes& frame) {
  if (!IsChunk(frame)) {
    const auto message = Peek(frame);
    if (!message) return;
    if (const auto* invite = std::get_if<Invite>(&*message)) invite_ = *invite;
    if (const auto* release = std::get_if<Release>(&*message)) release_ = *release;
    const bool worth_saying_again =
        std::holds_alternative<Invite>(*message) || std::holds_alternative<Release>(*message);
    if (worth_saying_again) said_.push_back(frame);
  }
  if (!Now()) return;
  const auto victim = context_.random.Below(ends);
  switch (context_.random.Below(4)) {
    case 0:
      if (said_.empty()) return;
      context_.Note("the coordinator REPLAYS to {}", victim + 1);
      return network_.FromCoordinator(peers[victim], said_[context_.random.Below(said_.size())]);
    case 1:
      return ForgeRelease(key, peers[victim]);
    default:
      return ForgeInvite(key, static_cast<std::uint32_t>(ends), peers[victim], static_cast<std::uint32_t>(victim + 1));
  }
}

void Forger::ForgeInvite(const IdentityKey& key, std::uint32_t hospitals, const TransportKey& victim,
                         std::uint32_t number) {
  if (!invite_) return;
  Invite invite = *invite_;
  auto& cohort = invite.cohort;
  if (!std::binary_search(cohort.begin(), cohort.end(), number)) {
    cohort.insert(std::lower_bound(cohort.begin(), cohort.end(), number), number);
  } else if (context_.random.PerMille(500)) {  // Another cohort makes another context.
    std::erase_if(cohort, [&](std::uint32_t other) {
      return other != number && cohort.size() > 2 && context_.random.PerMille(300);
    });
    const auto stranger = static_cast<std::uint32_t>(context_.random.Below(hospitals) + 1);
    if (!std::binary_search(cohort.begin(), cohort.end(), stranger)) {
      cohort.insert(std::lower_bound(cohort.begin(), cohort.end(), stranger), stranger);
    }
  }
  const std::uint32_t gone = context_.scenario.revoked;
  if (gone != 0 && gone != number && context_.random.PerMille(500)) {  // In the company of who is out.
    if (!std::binary_search(cohort.begin(), cohort.end(), gone))
      cohort.insert(std::lower_bound(cohort.begin(), cohort.end(), gone), gone);
    ++invite.attempt;
  }
  switch (context_.random.Below(4)) {
    case 0:
      invite.attempt += static_cast<std::uint32_t>(context_.random.Below(60));
      break;
    case 1:
      invite.attempt -= static_cast<std::uint32_t>(context_.random.Below(invite.attempt));
      break;
    default:
      break;
  }
  if (const auto* record = watch_.RecordOf(number, invite.study); record != nullptr && context_.random.PerMille(700)) {
    invite.last_release = record->last_release;
  }
  if (context_.random.PerMille(200)) AskForOwn(&invite);
  context_.Note("the coordinator FORGES an invitation of {} to attempt {}", number, invite.attempt);
  watch_.OnForgedInvite(invite);
  network_.FromCoordinator(victim, EncodeFrame(invite, key));
}

// For this hospital's own vector: the very query, with another release; or the one that a plan may lead to, of the
// model at hand and before its time.
void Forger::AskForOwn(Invite* invite) {
  auto query = ParseQuery(invite->query.content);
  if (!query || query->Coordinates() > kMaxReleasedCoordinates) return;
  const auto& plans = context_.scenario.plans;
  const auto plan = std::ranges::find_if(plans, [&](const Plan& each) { return each.id() == invite->study; });
  const auto model = Digest::FromHexText(query->params["inputs"]["model"].AsString());
  if (model && plan != plans.end() && context_.random.PerMille(500)) {
    Query own = OwnFiguresQuery(*plan, plan->rounds, *model, {}, 1);
    own.params.Set("preprocessing", query->params["preprocessing"]);
    own.plan = query->plan;
    own.round = query->round;
    own.bases = query->bases;
    query = std::move(own);
  }
  query->release = ReleaseTo::kHospital;
  invite->query = InlineBlob(Canonical(*query));
  context_.Note("the coordinator ASKS for one hospital's own {}", query->kind);
}

void Forger::ForgeRelease(const IdentityKey& key, const TransportKey& victim) {
  if (!release_) return;
  Release release = *release_;
  release.answer.bytes[0] ^= 1;
  release.last = false;
  if (context_.random.PerMille(700)) ++release.seq;
  if (context_.random.PerMille(500)) release.previous.bytes[0] ^= 1;
  context_.Note("the coordinator FORGES release {}", release.seq);
  const Bytes frame = EncodeFrame(release, key);
  watch_.OnForgedRelease(frame);
  network_.FromCoordinator(victim, frame);
}

}  // namespace consilium::sim
