#include "cli/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace consilium {
namespace {

struct Descriptor {
  int fd = -1;
  explicit Descriptor(int opened) : fd(opened) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Error SystemError(std::string_view doing, std::string_view what) {
  return {Code::kIo, fmt::format("cannot {} {}: {}", doing, what, std::strerror(errno))};
}

int MemoryFile(const std::string& content) {
  const int fd = memfd_create("consilium", MFD_CLOEXEC);
  if (fd < 0) return fd;
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = write(fd, content.data() + done, content.size() - done);
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

std::string Contents(int fd) {
  std::string out;
  char buffer[65536];
  lseek(fd, 0, SEEK_SET);
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<std::size_t>(n));
  return out;
}

int OpenOutput(const std::filesystem::path& path) {
  return open(path.empty() ? "/dev/null" : path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

// fork and not posix_spawn: only code between fork and exec can ask for a signal at the parent's death.
Result<std::pair<pid_t, int>> Spawn(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                                    int in, int out, int err) {
  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& word : argv) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::vector<char*> variables;
  for (char** v = environ; *v != nullptr; ++v) variables.push_back(*v);
  for (const std::string& word : environment) variables.push_back(const_cast<char*>(word.c_str()));
  variables.push_back(nullptr);
  if (access(argv[0].c_str(), X_OK) != 0) {
    return std::unexpected(
        Error{Code::kNotFound, fmt::format("{} is not there or cannot be run: {}", argv[0], std::strerror(errno))});
  }
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return std::unexpected(SystemError("start", argv[0]));
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    signal(SIGPIPE, SIG_DFL);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execve(arguments[0], arguments.data(), variables.data());
    _exit(127);
  }
  return std::pair(pid, static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace

Result<Process> Process::Start(const ProcessOptions& options) {
  const Descriptor in(MemoryFile(options.input)), out(OpenOutput(options.out)), err(OpenOutput(options.err));
  if (in.fd < 0 || out.fd < 0 || err.fd < 0) return std::unexpected(SystemError("open the output of", options.argv[0]));
  const auto [pid, descriptor] = TRY(Spawn(options.argv, options.environment, in.fd, out.fd, err.fd));
  return Process(pid, descriptor);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), descriptor_(std::exchange(other.descriptor_, -1)), status_(other.status_) {}
Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(status_, other.status_);
  return *this;
}
Process::~Process() {
  if (pid_ > 0) Stop();
  if (descriptor_ >= 0) close(descriptor_);
}

std::optional<int> Process::Wait(std::chrono::milliseconds limit) {
  if (status_ || pid_ <= 0) return status_;
  pollfd ready{descriptor_, POLLIN, 0};
  const auto until = std::chrono::steady_clock::now() + limit;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    const int n = poll(&ready, 1, std::max(0, static_cast<int>(left.count())));
    if (n > 0) break;
    if (n == 0 || errno != EINTR) return std::nullopt;
  }
  int raw = 0;
  if (waitpid(pid_, &raw, 0) != pid_) return std::nullopt;
  status_ = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
  return status_;
}

void Process::Signal(int signal) const {
  if (pid_ > 0 && !status_) syscall(SYS_pidfd_send_signal, descriptor_, signal, nullptr, 0);
}
std::optional<int> Process::Stop(std::chrono::milliseconds limit) {
  Signal(SIGTERM);
  Signal(SIGCONT);  // A stopped process would not hear it.
  if (const auto status = Wait(limit)) return status;
  Kill();
  return std::nullopt;
}
void Process::Kill() {
  Signal(SIGKILL);
  Wait(std::chrono::seconds(30));
}

Result<ProgramOutput> RunProgram(const std::vector<std::string>& argv, const std::string& input,
                                 std::chrono::milliseconds limit, const std::vector<std::string>& environment) {
  const Descriptor in(MemoryFile(input)), out(MemoryFile("")), err(MemoryFile(""));
  if (in.fd < 0 || out.fd < 0 || err.fd < 0) return std::unexpected(SystemError("open the output of", argv[0]));
  const auto [pid, descriptor] = TRY(Spawn(argv, environment, in.fd, out.fd, err.fd));
  Process process(pid, descriptor);
  const auto status = process.Wait(limit);
  if (!status) {
    process.Kill();
    return Fail(Code::kIo, fmt::format("{} did not end within {} s and was stopped", argv[0], limit.count() / 1000));
  }
  return ProgramOutput{*status, Contents(out.fd), Contents(err.fd)};
}

std::filesystem::path OwnDirectory() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
}

}  // namespace consilium
