// Key files open with their passphrase alone, and only where others cannot read them; a changed byte is never believed.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <optional>

#include "common/base/files.h"
#include "common/crypto/keys.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

// The fault's code; nullopt for a success, which has none to compare.
template <class Outcome>
std::optional<Code> CodeOf(const Outcome& outcome) {
  if (outcome.has_value()) return std::nullopt;
  return outcome.error().code;
}

class KeyFiles : public testing::Test {
 protected:
  void SetUp() override {
    unsetenv("CREDENTIALS_DIRECTORY");
    std::string name = testing::TempDir() + "keysXXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ / "keys" / "identity";
  }
  void TearDown() override {
    unsetenv("CREDENTIALS_DIRECTORY");
    fs::remove_all(directory_);
  }
  void Put(const fs::path& path, std::string_view text, unsigned mode) {
    fs::create_directories(path.parent_path());
    ASSERT_TRUE(WriteFileAtomic(path, View(text), mode).has_value());
  }
  std::optional<Code> LoadCode() { return CodeOf(LoadSecret(path_, View("pass"))); }

  fs::path directory_, path_;
};

TEST_F(KeyFiles, ComeBackUnderTheSamePassphrase) {
  for (std::size_t size : {0, 32, 4096}) {
    const Secret secret = Secret::Random(size);
    ASSERT_TRUE(SaveSecret(path_, secret.view(), View("pass")).has_value());
    const Result<Secret> loaded = LoadSecret(path_, View("pass"));
    ASSERT_TRUE(loaded.has_value()) << loaded.error().what;
    EXPECT_TRUE(EqualConstantTime(loaded->view(), secret.view()));
  }
}

TEST_F(KeyFiles, RefuseAnotherPassphraseAndSayWhy) {
  ASSERT_TRUE(SaveSecret(path_, Bytes(32, 7), View("pass")).has_value());
  const Result<Secret> loaded = LoadSecret(path_, View("Pass"));
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().code, Code::kRefused);
  EXPECT_NE(loaded.error().what.find("passphrase"), std::string::npos);
}

TEST_F(KeyFiles, HideTheSecretAndNeverRepeatThemselves) {
  const Bytes secret = ToBytes(View("an identity key of thirty-two by"));
  ASSERT_TRUE(SaveSecret(path_, secret, View("pass")).has_value());
  const Bytes first = *ReadFile(path_, 1000);
  ASSERT_TRUE(SaveSecret(path_, secret, View("pass")).has_value());
  const Bytes second = *ReadFile(path_, 1000);
  EXPECT_EQ(first.size(), 52 + 32 + 16U);
  EXPECT_EQ(Text(first).find("identity"), std::string_view::npos);
  EXPECT_NE(Bytes(first.begin() + 12, first.begin() + 28), Bytes(second.begin() + 12, second.begin() + 28)) << "salt";
  EXPECT_NE(Bytes(first.begin() + 28, first.begin() + 52), Bytes(second.begin() + 28, second.begin() + 52)) << "nonce";
}

TEST_F(KeyFiles, ArePrivateAndRefusedWhenTheyAreNot) {
  ASSERT_TRUE(SaveSecret(path_, Bytes(32, 7), View("pass")).has_value());
  struct stat info{};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(stat(path_.parent_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);

  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  EXPECT_EQ(LoadCode(), Code::kRefused);
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  ASSERT_EQ(chmod(path_.parent_path().c_str(), 0755), 0);
  EXPECT_EQ(LoadCode(), Code::kRefused);
  EXPECT_EQ(CodeOf(SaveSecret(path_, Bytes(32, 7), View("pass"))), Code::kRefused);
  ASSERT_EQ(chmod(path_.parent_path().c_str(), 0700), 0);
  EXPECT_TRUE(LoadSecret(path_, View("pass")).has_value());
}

TEST_F(KeyFiles, AbsentCutOrForeignFilesAreErrors) {
  EXPECT_EQ(LoadCode(), Code::kNotFound);
  ASSERT_TRUE(SaveSecret(path_, Bytes(32, 7), View("pass")).has_value());
  const Bytes good = *ReadFile(path_, 1000);
  for (std::size_t size : {0, 3, 51, 67}) {
    ASSERT_TRUE(WriteFileAtomic(path_, ByteView(good).first(size), 0600).has_value());
    EXPECT_EQ(LoadCode(), Code::kCorrupt) << size;
  }
  ASSERT_TRUE(WriteFileAtomic(path_, Bytes(100000, 'C'), 0600).has_value());
  EXPECT_EQ(LoadCode(), Code::kInvalid);
}

TEST_F(KeyFiles, AbsurdCostsAreRefusedBeforeTheyAreSpent) {
  ASSERT_TRUE(SaveSecret(path_, Bytes(32, 7), View("pass")).has_value());
  const Bytes good = *ReadFile(path_, 1000);
  struct Case {
    std::size_t at;
    std::array<std::uint8_t, 4> number;
  };
  for (const Case& c : {Case{4, {0, 0, 0, 0}}, Case{4, {17, 0, 0, 0}}, Case{4, {0, 0, 0, 1}}, Case{8, {7, 0, 0, 0}},
                        Case{8, {1, 0, 4, 0}}, Case{8, {0xff, 0xff, 0xff, 0xff}}}) {
    Bytes bad = good;
    std::copy(c.number.begin(), c.number.end(), bad.begin() + static_cast<std::ptrdiff_t>(c.at));
    ASSERT_TRUE(WriteFileAtomic(path_, bad, 0600).has_value());
    EXPECT_EQ(LoadCode(), Code::kCorrupt);
  }
}

TEST_F(KeyFiles, AChangedByteIsNeverBelieved) {
  ASSERT_TRUE(SaveSecret(path_, Bytes(32, 7), View("pass")).has_value());
  const Bytes good = *ReadFile(path_, 1000);
  // Each field at both ends and inside; the costs have the test above. Few, for each opens at the full price.
  for (std::size_t at : {0, 3, 12, 20, 27, 28, 40, 51, 52, 60, 83, 84, 92, 99}) {
    Bytes bad = good;
    bad[at] ^= 0x80;
    ASSERT_TRUE(WriteFileAtomic(path_, bad, 0600).has_value());
    EXPECT_FALSE(LoadSecret(path_, View("pass")).has_value()) << at;
  }
  // Cheaper costs are allowed by the bounds, but they are part of what is authenticated.
  Bytes cheap = good;
  cheap[10] = 0;
  cheap[9] = 1;
  ASSERT_TRUE(WriteFileAtomic(path_, cheap, 0600).has_value());
  EXPECT_EQ(LoadCode(), Code::kRefused);
}

TEST_F(KeyFiles, ThePassphraseIsMadeOnceWithCreate) {
  EXPECT_EQ(CodeOf(Passphrase(directory_, false)), Code::kNotFound);
  const Result<Secret> made = Passphrase(directory_, true);
  ASSERT_TRUE(made.has_value()) << made.error().what;
  EXPECT_EQ(made->size(), 32U);
  struct stat info{};
  ASSERT_EQ(stat((directory_ / "keys" / "passphrase").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  for (bool create : {false, true}) {
    const Result<Secret> again = Passphrase(directory_, create);
    ASSERT_TRUE(again.has_value()) << again.error().what;
    EXPECT_TRUE(EqualConstantTime(again->view(), made->view()));
  }
  ASSERT_EQ(chmod((directory_ / "keys" / "passphrase").c_str(), 0644), 0);
  EXPECT_EQ(CodeOf(Passphrase(directory_, true)), Code::kRefused);
}

TEST_F(KeyFiles, ThePassphraseFileMayEndInALineBreakAndMayNotBeEmpty) {
  ASSERT_TRUE(EnsurePrivateDirectory(directory_ / "keys").has_value());
  Put(directory_ / "keys" / "passphrase", "correct horse\n", 0600);
  EXPECT_EQ(Text(Passphrase(directory_, false)->view()), "correct horse");
  Put(directory_ / "keys" / "passphrase", "\r\n", 0600);
  EXPECT_EQ(CodeOf(Passphrase(directory_, true)), Code::kInvalid);
  Put(directory_ / "keys" / "passphrase", std::string(2000, 'x'), 0600);
  EXPECT_EQ(CodeOf(Passphrase(directory_, true)), Code::kInvalid);
}

TEST_F(KeyFiles, TheServiceManagersCredentialComesFirst) {
  ASSERT_TRUE(Passphrase(directory_, true).has_value());
  const fs::path credentials = directory_ / "credentials";
  Put(credentials / "consilium-passphrase", "from the unit", 0440);
  setenv("CREDENTIALS_DIRECTORY", credentials.c_str(), 1);
  EXPECT_EQ(Text(Passphrase(directory_, false)->view()), "from the unit");
  fs::remove(credentials / "consilium-passphrase");
  EXPECT_EQ(Passphrase(directory_, false)->size(), 32U) << "a unit with other credentials falls back to the file";
}

}  // namespace
}  // namespace consilium
