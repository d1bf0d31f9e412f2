#include "cli/simulation.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"
#include "common/base/version.h"
#include "common/http/client.h"
#include "common/wire/codec.h"
#include "coordinator/service.h"
#include "hospital_node/commands.h"
#include "hospital_node/service.h"

namespace consilium::cli {
namespace {

constexpr std::string_view kFederation = "simulation";
constexpr Duration kPatience = std::chrono::hours(1);

RequestReceived RequestOf(std::string method, std::string_view path, Value body) {
  RequestReceived request;
  request.method = std::move(method);
  request.local = true;
  request.body = std::move(body);
  const auto question = path.find('?');
  request.path = std::string(path.substr(0, question));
  while (!path.empty() && question != std::string_view::npos) {  // a=b&c=d; names and values are plain here.
    path = path.substr(path.find_first_of("?&") + 1);
    const std::string_view pair = path.substr(0, path.find('&'));
    const auto equals = pair.find('=');
    request.query[std::string(pair.substr(0, equals))] = std::string(pair.substr(equals + 1));
    if (!path.contains('&')) break;
  }
  return request;
}

}  // namespace

struct Simulation::Process {
  std::string name;
  TransportKey key;
  MemoryStorage storage;
  MemoryBlobs blobs;
  std::unique_ptr<Core> core;
  std::deque<Event> mailbox;
  bool queued = false;
  std::optional<Instant> wake;
  std::map<std::uint64_t, Reply> replies;
  std::unique_ptr<ProcessApi> api;

  Process(std::string given, const TransportKey& transport, std::shared_ptr<BlobPool> pool)
      : name(std::move(given)), key(transport), blobs(std::move(pool)) {}
};

// Requests as HTTP would bring them; the federation runs until the reply is there.
class Simulation::ProcessApi final : public Api {
 public:
  ProcessApi(Simulation* simulation, std::size_t process) : simulation_(simulation), process_(process) {}
  using Api::Post;
  [[nodiscard]] Result<Value> Get(const std::string& path) const override {
    return JsonOf(TRY(Ask(RequestOf("GET", path, {}))));
  }
  [[nodiscard]] Result<Value> Post(const std::string& path, const Value& body) const override {
    return JsonOf(TRY(Ask(RequestOf("POST", path, body))));
  }
  [[nodiscard]] Result<std::string> Body(const std::string& path) const override {
    return BodyOf(TRY(Ask(RequestOf("GET", path, {}))));
  }

 private:
  [[nodiscard]] Result<HttpReply> Ask(RequestReceived request) const {
    Reply reply = TRY(simulation_->Ask(process_, std::move(request)));
    return HttpReply{reply.status, reply.content_type, std::string(Text(reply.body))};
  }
  Simulation* simulation_;
  std::size_t process_;
};

Simulation::Simulation(const node::Workbench* workbench, unsigned workers)
    : workbench_(workbench), clock_(BootClock::now()), wall_ms_at_start_(WallMilliseconds()), started_(clock_) {
  workers_ = std::make_unique<Workers>(std::max(workers, 1U), [this] {
    const std::lock_guard lock(mutex_);
    ++finished_;
    changed_.notify_one();
  });
}
Simulation::~Simulation() = default;

const Api& Simulation::coordinator() const { return *processes_.front()->api; }
const Api& Simulation::hospital(std::size_t i) const { return *processes_.at(i + 1)->api; }

Now Simulation::ReadClock() const {
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(clock_ - started_);
  return {clock_, wall_ms_at_start_ + passed.count(), {}};
}

// ---- founding ----

Result<std::unique_ptr<Simulation>> Simulation::Found(const std::vector<SimulatedHospital>& hospitals,
                                                      const node::Workbench* workbench, unsigned workers) {
  std::unique_ptr<Simulation> out(new Simulation(workbench, workers));
  TRY(out->Start(hospitals));
  return out;
}

Status Simulation::Start(const std::vector<SimulatedHospital>& hospitals) {
  const IdentityKey founder = IdentityKey::Generate();
  IdentityKey server = IdentityKey::Generate();
  AddProcess("the coordinator");
  Roster founding;
  founding.federation = kFederation;
  founding.server_identity = server.verify_key();
  founding.server_transport = processes_.front()->key;
  founding.founder = founder.verify_key();
  SignedRoster roster0{Canonical(founding), {}};
  roster0.signatures = {SignRoster(roster0.roster, founder)};
  TRY(StartCoordinator(std::move(server), roster0));
  RosterChain chain = TRY(RosterChain::Found(roster0, roster0.hash()));
  std::vector<IdentityKey> identities;
  for (const SimulatedHospital& hospital : hospitals) {
    identities.push_back(IdentityKey::Generate());
    AddProcess(hospital.name);
  }
  TRY(chain.Extend(Members(chain, identities, founder)));
  TRY(PostRoster(chain.current_signed()));
  for (std::size_t i = 0; i < hospitals.size(); ++i) TRY(StartHospital(i, std::move(identities[i]), chain));
  for (std::size_t i = 0; i < hospitals.size(); ++i) {
    auto added = hospital(i).Post("/v1/datasets", node::RegistrationOf(hospitals[i].data));
    if (!added) return Fail(added.error().code, fmt::format("at {}: {}", hospitals[i].name, added.error().what));
  }
  return {};
}

void Simulation::AddProcess(const std::string& name) {
  const std::size_t index = processes_.size();
  const TransportKey key = CurveKey::Generate().public_key();
  processes_.push_back(std::make_unique<Process>(name, key, pool_));
  processes_.back()->api = std::make_unique<ProcessApi>(this, index);
  if (index > 0) by_key_[key] = index;
}

// All hospitals in one roster, signed by the founding officer, each with its own word that it is a member.
SignedRoster Simulation::Members(const RosterChain& chain, const std::vector<IdentityKey>& identities,
                                 const IdentityKey& founder) const {
  Roster next = NextRoster(chain);
  std::vector<RosterSignature> memberships;
  for (std::size_t i = 0; i < identities.size(); ++i) {
    Member member;
    member.number = static_cast<std::uint32_t>(i + 1);
    RandomBytes(member.id.bytes);
    member.name = processes_[i + 1]->name;
    member.identity = identities[i].verify_key();
    member.transport = processes_[i + 1]->key;
    member.officers = {IdentityKey::Generate().verify_key()};
    memberships.push_back(SignMembership(
        MembershipBytes(next.federation, member.name, member.identity, member.transport, member.officers.front()),
        identities[i]));
    next.members.push_back(std::move(member));
  }
  SignedRoster out{Canonical(next), {}};
  out.signatures = {SignRoster(out.roster, founder)};
  out.signatures.insert(out.signatures.end(), memberships.begin(), memberships.end());
  return out;
}

Status Simulation::StartCoordinator(IdentityKey identity, const SignedRoster& roster0) {
  Process& process = *processes_.front();
  Digest nobodys_token;  // Requests come from this process; a token is never asked for.
  RandomBytes(nobodys_token.bytes);
  TRY(process.storage.Commit(coordinator::FoundingWrites(roster0, nobodys_token.Hex())));
  Stored stored = TRY(process.storage.Load());
  process.core = TRY(coordinator::Service::Create({.identity = std::move(identity),
                                                   .server_key = process.key,
                                                   .endpoint = "tcp://127.0.0.1:1",
                                                   .build = std::string(kProgramVersion),
                                                   .stored = std::move(stored),
                                                   .storage = &process.storage,
                                                   .blobs = &process.blobs},
                                                  ReadClock()));
  return {};
}

Status Simulation::PostRoster(const SignedRoster& roster) {
  Value signatures{Value::Array{}};
  for (const RosterSignature& signature : roster.signatures)
    signatures.Push(Value().Set("key", signature.key.Hex()).Set("signature", signature.signature.Hex()));
  TRY(coordinator().Post("/v1/roster",
                         Value().Set("roster", Base64(roster.roster)).Set("signatures", std::move(signatures))));
  return {};
}

Status Simulation::StartHospital(std::size_t index, IdentityKey identity, const RosterChain& chain) {
  const TransportKey& server = processes_.front()->key;
  Process& process = *processes_[index + 1];
  process.core = TRY(node::Service::Create({.identity = std::move(identity),
                                            .transport = process.key,
                                            .server_key = server,
                                            .roster_fingerprint = chain.links().front().hash(),
                                            .name = process.name,
                                            .build = std::string(kProgramVersion),
                                            .policy = {.release_own_figures = true},  // Whoever asks holds the data.
                                            .stored = {},
                                            .verified = chain,
                                            .storage = &process.storage,
                                            .blobs = &process.blobs,
                                            .workbench = workbench_},
                                           ReadClock()));
  Deliver(0, PeerConnected{process.key});
  Deliver(index + 1, PeerConnected{server});
  return {};
}

Result<Stored> Simulation::StateOf(std::size_t hospital) const { return processes_.at(hospital + 1)->storage.Load(); }

Status Simulation::ApproveAll(const std::string& study) {
  for (std::size_t i = 0; i + 1 < processes_.size(); ++i) {
    TRY(RunUntil([&] {
      const auto plans = hospital(i).Get("/v1/plans");
      return !plans || !plans.value()["plans"].AsArray().empty();
    }));
    auto approved = hospital(i).Post("/v1/plans/" + study + "/approve", Value().Set("officer", "simulation"));
    if (!approved)
      return Fail(approved.error().code, fmt::format("at {}: {}", processes_[i + 1]->name, approved.error().what));
  }
  return {};
}

// ---- running ----

void Simulation::Deliver(std::size_t process, Event event) {
  Process& to = *processes_[process];
  to.mailbox.push_back(std::move(event));
  if (!std::exchange(to.queued, true)) ready_.push_back(process);
}

Status Simulation::HandOver(std::size_t from, const Send& send) {
  if (from != 0) {
    Deliver(0, FrameReceived{processes_[from]->key, send.frame});
    return {};
  }
  const auto to = by_key_.find(send.to);
  if (to != by_key_.end()) Deliver(to->second, FrameReceived{processes_[0]->key, send.frame});
  return {};
}

// A session that one side ends is one that the hospital dials again.
void Simulation::Reconnect(std::size_t hospital, const std::string& reason) {
  Process& process = *processes_[hospital];
  Deliver(0, PeerLost{process.key, reason});
  Deliver(hospital, PeerLost{processes_[0]->key, reason});
  Deliver(hospital, PeerConnected{processes_[0]->key});
  Deliver(0, PeerConnected{process.key});
}

Status Simulation::Turn(std::size_t index) {
  Process& process = *processes_[index];
  std::vector<Event> events;
  while (!process.mailbox.empty() && events.size() < kMaxEventsPerTurn) {
    events.push_back(std::move(process.mailbox.front()));
    process.mailbox.pop_front();
  }
  process.queued = !process.mailbox.empty();
  if (process.queued) ready_.push_back(index);
  TurnResult result = process.core->Turn(std::move(events), ReadClock());
  TRY(Persist(result, process.storage, process.blobs));
  for (auto& send : result.sends) {
    if (const auto* frame = std::get_if<Send>(&send)) {
      TRY(HandOver(index, *frame));
      continue;
    }
    const auto& chunk = std::get<SendChunk>(send);
    Send whole{chunk.to, chunk.head};
    whole.frame.resize(chunk.head.size() + chunk.length);
    TRY(process.blobs.Read(chunk.root, chunk.offset, std::span(whole.frame).subspan(chunk.head.size())));
    TRY(HandOver(index, whole));
  }
  for (Run& run : result.runs) {
    const std::uint64_t job = next_job_++;
    jobs_[job] = {index, run.job};
    workers_->Start({job, std::move(run.work)});
  }
  for (Reply& reply : result.replies) process.replies[reply.request] = std::move(reply);
  for (const Disconnect& one : result.disconnects) {
    const auto peer = by_key_.find(one.peer);
    if (index != 0 || peer != by_key_.end()) Reconnect(index != 0 ? index : peer->second, one.reason);
  }
  process.wake = result.wake;
  if (result.wake) wakes_.push({std::max(*result.wake, clock_ + std::chrono::milliseconds(1)), index});
  return {};
}

Result<bool> Simulation::Step() {
  for (JobFinished& finished : workers_->TakeFinished()) {
    const auto job = jobs_.extract(finished.job);
    CHECK(!job.empty());
    Deliver(job.mapped().first, JobFinished{job.mapped().second, std::move(finished.result)});
  }
  if (!ready_.empty()) {
    const std::size_t next = ready_.front();
    ready_.pop_front();
    TRY(Turn(next));
    return true;
  }
  if (!jobs_.empty()) {  // Only then time could pass, and it does not.
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return finished_ > 0; });
    finished_ = 0;
    return true;
  }
  while (!wakes_.empty()) {
    const Wake wake = wakes_.top();
    wakes_.pop();
    if (processes_[wake.process]->wake > wake.at || !processes_[wake.process]->wake) continue;  // It changed its mind.
    clock_ = std::max(clock_, wake.at);
    TRY(Turn(wake.process));
    return true;
  }
  return false;
}

Status Simulation::RunUntil(const std::function<bool()>& done) {
  constexpr int kStepsBetween = 256;
  const Instant until = clock_ + kPatience;
  while (!done()) {
    if (clock_ > until) return Fail(Code::kConflict, "the simulated federation waits for something that does not come");
    for (int i = 0; i < kStepsBetween; ++i) {
      if (!TRY(Step())) return Fail(Code::kConflict, "the simulated federation has nothing left to do");
    }
  }
  return {};
}

Result<Reply> Simulation::Ask(std::size_t process, RequestReceived request) {
  const std::uint64_t id = request.id = next_request_++;
  Deliver(process, std::move(request));
  std::map<std::uint64_t, Reply>& replies = processes_[process]->replies;
  while (!replies.contains(id)) {
    if (!TRY(Step())) return Fail(Code::kConflict, "a request was not answered in the simulated federation");
  }
  return std::move(replies.extract(id).mapped());
}

}  // namespace consilium::cli
