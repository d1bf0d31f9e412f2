// See host.h.
#include "tests/fuzz/host.h"

#include "common/wire/framing.h"  // Before Cap'n Proto's own headers, for clang.

#include "common/base/log.h"
#include "common/wire/kinds.h"
#include "common/wire/payload.h"

namespace consilium::fuzz {
namespace {

constexpr std::int64_t kEpochMs = 1'800'000'000'000;

}  // namespace

sim::Scenario HostileScenario(bool liar) {
  sim::Scenario scenario;
  scenario.hospitals.resize(5);
  for (auto& hospital : scenario.hospitals) hospital.rogue = hospital.releases_own = true;
  scenario.wild_values = true;
  scenario.liar = liar;
  return scenario;
}

Now Host::now() const {
  BootId boot;
  boot.bytes.fill(boots_);
  return {Instant(std::chrono::hours(1 + boots_ % 3) + context_.now()), kEpochMs + context_.now().count() / 1000, boot};
}

void Host::CheckWatch() const {
  if (!context_.failure) return;
  std::fprintf(stderr, "broken: %s: %s\n", context_.failure->invariant.c_str(), context_.failure->what.c_str());
  CHECK(!context_.failure);
}

void Host::Start() {
  SetLogLevel(LogLevel::kError);
  SetLogFile("/dev/null");
  waiting_.clear();
  jobs_.clear();
  asked_.clear();
  disconnected_.clear();
  wake_.reset();
  stopped_ = false;
  auto core = world_.make(*disk_.Load(), now());
  if (!core) std::fprintf(stderr, "does not start from its own disk: %s\n", core.error().what.c_str());
  CHECK(core.has_value());
  core_ = std::move(*core);
  Turn();
}

void Host::Ask(RequestReceived request) {
  request.id = next_request_++;
  asked_[request.id] = request;
  Give(std::move(request));
}

void Host::Turn() {
  std::vector<Event> events = std::exchange(waiting_, {});
  CarryOut(core_->Turn(std::move(events), now()));
  CheckWatch();
}

void Host::Sleep(Duration duration) {
  context_.scheduler.After(duration, [] {});
  CHECK(context_.scheduler.Step());
  Turn();
}

void Host::Work(std::size_t nth) {
  if (jobs_.empty()) return;
  const auto at = jobs_.begin() + static_cast<std::ptrdiff_t>(nth % jobs_.size());
  consilium::Run run = std::move(*at);
  jobs_.erase(at);
  Give(JobFinished{run.job, run.work()});
  Turn();
}

void Host::WorkAll() {
  for (int i = 0; i < 1000 && !jobs_.empty(); ++i) Work(0);
  CHECK(jobs_.empty());  // Jobs do not make jobs for ever.
}

void Host::Crash() {
  core_.reset();
  crash_after_.reset();
  if (context_.random.PerMille(400)) {  // With its machine.
    disk_.LoseUnsynced(context_.random);
    boots_ = boots_ == 255 ? 1 : static_cast<std::uint8_t>(boots_ + 1);
  }
  Start();
}

void Host::CarryOut(TurnResult result) {
  std::size_t left = crash_after_.value_or(SIZE_MAX);
  crash_after_.reset();
  const auto powerless = [&] { return left-- == 0; };
  for (const BlobWrite& write : result.blob_writes) {
    if (powerless()) return Crash();
    CHECK(disk_.Write(write).has_value());
  }
  for (const Digest& root : result.blob_seals) {
    if (powerless()) return Crash();
    CHECK(disk_.Seal(root).has_value());
  }
  if (!result.transaction.empty()) {
    if (powerless()) return Crash();
    CHECK(disk_.Commit(result.transaction).has_value());
    world_.committed(result.transaction);
  }
  for (const Digest& root : result.blob_drops) {
    if (powerless()) return Crash();
    CHECK(disk_.Drop(root).has_value());
  }
  for (const auto& send : result.sends) {
    if (powerless()) return Crash();
    if (const auto* frame = std::get_if<Send>(&send)) {
      CHECK(frame->frame.size() <= kMaxMessage && !IsChunk(frame->frame));
      world_.sent(frame->to, frame->frame);
      continue;
    }
    const auto& chunk = std::get<SendChunk>(send);
    Bytes frame = chunk.head;
    frame.resize(frame.size() + chunk.length);
    CHECK(disk_.Read(chunk.root, chunk.offset, std::span(frame).subspan(chunk.head.size())).has_value());
    CHECK(ReadChunk(frame).has_value());
    world_.sent(chunk.to, frame);
  }
  for (consilium::Run& run : result.runs) jobs_.push_back(std::move(run));
  for (const Reply& reply : result.replies) Answer(reply);
  for (const Disconnect& disconnect : result.disconnects) disconnected_.insert(disconnect.peer);
  wake_ = result.wake;
  stopped_ |= result.stop;
}

void Host::Answer(const Reply& reply) {
  const auto asked = asked_.extract(reply.request);
  CHECK(!asked.empty());  // One reply a request.
  CHECK(reply.status == 200 || reply.status >= 400);
  Value body;
  if (reply.content_type == "application/json") {
    const auto parsed = ParseJson(Text(reply.body), {.bytes = 64 << 20});
    CHECK(parsed.has_value() && std::ranges::equal(View(CanonicalJson(*parsed)), reply.body));
    body = *parsed;
    if (reply.status != 200) CHECK(!body["error"]["message"].AsString().empty());
  }
  world_.answered(asked.mapped(), reply.status, body);
}

Bytes Sealed(ByteView payload, const IdentityKey& key) {
  const auto kind = PeekKind(payload);
  const std::string_view name = kind ? WireKindName(*kind) : "Hello";
  capnp::MallocMessageBuilder builder(64 + payload.size() / 8);
  auto root = builder.initRoot<schema::Envelope>();
  root.setPayload(framing::Raw(payload));
  root.setSignature(framing::Raw(key.Sign(Fields("HSA1/msg").AddText(name).Add(Blake2b(payload)).bytes())));
  return framing::Flatten(builder);
}

Bytes PayloadOf(const Message& message) { return EncodePayload(message); }

Value AnyJson(ByteView text) {
  auto parsed = ParseJson(Text(text));
  return parsed ? std::move(*parsed) : Value();
}

}  // namespace consilium::fuzz
