#include "hospital_node/service.h"

#include <fmt/format.h>

#include "common/base/log.h"
#include "hospital_node/core.h"

namespace consilium::node {
namespace {

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

constexpr std::string_view kMend =
    "; restore this node's directory from a backup, or join anew in an empty one (consilium-node join) and have the "
    "hospital "
    "enrolled again";

// The stored values of one core, by key.
std::map<std::string, ByteView> StateOf(const Stored& stored, std::string_view core) {
  std::map<std::string, ByteView> out;
  for (const auto& [name, blob] : stored.state) {
    if (name.first == core) out.emplace(name.second, blob);
  }
  return out;
}

Error Corrupt(const std::string& what, const Error& why) {
  return {Code::kCorrupt, fmt::format("{} in this node's database is damaged: {}{}", what, why.what, kMend)};
}

}  // namespace

Result<std::unique_ptr<Service>> Service::Create(ServiceOptions options, Now /*now*/) {
  return TRY(NodeCore::Restore(std::move(options)));
}

Result<std::unique_ptr<NodeCore>> NodeCore::Restore(ServiceOptions options) {
  std::unique_ptr<NodeCore> core(new NodeCore(std::move(options)));
  const auto& chains = core->options_.stored.chains;
  const auto head = [&](std::string_view name) {
    const auto found = chains.find(std::string(name));
    return found == chains.end() ? ChainHead{} : found->second;
  };
  core->audit_head_ = head("audit");
  core->ledger_ = Ledger::Load(core->options_.storage, head(kLedgerChain));
  TRY(core->RestoreLock());
  TRY(core->RestoreRosters());
  TRY(core->RestoreDataSets());
  TRY(core->RestoreStudies());
  core->options_.stored = {};
  return core;
}

Status NodeCore::RestoreLock() {
  for (const auto& [key, bytes] : StateOf(options_.stored, "ledger")) {
    const auto lock = ParseJson(Text(bytes));
    const auto hash = lock ? Digest::FromHexText((*lock)["hash"].AsString()) : std::unexpected(lock.error());
    if (!hash) return std::unexpected(Corrupt("ledger/" + key, hash.error()));
    ledger_.Witness(options_.storage, {static_cast<std::uint64_t>((*lock)["seq"].AsInteger()), *hash});
  }
  return {};
}

Status NodeCore::RestoreRosters() {
  chain_ = std::exchange(options_.verified, {});
  for (const auto& [key, bytes] : StateOf(options_.stored, "roster")) {
    auto signed_roster = ParseSignedRoster(bytes);
    if (!signed_roster) return std::unexpected(Corrupt("roster " + key, signed_roster.error()));
    if (!chain_) {
      auto founded = RosterChain::Found(*signed_roster, options_.roster_fingerprint);
      if (!founded) return std::unexpected(Corrupt("roster " + key, founded.error()));
      chain_ = std::move(*founded);
    } else if (Status extended = chain_->Extend(*signed_roster); !extended) {
      return std::unexpected(Corrupt("roster " + key, extended.error()));
    }
  }
  if (!chain_) return {};
  const Member* self = chain_->current().ByTransport(options_.transport);
  if (self != nullptr && (self->name != options_.name || self->identity != options_.identity.verify_key())) {
    return Fail(Code::kRefused,
                fmt::format("the transport key in this directory is {}'s, but node.toml says {} or the identity key is "
                            "another one; put back the keys/ folder and node.toml that belong together",
                            self->name, options_.name));
  }
  number_ = self == nullptr ? 0 : self->number;
  return {};
}

Status NodeCore::RestoreDataSets() {
  for (const auto& [name, bytes] : StateOf(options_.stored, "dataset")) {
    auto data_set = DecodeDataSet(bytes);
    if (!data_set) return std::unexpected(Corrupt("data set " + name, data_set.error()));
    data_sets_.emplace(name, std::move(*data_set));
  }
  return {};
}

Status NodeCore::RestoreStudies() {
  for (const Digest& root : TRY(options_.blobs->List())) kept_.insert(root);  // Also what a crash left behind.
  for (const auto& [key, bytes] : StateOf(options_.stored, "study")) {
    auto id = StudyId::FromHexText(key);
    if (!id) return std::unexpected(Corrupt("study " + key, id.error()));
    auto record = DecodeParticipantRecord(bytes);
    if (!record) return std::unexpected(Corrupt("study " + key, record.error()));
    const Blob& contribution = record->contribution;
    if (kept_.contains(contribution.root)) {  // Its upload goes on where it was.
      outbox_.Serve(contribution.root, contribution.bytes, options_.server_key);
    }
    ledger_.Confirm(*id, record->last_attempt);
    auto participant = Participant::Restore(*id, std::move(*record));
    if (!participant) return std::unexpected(Corrupt("study " + key, participant.error()));
    if (!participant->Ended())
      Log(LogLevel::kInfo, "resumed", {{"study", id->Hex()}, {"warning", Warning(participant->plan())}});
    studies_.emplace(*id, std::move(*participant));
  }
  return {};
}

TurnResult NodeCore::Turn(std::vector<Event> events, Now now) {
  result_ = {};
  now_ = now;
  audit_durable_ = audit_head_;
  sealed_now_.clear();
  if (!std::exchange(started_, true)) {
    for (auto& [id, participant] : studies_) TryConclude(participant);
  }
  for (Event& event : events) {
    std::visit(Overloaded{[&](FrameReceived& e) { OnFrame(e.frame); }, [&](PeerConnected& /*e*/) { OnConnected(); },
                          [&](PeerLost& e) { OnLost(std::move(e.reason)); }, [&](JobFinished& e) { OnJob(e); },
                          [&](RequestReceived& e) { OnRequest(e); }},
               event);
  }
  OnTime();
  Beat(false);
  DropUnused();
  if (session_.greeted) {
    for (const PullFrom& pull : inbox_.TakePulls()) SendMessage(pull.pull);
  }
  for (auto& [id, participant] : studies_) {
    if (participant.TakeChanged())
      result_.transaction.emplace_back(PutState{"study", id.Hex(), Encode(participant.record())});
  }
  result_.wake = NextDeadline();
  return std::move(result_);
}

Participant* NodeCore::Find(const StudyId& study) {
  const auto found = studies_.find(study);
  return found == studies_.end() ? nullptr : &found->second;
}

Site NodeCore::Here() const { return {chain_ ? &*chain_ : nullptr, number_, &options_.policy, &ledger_, now_.wall_ms}; }

void NodeCore::SendMessage(const Message& message) {
  const bool always = std::holds_alternative<Hello>(message) || std::holds_alternative<Refused>(message);
  if (!session_.connected || (!session_.greeted && !always)) return;  // The coordinator repeats what it waits for.
  result_.sends.emplace_back(Send{options_.server_key, EncodeFrame(message, options_.identity)});
}

void NodeCore::Audit(std::string_view event, Value row) {
  row.Set("event", event).Set("at_ms", now_.wall_ms);
  AppendChain write{"audit", audit_head_, ToBytes(View(CanonicalJson(row)))};
  audit_head_ = ChainNext(audit_head_, write.row);
  result_.transaction.emplace_back(std::move(write));
}

std::uint64_t NodeCore::StartJob(Job job, std::function<std::any()> work) {
  const std::uint64_t id = next_job_++;
  jobs_.emplace(id, std::move(job));
  result_.runs.push_back({id, std::move(work)});
  return id;
}

}  // namespace consilium::node
