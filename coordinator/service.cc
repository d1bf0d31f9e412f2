// Sessions, frames, effects: how the coordinator's studies meet the wire.
#include <fmt/format.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/privacy/encode.h"
#include "coordinator/core.h"

namespace consilium::coordinator {
namespace {

constexpr std::size_t kRostersPerMessage = 16;
constexpr Duration kRefusalsApart = std::chrono::minutes(1);

std::string RosterKey(std::uint64_t seq) { return fmt::format("{:020}", seq); }

Error Corrupt(const std::string& what, const Error& why) {
  return {Code::kCorrupt, fmt::format("{} in this coordinator's database is damaged ({}); restore a backup: "
                                      "consilium-coordinator restore DIR --from BACKUP",
                                      what, why.what)};
}

Result<Value> ParseState(ByteView blob) { return ParseJson(Text(blob), {.bytes = 4 << 20, .depth = 16}); }

// Adds a spooled upload to the running sum, or to its slot in it, tile by tile.
std::any FoldUpload(const BlobStore& blobs, const Effects::Fold& fold) {
  constexpr std::uint64_t kTile = std::uint64_t{256} * 1024;
  const std::span<std::uint8_t> sum = std::span(*fold.sum).subspan(fold.offset, fold.bytes);
  Bytes tile(std::min<std::uint64_t>(kTile, sum.size()));
  for (std::uint64_t at = 0; at < sum.size(); at += kTile) {
    const std::uint64_t length = std::min<std::uint64_t>(kTile, sum.size() - at);
    if (!blobs.Read(fold.root, at, std::span(tile).first(length))) return false;
    AddWords(fold.ring, sum.subspan(at, length), ByteView(tile).first(length));
  }
  return true;
}

}  // namespace

std::vector<Write> FoundingWrites(const SignedRoster& roster0, std::string_view admin_token) {
  Value row;
  row.Set("event", "founded").Set("at_ms", WallMilliseconds()).Set("roster", roster0.hash().Hex());
  return {
      PutState{"roster", RosterKey(0), Encode(roster0)},
      PutState{"token", "admin", ToBytes(View(CanonicalJson(Value().Set("sha256", Sha256(View(admin_token)).Hex()))))},
      AppendChain{"audit", {}, ToBytes(View(CanonicalJson(row)))}};
}

Result<std::unique_ptr<Service>> Service::Create(ServiceOptions options, Now now) {
  std::vector<SignedRoster> links;
  for (const auto& [where, blob] : options.stored.state) {  // Sorted, so rosters come in order.
    if (where.first != "roster") continue;
    auto link = ParseSignedRoster(blob);
    if (!link) return std::unexpected(Corrupt("roster " + where.second, link.error()));
    links.push_back(std::move(*link));
  }
  if (links.empty()) {
    return Fail(Code::kCorrupt,
                "the database holds no founding roster; restore a backup, or begin with `consilium-coordinator init`");
  }
  RosterChain chain = TRY(RosterChain::Found(links.front(), links.front().hash()));
  for (std::size_t i = 1; i < links.size(); ++i) TRY(chain.Extend(links[i]));
  if (chain.current().server_identity != options.identity.verify_key() ||
      chain.current().server_transport != options.server_key) {
    return Fail(Code::kCorrupt,
                "the keys in this directory are not those of the founding roster; restore the keys/ folder that "
                "belongs to the database");
  }
  auto core = std::make_unique<CoordinatorCore>(std::move(options), std::move(chain), now);
  TRY(core->RestoreAll());
  return core;
}

CoordinatorCore::CoordinatorCore(ServiceOptions options, RosterChain chain, Now now)
    : options_(std::move(options)), chain_(std::move(chain)), next_heartbeat_(now.instant + kHeartbeat), now_(now) {}

Status CoordinatorCore::RestoreAll() {
  const auto head = options_.stored.chains.find("audit");
  if (head != options_.stored.chains.end()) audit_head_ = head->second;
  for (const auto& [where, blob] : options_.stored.state) {
    if (Status restored = RestoreOne(where.first, where.second, blob); !restored)
      return std::unexpected(Corrupt(where.first + " " + where.second, restored.error()));
  }
  options_.stored = {};
  for (const Digest& root : TRY(options_.blobs->List())) kept_.insert(root);
  return {};
}

Status CoordinatorCore::RestoreOne(const std::string& core, const std::string& key, const Bytes& blob) {
  if (core == "study") {
    const StudyRecord record = TRY(DecodeStudyRecord(blob));
    auto study = TRY(Study::Restore(record, {&options_.identity, &chain_}, now_));
    const StudyId id = study->id();
    if (!study->Ended())
      Log(LogLevel::kInfo, "resumed", {{"study", id.Hex().substr(0, 12)}, {"warning", Warning(study->plan())}});
    studies_[id] = std::move(study);
  } else if (core == "invitation") {
    const Value value = TRY(ParseState(blob));
    invitations_[key] = {key, TRY(TransportKey::FromHexText(value["key"].AsString())), value["expires_ms"].AsInteger(),
                         value["spent"].AsBool()};
  } else if (core == "enrolment") {
    Enroll enroll = TRY(ReadEnroll(blob));
    enrolments_[key] = {key, blob, std::move(enroll)};
  } else if (core == "witness") {
    const Value value = TRY(ParseState(blob));
    witnesses_[static_cast<std::uint32_t>(value["hospital"].AsInteger())].head = {
        static_cast<std::uint64_t>(value["seq"].AsInteger()), TRY(Digest::FromHexText(value["hash"].AsString()))};
  } else if (core == "draft") {
    SignedRoster draft = TRY(ParseSignedRoster(blob));
    if (chain_.Examine(draft)) draft_ = std::move(draft);
  } else if (core == "token") {
    const Value value = TRY(ParseState(blob));
    tokens_[key] = TRY(Digest::FromHexText(value["sha256"].AsString()));
  }
  return {};
}

// ---- one turn ----

TurnResult CoordinatorCore::Turn(std::vector<Event> events, Now now) {
  now_ = now;
  result_ = {};
  if (!admitted_) Admit();
  for (Event& event : events) {
    std::visit(
        [this](auto& e) {
          using E = std::decay_t<decltype(e)>;
          if constexpr (std::is_same_v<E, FrameReceived>) {
            OnFrame(e.peer, e.frame);
            Bytes().swap(e.frame);  // A turn may bring many chunks, whose contents are kept already.
          }
          if constexpr (std::is_same_v<E, PeerConnected>) {
            sessions_[e.peer] = {};
            sessions_[e.peer].heard = now_.instant;
          }
          if constexpr (std::is_same_v<E, PeerLost>) OnPeerLost(e.peer);
          if constexpr (std::is_same_v<E, JobFinished>) OnJob(e);
          if constexpr (std::is_same_v<E, RequestReceived>) OnRequest(e);
        },
        event);
  }
  OnClock();
  for (const PeerKey& peer : std::exchange(liars_, {})) RefusePeer(peer, Reason::kMalformed, true);
  KeepWitnesses();
  DropUnused();
  for (const PullFrom& pull : inbox_.TakePulls()) SendMessage(pull.peer, pull.pull);
  std::optional<Instant> wake = next_heartbeat_;
  for (const auto& [id, study] : studies_) {
    if (const auto at = study->NextDeadline(now.instant)) wake = std::min(*wake, *at);
  }
  result_.wake = wake;
  return std::move(result_);
}

// With whatever else becomes durable: an answer's own transaction, at the latest, has the heads that its survivors
// told.
void CoordinatorCore::KeepWitnesses() {
  if (result_.transaction.empty()) return;
  for (auto& [number, witness] : witnesses_) {
    if (!std::exchange(witness.told, false)) continue;
    const Value value =
        Value().Set("hospital", number).Set("seq", witness.head.seq).Set("hash", witness.head.hash.Hex());
    result_.transaction.emplace_back(PutState{"witness", std::to_string(number), ToBytes(View(CanonicalJson(value)))});
  }
}

// Lets go of the blobs that no study needs any more; after a start, also of those that a crash left behind.
void CoordinatorCore::DropUnused() {
  if (kept_.empty()) return;
  std::set<Digest> needed;
  for (const auto& send : result_.sends) {  // Drops come before sends: what is about to leave stays for one more turn.
    if (const auto* chunk = std::get_if<SendChunk>(&send)) needed.insert(chunk->root);
  }
  for (const auto& [job, folding] : jobs_) needed.insert(folding.root);
  for (const auto& [id, study] : studies_) study->AddNeeded(&needed);
  std::erase_if(kept_, [&](const Digest& root) {
    if (needed.contains(root)) return false;
    outbox_.Stop(root);
    inbox_.Cancel(root);
    result_.blob_drops.push_back(root);
    return true;
  });
}

void CoordinatorCore::OnClock() {
  for (auto& [id, study] : studies_) {
    study->OnTime(now_);
    Carry(*study);
  }
  if (now_.instant < next_heartbeat_) return;
  next_heartbeat_ = now_.instant + kHeartbeat;
  if (!invitations_.empty()) Admit();  // Some may have expired.
  CloseUnfit();
  std::vector<PeerKey> silent;
  for (const auto& [peer, session] : sessions_) {
    if (now_.instant - session.heard > kHeartbeat * kMissedHeartbeats) {
      silent.push_back(peer);
    } else if (session.greeted) {
      SendMessage(peer, Heartbeat{});
    }
  }
  for (const PeerKey& peer : silent) {
    result_.disconnects.push_back({peer, "no heartbeat"});
    OnPeerLost(peer);
  }
}

void CoordinatorCore::Admit() {
  std::set<PeerKey> keys;
  for (const Member& member : chain_.current().members) {
    if (!member.revoked) keys.insert(member.transport);
  }
  for (const auto& [name, invitation] : invitations_) {
    const bool confirmed = chain_.current().ByName(name) != nullptr;
    if (!confirmed && now_.wall_ms < invitation.expires_ms) keys.insert(invitation.key);
  }
  result_.admit = std::move(keys);
  admitted_ = true;
}

void CoordinatorCore::Audit(Value row) {
  if (!row.Has("at_ms")) row.Set("at_ms", now_.wall_ms);
  Bytes bytes = ToBytes(View(CanonicalJson(row)));
  result_.transaction.emplace_back(AppendChain{"audit", audit_head_, bytes});
  audit_head_ = ChainNext(audit_head_, bytes);
}

// ---- sending ----

void CoordinatorCore::SendMessage(const PeerKey& peer, const Message& message) {
  result_.sends.emplace_back(Send{peer, EncodeFrame(message, options_.identity)});
}

std::string CoordinatorCore::HospitalName(std::uint32_t number) const {
  const Member* member = chain_.current().ByNumber(number);
  return member == nullptr ? std::to_string(number) : member->name;
}

std::optional<PeerKey> CoordinatorCore::PeerOf(std::uint32_t number) const {
  const Member* member = chain_.current().ByNumber(number);
  if (member == nullptr) return std::nullopt;
  const auto session = sessions_.find(member->transport);
  if (session == sessions_.end() || !session->second.greeted) return std::nullopt;
  return member->transport;
}

void CoordinatorCore::RefusePeer(const PeerKey& peer, Reason reason, bool close) {
  Log(LogLevel::kWarning, "refused_peer", {{"peer", peer.Hex().substr(0, 16)}, {"reason", std::string(Name(reason))}});
  ++counts_.refused;
  const auto [at, first] = refused_at_.try_emplace(peer, now_.instant);
  if (first || now_.instant - at->second >= kRefusalsApart) {  // A peer cannot fill the disk with its faults.
    at->second = now_.instant;
    Audit(Value().Set("event", "refused_peer").Set("peer", peer.Hex()).Set("reason", Name(reason)));
  }
  SendMessage(peer, Refused{reason, {}, 0});
  if (!close) return;
  result_.disconnects.push_back({peer, std::string(Name(reason))});
  OnPeerLost(peer);
}

void CoordinatorCore::SendRosters(const PeerKey& peer, std::uint64_t first) {
  const std::vector<SignedRoster>& links = chain_.links();
  for (std::uint64_t at = first; at < links.size(); at += kRostersPerMessage) {
    RosterUpdate update{at, {}};
    for (std::uint64_t i = at; i < std::min<std::uint64_t>(at + kRostersPerMessage, links.size()); ++i) {
      update.rosters.push_back(ServeBlob(peer, Encode(links[i])));
    }
    SendMessage(peer, update);
  }
}

Blob CoordinatorCore::ServeBlob(const PeerKey& peer, const Bytes& bytes) {
  if (bytes.size() <= kInlineBlob) return InlineBlob(bytes);
  Blob blob{{}, bytes.size(), BlobLeaves(bytes), {}};
  blob.root = MerkleRoot(blob.leaves);
  result_.blob_writes.push_back({blob.root, bytes.size(), 0, bytes});
  result_.blob_seals.push_back(blob.root);
  kept_.erase(blob.root);  // Rosters stay.
  outbox_.Serve(blob.root, blob.bytes, peer);
  return blob;
}

void CoordinatorCore::Carry(Study& study) {
  Effects effects = study.TakeEffects();
  for (const BlobWrite& write : effects.blob_writes) kept_.insert(write.root);
  std::ranges::move(effects.blob_writes, std::back_inserter(result_.blob_writes));
  std::ranges::move(effects.blob_seals, std::back_inserter(result_.blob_seals));
  std::ranges::move(effects.writes, std::back_inserter(result_.transaction));
  for (Value& row : effects.audits) {
    if (row["hospital"].IsInteger())
      row.Set("hospital", HospitalName(static_cast<std::uint32_t>(row["hospital"].AsInteger())));
    std::vector<LogField> fields = {{"study", study.id().Hex().substr(0, 12)}};
    for (const char* key : {"round", "attempt"}) {
      if (row.Has(key)) fields.emplace_back(key, std::to_string(row[key].AsInteger()));
    }
    for (const char* key : {"kind", "hospital", "reason"}) {
      if (!row[key].AsString().empty()) fields.emplace_back(key, row[key].AsString());
    }
    const std::string& event = row["event"].AsString();
    const std::string warning = Warning(study.plan());
    if ((event == "submitted" || event == "started") && !warning.empty()) fields.emplace_back("warning", warning);
    Log(LogLevel::kInfo, event, fields);
    counts_.attempts += event == "attempt" ? 1 : 0;
    counts_.attempts_failed += event == "attempt_failed" ? 1 : 0;
    counts_.uploads += event == "upload" ? 1 : 0;
    counts_.answers += event == "answer" ? 1 : 0;
    Audit(std::move(row));
  }
  for (const Effects::Serve& serve : effects.serves) {
    if (const auto peer = PeerOf(serve.number)) outbox_.Serve(serve.blob.root, serve.blob.bytes, *peer);
  }
  for (const Effects::Fetch& fetch : effects.fetches) {
    const auto peer = PeerOf(fetch.number);
    if (!peer) continue;
    if (!inbox_.Start(*peer, fetch.blob)) {
      study.OnFetchRefused(fetch.number, fetch.blob.root);
      liars_.insert(*peer);
      continue;
    }
    kept_.insert(fetch.blob.root);
  }
  for (Effects::ToHospital& send : effects.sends) {
    const auto peer = PeerOf(send.number);
    if (!peer) continue;
    if (auto* frame = std::get_if<Bytes>(&send.what)) {
      result_.sends.emplace_back(Send{*peer, std::move(*frame)});
    } else {
      SendMessage(*peer, std::get<Message>(send.what));
    }
  }
  for (const Effects::Fold& fold : effects.folds) {
    const std::uint64_t job = next_job_++;
    jobs_[job] = {study.id(), fold.number, study.round()->record().attempt, fold.root};
    result_.runs.push_back({job, [blobs = options_.blobs, fold] { return FoldUpload(*blobs, fold); }});
  }
  auto& times = run_times_.try_emplace(study.id(), Instant{}, Instant{}).first->second;
  if (study.round() != nullptr && times.first == Instant{}) times.first = now_.instant;
  if (!study.Ended()) times.second = now_.instant;
}

// ---- receiving ----

void CoordinatorCore::OnFrame(const PeerKey& peer, const Bytes& frame) {
  Session& session = sessions_[peer];
  session.heard = now_.instant;
  const Member* member = chain_.current().ByTransport(peer);
  if (member != nullptr && member->revoked) return RefusePeer(peer, Reason::kRevoked, true);
  if (member != nullptr && member->ExpiredAt(now_.wall_ms)) return RefusePeer(peer, Reason::kExpired, true);
  if (member != nullptr) return OnMemberFrame(peer, *member, frame);
  const Invitation* invitation = InvitationFor(peer);
  if (invitation == nullptr) return RefusePeer(peer, Reason::kUnknownPeer, true);
  OnEnrollFrame(peer, *invitation, frame);
}

void CoordinatorCore::OnMemberFrame(const PeerKey& peer, const Member& member, const Bytes& frame) {
  if (IsChunk(frame)) return OnChunkFrame(peer, frame);
  auto message = ReadFrame(frame, member.identity);
  if (!message) {
    const bool forged = message.error().code == Code::kUnauthorised;
    return RefusePeer(peer, forged ? Reason::kBadSignature : Reason::kMalformed, true);
  }
  if (const auto* hello = std::get_if<Hello>(&*message)) return OnHello(peer, member, *hello);
  if (!sessions_[peer].greeted) return RefusePeer(peer, Reason::kWrongState, false);
  OnMessage(peer, member.number, *message);
}

void CoordinatorCore::OnChunkFrame(const PeerKey& peer, const Bytes& frame) {
  auto chunk = ReadChunk(frame);
  if (!chunk) return RefusePeer(peer, Reason::kMalformed, true);
  const Digest root = chunk->root;
  auto taken = inbox_.OnChunk(peer, std::move(*chunk));
  if (!taken) return RefusePeer(peer, Reason::kMalformed, true);
  if (taken->write.bytes.empty()) return;  // Asked for before the attempt ended; nobody wants it now.
  result_.blob_writes.push_back(std::move(taken->write));
  if (!taken->complete) return;
  result_.blob_seals.push_back(root);
  for (auto& [id, study] : studies_) {
    study->OnUploadArrived(root, now_);
    Carry(*study);
  }
}

void CoordinatorCore::OnHello(const PeerKey& peer, const Member& member, const Hello& hello) {
  if (hello.version_low > kVersionHigh || hello.version_high < kVersionLow)
    return RefusePeer(peer, Reason::kVersion, true);
  Session& session = sessions_[peer];
  session.greeted = true;
  session.number = member.number;
  session.last = {};
  last_seen_ms_[member.number] = now_.wall_ms;
  // Nothing is pulled before the hospital offers it again: until then it serves nothing, and a pull that is refused
  // would hold its place in the window for as long as the session lasts.
  inbox_.OnPeerLost(peer);
  Log(LogLevel::kInfo, "hello", {{"hospital", member.name}, {"build", hello.build}});
  Witness& witness = witnesses_[member.number];
  const ChainHead seen = witness.head;
  const bool behind = seen.seq > 0 && hello.unlocked != seen &&
                      (hello.ledger.seq < seen.seq || (hello.ledger.seq == seen.seq && hello.ledger != seen));
  if (!behind) {
    witness = {.head = hello.ledger, .told = witness.told || hello.ledger != seen};
  } else if (!std::exchange(witness.behind, true)) {
    Log(LogLevel::kWarning, "ledger_behind",
        {{"hospital", member.name}, {"seen", std::to_string(seen.seq)}, {"says", std::to_string(hello.ledger.seq)}});
    Audit(Value()
              .Set("event", "ledger_behind")
              .Set("hospital", member.name)
              .Set("seen", seen.seq)
              .Set("says", hello.ledger.seq));
  }
  SendMessage(
      peer,
      Welcome{std::min(kVersionHigh, hello.version_high), options_.build, chain_.current().federation,
              chain_.links().size(), true,
              static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(kHeartbeat).count()),
              seen});
  SendRosters(peer, hello.rosters);
  if (draft_) SendDraft(peer);
  for (auto& [id, study] : studies_) {
    const auto mark = std::ranges::find(hello.studies, id, &StudyMark::study);
    study->OnHello(member.number, mark == hello.studies.end() ? nullptr : &*mark, now_);
    Carry(*study);
  }
}

void CoordinatorCore::OnMessage(const PeerKey& peer, std::uint32_t number, const Message& message) {
  const auto with = [&](const StudyId& id, auto&& act) {
    const auto study = studies_.find(id);
    if (study == studies_.end()) return SendMessage(peer, Refused{Reason::kUnknownStudy, id, 0});
    act(*study->second);
    Carry(*study->second);
  };
  if (const auto* verdict = std::get_if<PlanVerdict>(&message)) {
    return with(verdict->study, [&](Study& s) { s.OnVerdict(number, *verdict, now_); });
  }
  if (const auto* offer = std::get_if<Offer>(&message)) {
    if (!CheckBlob(offer->vector)) return RefusePeer(peer, Reason::kMalformed, true);
    Witness& witness = witnesses_[number];
    if (!witness.behind && offer->ledger.seq > witness.head.seq) witness = {.head = offer->ledger, .told = true};
    return with(offer->study, [&](Study& s) { s.OnOffer(number, *offer, now_); });
  }
  if (const auto* decline = std::get_if<Decline>(&message)) {
    return with(decline->study, [&](Study& s) { s.OnDecline(number, decline->attempt, decline->reason, now_); });
  }
  if (const auto* abandon = std::get_if<Abandon>(&message)) {
    return with(abandon->study, [&](Study& s) { s.OnDecline(number, abandon->attempt, abandon->reason, now_); });
  }
  if (const auto* pull = std::get_if<Pull>(&message)) return OnPull(peer, *pull);
  if (const auto* draft = std::get_if<RosterDraft>(&message)) return OnRosterDraft(peer, *draft);
  if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    Heartbeat& last = sessions_[peer].last = *heartbeat;
    last.bytes_total = std::min(last.bytes_total, kMaxBlob);  // What they say is shown as a number of JSON.
    last.bytes_done = std::min(last.bytes_done, last.bytes_total);
    last_seen_ms_[number] = now_.wall_ms;
    return;
  }
  if (const auto* refused = std::get_if<Refused>(&message)) {
    Log(LogLevel::kWarning, "refused_by_hospital",
        {{"hospital", HospitalName(number)}, {"reason", std::string(Name(refused->reason))}});
    return;
  }
  RefusePeer(peer, Reason::kWrongState, false);
}

void CoordinatorCore::OnPull(const PeerKey& peer, const Pull& pull) {
  auto chunk = outbox_.OnPull(peer, pull);
  if (!chunk && chunk.error().code == Code::kNotFound) return;  // The pull crossed with the end of the offer.
  if (!chunk) return RefusePeer(peer, Reason::kWrongState, false);
  result_.sends.emplace_back(std::move(*chunk));
}

void CoordinatorCore::OnPeerLost(const PeerKey& peer) {
  const auto session = sessions_.find(peer);
  if (session == sessions_.end()) return;
  const Session lost = session->second;
  sessions_.erase(session);
  inbox_.OnPeerLost(peer);
  if (!lost.greeted) return;
  last_seen_ms_[lost.number] = now_.wall_ms;
  Log(LogLevel::kInfo, "lost", {{"hospital", HospitalName(lost.number)}});
  for (auto& [id, study] : studies_) {
    study->OnLost(lost.number, now_);
    Carry(*study);
  }
}

void CoordinatorCore::OnJob(const JobFinished& job) {
  const auto found = jobs_.find(job.job);
  CHECK(found != jobs_.end());
  const Folding folding = found->second;
  jobs_.erase(found);
  const auto study = studies_.find(folding.study);
  if (study == studies_.end()) return;
  study->second->OnFolded(folding.number, folding.root, std::any_cast<bool>(job.result), folding.attempt, now_);
  Carry(*study->second);
}

// ---- enrolment ----

const Invitation* CoordinatorCore::InvitationFor(const TransportKey& key) const {
  for (const auto& [name, invitation] : invitations_) {
    if (invitation.key == key && chain_.current().ByName(name) == nullptr) return &invitation;
  }
  return nullptr;
}

Member CoordinatorCore::AsMember(const Enroll& enroll, std::size_t number) const {
  Member member{.number = static_cast<std::uint32_t>(number),
                .id = *HospitalId::From(
                    ByteView(Fields("consilium/hospital").Add(enroll.identity).Hash()).first(HospitalId::kSize)),
                .name = enroll.name,
                .identity = enroll.identity,
                .transport = enroll.transport,
                .officers = {},
                .valid_from_ms = now_.wall_ms - now_.wall_ms % (24LL * 3600 * 1000),  // That day, UTC.
                .valid_until_ms = 0,
                .revoked = false};
  if (!enroll.officer.IsZero()) member.officers.push_back(enroll.officer);
  return member;
}

void CoordinatorCore::OnEnrollFrame(const PeerKey& peer, const Invitation& invitation, const Bytes& frame) {
  auto enroll = ReadEnroll(frame);
  if (!enroll) return RefusePeer(peer, Reason::kMalformed, true);
  const Roster& roster = chain_.current();
  const auto known = enrolments_.find(invitation.name);
  const bool repeated = known != enrolments_.end() && known->second.frame == frame;
  if (!repeated) {
    if (now_.wall_ms >= invitation.expires_ms || invitation.spent || enroll->token != peer ||
        enroll->name != invitation.name || enroll->roster_fingerprint != chain_.links().front().hash()) {
      return RefusePeer(peer, Reason::kBadToken, true);
    }
    Fields signed_fields("HSA1/msg");
    signed_fields.AddText("Enroll").Add(Blake2b(
        MembershipBytes(roster.federation, enroll->name, enroll->identity, enroll->transport, enroll->officer)));
    if (!Verify(enroll->identity, signed_fields.bytes(), enroll->membership)) {
      return RefusePeer(peer, Reason::kBadSignature, true);
    }
    Roster all = roster;  // With everyone who waits for confirmation: no name and no key may serve twice.
    for (const auto& [name, waiting] : enrolments_) {
      if (roster.ByName(name) == nullptr) all.members.push_back(AsMember(waiting.enroll, all.members.size() + 1));
    }
    all.members.push_back(AsMember(*enroll, all.members.size() + 1));
    if (!ParseRoster(Canonical(all))) return RefusePeer(peer, Reason::kNameTaken, true);
    Invitation& spent = invitations_[invitation.name];
    spent.spent = true;
    Value value;
    value.Set("key", spent.key.Hex()).Set("expires_ms", spent.expires_ms).Set("spent", true);
    result_.transaction.emplace_back(PutState{"invitation", spent.name, ToBytes(View(CanonicalJson(value)))});
    result_.transaction.emplace_back(PutState{"enrolment", spent.name, frame});
    Audit(Value().Set("event", "enrolled").Set("hospital", spent.name).Set("identity", enroll->identity.Hex()));
    enrolments_[spent.name] = {spent.name, frame, *enroll};
  }
  SendMessage(peer, Welcome{kVersionHigh, options_.build, roster.federation, chain_.links().size(), false, 10000});
  SendRosters(peer, 0);
}

}  // namespace consilium::coordinator
