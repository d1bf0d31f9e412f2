// README's federation, step by step, as a reader types it: every line of its shell blocks, on ports of its own.
#include <filesystem>

#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

namespace fs = std::filesystem;

std::string ShellBlocks(const std::string& text) {
  std::string out;
  bool inside = false;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("```")) {
      inside = line == "```sh";
    } else if (inside) {
      out += line + "\n";
    }
  }
  return out;
}

void ReplaceAll(std::string* text, const std::string& from, const std::string& to) {
  ASSERT_NE(text->find(from), std::string::npos) << "README has no '" << from << "' any more";
  for (std::size_t at = text->find(from); at != std::string::npos; at = text->find(from, at + to.size()))
    text->replace(at, from.size(), to);
}

TEST(Readme, ItsStepsWork) {
  std::string steps = ShellBlocks(ReadText(fs::path(CONSILIUM_SOURCE_DIR) / "README.md"));
  const std::string http = std::to_string(FreePort()), hospitals = std::to_string(FreePort());
  ReplaceAll(&steps, "127.0.0.1:7880", "127.0.0.1:" + http);
  ReplaceAll(&steps, "--federation heart-net",
             "--federation heart-net --http 127.0.0.1:" + http + " --listen tcp://127.0.0.1:" + hospitals);
  // A reader sees the plan arrive before reading it.
  ReplaceAll(&steps, "consilium-node plan show node-a",
             "for DIR in node-a node-b; do until consilium-node plan list $DIR | grep -q pending; do sleep 0.1; done; "
             "done\nconsilium-node plan show node-a");

  std::string folder = (fs::temp_directory_path() / "consilium-readme-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string script = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\ncd " + folder +
                             "\nexport PATH=\"" CONSILIUM_BIN_DIR ":$PATH\" XDG_CONFIG_HOME=" + folder +
                             "/config\nconsilium demo --dir heart --rounds 2 >/dev/null\n" + steps;
  const auto output = RunProgram({"/bin/bash", "-c", script}, "", kPatience * 2);
  ASSERT_TRUE(output.has_value()) << output.error().what;
  EXPECT_EQ(output->status, 0) << output->out << output->err;
  for (const char* file : {"model.safetensors", "model.onnx", "report.md", "audit.jsonl"})
    EXPECT_TRUE(fs::exists(fs::path(folder) / "results" / file)) << file;
  EXPECT_NE(output->out.find("complete, 4 of 4 answers"), std::string::npos) << output->out;
  if (!HasFailure()) fs::remove_all(folder);
}

}  // namespace
}  // namespace consilium::e2e
