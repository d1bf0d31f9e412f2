// deploy/examples in the real programs: daemons configured by the examples, on ports of their own, run the example's
// plan.
#include <filesystem>

#include "common/http/client.h"
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

namespace fs = std::filesystem;

const fs::path kExamples = fs::path(CONSILIUM_SOURCE_DIR) / "deploy" / "examples";

void Replace(std::string* text, const std::string& from, const std::string& to) {
  const auto at = text->find(from);
  ASSERT_NE(at, std::string::npos) << "the example has no '" << from << "'";
  text->replace(at, from.size(), to);
}

// The value of `key = "..."` in a file that `init` or `join` wrote.
std::string Setting(const std::string& text, const std::string& key) {
  const std::string before = "\n" + key + " = \"";
  const auto at = text.find(before);
  EXPECT_NE(at, std::string::npos) << key;
  if (at == std::string::npos) return "";
  const auto begin = at + before.size();
  return text.substr(begin, text.find('"', begin) - begin);
}

void ConfigureCoordinator(const Federation& f) {
  const fs::path file = f.coordinator() / "coordinator.toml";
  const std::string made = ReadText(file);
  const std::string hospitals = Setting(made.substr(made.find("[hospitals]")), "listen");
  const std::string http = Setting(made.substr(made.find("[http]")), "listen");
  std::string text = ReadText(kExamples / "coordinator.toml");
  Replace(&text, "heart-net", "test network");
  Replace(&text, "# listen = \"tcp://127.0.0.1:7800\"", "listen = \"" + hospitals + "\"");
  Replace(&text, "# listen = \"127.0.0.1:7880\"", "listen = \"" + http + "\"");
  WriteText(file, text);
}

void ConfigureNode(const Federation& f, int i, int metrics) {
  const fs::path file = f.node(i) / "node.toml";
  const std::string made = ReadText(file);
  const std::string none(64, '0');
  std::string text = ReadText(kExamples / "node.toml");
  Replace(&text, "hospital-a", Federation::Name(i));
  Replace(&text, "tcp://federation.example.org:7800", Setting(made, "endpoint"));
  Replace(&text, "server_key = \"" + none, "server_key = \"" + Setting(made, "server_key"));
  Replace(&text, "roster_fingerprint = \"" + none, "roster_fingerprint = \"" + Setting(made, "roster_fingerprint"));
  Replace(&text, "# listen = \"\"", "listen = \"127.0.0.1:" + std::to_string(metrics) + "\"");
  WriteText(file, text);
}

TEST(Examples, ConfigureTheDaemonsAndRun) {
  Federation f;
  ConfigureCoordinator(f);
  std::vector<int> metrics;
  for (int i = 0; i < kHospitals; ++i) {
    metrics.push_back(FreePort());
    ConfigureNode(f, i, metrics.back());
  }
  f.StartAll();
  for (const int port : metrics) {
    const auto client = HttpClient::Tcp("http://127.0.0.1:" + std::to_string(port));
    ASSERT_TRUE(client.has_value());
    const auto shown = client->Get("/metrics");
    ASSERT_TRUE(shown.has_value()) << shown.error().what;
    EXPECT_NE(shown->body.find("consilium_"), std::string::npos);
  }
  // The demo's example: its schema is what the hospitals hold their generated tables against.
  const fs::path folder = f.root() / "example";
  fs::copy(kExamples / "demo", folder);
  for (int i = 0; i < kHospitals; ++i) {
    const auto checked = f.Node(i, {"data", "check", "DIR", "cohort", "--csv", f.root() / "data" / Federation::Name(i),
                                    "--schema", folder / "schema.toml"});
    EXPECT_EQ(checked.status, 0) << checked.err;
  }
  const std::string study = f.CliJson({"study", "submit", folder / "describe.toml"})["study"].AsString();
  f.ApproveAll(study);
  const Value ended = f.WaitEnd(study);
  EXPECT_EQ(ended["phase"].AsString(), "complete") << PrettyJson(ended);
  for (const char* plan : {"demo/train.toml", "heart-disease/describe.toml", "heart-disease/train.toml"}) {
    const auto checked = f.Cli({"study", "check", kExamples / plan});
    EXPECT_EQ(checked.status, 0) << plan << ": " << checked.err;
  }
}

}  // namespace
}  // namespace consilium::e2e
