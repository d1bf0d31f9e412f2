#include "coordinator/daemon.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "common/http/client.h"
#include "common/http/server.h"
#include "common/settings/value.h"
#include "common/storage/blobs.h"
#include "common/storage/database.h"
#include "common/transport/listener.h"
#include "common/transport/loop.h"
#include "common/turn/reply.h"
#include "coordinator/backup.h"
#include "coordinator/service.h"

namespace consilium::coordinator {
namespace {

namespace fs = std::filesystem;

fs::path DatabaseFile(const fs::path& directory) { return directory / "database"; }
fs::path EndpointsFile(const fs::path& directory) { return directory / "endpoints.json"; }
fs::path ControlSocket(const fs::path& directory) { return fs::absolute(directory) / "control.sock"; }

LogLevel Level(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

SignedRoster FoundingRoster(const Config& config, const FoundingKeys& keys) {
  Roster roster;
  roster.federation = config.federation;
  roster.server_identity = keys.keys.identity.verify_key();
  roster.server_transport = keys.keys.transport.public_key();
  roster.founder = keys.officer.verify_key();
  SignedRoster out{Canonical(roster), {}};
  out.signatures.push_back(SignRoster(out.roster, keys.officer));
  return out;
}

// Hospitals hold the address in their node.toml, so a port that was once taken for port 0 is asked for again.
std::string WithFormerPort(const std::string& wanted, const std::string& former, std::string_view scheme) {
  if (!wanted.ends_with(":0") || former.empty()) return wanted;
  const std::string bare = former.starts_with(scheme) ? former.substr(scheme.size()) : former;
  const auto colon = bare.rfind(':');
  return colon == std::string::npos ? wanted : wanted.substr(0, wanted.size() - 2) + bare.substr(colon);
}

// Everything that lives from start to stop, destroyed in reverse: servers before the loop, the loop before its storage.
struct Running {
  std::unique_ptr<Database> database;
  std::unique_ptr<FileBlobs> blobs;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<HttpServer> web, control;
};

constexpr std::string_view kBackupPath = "/v1/backup";

Value ToValue(const BackupSummary& summary) {
  return Value().Set("directory", summary.directory).Set("files", summary.files).Set("bytes", summary.bytes);
}

Result<std::unique_ptr<HttpServer>> ServeWeb(Loop* loop, const std::string& listen) {
  HttpOptions options;
  options.listen = listen;
  options.handler = [loop](RequestReceived request, std::function<void(Reply)> done) {
    loop->Submit(std::move(request), std::move(done));
  };
  return HttpServer::Start(std::move(options));
}

// As the web's, and POST /v1/backup {target}, which the core knows nothing of: it reads the disk and nothing else, on
// this request's own thread.
Result<std::unique_ptr<HttpServer>> ServeControl(const fs::path& directory, const Running& running) {
  HttpOptions options;
  options.listen = ControlSocket(directory).string();
  options.local = true;
  options.patience = std::chrono::minutes(10);
  options.handler = [directory, loop = running.loop.get(), database = running.database.get()](
                        RequestReceived request, std::function<void(Reply)> done) {
    if (request.method != "POST" || request.path != kBackupPath)
      return loop->Submit(std::move(request), std::move(done));
    const auto summary = BackUp(directory, *database, request.body["target"].AsString());
    done(summary ? JsonReply(request.id, ToValue(*summary)) : ErrorReply(request.id, summary.error()));
  };
  return HttpServer::Start(std::move(options));
}

// What a damaged database costs the federation, and how it goes on.
Error WithWayOn(const fs::path& directory, Error error) {
  if (error.code != Code::kCorrupt) return error;
  error.what += fmt::format(
      ".\nLost are the members, studies and audit rows since the newest backup; no model that was downloaded, and "
      "nothing at the hospitals. To go on: mv {0} {0}.damaged, then consilium-coordinator restore {0} --from BACKUP",
      fs::absolute(directory).lexically_normal().string());
  return error;
}

Result<Endpoints> Start(const fs::path& directory, const Config& config, Running* running) {
  const Keys keys = TRY(LoadKeys(directory));
  auto database = Database::Open(DatabaseFile(directory));
  if (!database) return std::unexpected(WithWayOn(directory, database.error()));
  running->database = std::move(*database);
  auto stored = running->database->Load();
  if (!stored) return std::unexpected(WithWayOn(directory, stored.error()));
  running->blobs = TRY(FileBlobs::Open(directory / "blobs"));
  const Endpoints former = ReadEndpoints(directory).value_or(Endpoints());

  auto listener = TRY(
      Listener::Start({.endpoint = WithFormerPort(config.listen, former.hospitals, "tcp://"), .key = &keys.transport}));
  Endpoints endpoints;
  endpoints.hospitals = config.endpoint.empty() ? listener->endpoint() : config.endpoint;
  ServiceOptions options{.identity = IdentityKey::FromSeed(keys.identity.seed()),
                         .server_key = keys.transport.public_key(),
                         .endpoint = endpoints.hospitals,
                         .build = std::string(kProgramVersion),
                         .stored = std::move(*stored),
                         .storage = running->database.get(),
                         .blobs = running->blobs.get()};
  auto service = TRY(Service::Create(std::move(options), ReadClocks()));
  LoopOptions loop;
  loop.core = std::move(service);
  loop.storage = running->database.get();
  loop.blobs = running->blobs.get();
  loop.link = std::move(listener);
  running->loop = std::make_unique<Loop>(std::move(loop));

  running->web = TRY(ServeWeb(running->loop.get(), WithFormerPort(config.http, former.http, "http://")));
  running->control = TRY(ServeControl(directory, *running));
  endpoints.http = fmt::format("http://{}:{}", config.http.substr(0, config.http.rfind(':')), running->web->port());
  return endpoints;
}

}  // namespace

Result<Founded> Initialise(const fs::path& directory, const Config& config) {
  TRY(CheckConfig(config));
  std::error_code ignored;
  if (fs::exists(directory, ignored) && !fs::is_empty(directory, ignored)) {
    return Fail(Code::kConflict,
                fmt::format("{0} is not empty, and a federation's keys are never overwritten; choose another "
                            "directory",
                            directory.string()));
  }
  TRY(EnsurePrivateDirectory(directory));
  const FoundingKeys keys = TRY(MakeKeys(directory));
  const SignedRoster roster = FoundingRoster(config, keys);
  const std::string token = Base64(Secret::Random(32).view());
  TRY(WriteFileAtomic(AdminTokenFile(directory), View(token + "\n"), 0600));
  const auto database = TRY(Database::Open(DatabaseFile(directory)));
  TRY(database->Commit(FoundingWrites(roster, token)));
  TRY(WriteConfig(directory, config));
  return Founded{roster.hash(), Fingerprint(roster.hash(), keys.keys.transport.public_key())};
}

Result<Endpoints> ReadEndpoints(const fs::path& directory) {
  const Bytes bytes = TRY(ReadFile(EndpointsFile(directory), 4096));
  const Value value = TRY(ParseJson(Text(bytes)));
  return Endpoints{value["hospitals"].AsString(), value["http"].AsString()};
}

Result<Value> BackUpDirectory(const fs::path& directory, const fs::path& target) {
  TRY(LoadConfig(directory));
  const fs::path absolute = fs::absolute(target);
  const auto lock = DirectoryLock::Take(directory);
  if (lock) {
    const auto database = TRY(Database::Open(DatabaseFile(directory)));
    return ToValue(TRY(BackUp(directory, *database, absolute)));
  }
  if (lock.error().code != Code::kConflict) return std::unexpected(lock.error());
  HttpClient client = HttpClient::Unix(ControlSocket(directory));  // A daemon runs: it has the database.
  client.SetPatience(std::chrono::minutes(10));
  return JsonOf(TRY(client.Post(std::string(kBackupPath), Value().Set("target", absolute.string()))));
}

Result<Value> StatusOf(const fs::path& directory, bool* running) {
  const auto lock = DirectoryLock::Take(directory);
  *running = !lock && lock.error().code == Code::kConflict;
  if (*running) return JsonOf(TRY(HttpClient::Unix(ControlSocket(directory)).Get("/v1/status")));
  if (!lock) return std::unexpected(lock.error());
  const Keys keys = TRY(LoadKeys(directory));
  const auto database = TRY(Database::Open(DatabaseFile(directory)));
  const auto blobs = TRY(FileBlobs::Open(directory / "blobs"));
  Stored stored = TRY(database->Load());
  auto service = TRY(Service::Create({.identity = IdentityKey::FromSeed(keys.identity.seed()),
                                      .server_key = keys.transport.public_key(),
                                      .endpoint = {},
                                      .build = std::string(kProgramVersion),
                                      .stored = std::move(stored),
                                      .storage = database.get(),
                                      .blobs = blobs.get()},
                                     ReadClocks()));
  RequestReceived request;
  request.id = 1;
  request.method = "GET";
  request.path = "/v1/status";
  request.local = true;
  const TurnResult result = service->Turn({request}, ReadClocks());  // Nothing is carried out.
  if (result.replies.empty()) return Fail(Code::kCorrupt, "the state gives no answer; restore a backup");
  return ParseJson(Text(result.replies.front().body));
}

Result<Value> RestoreDirectory(const fs::path& backup, const fs::path& directory) {
  return ToValue(TRY(RestoreBackup(backup, directory)));
}

Status RunDaemon(const fs::path& directory, const RunOptions& options) {
  const Config config = TRY(LoadConfig(directory));
  TRY(EnsurePrivateDirectory(directory));
  const DirectoryLock lock = TRY(DirectoryLock::Take(directory));
  if (!options.log_file.empty()) SetLogFile(options.log_file);
  SetLogLevel(Level(config.log_level));
  RaiseDescriptorLimit();

  Running running;
  const Endpoints endpoints = TRY(Start(directory, config, &running));
  InstallStopSignals(running.loop.get());
  const Value written = Value(Value::Object()).Set("hospitals", endpoints.hospitals).Set("http", endpoints.http);
  TRY(WriteFileAtomic(EndpointsFile(directory), View(PrettyJson(written) + "\n"), 0644));
  Log(LogLevel::kInfo, "started",
      {{"federation", config.federation},
       {"hospitals", endpoints.hospitals},
       {"http", endpoints.http},
       {"version", std::string(kProgramVersion)}});

  const Status ended = running.loop->Run();
  InstallStopSignals(nullptr);
  running.web->Stop();
  running.control->Stop();
  if (ended) {
    Log(LogLevel::kInfo, "stopped");
  } else {
    Log(LogLevel::kError, "stopped", {{"reason", ended.error().what}});
  }
  if (running.loop->JobsAbandoned()) {
    std::fflush(nullptr);
    _exit(ended ? 0 : ExitStatus(ended.error().code));
  }
  return ended;
}

}  // namespace consilium::coordinator
