// idx, npy and zip files for tests, written independently of the product's readers.
#pragma once

#include <fmt/format.h>
#include <zlib.h>

#include <cstring>
#include <string>
#include <vector>

#include "common/base/check.h"

namespace consilium::testing {

inline std::string Little(std::uint64_t v, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> (8 * i));
  return out;
}

// A value's bytes as they lie in memory (little-endian), or turned round.
template <class T>
std::string Raw(const std::vector<T>& values, bool big_endian = false) {
  std::string out;
  for (const T value : values) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    if (big_endian) bytes = std::string(bytes.rbegin(), bytes.rend());
    out += bytes;
  }
  return out;
}

template <class T>
std::string Idx(int type, const std::vector<std::uint32_t>& axes, const std::vector<T>& values) {
  std::string out = {0, 0, static_cast<char>(type), static_cast<char>(axes.size())};
  return out + Raw(axes, true) + Raw(values, true);
}

// `shape` as Python writes it: "(2, 3)".
inline std::string NpyWith(const std::string& dictionary, const std::string& data, int version = 1) {
  std::string header = dictionary;
  const std::size_t fixed = version == 1 ? 10 : 12;
  while ((fixed + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  return "\x93NUMPY" + std::string{static_cast<char>(version), 0} + Little(header.size(), version == 1 ? 2 : 4) +
         header + data;
}
inline std::string Npy(const std::string& type, const std::string& shape, const std::string& data, int version = 1) {
  return NpyWith("{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }", data, version);
}

inline std::string Deflated(const std::string& text, int window) {
  z_stream state{};
  CHECK(deflateInit2(&state, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&state, text.size()) + 64, '\0');
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&state, Z_FINISH) == Z_STREAM_END);
  out.resize(state.total_out);
  deflateEnd(&state);
  return out;
}
inline std::string Gzip(const std::string& text) { return Deflated(text, 15 + 16); }

struct ZipEntry {
  std::string name, data;
  bool deflated = true;
};

struct ZipOptions {
  bool zip64 = false;            // Sizes and places in 64 bits throughout, as numpy's force_zip64 could.
  std::uint64_t claim_size = 0;  // Of the first member, when it is not 0.
  std::uint32_t flags = 0;
  int method = -1;              // Of the first member, when it is not negative.
  std::uint64_t shift = 0;      // Of every entry's place but the first.
  bool wrong_crc = false;       // Of the first member.
  std::string local_name = {};  // Of the first member.
};

inline std::string Zip(const std::vector<ZipEntry>& entries, const ZipOptions& options = {}) {
  std::string out, directory;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const ZipEntry& entry = entries[i];
    const bool first = i == 0;
    const std::string packed = entry.deflated ? Deflated(entry.data, -15) : entry.data;
    std::uint32_t crc = static_cast<std::uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(entry.data.data()), static_cast<uInt>(entry.data.size())));
    if (first && options.wrong_crc) crc ^= 1;
    const int method = first && options.method >= 0 ? options.method : entry.deflated ? 8 : 0;
    const std::uint64_t size = first && options.claim_size != 0 ? options.claim_size : entry.data.size();
    const std::uint64_t place = out.size() - (first ? 0 : options.shift);
    const std::string sizes =
        options.zip64 ? Little(0xffffffff, 4) + Little(0xffffffff, 4) : Little(packed.size(), 4) + Little(size, 4);
    const std::string local = first && !options.local_name.empty() ? options.local_name : entry.name;
    out += "PK\3\4" + Little(20, 2) + Little(options.flags, 2) + Little(static_cast<std::uint64_t>(method), 2) +
           Little(0, 4) + Little(crc, 4) + sizes + Little(local.size(), 2) + Little(0, 2) + local + packed;
    const std::string extra = options.zip64 ? Little(0x5455, 2) + Little(1, 2) + "x" + Little(1, 2) + Little(24, 2) +
                                                  Little(size, 8) + Little(packed.size(), 8) + Little(place, 8)
                                            : "";
    directory += "PK\1\2" + Little(20, 2) + Little(20, 2) + Little(options.flags, 2) +
                 Little(static_cast<std::uint64_t>(method), 2) + Little(0, 4) + Little(crc, 4) + sizes +
                 Little(entry.name.size(), 2) + Little(extra.size(), 2) + Little(0, 2) + Little(0, 2) + Little(0, 2) +
                 Little(0, 4) + (options.zip64 ? Little(0xffffffff, 4) : Little(place, 4)) + entry.name + extra;
  }
  const std::uint64_t begin = out.size(), count = entries.size();
  out += directory;
  if (!options.zip64) {
    return out + "PK\5\6" + Little(0, 4) + Little(count, 2) + Little(count, 2) + Little(directory.size(), 4) +
           Little(begin, 4) + Little(0, 2);
  }
  const std::uint64_t end = out.size();
  out += "PK\6\6" + Little(44, 8) + Little(45, 2) + Little(45, 2) + Little(0, 8) + Little(count, 8) + Little(count, 8) +
         Little(directory.size(), 8) + Little(begin, 8);
  out += "PK\6\7" + Little(0, 4) + Little(end, 8) + Little(1, 4);
  return out + "PK\5\6" + Little(0, 4) + Little(0xffff, 2) + Little(0xffff, 2) + Little(0xffffffff, 4) +
         Little(0xffffffff, 4) + Little(0, 2);
}

}  // namespace consilium::testing
