// Zip archives as numpy.savez writes them, read in place: the directory at the end, and the members that it names.
// Nothing of an entry is believed before it fits the file: no entry may overlap another, reach into the directory, or
// promise more than deflate can hold (APPNOTE.TXT 6.3.9, with zip64).
#pragma once

#include <vector>

#include "hospital_node/data/stream.h"

namespace consilium::node {

struct ZipMember {
  std::string name;
  bool deflated = false;
  std::uint64_t offset = 0, packed = 0, size = 0;  // Of its data in the file; in bytes; unpacked.
  std::uint32_t crc = 0;
};

// In the order of their places. kInvalid names file, offset or member.
Result<std::vector<ZipMember>> ReadZipDirectory(const InputFile& file);
// A member's bytes. At their end length and CRC-32 are compared with the directory.
std::unique_ptr<ByteStream> OpenMember(SharedFile file, const ZipMember& member);

}  // namespace consilium::node
