// The session with the coordinator: greeting, rosters, heartbeats, transfers, and messages that wait for a blob.
#include <fmt/format.h>

#include "common/base/log.h"
#include "hospital_node/core.h"

namespace consilium::node {
namespace {

constexpr Duration kShortestPeriod = std::chrono::milliseconds(100), kLongestPeriod = std::chrono::seconds(60);
constexpr std::size_t kFramesBeforeRoster = 8;

// The founding roster comes in a message that is signed by the key inside it. What the fingerprint on the token names
// is trusted, so its server key may verify the message. Nullopt when this is not such a message.
std::optional<VerifyKey> FoundingKey(ByteView frame, const Digest& fingerprint) {
  const auto message = ReadBeforeTrust(frame);
  const auto* update = message ? std::get_if<RosterUpdate>(&*message) : nullptr;
  if (update == nullptr || update->first != 0 || update->rosters.empty()) return std::nullopt;
  const auto roster0 = ParseSignedRoster(update->rosters.front().content);
  if (!roster0 || roster0->hash() != fingerprint) return std::nullopt;
  const auto chain = RosterChain::Found(*roster0, fingerprint);
  if (!chain) return std::nullopt;
  return chain->current().server_identity;
}

Phase PhaseOf(Participant::Stage stage, bool pulled) {
  switch (stage) {
    case Participant::Stage::kIdle:
      return Phase::kIdle;
    case Participant::Stage::kJoining:
    case Participant::Stage::kComputing:
      return Phase::kComputing;
    case Participant::Stage::kOffered:
      return pulled ? Phase::kUploading : Phase::kOffering;
    case Participant::Stage::kReceipted:
      return Phase::kWaiting;
  }
  return Phase::kIdle;
}

}  // namespace

void NodeCore::OnConnected() {
  if (session_.connected) OnLost("replaced by a new connection");
  session_ = {};
  session_.connected = true;
  session_.heard = now_.instant;
  session_.lost.clear();
  told_.clear();
  Log(LogLevel::kInfo, "connected", {{"server_key", options_.server_key.Hex()}});
  SendHello();
}

void NodeCore::SendHello() {
  Hello hello;
  hello.build = options_.build;
  hello.rosters = chain_ ? chain_->links().size() : 0;
  for (const auto& [id, participant] : studies_) hello.studies.push_back(participant.mark());
  hello.ledger = ledger_.head();
  hello.unlocked = ledger_.unlocked();
  SendMessage(hello);
}

void NodeCore::OnLost(std::string reason) {
  if (session_.connected) inbox_.OnPeerLost(options_.server_key);
  session_ = {};
  session_.lost = std::move(reason);
  draft_.reset();
  SettleSigning(Fail(Code::kUnreachable, "the session with the coordinator ended (" + session_.lost +
                                             ") before it answered; type the same command again"));
  keys_refused_ = session_.lost == "key refused" ? keys_refused_ + 1 : 0;
  constexpr int kRefusals = 3;
  if (keys_refused_ >= kRefusals && options_.other_transport) ReplaceKeys("the coordinator admits this key no more");
  before_roster_.clear();
  queue_.clear();
  for (const auto& [root, content] : assembling_) inbox_.Cancel(root);  // Nobody waits for them any more.
  assembling_.clear();
  assembled_.clear();
  Log(LogLevel::kWarning, "disconnected", {{"reason", session_.lost}});
}

void NodeCore::CloseSession(const std::string& reason) {
  if (!session_.connected) return;
  OnLost(reason);
  result_.disconnects.push_back({options_.server_key, reason});
}

void NodeCore::OnFrame(const Bytes& frame) {
  if (!session_.connected) return;  // Of a session that was closed.
  if (IsChunk(frame)) return OnChunkFrame(frame);
  if (!chain_) return OnFrameBeforeRoster(frame);
  auto message = ReadFrame(frame, chain_->current().server_identity);
  if (!message) {
    const Reason reason = message.error().code == Code::kUnauthorised ? Reason::kBadSignature : Reason::kMalformed;
    Log(LogLevel::kWarning, "bad_message", {{"reason", std::string(Name(reason))}, {"why", message.error().what}});
    SendMessage(Refused{reason, {}, 0});
    return CloseSession(std::string(Name(reason)));
  }
  session_.heard = now_.instant;
  OnMessage(std::move(*message), frame);
}

void NodeCore::OnFrameBeforeRoster(const Bytes& frame) {
  const auto key = FoundingKey(frame, options_.roster_fingerprint);
  if (!key) {
    if (before_roster_.size() >= kFramesBeforeRoster)
      return CloseSession("no founding roster with the fingerprint of the token");
    before_roster_.push_back(frame);
    return;
  }
  auto message = ReadFrame(frame, *key);
  if (!message) return CloseSession("the founding roster's message is not signed by its server key");
  const auto& update = std::get<RosterUpdate>(*message);
  if (!TakeRosters({0, {update.rosters.front()}})) return;
  for (const Bytes& earlier : std::exchange(before_roster_, {})) OnFrame(earlier);
  OnFrame(frame);  // Later versions in it may have to be pulled, after the greeting.
}

void NodeCore::OnMessage(Message message, const Bytes& frame) {
  if (!session_.greeted && !std::holds_alternative<Welcome>(message) && !std::holds_alternative<Refused>(message) &&
      !std::holds_alternative<RosterUpdate>(message)) {
    // Nothing is answered out of order, and nothing is lost: the next session brings it again.
    SendMessage(Refused{Reason::kWrongState, {}, 0});
    return CloseSession("a message before the greeting");
  }
  if (const auto* welcome = std::get_if<Welcome>(&message)) return OnWelcome(*welcome);
  if (const auto* refused = std::get_if<Refused>(&message)) return OnRefused(*refused);
  if (const auto* pull = std::get_if<Pull>(&message)) return OnPull(*pull);
  if (const auto* release = std::get_if<Release>(&message)) return OnRelease(*release, frame);
  if (std::holds_alternative<Heartbeat>(message)) return;
  const bool queued = std::holds_alternative<RosterUpdate>(message) || std::holds_alternative<RosterDraft>(message) ||
                      std::holds_alternative<PlanOffer>(message) || std::holds_alternative<Invite>(message);
  if (queued) return Queue(std::move(message));
  Participant* participant = nullptr;
  if (const auto* receipt = std::get_if<Receipt>(&message)) {
    participant = Find(receipt->study);
    if (participant != nullptr) participant->OnReceipt(*receipt);
  } else if (const auto* abandon = std::get_if<Abandon>(&message)) {
    Log(LogLevel::kInfo, "abandoned",
        {{"study", abandon->study.Hex()},
         {"attempt", std::to_string(abandon->attempt)},
         {"reason", std::string(Name(abandon->reason))}});
    participant = Find(abandon->study);
    if (participant != nullptr) participant->OnAbandon(*abandon);
  } else if (const auto* state = std::get_if<StudyState>(&message)) {
    Log(LogLevel::kInfo, "study_state", {{"study", state->study.Hex()}, {"phase", std::string(Name(state->phase))}});
    participant = Find(state->study);
    if (participant != nullptr) {
      if (participant->Missed(*state)) {
        Missing& missing = missed_[state->study];
        missing.releases = state->releases;
        if (missing.asked == 0) return AskForMissed();
      }
      participant->OnStudyState(*state, Here());
    }
  } else {
    Log(LogLevel::kWarning, "unexpected_message", {{"kind", std::string(KindName(message))}});
    return SendMessage(Refused{Reason::kWrongState, {}, 0});
  }
  if (participant != nullptr) Carry(*participant);
}

void NodeCore::OnWelcome(const Welcome& welcome) {
  if (welcome.version < kVersionLow || welcome.version > kVersionHigh)
    return CloseSession("no common protocol version");
  session_.greeted = true;
  turned_away_ = Reason::kNone;
  session_.period =
      std::clamp<Duration>(std::chrono::milliseconds(welcome.heartbeat_ms), kShortestPeriod, kLongestPeriod);
  session_.next_beat = now_.instant + session_.period;
  Log(LogLevel::kInfo, "welcome",
      {{"federation", welcome.federation}, {"build", welcome.build}, {"enrolled", welcome.enrolled ? "yes" : "no"}});
  inbox_.OnPeerConnected(options_.server_key);
  if (ledger_.Witness(options_.storage, welcome.ledger)) KeepLocked();
  for (const auto& [id, participant] : studies_) {
    if (const auto verdict = participant.Verdict()) SendMessage(*verdict);
  }
}

void NodeCore::KeepLocked() {
  const ChainHead& seen = ledger_.seen();
  const Value lock = Value().Set("seq", seen.seq).Set("hash", seen.hash.Hex());
  result_.transaction.emplace_back(PutState{"ledger", "witness", ToBytes(View(CanonicalJson(lock)))});
  Audit("ledger_locked", Value().Set("why", ledger_.lock()));
  for (auto& [id, participant] : studies_) {
    participant.DeclineStanding(Reason::kLocked);
    Carry(participant);
  }
}

void NodeCore::OnRefused(const Refused& refused) {
  Log(LogLevel::kWarning, "refused",
      {{"reason", std::string(Name(refused.reason))},
       {"study", refused.study.Hex()},
       {"attempt", std::to_string(refused.attempt)}});
  if (refused.reason == Reason::kVersion)
    return CloseSession("no common protocol version: install the coordinator's version here");
  if (refused.reason == Reason::kRevoked || refused.reason == Reason::kExpired) {
    turned_away_ = refused.reason;
    return CloseSession(std::string(Name(refused.reason)));
  }
  if (!refused.study.IsZero()) return;
  if (refused.reason == Reason::kBusy) {
    SettleSigning(
        Fail(Code::kConflict, "another change of the roster is proposed; see it with: consilium-node roster show DIR"));
  } else if (refused.reason == Reason::kWrongState) {
    SettleSigning(Fail(Code::kConflict,
                       "the coordinator did not take the signature: the proposal has changed, or this hospital has "
                       "signed already; look again: consilium-node roster show DIR"));
  }
}

// ---- transfers ----

void NodeCore::OnPull(const Pull& pull) {
  auto chunk = outbox_.OnPull(options_.server_key, pull);
  if (!chunk) {  // Late, after the attempt's end: harmless.
    Log(LogLevel::kInfo, "pull_refused", {{"why", chunk.error().what}});
    return SendMessage(Refused{Reason::kWrongState, {}, 0});
  }
  result_.sends.emplace_back(std::move(*chunk));
}

void NodeCore::OnChunkFrame(const Bytes& frame) {
  auto chunk = ReadChunk(frame);
  if (!chunk) return CloseSession("a chunk that does not parse");
  const Digest root = chunk->root;
  auto taken = inbox_.OnChunk(options_.server_key, std::move(*chunk));
  if (!taken) {
    Log(LogLevel::kWarning, "bad_chunk", {{"why", taken.error().what}});
    return CloseSession("a chunk that was not asked for or does not match its hash");
  }
  session_.heard = now_.instant;
  if (taken->write.bytes.empty()) return;  // Pulled before it was cancelled.
  const auto control = assembling_.find(root);
  if (control != assembling_.end()) {
    std::ranges::copy(taken->write.bytes, control->second.begin() + static_cast<std::ptrdiff_t>(taken->write.offset));
    if (!taken->complete) return;
    assembled_.insert(assembling_.extract(control));
    return ServeQueue();
  }
  result_.blob_writes.push_back(std::move(taken->write));
  if (!taken->complete) return;
  result_.blob_seals.push_back(root);
  sealed_now_.insert(root);
  kept_.insert(root);
  fetching_.erase(root);
  OnBlobWhole();
}

// ---- messages that wait ----

// True when the content is here. A blob that is too large to ride inside its message is pulled into memory first.
bool NodeCore::Assemble(Blob* blob) {
  if (blob->leaves.empty()) return true;
  if (const auto whole = assembled_.find(blob->root); whole != assembled_.end()) {
    blob->content = whole->second;
    return true;
  }
  if (!inbox_.Start(options_.server_key, *blob)) {
    CloseSession("two blobs under one root");
  } else {
    Bytes& content = assembling_[blob->root];
    if (content.size() != blob->bytes) content.assign(blob->bytes, 0);  // A root does not tell the size.
  }
  return false;
}

void NodeCore::Queue(Message message) {
  const auto too_large = [](const Blob& blob) { return blob.bytes > kMaxControlBlob; };
  bool refuse = queue_.size() >= kMaxWaiting;
  if (const auto* update = std::get_if<RosterUpdate>(&message))
    refuse |= std::ranges::any_of(update->rosters, too_large);
  if (const auto* draft = std::get_if<RosterDraft>(&message)) refuse |= too_large(draft->roster);
  if (const auto* offer = std::get_if<PlanOffer>(&message)) refuse |= too_large(offer->plan);
  if (const auto* invite = std::get_if<Invite>(&message)) refuse |= too_large(invite->query);
  if (refuse) return SendMessage(Refused{Reason::kBusy, {}, 0});
  queue_.push_back(std::move(message));
  ServeQueue();
}

// In order: an invitation may need the roster before it.
void NodeCore::ServeQueue() {
  while (!queue_.empty()) {
    Message& message = queue_.front();
    bool ready = true;
    if (auto* update = std::get_if<RosterUpdate>(&message)) {
      for (Blob& blob : update->rosters) {
        ready = Assemble(&blob) && ready;
        if (queue_.empty()) return;  // That closed the session, and what waited is gone.
      }
    } else if (auto* draft = std::get_if<RosterDraft>(&message)) {
      ready = Assemble(&draft->roster);
    } else if (auto* offer = std::get_if<PlanOffer>(&message)) {
      ready = Assemble(&offer->plan);
    } else if (auto* invite = std::get_if<Invite>(&message)) {
      ready = Assemble(&invite->query);
    }
    if (!ready) return;
    const Message next = std::move(message);
    queue_.erase(queue_.begin());
    if (const auto* update = std::get_if<RosterUpdate>(&next)) {
      if (!TakeRosters(*update)) return;
    } else if (const auto* draft = std::get_if<RosterDraft>(&next)) {
      TakeDraft(*draft);
    } else if (const auto* offer = std::get_if<PlanOffer>(&next)) {
      OnPlanOffer(*offer);
    } else if (const auto* invite = std::get_if<Invite>(&next)) {
      OnInvite(*invite);
    }
  }
  assembled_.clear();
}

// ---- heartbeats ----

Heartbeat NodeCore::BeatOf(const Participant& participant) const {
  const Blob& contribution = participant.record().contribution;
  Heartbeat beat;
  beat.study = participant.id();
  const std::uint64_t pulled =
      contribution.leaves.empty() ? 0 : outbox_.PulledBytes(contribution.root, options_.server_key);
  beat.phase = PhaseOf(participant.stage(), pulled > 0);
  if (participant.stage() == Participant::Stage::kOffered) {
    beat.bytes_done = pulled;
    beat.bytes_total = contribution.bytes;
  }
  return beat;
}

// At once for every study whose phase changed; when due, for the busiest one.
void NodeCore::Beat(bool due) {
  if (!session_.greeted) return;
  Heartbeat busiest;
  bool told = false;
  for (const auto& [id, participant] : studies_) {
    const Heartbeat beat = BeatOf(participant);
    Phase& before = told_.try_emplace(id, Phase::kIdle).first->second;
    if (before != beat.phase) {
      before = beat.phase;
      SendMessage(beat);
      told = true;
    }
    if (beat.phase > Phase::kIdle && (busiest.phase == Phase::kIdle || beat.phase < busiest.phase)) busiest = beat;
  }
  if (due && !told) SendMessage(busiest);
  if (due || told) session_.next_beat = now_.instant + session_.period;
}

void NodeCore::OnTime() {
  for (const Signing& signing : std::vector<Signing>(signing_)) {
    if (now_.instant >= signing.until)
      SettleSigning(Fail(Code::kUnreachable, "the coordinator did not answer; type the same command again"),
                    signing.hash);
  }
  if (!session_.connected) return;
  if (now_.instant - session_.heard >= kMissedHeartbeats * session_.period)
    return CloseSession("the coordinator is silent");
  if (!session_.greeted || now_.instant < session_.next_beat) return;
  Beat(true);
  AskForMissed();
}

// A study ended with a release that never came: the next session's Hello says what is there. Once at once, and again
// after each heartbeat for a while; a coordinator that cannot mend it is not asked for ever.
void NodeCore::AskForMissed() {
  constexpr int kMostTimes = 5;
  bool asks = false;
  for (auto at = missed_.begin(); at != missed_.end();) {
    const Participant* participant = Find(at->first);
    if (participant == nullptr || participant->record().releases >= at->second.releases) {
      at = missed_.erase(at);
      continue;
    }
    if (at->second.asked < kMostTimes) {
      ++at->second.asked;
      asks = true;
    }
    ++at;
  }
  if (asks) CloseSession("a release was lost on the way");
}

std::optional<Instant> NodeCore::NextDeadline() const {
  if (!session_.connected) return std::nullopt;
  Instant next = session_.heard + kMissedHeartbeats * session_.period;
  if (session_.greeted) next = std::min(next, session_.next_beat);
  for (const Signing& signing : signing_) next = std::min(next, signing.until);
  return next;
}

}  // namespace consilium::node
