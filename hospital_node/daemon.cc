#include "hospital_node/daemon.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "common/http/server.h"
#include "common/storage/blobs.h"
#include "common/storage/database.h"
#include "common/transport/connection.h"
#include "common/transport/loop.h"
#include "common/turn/reply.h"
#include "common/wire/codec.h"
#include "hospital_node/enrolment.h"
#include "hospital_node/workbench.h"

namespace consilium::node {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFrameFile = std::size_t{16} * 1024;

fs::path DatabaseFile(const fs::path& directory) { return directory / "database"; }
fs::path ControlSocket(const fs::path& directory) { return fs::absolute(directory) / "control.sock"; }

LogLevel Level(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

// Everything that lives while the service does, destroyed in reverse.
struct Running {
  std::unique_ptr<Database> database;
  std::unique_ptr<FileBlobs> blobs;
  std::unique_ptr<Workbench> workbench;
  std::unique_ptr<Service> service;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<HttpServer> control, metrics;
};

// This hospital in the newest stored roster; nullopt when it is not in it.
std::optional<Member> StoredSelf(const Stored& stored, const std::string& name) {
  std::optional<Member> self;
  for (const auto& [where, blob] : stored.state) {  // In order; the service verifies the chain.
    if (where.first != "roster") continue;
    const auto link = ParseSignedRoster(blob);
    const auto roster = link ? ParseRoster(link->roster) : std::unexpected(link.error());
    const Member* member = roster ? roster->ByName(name) : nullptr;
    if (member != nullptr) self = *member;
  }
  return self;
}

// What a damaged database costs this hospital, and how it goes on.
Error WithWayOn(const fs::path& directory, Error error) {
  if (error.code != Code::kCorrupt) return error;
  error.what += fmt::format(
      ".\nLost are the approvals, the ledger's rows and the results since the newest copy of this directory. To go on: "
      "mv {0} {0}.damaged, put the newest copy in its place, and type: consilium-node run {0}\nWithout a copy the "
      "hospital joins anew: have the federation type `consilium invite NAME`, then consilium-node join {0}",
      fs::absolute(directory).lexically_normal().string());
  return error;
}

// Opens what the service needs. During a rotation there are two pairs of keys: `next` tries those that wait, and
// *replaced is set when the others are wanted. Returns the keys that the service uses.
Result<Keys> OpenService(const fs::path& directory, const Config& config, bool next, bool* replaced, Running* running) {
  std::error_code ignored;
  if (!fs::exists(DatabaseFile(directory), ignored)) {  // A new one would know nothing of what has left.
    return Fail(Code::kCorrupt,
                fmt::format("{0} has lost its database, and with it the ledger; restore the newest copy of "
                            "{0}, or join anew in an empty directory",
                            directory.string()));
  }
  auto database = Database::Open(DatabaseFile(directory));
  if (!database) return std::unexpected(WithWayOn(directory, database.error()));
  running->database = std::move(*database);
  auto loaded = running->database->Load();
  if (!loaded) return std::unexpected(WithWayOn(directory, loaded.error()));
  Stored stored = std::move(*loaded);
  if (const auto self = StoredSelf(stored, config.name)) TRY(TakeNextKeys(directory, *self));
  Keys keys = TRY(LoadKeys(directory));
  std::optional<Keys> other = TRY(LoadNextKeys(directory, false));
  if (next && other) std::swap(keys, *other);
  running->blobs = TRY(FileBlobs::Open(directory / "blobs"));
  running->workbench = TRY(MakeWorkbench(directory / "spool"));
  ServiceOptions options{.identity = IdentityKey::FromSeed(keys.identity.seed()),
                         .transport = keys.transport.public_key(),
                         .other_transport = {},
                         .keys_replaced = replaced,
                         .server_key = config.server_key,
                         .roster_fingerprint = config.roster_fingerprint,
                         .name = config.name,
                         .build = std::string(kProgramVersion),
                         .policy = config.policy,
                         .stored = std::move(stored),
                         .storage = running->database.get(),
                         .blobs = running->blobs.get(),
                         .workbench = running->workbench.get()};
  if (other) options.other_transport = other->transport.public_key();
  running->service = TRY(Service::Create(std::move(options), ReadClocks()));
  return keys;
}

// ---- join ----

// The frame that an earlier call made, when there is one; it must be this token's.
Result<Bytes> KeptFrame(const fs::path& directory, const TransportKey& token_key) {
  Bytes frame = TRY(ReadFile(EnrollFrameFile(directory), kMaxFrameFile));
  const Enroll kept = TRY(ReadEnroll(frame));
  if (kept.token != token_key) {
    return Fail(Code::kConflict,
                fmt::format("{0} was begun with another token; give that one again, or start anew: rm -r {0}",
                            directory.string()));
  }
  return frame;
}

Bytes MakeFrame(const Token& token, const CurveKey& token_key, const FoundingKeys& made) {
  Enroll enroll{.token = token_key.public_key(),
                .name = token.name,
                .identity = made.keys.identity.verify_key(),
                .transport = made.keys.transport.public_key(),
                .officer = made.officer.verify_key(),
                .roster_fingerprint = token.roster_fingerprint,
                .membership = {}};
  const Bytes membership =
      MembershipBytes(token.federation, enroll.name, enroll.identity, enroll.transport, enroll.officer);
  enroll.membership = SignMembership(membership, made.keys.identity).signature;
  return EncodeFrame(enroll, made.keys.identity);
}

Status SendEnrolment(const fs::path& directory, const Token& token, const CurveKey& token_key, Bytes frame) {
  const auto database = TRY(Database::Open(DatabaseFile(directory)));
  const auto blobs = TRY(FileBlobs::Open(directory / "blobs"));
  std::optional<Status> outcome;
  EnrolmentOptions options{.frame = std::move(frame),
                           .name = token.name,
                           .endpoint = token.endpoint,
                           .server_key = token.server,
                           .roster_fingerprint = token.roster_fingerprint};
  LoopOptions loop_options;
  loop_options.core = std::make_unique<Enrolment>(std::move(options), &outcome);
  loop_options.storage = database.get();
  loop_options.blobs = blobs.get();
  loop_options.link =
      TRY(Connection::Start({.endpoint = token.endpoint, .key = &token_key, .server_key = token.server}));
  Loop loop(std::move(loop_options));
  InstallStopSignals(&loop);
  const Status ran = loop.Run();
  InstallStopSignals(nullptr);
  if (!ran) return ran;
  if (!outcome)
    return Fail(Code::kUnreachable, "interrupted before the coordinator answered; type the same command again");
  return *outcome;
}

// ---- requests ----

Result<HttpReply> Offline(const fs::path& directory, RequestReceived request) {
  const Config config = TRY(LoadConfig(directory));
  SetLogLevel(LogLevel::kWarning);
  Running running;
  bool replaced = false;
  TRY(OpenService(directory, config, false, &replaced, &running));
  Reply reply = TRY(RunOnce(*running.service, *running.database, *running.blobs, std::move(request)));
  return HttpReply{reply.status, reply.content_type, std::string(Text(reply.body))};
}

// "/v1/results?study=abc" -> path and query, as the HTTP server would hand them over.
RequestReceived MakeRequest(const std::string& method, const std::string& target, const Value& body) {
  RequestReceived request;
  request.method = method;
  request.local = true;
  request.body = body;
  const auto question = target.find('?');
  request.path = target.substr(0, question);
  if (question == std::string::npos) return request;
  std::string rest = target.substr(question + 1);
  const auto equals = rest.find('=');
  if (equals != std::string::npos) request.query[rest.substr(0, equals)] = rest.substr(equals + 1);
  return request;
}

Result<HttpReply> Perform(const fs::path& directory, const std::string& method, const std::string& target,
                          const Value& body) {
  TRY(LoadConfig(directory));
  constexpr int kTries = 20;  // A daemon that starts or stops holds the lock without answering for a moment.
  for (int i = 0;; ++i) {
    const auto lock = DirectoryLock::Take(directory);
    if (lock) return Offline(directory, MakeRequest(method, target, body));
    if (lock.error().code != Code::kConflict) return std::unexpected(lock.error());
    HttpClient client = HttpClient::Unix(ControlSocket(directory));
    client.SetPatience(std::chrono::minutes(10));  // Reading and checking a large table takes its time.
    auto reply = method == "GET" ? client.Get(target) : client.Post(target, body);
    if (reply || reply.error().code != Code::kUnreachable || i == kTries) return reply;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

// For a scraper on this machine, which needs no rights: three paths and nothing else.
Result<std::unique_ptr<HttpServer>> ServeMetrics(const std::string& listen, Loop* loop) {
  HttpOptions options;
  options.listen = listen;
  options.handler = [loop](RequestReceived request, std::function<void(Reply)> done) {
    const bool open = request.path == "/metrics" || request.path == "/healthz" || request.path == "/readyz";
    if (open && request.method == "GET") return loop->Submit(std::move(request), std::move(done));
    done(ErrorReply(request.id, {Code::kNotFound, "only /metrics, /healthz and /readyz are served here"}));
  };
  return HttpServer::Start(std::move(options));
}

// A command that works without a daemon holds the lock for a moment; a daemon holds it for good and answers.
Result<DirectoryLock> TakeForDaemon(const fs::path& directory) {
  constexpr int kTries = 50;
  for (int i = 0;; ++i) {
    auto lock = DirectoryLock::Take(directory);
    if (lock || lock.error().code != Code::kConflict || i == kTries) return lock;
    if (HttpClient::Unix(ControlSocket(directory)).Get("/v1/status")) return lock;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace

Result<Joined> Join(const fs::path& directory, std::string_view token_text) {
  const Token token = TRY(ParseToken(token_text));
  const CurveKey token_key = TokenKey(token);
  TRY(EnsurePrivateDirectory(directory));
  const DirectoryLock lock = TRY(DirectoryLock::Take(directory));

  std::error_code ignored;
  if (!fs::exists(EnrollFrameFile(directory), ignored)) {
    if (fs::exists(ConfigFile(directory), ignored)) {
      return Fail(Code::kConflict,
                  fmt::format("{} belongs to a federation already; choose another directory", directory.string()));
    }
    const FoundingKeys made = TRY(MakeKeys(directory));
    TRY(WriteFileAtomic(EnrollFrameFile(directory), MakeFrame(token, token_key, made), 0600));
  }
  Bytes frame = TRY(KeptFrame(directory, token_key.public_key()));
  const Enroll enroll = TRY(ReadEnroll(frame));
  Joined joined{token.name, token.endpoint, Fingerprint(enroll.identity, enroll.transport)};
  if (fs::exists(ConfigFile(directory), ignored)) return joined;  // A second call after all went well.
  TRY(SendEnrolment(directory, token, token_key, std::move(frame)));
  Config config;
  config.name = token.name;
  config.endpoint = token.endpoint;
  config.server_key = token.server;
  config.roster_fingerprint = token.roster_fingerprint;
  TRY(WriteConfig(directory, config));
  return joined;
}

namespace {

// One life of the daemon; *replaced when another is to follow with the other keys.
Status RunLife(const fs::path& directory, const Config& config, bool next, bool* replaced) {
  Running running;
  {
    const Keys keys = TRY(OpenService(directory, config, next, replaced, &running));
    LoopOptions loop;
    loop.core = std::move(running.service);
    loop.storage = running.database.get();
    loop.blobs = running.blobs.get();
    loop.link =
        TRY(Connection::Start({.endpoint = config.endpoint, .key = &keys.transport, .server_key = config.server_key}));
    running.loop = std::make_unique<Loop>(std::move(loop));
  }
  HttpOptions control;
  control.listen = ControlSocket(directory).string();
  control.local = true;
  control.patience = std::chrono::minutes(10);
  control.handler = [loop = running.loop.get()](RequestReceived request, std::function<void(Reply)> done) {
    loop->Submit(std::move(request), std::move(done));
  };
  running.control = TRY(HttpServer::Start(std::move(control)));
  if (!config.metrics.empty()) running.metrics = TRY(ServeMetrics(config.metrics, running.loop.get()));
  InstallStopSignals(running.loop.get());
  Log(LogLevel::kInfo, "started",
      {{"hospital", config.name}, {"coordinator", config.endpoint}, {"version", std::string(kProgramVersion)}});

  const Status ended = running.loop->Run();
  InstallStopSignals(nullptr);
  running.control->Stop();
  if (running.metrics) running.metrics->Stop();
  if (ended) {
    Log(LogLevel::kInfo, "stopped");
  } else {
    Log(LogLevel::kError, "stopped", {{"reason", ended.error().what}});
  }
  if (running.loop->JobsAbandoned() && !*replaced) {
    std::fflush(nullptr);
    _exit(ended ? 0 : ExitStatus(ended.error().code));
  }
  return ended;
}

}  // namespace

Status RunDaemon(const fs::path& directory, const RunOptions& options) {
  const Config config = TRY(LoadConfig(directory));
  TRY(EnsurePrivateDirectory(directory));
  const DirectoryLock lock = TRY(TakeForDaemon(directory));
  if (!options.log_file.empty()) SetLogFile(options.log_file);
  SetLogLevel(Level(config.log_level));
  RaiseDescriptorLimit();
  for (bool next = false;; next = !next) {
    bool replaced = false;
    const Status ended = RunLife(directory, config, next, &replaced);
    if (!ended || !replaced) return ended;
  }
}

Result<Value> Ask(const fs::path& directory, const std::string& method, const std::string& path, const Value& body) {
  return JsonOf(TRY(Perform(directory, method, path, body)));
}
Result<std::string> AskText(const fs::path& directory, const std::string& path) {
  return BodyOf(TRY(Perform(directory, "GET", path, {})));
}

}  // namespace consilium::node
