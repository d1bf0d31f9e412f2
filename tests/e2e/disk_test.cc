// Disks: full, read-only, written by a newer version, torn, damaged. A daemon says what is lost and how to go on, and
// after the mend the study goes on with nothing counted twice.
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "tests/e2e/transfers.h"

namespace consilium::e2e {
namespace {

namespace fs = std::filesystem;

bool Contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Mounts of this process and its children alone, gone with it; false where that is not allowed.
bool MayMount() {
  static const bool may = [] {
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0) return false;
    return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  }();
  return may;
}
#define NEEDS_MOUNTS() \
  if (!MayMount()) GTEST_SKIP() << "this test mounts file systems of its own, which needs root with CAP_SYS_ADMIN"

// A small disk under a directory, with its content.
class SmallDisk {
 public:
  explicit SmallDisk(fs::path directory) : directory_(std::move(directory)) {
    const fs::path aside = directory_.string() + ".aside";
    fs::rename(directory_, aside);
    fs::create_directory(directory_);
    EXPECT_EQ(mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=16m,mode=0700"), 0);
    fs::copy(aside, directory_, fs::copy_options::recursive);
    fs::remove_all(aside);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() { umount2(directory_.c_str(), MNT_DETACH); }
  void Fill() const {
    std::ofstream filler(directory_ / "filler", std::ios::binary);
    const std::string block(1024, 'x');
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void Free() const { fs::remove(directory_ / "filler"); }

 private:
  fs::path directory_;
};

// Bytes in the middle of a file become others; its length stays.
void Overwrite(const fs::path& file, std::uint64_t at, const std::string& bytes) {
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  out.seekp(static_cast<std::streamoff>(at));
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  EXPECT_TRUE(out.flush().good()) << file;
}

std::vector<fs::path> BlobsOf(const fs::path& directory) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(directory / "blobs")) {
    if (entry.is_regular_file()) out.push_back(entry.path());
  }
  return out;
}
// Half of each blob is lost, or one byte of it is another.
void Tear(const fs::path& directory, bool cut) {
  const std::vector<fs::path> blobs = BlobsOf(directory);
  EXPECT_FALSE(blobs.empty());
  for (const fs::path& blob : blobs) {
    if (cut) {
      fs::resize_file(blob, fs::file_size(blob) / 2);
    } else {
      const char byte = static_cast<char>(ReadText(blob).at(fs::file_size(blob) / 2) ^ 1);
      Overwrite(blob, fs::file_size(blob) / 2, std::string(1, byte));
    }
  }
}

ProgramOutput RunOnce(const std::string& program, const fs::path& directory) {
  return RunProgram({Binary(program), "run", directory}).value_or(ProgramOutput{});
}

TEST(Disk, AFullOneStopsTheNodeAndTheStudyGoesOnAfterwards) {
  NEEDS_MOUNTS();
  Federation federation;
  const SmallDisk disk(federation.node(0));
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 60});
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 3));
  disk.Fill();
  EXPECT_EQ(federation.node_process(0).Wait(kPatience), 1);
  const std::string log = ReadText(federation.root() / "hospital-a.log");
  EXPECT_TRUE(Contains(log, "the disk is full")) << log;
  EXPECT_TRUE(Contains(log, "free some space")) << log;
  const ProgramOutput again = RunOnce("consilium-node", federation.node(0));
  EXPECT_EQ(again.status, 1) << "still full";
  EXPECT_TRUE(Contains(again.err, "free some space")) << again.err;
  EXPECT_TRUE(federation.coordinator_process().Running());

  disk.Free();
  federation.StartNode(0);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  federation.ExpectOneAnswerPerRound(study);
  federation.node_process(0).Stop();
}

TEST(Disk, AFullOneStopsTheCoordinatorAndTheStudyGoesOnAfterwards) {
  NEEDS_MOUNTS();
  Federation federation;
  const SmallDisk disk(federation.coordinator());
  federation.StartAll();
  const std::string study = federation.Submit({.rounds = 60});
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 3));
  disk.Fill();
  EXPECT_EQ(federation.coordinator_process().Wait(kPatience), 1);
  const std::string log = ReadText(federation.root() / "coordinator.log");
  EXPECT_TRUE(Contains(log, "the disk is full")) << log;
  const ProgramOutput again = RunOnce("consilium-coordinator", federation.coordinator());
  EXPECT_EQ(again.status, 1) << "still full";
  EXPECT_TRUE(Contains(again.err, "free some space")) << again.err;
  for (int i = 0; i < kHospitals; ++i) EXPECT_TRUE(federation.node_process(i).Running());

  disk.Free();
  federation.StartCoordinator();
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  federation.ExpectOneAnswerPerRound(study);
  federation.coordinator_process().Stop();
}

TEST(Disk, AReadOnlyOneIsNamedWithItsMend) {
  NEEDS_MOUNTS();
  Federation federation;
  for (const auto& [program, directory] :
       {std::pair<std::string, fs::path>{"consilium-coordinator", federation.coordinator()},
        {"consilium-node", federation.node(0)}}) {
    ASSERT_EQ(mount(directory.c_str(), directory.c_str(), nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(mount(nullptr, directory.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
    const ProgramOutput refused = RunOnce(program, directory);
    EXPECT_EQ(refused.status, 1) << refused.err;
    EXPECT_TRUE(Contains(refused.err, directory.string())) << refused.err;
    EXPECT_TRUE(Contains(refused.err, "mount it for writing")) << refused.err;
    ASSERT_EQ(umount2(directory.c_str(), MNT_DETACH), 0);
  }
  federation.StartCoordinator();
  federation.StartNode(0);
  EXPECT_TRUE(federation.WaitOnline(0));
}

TEST(Disk, ADatabaseOfANewerVersionIsLeftAlone) {
  Federation federation;
  for (const auto& [program, directory] :
       {std::pair<std::string, fs::path>{"consilium-coordinator", federation.coordinator()},
        {"consilium-node", federation.node(0)}}) {
    const fs::path database = directory / "database";
    const std::string before = ReadText(database);
    Overwrite(database, 60, std::string("\0\0\0\x63", 4));  // SQLite's user_version, big-endian: 99.
    const std::string newer = ReadText(database);
    const ProgramOutput refused = RunOnce(program, directory);
    EXPECT_EQ(refused.status, 3) << refused.err;
    EXPECT_TRUE(Contains(refused.err, "format 99")) << refused.err;
    EXPECT_TRUE(Contains(refused.err, "nothing was changed; start that version")) << refused.err;
    EXPECT_EQ(ReadText(database), newer);
    WriteText(database, before);
  }
  federation.StartCoordinator();
  federation.StartNode(0);
  EXPECT_TRUE(federation.WaitOnline(0));
}

TEST(Disk, ADamagedPageSaysWhatIsLostAndHowToGoOn) {
  constexpr std::uint64_t kPage = 4096;
  Federation federation;
  for (const auto& [program, directory, mend] :
       {std::tuple<std::string, fs::path, std::string>{"consilium-coordinator", federation.coordinator(),
                                                       "consilium-coordinator restore "},
        {"consilium-node", federation.node(0), "consilium-node join "}}) {
    const fs::path database = directory / "database";
    const std::string before = ReadText(database);
    for (std::uint64_t page = 1; page < before.size() / kPage; ++page) {
      Overwrite(database, page * kPage, std::string(kPage, '\xa5'));
      auto process = Process::Start({.argv = {Binary(program), "run", directory},
                                     .input = "",
                                     .out = {},
                                     .err = federation.root() / "damaged.log",
                                     .environment = {}});
      ASSERT_TRUE(process.has_value());
      EXPECT_EQ(process->Wait(kPatience), 1) << program << ", page " << page;
      const std::string said = ReadText(federation.root() / "damaged.log");
      EXPECT_TRUE(Contains(said, "database")) << said;
      EXPECT_TRUE(Contains(said, "Lost are the ")) << said;
      EXPECT_TRUE(Contains(said, mend + fs::absolute(directory).string())) << said;
      fs::remove(federation.root() / "damaged.log");
      for (const char* journal : {"database-wal", "database-shm"}) fs::remove(directory / journal);
      WriteText(database, before);
    }
  }
  federation.StartCoordinator();  // The copy is put back.
  federation.StartNode(0);
  EXPECT_TRUE(federation.WaitOnline(0));
}

// Its plan is too large for a message, so it lies in a blob; hospitals refuse what does not give its root.
TEST(Disk, ATornBlobOfTheCoordinatorIsMadeAgain) {
  const Founding founding{.hospitals = 2, .columns = 500};
  Federation federation(founding);
  federation.StartCoordinator();
  const std::string study =
      federation.CliJson({"study", "submit", federation.WriteLargePlan("torn", 2)})["study"].AsString();
  for (int i = 0; i < 2; ++i) {
    federation.StartNode(i);
    ASSERT_TRUE(federation.WaitOnline(i));
    federation.KillCoordinator();
    Tear(federation.coordinator(), i == 0);
    federation.StartCoordinator();
    federation.Approve(i, study);
  }
  EXPECT_TRUE(Contains(ReadText(federation.root() / "coordinator.log"), "blob_torn"));
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  federation.ExpectOneAnswerPerRound(study);
}

// What was committed cannot be sent again byte for byte, so its attempt ends at once and the next computes another.
TEST(Disk, ATornContributionEndsItsAttemptAndIsComputedAnew) {
  LargeFederation federation({.hospitals = 2, .columns = 10});
  federation.StartBehindProxies();
  federation.proxy(0).HoldAfter(2 * kMiB);
  const std::string study = federation.Begin("torn", 120'000);
  ASSERT_TRUE(WaitUntil([&] { return federation.proxy(0).holding(); }));
  federation.KillNode(0);
  Tear(federation.node(0), false);
  federation.proxy(0).Release();
  federation.StartNode(0);
  federation.End(study);
  const std::string log = ReadText(federation.root() / "hospital-a.log");
  EXPECT_TRUE(Contains(log, "blob_torn")) << log;
  EXPECT_TRUE(Contains(log, "contribution_lost")) << log;
  EXPECT_EQ(federation.Study(study)["attempt"].AsInteger(), 2);
  federation.ExpectOneAnswerPerRound(study);
}

}  // namespace
}  // namespace consilium::e2e
