// See disk.h.
#include "tests/sim/disk.h"

#include <fmt/format.h>

namespace consilium::sim {

Status Disk::Commit(const std::vector<consilium::Write>& writes) {
  for (const auto& write : writes) {  // All or nothing: the heads are checked before anything changes.
    const auto* append = std::get_if<AppendChain>(&write);
    if (append == nullptr) continue;
    ChainHead head = durable_.stored.chains[append->name];
    for (const auto& earlier : writes) {
      if (&earlier == &write) break;
      const auto* row = std::get_if<AppendChain>(&earlier);
      if (row != nullptr && row->name == append->name) head = ChainNext(head, row->row);
    }
    if (!(head == append->before)) {
      return Fail(Code::kCorrupt, fmt::format("chain {}: the core believes in row {}, the disk has {}", append->name,
                                              append->before.seq, head.seq));
    }
  }
  for (const auto& write : writes) {
    if (const auto* put = std::get_if<PutState>(&write)) {
      durable_.stored.state[{put->core, put->key}] = put->blob;
    } else if (const auto* erase = std::get_if<EraseState>(&write)) {
      durable_.stored.state.erase({erase->core, erase->key});
    } else if (const auto* append = std::get_if<AppendChain>(&write)) {
      auto& head = durable_.stored.chains[append->name];
      head = ChainNext(head, append->row);
      durable_.rows[append->name].push_back(append->row);
    }
  }
  return {};
}

Result<Stored> Disk::Load() const { return durable_.stored; }

Result<std::vector<Bytes>> Disk::Rows(const std::string& chain, std::uint64_t first, std::uint64_t last) const {
  std::vector<Bytes> out;
  auto it = durable_.rows.find(chain);
  if (it == durable_.rows.end()) return out;
  for (std::uint64_t seq = std::max<std::uint64_t>(first, 1); seq <= last && seq <= it->second.size(); ++seq) {
    out.push_back(it->second[seq - 1]);
  }
  return out;
}

bool Disk::Has(const Digest& root) const { return durable_.blobs.contains(root); }

Result<std::uint64_t> Disk::Size(const Digest& root) const {
  auto it = durable_.blobs.find(root);
  if (it == durable_.blobs.end()) return Fail(Code::kNotFound, "no blob " + root.Hex());
  return it->second->size();
}

Status Disk::Read(const Digest& root, std::uint64_t offset, std::span<std::uint8_t> out) const {
  auto it = durable_.blobs.find(root);
  if (it == durable_.blobs.end()) return Fail(Code::kNotFound, "no blob " + root.Hex());
  if (offset > it->second->size() || out.size() > it->second->size() - offset) {
    return Fail(Code::kInvalid, "read beyond the end of blob " + root.Hex());
  }
  std::copy_n(it->second->begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  return {};
}

Result<Digest> Disk::Put(ByteView blob) {
  const Digest root = BlobRoot(blob);
  durable_.blobs[root] = std::make_shared<const Bytes>(ToBytes(blob));
  return root;
}

Status Disk::Write(const BlobWrite& write) {
  if (write.offset > write.total || write.bytes.size() > write.total - write.offset) {
    return Fail(Code::kInvalid, "write beyond the end of blob " + write.root.Hex());
  }
  auto& partial = partial_[write.root];
  partial.bytes.resize(write.total);
  std::copy(write.bytes.begin(), write.bytes.end(), partial.bytes.begin() + static_cast<std::ptrdiff_t>(write.offset));
  partial.written = std::max<std::uint64_t>(partial.written, write.offset + write.bytes.size());
  return {};
}

Status Disk::Seal(const Digest& root) {
  auto it = partial_.find(root);
  if (it == partial_.end()) {
    if (Has(root)) return {};
    return Fail(Code::kNotFound, "nothing written of blob " + root.Hex());
  }
  durable_.blobs[root] = std::make_shared<const Bytes>(std::move(it->second.bytes));
  partial_.erase(it);
  return {};
}

Status Disk::Drop(const Digest& root) {
  partial_.erase(root);
  durable_.blobs.erase(root);
  return {};
}

Result<std::vector<Digest>> Disk::List() const {
  std::vector<Digest> out;
  for (const auto& [root, blob] : durable_.blobs) out.push_back(root);
  return out;
}

void Disk::LoseUnsynced(Random& random) {
  for (auto it = partial_.begin(); it != partial_.end();) {
    if (random.PerMille(500)) {
      it = partial_.erase(it);
      continue;
    }
    for (auto& byte : it->second.bytes) {
      if (random.PerMille(500)) byte = 0;
    }
    ++it;
  }
}

void Disk::Restore(Backup backup) {
  durable_ = std::move(backup);
  partial_.clear();
}

}  // namespace consilium::sim
