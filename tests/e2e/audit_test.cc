// The exported log: any flipped byte, deleted, doubled or moved row and a cut tail are found.
#include <sstream>

#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

struct Verdict {
  int status = 0;
  Value json;
};

class Audit : public ::testing::Test {
 protected:
  void SetUp() override {
    federation_.StartAll();
    const std::string study = federation_.Submit({.rounds = 2});
    federation_.ApproveAll(study);
    ASSERT_EQ(federation_.WaitEnd(study)["phase"].AsString(), "complete");
    log_ = ReadText(federation_.CliJson({"study", "download", study, "--out", federation_.root() / "results"})["audit"].AsString());
    std::istringstream in(log_);
    for (std::string line; std::getline(in, line);) lines_.push_back(line);
    ASSERT_GT(lines_.size(), 10U);
  }
  Verdict Verify(const std::string& text) {
    WriteText(federation_.root() / "log.jsonl", text);
    const ProgramOutput output = federation_.Cli({"audit", "verify", federation_.root() / "log.jsonl", "--json"});
    return {output.status, ParseJson(output.out).value_or(Value())};
  }
  static std::string Joined(const std::vector<std::string>& lines) {
    std::string out;
    for (const std::string& line : lines) out += line + "\n";
    return out;
  }

  Federation federation_;
  std::string log_;
  std::vector<std::string> lines_;
};

TEST_F(Audit, AWholeLogIsValid) {
  const Verdict verdict = Verify(log_);
  EXPECT_EQ(verdict.status, 0);
  EXPECT_TRUE(verdict.json["valid"].AsBool());
  EXPECT_EQ(verdict.json["rows"].AsInteger(), static_cast<std::int64_t>(lines_.size()) - 1);
}

TEST_F(Audit, AFlippedByteIsFound) {
  for (std::size_t at = 0; at < log_.size(); at += log_.size() / 60 + 1) {
    std::string changed = log_;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const Verdict verdict = Verify(changed);
    EXPECT_EQ(verdict.status, 1) << "byte " << at;
    EXPECT_FALSE(verdict.json["valid"].AsBool()) << "byte " << at;
    EXPECT_FALSE(verdict.json["reason"].AsString().empty());
  }
}

TEST_F(Audit, ADeletedDoubledMovedOrCutRowIsFound) {
  auto deleted = lines_, doubled = lines_, moved = lines_, cut = lines_;
  deleted.erase(deleted.begin() + 4);
  doubled.insert(doubled.begin() + 4, doubled[4]);
  std::swap(moved[4], moved[5]);
  cut.erase(cut.end() - 2);
  for (const auto& changed : {deleted, doubled, moved}) {
    const Verdict verdict = Verify(Joined(changed));
    EXPECT_EQ(verdict.status, 1);
    EXPECT_GE(verdict.json["first_bad_row"].AsInteger(), 5);
    EXPECT_LE(verdict.json["first_bad_row"].AsInteger(), 6);
  }
  EXPECT_EQ(Verify(Joined(cut)).status, 1);
  cut.pop_back();
  EXPECT_EQ(Verify(Joined(cut)).status, 1) << "without its last line";
  EXPECT_EQ(Verify("").status, 1);
}

TEST_F(Audit, ADaemonsDirectoryIsVerifiedRunningAndStopped) {
  EXPECT_EQ(federation_.Cli({"audit", "verify", federation_.coordinator()}).status, 0);
  EXPECT_EQ(federation_.coordinator_process().Stop(), 0);
  EXPECT_EQ(federation_.Cli({"audit", "verify", federation_.coordinator()}).status, 0);
  EXPECT_EQ(federation_.Cli({"audit", "verify", federation_.root() / "nothing"}).status, 5);
}

}  // namespace
}  // namespace consilium::e2e
