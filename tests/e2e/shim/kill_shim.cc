// Preloaded by the tests into one daemon: kills it at its k-th effect on the world, and writes down what it does.
//
//   CONSILIUM_KILL=POINT:K   POINT is before-commit, after-commit, before-send or after-send; K counts from 1
//   CONSILIUM_TRACE=FILE     a line an effect, written before it happens: "commit", or "send" and the frame in hex
//
// A commit is a step of SQLite's statement COMMIT; a message is the last part of one on a ROUTER or DEALER socket (the
// others of a daemon never leave it). After-send waits a moment, so that the I/O thread has it on its way.
#include <dlfcn.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>
#include <zmq.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr std::size_t kMostTraced = 256 * 1024;
constexpr useconds_t kOnItsWay = 30'000;

struct Settings {
  std::string point;
  long k = 0;
  int trace = -1;
  Settings() {
    if (const char* kill = std::getenv("CONSILIUM_KILL")) {
      const std::string text = kill;
      const auto colon = text.find(':');
      point = text.substr(0, colon);
      k = colon == std::string::npos ? 0 : std::atol(text.c_str() + colon + 1);
    }
    if (const char* file = std::getenv("CONSILIUM_TRACE"))
      trace = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
};
const Settings& Get() {
  static const Settings settings;
  return settings;
}

std::atomic<long> commits = 0, sends = 0;

void Trace(const std::string& line) {
  if (Get().trace < 0) return;
  const std::string whole = line + "\n";
  if (write(Get().trace, whole.data(), whole.size()) < 0) return;
}

void DieAt(const char* point, long count) {
  if (Get().k == count && Get().point == point) raise(SIGKILL);
}

template <class Function>
Function Next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

std::string Hex(const void* data, std::size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < size; ++i) {
    const unsigned char byte = static_cast<const unsigned char*>(data)[i];
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

bool LeavesTheProcess(void* socket) {
  int type = 0;
  std::size_t size = sizeof type;
  return zmq_getsockopt(socket, ZMQ_TYPE, &type, &size) == 0 && (type == ZMQ_ROUTER || type == ZMQ_DEALER);
}

}  // namespace

extern "C" int sqlite3_step(sqlite3_stmt* statement) {
  static const auto next = Next<int (*)(sqlite3_stmt*)>("sqlite3_step");
  const char* sql = sqlite3_sql(statement);
  if (sql == nullptr || std::strcmp(sql, "COMMIT") != 0) return next(statement);
  const long count = ++commits;
  Trace("commit");
  DieAt("before-commit", count);
  const int done = next(statement);
  DieAt("after-commit", count);
  return done;
}

extern "C" int zmq_msg_send(zmq_msg_t* message, void* socket, int flags) {
  static const auto next = Next<int (*)(zmq_msg_t*, void*, int)>("zmq_msg_send");
  if ((flags & ZMQ_SNDMORE) != 0 || !LeavesTheProcess(socket)) return next(message, socket, flags);
  const long count = ++sends;
  const std::size_t size = zmq_msg_size(message);
  if (Get().trace >= 0) Trace("send " + Hex(zmq_msg_data(message), size <= kMostTraced ? size : 64));
  DieAt("before-send", count);
  const int sent = next(message, socket, flags);
  if (Get().k == count && Get().point == "after-send") {
    usleep(kOnItsWay);
    raise(SIGKILL);
  }
  return sent;
}
