// The zip directory.
#include "hospital_node/data/zip.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "common/base/bytes.h"
#include "common/plan/schema.h"

namespace consilium::node {
namespace {

constexpr std::uint32_t kEndMark = 0x06054b50, kEnd64Mark = 0x06064b50, kLocatorMark = 0x07064b50;
constexpr std::uint32_t kEntryMark = 0x02014b50, kLocalMark = 0x04034b50;
constexpr std::size_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20, kEntryBytes = 46, kLocalBytes = 30;
constexpr std::size_t kMostComment = 65535, kMostMembers = 4096, kMostDirectory = std::size_t{4} << 20, kMostName = 255;
constexpr std::uint16_t kZip64Field = 0x0001, kEncryptedFlag = 1, kStored = 0, kDeflated = 8;

std::uint64_t Little(ByteView bytes, std::size_t at, std::size_t count) {
  std::uint64_t out = 0;
  for (std::size_t i = count; i > 0; --i) out = out << 8 | bytes[at + i - 1];
  return out;
}

class Directory {
 public:
  explicit Directory(const InputFile& file) : file_(file) {}

  Result<std::vector<ZipMember>> Read() {
    TRY(FindEnd());
    if (count_ > kMostMembers || bytes_ > kMostDirectory)
      return Fault(begin_, fmt::format("{} members in a directory of {} bytes are too many", count_, bytes_));
    if (begin_ > end_ || bytes_ != end_ - begin_)
      return Fault(begin_, "the directory does not end where its end is marked, bytes were put in or lost");
    Bytes directory(static_cast<std::size_t>(bytes_));
    TRY(file_.ReadAt(begin_, directory));
    std::vector<ZipMember> members;
    std::size_t at = 0;
    for (std::uint64_t i = 0; i < count_; ++i) members.push_back(TRY(ReadEntry(directory, &at)));
    if (at != directory.size()) return Fault(begin_ + at, "the directory has more bytes than its entries");
    return Placed(std::move(members));
  }

 private:
  [[nodiscard]] std::unexpected<Error> Fault(std::uint64_t offset, const std::string& what) const {
    const bool mend = what.contains(';');  // Most faults have the same.
    return Fail(Code::kInvalid,
                fmt::format("{}: at byte {}: {}{}", file_.path(), offset, what,
                            mend ? "" : "; copy the file again, or save the arrays again with numpy.savez"));
  }

  // Sets begin_, bytes_, count_ and end_ (where the directory must end).
  Status FindEnd() {
    const std::uint64_t size = file_.size();
    if (size < kEndBytes) return Fault(0, "this is no zip archive (npz): it is too short");
    Bytes tail(static_cast<std::size_t>(std::min<std::uint64_t>(size, kEndBytes + kMostComment)));
    TRY(file_.ReadAt(size - tail.size(), tail));
    std::optional<std::size_t> found;
    for (std::size_t at = tail.size() - kEndBytes + 1; at-- > 0 && !found;) {
      const bool mark = Little(tail, at, 4) == kEndMark;
      if (mark && at + kEndBytes + Little(tail, at + 20, 2) == tail.size()) found = at;
    }
    if (!found)
      return Fault(size, "no zip directory ends here; the file was cut off, or it is no npz (numpy.savez writes one)");
    const ByteView end = ByteView(tail).subspan(*found);
    end_ = size - tail.size() + *found;
    if (Little(end, 4, 2) != 0 || Little(end, 6, 2) != 0 || Little(end, 8, 2) != Little(end, 10, 2))
      return Fault(end_, "an archive in several volumes is not read; put it into one file");
    count_ = Little(end, 10, 2);
    bytes_ = Little(end, 12, 4);
    begin_ = Little(end, 16, 4);
    if (count_ == 0xffff || bytes_ == 0xffffffff || begin_ == 0xffffffff) return FindEnd64();
    return {};
  }

  Status FindEnd64() {
    if (end_ < kLocatorBytes + kEnd64Bytes) return Fault(end_, "the zip64 directory is missing");
    Bytes locator(kLocatorBytes), end(kEnd64Bytes);
    TRY(file_.ReadAt(end_ - kLocatorBytes, locator));
    const std::uint64_t at = Little(locator, 8, 8);
    if (Little(locator, 0, 4) != kLocatorMark || at > end_ - kLocatorBytes - kEnd64Bytes)
      return Fault(end_ - kLocatorBytes, "the zip64 directory is missing");
    TRY(file_.ReadAt(at, end));
    if (Little(end, 0, 4) != kEnd64Mark || Little(end, 4, 8) + 12 != end_ - kLocatorBytes - at)
      return Fault(at, "the zip64 directory is damaged");
    count_ = Little(end, 32, 8);
    bytes_ = Little(end, 40, 8);
    begin_ = Little(end, 48, 8);
    end_ = at;
    return {};
  }

  Result<ZipMember> ReadEntry(ByteView directory, std::size_t* at) const {
    const std::uint64_t where = begin_ + *at;
    const ByteView entry = directory.subspan(*at);
    if (entry.size() < kEntryBytes || Little(entry, 0, 4) != kEntryMark)
      return Fault(where, "an entry of the directory is damaged");
    const std::size_t name = Little(entry, 28, 2), extra = Little(entry, 30, 2), comment = Little(entry, 32, 2);
    if (entry.size() < kEntryBytes + name + extra + comment)
      return Fault(where, "an entry of the directory is cut off");
    ZipMember out;
    out.name = std::string(Text(entry.subspan(kEntryBytes, name)));
    if (out.name.empty() || !IsPlainText(out.name, kMostName)) return Fault(where, "a member has no readable name");
    const std::uint64_t flags = Little(entry, 8, 2), method = Little(entry, 10, 2);
    if ((flags & kEncryptedFlag) != 0) return Fault(where, fmt::format("{} is encrypted; unpack it first", out.name));
    if (method != kStored && method != kDeflated)
      return Fault(where, fmt::format("{} is packed by method {}; numpy.savez_compressed uses one that is read",
                                      out.name, method));
    out.deflated = method == kDeflated;
    out.crc = static_cast<std::uint32_t>(Little(entry, 16, 4));
    out.packed = Little(entry, 20, 4);
    out.size = Little(entry, 24, 4);
    out.offset = Little(entry, 42, 4);
    TRY(ReadZip64(entry.subspan(kEntryBytes + name, extra), where, &out));
    *at += kEntryBytes + name + extra + comment;
    return out;
  }

  // What did not fit into 32 bits stands there in this order.
  [[nodiscard]] Status ReadZip64(ByteView extra, std::uint64_t where, ZipMember* out) const {
    while (extra.size() >= 4) {
      const std::uint64_t kind = Little(extra, 0, 2), length = Little(extra, 2, 2);
      if (length > extra.size() - 4) break;
      ByteView field = extra.subspan(4, static_cast<std::size_t>(length));
      extra = extra.subspan(4 + static_cast<std::size_t>(length));
      if (kind != kZip64Field) continue;
      for (std::uint64_t* value : {&out->size, &out->packed, &out->offset}) {
        if (*value != 0xffffffff) continue;
        if (field.size() < 8) return Fault(where, fmt::format("{} has a damaged zip64 field", out->name));
        *value = Little(field, 0, 8);
        field = field.subspan(8);
      }
      return {};
    }
    return {};
  }

  // Offsets of local headers become offsets of data; every member has its own bytes.
  Result<std::vector<ZipMember>> Placed(std::vector<ZipMember> members) const {
    std::sort(members.begin(), members.end(),
              [](const ZipMember& a, const ZipMember& b) { return a.offset < b.offset; });
    std::set<std::string> names;
    std::uint64_t free = 0;
    for (ZipMember& member : members) {
      const std::uint64_t where = member.offset;
      if (!names.insert(member.name).second) return Fault(where, fmt::format("{} is there twice", member.name));
      if (where < free) return Fault(where, fmt::format("{} overlaps another member", member.name));
      if (where > begin_ || begin_ - where < kLocalBytes)
        return Fault(where, fmt::format("{} does not lie before the directory", member.name));
      Bytes local(kLocalBytes);
      TRY(file_.ReadAt(where, local));
      const std::uint64_t name = Little(local, 26, 2), head = kLocalBytes + name + Little(local, 28, 2);
      if (Little(local, 0, 4) != kLocalMark || name != member.name.size() || head > begin_ - where ||
          member.packed > begin_ - where - head)
        return Fault(where, fmt::format("{} is not what the directory says, the file is damaged", member.name));
      Bytes again(member.name.size());
      TRY(file_.ReadAt(where + kLocalBytes, again));
      if (Text(again) != member.name) return Fault(where, fmt::format("{} has another name at its place", member.name));
      const bool fits = member.deflated ? member.size / kMostInflation <= member.packed : member.size == member.packed;
      if (!fits)
        return Fault(where,
                     fmt::format("{} cannot be {} bytes, packed in {}", member.name, member.size, member.packed));
      member.offset = where + head;
      free = member.offset + member.packed;
    }
    return members;
  }

  const InputFile& file_;
  std::uint64_t begin_ = 0, bytes_ = 0, count_ = 0, end_ = 0;
};

class MemberStream final : public ByteStream {
 public:
  MemberStream(SharedFile file, const ZipMember& member)
      : ByteStream(fmt::format("{}: {}", file->path(), member.name)), member_(member), left_(member.size) {
    const Packing packing = member.deflated ? Packing::kDeflate : Packing::kNone;
    source_ = OpenStream(std::move(file), name(), member.offset, member.packed, packing);
  }
  Result<std::size_t> Read(std::span<std::uint8_t> out) override {
    out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left_)));
    if (!out.empty()) TRY(source_->ReadAll(out, "what the zip directory says of it"));
    crc_ = Crc32(crc_, out);
    left_ -= out.size();
    if (left_ > 0 || checked_) return out.size();
    TRY(source_->ExpectEnd("as many bytes as the zip directory says"));
    checked_ = true;
    if (crc_ == member_.crc) return out.size();
    return Fail(Code::kInvalid,
                fmt::format("{}: damaged: its checksum is not that of the zip directory; copy the file again", name()));
  }
  [[nodiscard]] std::uint64_t Most() const override { return left_; }

 private:
  ZipMember member_;
  std::unique_ptr<ByteStream> source_;
  std::uint64_t left_;
  std::uint32_t crc_ = 0;
  bool checked_ = false;
};

}  // namespace

Result<std::vector<ZipMember>> ReadZipDirectory(const InputFile& file) { return Directory(file).Read(); }

std::unique_ptr<ByteStream> OpenMember(SharedFile file, const ZipMember& member) {
  return std::make_unique<MemberStream>(std::move(file), member);
}

}  // namespace consilium::node
