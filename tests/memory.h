// A storage and a blob store that live in memory: everything that was committed or sealed is there, nothing else.
#pragma once

#include <algorithm>

#include "common/turn/turn.h"

namespace consilium {

class MemoryStorage final : public Storage {
 public:
  Status Commit(const std::vector<Write>& writes) override {
    for (const Write& write : writes) {
      if (const auto* put = std::get_if<PutState>(&write)) {
        stored_.state[{put->core, put->key}] = put->blob;
      } else if (const auto* erase = std::get_if<EraseState>(&write)) {
        stored_.state.erase({erase->core, erase->key});
      } else {
        const auto& append = std::get<AppendChain>(write);
        ChainHead& head = stored_.chains[append.name];
        if (head != append.before) return Fail(Code::kCorrupt, "the chain's head is another one");
        head = ChainNext(head, append.row);
        rows[append.name].push_back(append.row);
      }
    }
    return {};
  }
  [[nodiscard]] Result<Stored> Load() const override { return stored_; }
  [[nodiscard]] Result<std::vector<Bytes>> Rows(const std::string& chain, std::uint64_t first,
                                                std::uint64_t last) const override {
    std::vector<Bytes> out;
    const auto found = rows.find(chain);
    if (found == rows.end()) return out;
    for (std::uint64_t seq = first; seq <= std::min<std::uint64_t>(last, found->second.size()); ++seq)
      out.push_back(found->second[seq - 1]);
    return out;
  }
  std::map<std::string, std::vector<Bytes>> rows;

 private:
  Stored stored_;
};

class MemoryBlobs final : public BlobStore {
 public:
  [[nodiscard]] bool Has(const Digest& root) const override { return sealed.contains(root); }
  [[nodiscard]] Result<std::uint64_t> Size(const Digest& root) const override {
    if (!Has(root)) return Fail(Code::kNotFound, "no such blob");
    return sealed.at(root).size();
  }
  Status Read(const Digest& root, std::uint64_t offset, std::span<std::uint8_t> out) const override {
    if (!Has(root) || offset + out.size() > sealed.at(root).size()) return Fail(Code::kNotFound, "no such bytes");
    std::copy_n(sealed.at(root).begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }
  Result<Digest> Put(ByteView blob) override {
    const Digest root = BlobRoot(blob);
    sealed[root] = ToBytes(blob);
    return root;
  }
  Status Write(const BlobWrite& write) override {
    Bytes& partial = partial_[write.root];
    partial.resize(write.total);
    std::ranges::copy(write.bytes, partial.begin() + static_cast<std::ptrdiff_t>(write.offset));
    return {};
  }
  Status Seal(const Digest& root) override {
    sealed[root] = partial_[root];
    partial_.erase(root);
    return {};
  }
  Status Drop(const Digest& root) override {
    sealed.erase(root);
    return {};
  }
  [[nodiscard]] Result<std::vector<Digest>> List() const override {
    std::vector<Digest> out;
    for (const auto& [root, blob] : sealed) out.push_back(root);
    return out;
  }
  std::map<Digest, Bytes> sealed;

 private:
  std::map<Digest, Bytes> partial_;
};

}  // namespace consilium
