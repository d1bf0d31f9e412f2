// State in memory keeps the promises of state on disk, but for surviving.
#include "common/storage/memory.h"

#include <gtest/gtest.h>

namespace consilium {
namespace {

Bytes Text8(std::string_view text) { return ToBytes(View(text)); }

TEST(MemoryStorage, KeepsStateAndRefusesAChainThatForks) {
  MemoryStorage storage;
  const AppendChain first{"audit", {}, Text8("one")};
  ASSERT_TRUE(storage.Commit({PutState{"study", "a", Text8("x")}, first}).has_value());
  const ChainHead head = ChainNext({}, first.row);
  EXPECT_EQ(storage.Load()->chains.at("audit"), head);
  // All or nothing: the second row does not follow, so the state is not written either.
  const Status forked = storage.Commit({PutState{"study", "a", Text8("y")}, AppendChain{"audit", {}, Text8("two")}});
  EXPECT_EQ(forked.error().code, Code::kCorrupt);
  EXPECT_EQ(storage.Load()->state.at({"study", "a"}), Text8("x"));
  const AppendChain second{"audit", head, Text8("two")};
  const AppendChain third{"audit", ChainNext(head, second.row), Text8("three")};
  ASSERT_TRUE(storage.Commit({second, third, EraseState{"study", "a"}}).has_value());
  EXPECT_TRUE(storage.Load()->state.empty());
  EXPECT_EQ(storage.Rows("audit", 2, 9)->size(), 2U);
  EXPECT_EQ(storage.Rows("audit", 0, 1)->front(), Text8("one"));
  EXPECT_TRUE(storage.Rows("ledger", 1, 9)->empty());
}

TEST(MemoryBlobs, AreThereOnceSealedAndEachStoreHasItsOwn) {
  const auto pool = std::make_shared<BlobPool>();
  MemoryBlobs a(pool), b(pool);
  const Bytes content(300'000, 7);
  const Digest root = a.Put(content).value();
  EXPECT_EQ(root, BlobRoot(content));
  EXPECT_TRUE(a.Has(root));
  EXPECT_FALSE(b.Has(root)) << "it was not transferred";

  EXPECT_EQ(b.Seal(root).error().code, Code::kNotFound);
  ASSERT_TRUE(b.Write({root, content.size(), 0, Bytes(100'000, 7)}).has_value());
  ASSERT_TRUE(b.Write({root, content.size(), 100'000, Bytes(200'000, 7)}).has_value());
  EXPECT_FALSE(b.Has(root));
  ASSERT_TRUE(b.Seal(root).has_value());
  ASSERT_TRUE(a.Drop(root).has_value());
  EXPECT_FALSE(a.Has(root));
  Bytes part(1000);
  ASSERT_TRUE(b.Read(root, 299'000, part).has_value());
  EXPECT_EQ(part, Bytes(1000, 7));
  EXPECT_EQ(b.Read(root, 299'001, part).error().code, Code::kInvalid);
  EXPECT_EQ(b.Size(root).value(), content.size());
  EXPECT_EQ(b.List()->size(), 1U);
  EXPECT_EQ(b.Write({root, 10, 8, Bytes(3)}).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace consilium
