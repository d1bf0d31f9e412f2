#include "common/storage/memory.h"

#include <fmt/format.h>

#include <algorithm>

namespace consilium {

Status MemoryStorage::Commit(const std::vector<consilium::Write>& writes) {
  const std::lock_guard lock(mutex_);
  std::map<std::string, ChainHead> heads = stored_.chains;  // All or nothing: checked before anything changes.
  for (const auto& write : writes) {
    const auto* append = std::get_if<AppendChain>(&write);
    if (append == nullptr) continue;
    ChainHead& head = heads[append->name];
    if (!(head == append->before)) {
      return Fail(Code::kCorrupt,
                  fmt::format("chain {} is at row {}, not at {}", append->name, head.seq, append->before.seq));
    }
    head = ChainNext(head, append->row);
  }
  stored_.chains = std::move(heads);
  for (const auto& write : writes) {
    if (const auto* put = std::get_if<PutState>(&write)) {
      stored_.state[{put->core, put->key}] = put->blob;
    } else if (const auto* erase = std::get_if<EraseState>(&write)) {
      stored_.state.erase({erase->core, erase->key});
    } else if (const auto* append = std::get_if<AppendChain>(&write)) {
      rows_[append->name].push_back(append->row);
    }
  }
  return {};
}

Result<Stored> MemoryStorage::Load() const {
  const std::lock_guard lock(mutex_);
  return stored_;
}

Result<std::vector<Bytes>> MemoryStorage::Rows(const std::string& chain, std::uint64_t first,
                                               std::uint64_t last) const {
  const std::lock_guard lock(mutex_);
  std::vector<Bytes> out;
  const auto found = rows_.find(chain);
  if (found == rows_.end()) return out;
  for (std::uint64_t seq = std::max<std::uint64_t>(first, 1); seq <= last && seq <= found->second.size(); ++seq)
    out.push_back(found->second[seq - 1]);
  return out;
}

BlobPool::Shared BlobPool::Keep(const Digest& root, Bytes bytes) {
  const std::lock_guard lock(mutex_);
  if (blobs_.size() >= sweep_at_) {  // Names of what nobody holds any more.
    std::erase_if(blobs_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = 2 * blobs_.size() + 1024;
  }
  std::weak_ptr<const Bytes>& entry = blobs_[root];
  if (Shared known = entry.lock()) return known;
  auto made = std::make_shared<const Bytes>(std::move(bytes));
  entry = made;
  return made;
}

Result<BlobPool::Shared> MemoryBlobs::Held(const Digest& root) const {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(root);
  if (found == held_.end()) return Fail(Code::kNotFound, "there is no blob " + root.Hex());
  return found->second;
}

bool MemoryBlobs::Has(const Digest& root) const { return Held(root).has_value(); }

Result<std::uint64_t> MemoryBlobs::Size(const Digest& root) const { return TRY(Held(root))->size(); }

Status MemoryBlobs::Read(const Digest& root, std::uint64_t offset, std::span<std::uint8_t> out) const {
  const BlobPool::Shared blob = TRY(Held(root));
  if (offset > blob->size() || out.size() > blob->size() - offset)
    return Fail(Code::kInvalid, "a read beyond the end of blob " + root.Hex());
  std::copy_n(blob->begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  return {};
}

Result<Digest> MemoryBlobs::Put(ByteView blob) {
  const Digest root = BlobRoot(blob);
  BlobPool::Shared kept = pool_->Keep(root, ToBytes(blob));
  const std::lock_guard lock(mutex_);
  held_[root] = std::move(kept);
  return root;
}

Status MemoryBlobs::Write(const BlobWrite& write) {
  if (write.offset > write.total || write.bytes.size() > write.total - write.offset)
    return Fail(Code::kInvalid, "a write beyond the end of blob " + write.root.Hex());
  const std::lock_guard lock(mutex_);
  Bytes& bytes = partial_[write.root];
  bytes.resize(write.total);
  std::copy(write.bytes.begin(), write.bytes.end(), bytes.begin() + static_cast<std::ptrdiff_t>(write.offset));
  return {};
}

// The writer has checked every leaf against the root, so the name says what the bytes are.
Status MemoryBlobs::Seal(const Digest& root) {
  const std::lock_guard lock(mutex_);
  const auto written = partial_.find(root);
  if (written == partial_.end())
    return held_.contains(root) ? Status{} : Fail(Code::kNotFound, "nothing was written of blob " + root.Hex());
  held_[root] = pool_->Keep(root, std::move(written->second));
  partial_.erase(written);
  return {};
}

Status MemoryBlobs::Drop(const Digest& root) {
  const std::lock_guard lock(mutex_);
  partial_.erase(root);
  held_.erase(root);
  return {};
}

Result<std::vector<Digest>> MemoryBlobs::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<Digest> out;
  for (const auto& [root, blob] : held_) out.push_back(root);
  return out;
}

}  // namespace consilium
