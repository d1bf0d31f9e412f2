// fuzz_replay --list (name, longest input, share of executions) | TARGET FILE|FOLDER... (each file once through the
// target) | --seeds FOLDER (writes the seeds that are made from code). Needs no libFuzzer: this is how the corpora are
// tests of the ordinary build.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "common/base/files.h"
#include "common/crypto/secret.h"
#include "tests/fuzz/seeds.h"

namespace consilium::fuzz {
namespace {

namespace fs = std::filesystem;

std::string current;

void OnAbort(int) {  // A property does not hold: name the input, which is all that is needed to see it again.
  const std::string text = "fuzz_replay: " + current + " breaks its target\n";
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) _exit(2);
  _exit(1);
}

std::size_t Replay(const Target& target, const fs::path& path) {
  if (fs::is_directory(path)) {
    std::set<fs::path> files;
    for (const auto& entry : fs::directory_iterator(path)) files.insert(entry.path());
    std::size_t runs = 0;
    for (const fs::path& file : files) runs += Replay(target, file);
    return runs;
  }
  current = path.string();
  const auto bytes = ReadFile(path, 4 << 20);
  CHECK(bytes.has_value());
  target.run(*bytes);
  return 1;
}

int Main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  CHECK(StartCrypto().has_value());
  if (arguments == std::vector<std::string>{"--list"}) {
    for (const Target& target : Targets())
      std::printf("%s %zu %d\n", std::string(target.name).c_str(), target.most, target.share);
    return 0;
  }
  if (arguments.size() == 2 && arguments[0] == "--seeds") return WriteSeeds(arguments[1]);
  const Target* target = arguments.size() < 2 ? nullptr : FindTarget(arguments[0]);
  if (target == nullptr) {
    std::fprintf(stderr, "usage: fuzz_replay --list | TARGET FILE|FOLDER... | --seeds FOLDER\n");
    return 2;
  }
  std::signal(SIGABRT, OnAbort);
  target->run({});  // No bytes at all are an input too.
  std::size_t runs = 1;
  for (std::size_t i = 1; i < arguments.size(); ++i) runs += Replay(*target, arguments[i]);
  std::printf("%s: %zu inputs\n", arguments[0].c_str(), runs);
  return runs > 1 ? 0 : 1;  // A corpus without a file would be a slip.
}

}  // namespace
}  // namespace consilium::fuzz

int main(int argc, char** argv) { return consilium::fuzz::Main(argc, argv); }
