// A blob is there whole or not at all; its name is its root; threads may share the store.
#include "common/storage/blobs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "common/base/files.h"
#include "tests/storage/directory.h"

namespace consilium {
namespace {

Bytes Pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 31 + i / 977);
  return out;
}

class BlobsTest : public testing::Test {
 protected:
  std::unique_ptr<FileBlobs> Open() { return std::move(FileBlobs::Open(directory_.path() / "blobs")).value(); }
  std::size_t Files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path() / "blobs")) count += entry.exists();
    return count;
  }
  TestDirectory directory_;
};

TEST_F(BlobsTest, PutsReadsAndDrops) {
  auto blobs = Open();
  const Bytes content = Pattern(300'000);
  const Digest root = blobs->Put(content).value();
  EXPECT_EQ(root, BlobRoot(content));
  EXPECT_EQ(blobs->Put(content).value(), root);
  EXPECT_TRUE(blobs->Has(root));
  EXPECT_EQ(blobs->Size(root).value(), content.size());
  Bytes part(1000);
  ASSERT_TRUE(blobs->Read(root, 299'000, part).has_value());
  EXPECT_TRUE(std::ranges::equal(part, ByteView(content).subspan(299'000)));
  EXPECT_EQ(blobs->Read(root, 299'001, part).error().code, Code::kCorrupt);
  EXPECT_TRUE(blobs->Drop(root).has_value());
  EXPECT_TRUE(blobs->Drop(root).has_value());
  EXPECT_FALSE(blobs->Has(root));
  EXPECT_EQ(blobs->Read(root, 0, part).error().code, Code::kNotFound);
  EXPECT_EQ(blobs->Size(root).error().code, Code::kNotFound);
  EXPECT_EQ(Files(), 0U);
}

// Connections of strangers may take every descriptor that the process has; hospitals' uploads go on.
TEST_F(BlobsTest, WorksWhenNoDescriptorIsLeft) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer of vptrs opens a pipe to look at a pointer, and takes none for a bad one";
#endif
  auto blobs = Open();
  const Digest before = blobs->Put(Pattern(1000)).value();
  std::vector<int> taken;
  for (int fd = 0; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken.push_back(fd);
  EXPECT_EQ(errno, EMFILE);
  const Bytes content = Pattern(300'000);
  const Digest root = BlobRoot(content);
  EXPECT_TRUE(blobs->Write({root, content.size(), 0, content}).has_value());
  EXPECT_TRUE(blobs->Seal(root).has_value());
  Bytes part(1000);
  EXPECT_TRUE(blobs->Read(before, 0, part).has_value());
  EXPECT_TRUE(blobs->Read(root, 0, part).has_value());
  for (const int fd : taken) close(fd);
}

TEST_F(BlobsTest, ArrivesInAnyOrderAndExistsOnceSealed) {
  auto blobs = Open();
  const Bytes content = Pattern(2'500'000);
  const Digest root = BlobRoot(content);
  for (const std::size_t first : {2'000'000U, 0U, 1'000'000U}) {
    const std::size_t length = std::min<std::size_t>(1'000'000, content.size() - first);
    const ByteView part = ByteView(content).subspan(first, length);
    ASSERT_TRUE(blobs->Write({root, content.size(), first, ToBytes(part)}).has_value());
    EXPECT_FALSE(blobs->Has(root));
  }
  ASSERT_TRUE(blobs->Seal(root).has_value());
  EXPECT_TRUE(blobs->Seal(root).has_value());
  Bytes read(content.size());
  ASSERT_TRUE(blobs->Read(root, 0, read).has_value());
  EXPECT_EQ(read, content);
  EXPECT_TRUE(RequirePrivateFile(directory_.path() / "blobs" / root.Hex()).has_value());
  // A late chunk of a blob that is whole changes nothing.
  ASSERT_TRUE(blobs->Write({root, content.size(), 0, Bytes(10, 0xff)}).has_value());
  ASSERT_TRUE(blobs->Read(root, 0, read).has_value());
  EXPECT_EQ(read, content);
  EXPECT_EQ(Open()->List().value(), std::vector<Digest>{root});
}

TEST_F(BlobsTest, RefusesWhatDoesNotFit) {
  auto blobs = Open();
  const Digest root = BlobRoot(Pattern(100));
  EXPECT_EQ(blobs->Write({root, 100, 95, Bytes(6)}).error().code, Code::kInvalid);
  EXPECT_EQ(blobs->Write({root, 100, ~std::uint64_t{0}, Bytes(6)}).error().code, Code::kInvalid);
  EXPECT_EQ(blobs->Write({root, 5, 0, Bytes(6)}).error().code, Code::kInvalid);
  ASSERT_TRUE(blobs->Write({root, 100, 0, Bytes(100)}).has_value());
  EXPECT_EQ(blobs->Write({root, 101, 0, Bytes(100)}).error().code, Code::kInvalid);
  EXPECT_EQ(blobs->Seal(BlobRoot(Pattern(99))).error().code, Code::kNotFound);
  // A file that somebody cut off is not sealed.
  std::filesystem::resize_file(directory_.path() / "blobs" / (root.Hex() + ".part"), 50);
  EXPECT_EQ(blobs->Seal(root).error().code, Code::kCorrupt);
  EXPECT_FALSE(blobs->Has(root));
}

TEST_F(BlobsTest, AnEmptyBlobIsABlob) {
  auto blobs = Open();
  const Digest root = BlobRoot({});
  ASSERT_TRUE(blobs->Write({root, 0, 0, {}}).has_value());
  ASSERT_TRUE(blobs->Seal(root).has_value());
  EXPECT_EQ(blobs->Size(root).value(), 0U);
}

TEST_F(BlobsTest, DroppingForgetsAPartialBlob) {
  auto blobs = Open();
  const Digest root = BlobRoot(Pattern(100));
  ASSERT_TRUE(blobs->Write({root, 100, 0, Bytes(50)}).has_value());
  ASSERT_TRUE(blobs->Drop(root).has_value());
  EXPECT_EQ(blobs->Seal(root).error().code, Code::kNotFound);
  EXPECT_EQ(Files(), 0U);
}

TEST_F(BlobsTest, LeftoversOfACrashAreRemovedAndWholeBlobsKept) {
  auto blobs = Open();
  const Digest whole = blobs->Put(Pattern(1000)).value();
  const Digest half = BlobRoot(Pattern(2000));
  ASSERT_TRUE(blobs->Write({half, 2000, 0, Bytes(1000)}).has_value());
  blobs.reset();
  EXPECT_EQ(Files(), 2U);
  blobs = Open();
  EXPECT_EQ(Files(), 1U);
  EXPECT_TRUE(blobs->Has(whole));
  EXPECT_FALSE(blobs->Has(half));
}

TEST_F(BlobsTest, ATornBlobIsRemovedAtTheStartAndCanBeWrittenAnew) {
  auto blobs = Open();
  const Digest kept = blobs->Put(Pattern(700'000)).value();
  const Digest cut = blobs->Put(Pattern(600'000)).value(), changed = blobs->Put(Pattern(500'000)).value();
  const auto path = [this](const Digest& root) { return directory_.path() / "blobs" / root.Hex(); };
  blobs.reset();
  std::filesystem::resize_file(path(cut), 300'000);
  Bytes other = Pattern(500'000);
  other[400'000] ^= 1;
  ASSERT_TRUE(WriteFileAtomic(path(changed), other, 0600).has_value());
  blobs = Open();
  EXPECT_TRUE(blobs->Has(kept));
  EXPECT_FALSE(blobs->Has(cut));
  EXPECT_FALSE(blobs->Has(changed));
  EXPECT_EQ(blobs->Put(Pattern(600'000)).value(), cut);
  EXPECT_EQ(blobs->Size(cut).value(), 600'000U);
}

TEST_F(BlobsTest, ThreadsMayPutAndWriteAtOnce) {
  auto blobs = Open();
  const Bytes same = Pattern(600'000);
  const Bytes written = Pattern(800'000);
  const Digest root = BlobRoot(written);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      EXPECT_TRUE(blobs->Put(same).has_value());
      const ByteView part = ByteView(written).subspan(t * 200'000, 200'000);
      EXPECT_TRUE(blobs->Write({root, written.size(), t * 200'000, ToBytes(part)}).has_value());
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(blobs->Seal(root).has_value());
  for (const Bytes& content : {same, written}) {
    Bytes read(content.size());
    ASSERT_TRUE(blobs->Read(BlobRoot(content), 0, read).has_value());
    EXPECT_EQ(read, content);
  }
  EXPECT_EQ(Files(), 2U);
}

}  // namespace
}  // namespace consilium
