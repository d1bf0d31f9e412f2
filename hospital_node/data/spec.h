// What a data set is registered as. Inline: the node's core keeps it without linking what reads it.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace consilium::node {

enum class Format : std::uint8_t { kCsv, kIdx, kNpz };

struct DataSetSpec {  // What `data add` registers; kept in the node's state.
  std::string name;
  std::string folder;  // CSV: absolute; the files that match the schema's pattern are read together, in name order.
  std::string schema;  // TOML text.
  std::string sha256 = {};  // Of the files' contents when they were registered (hex); "": as they are.
  // Patients who withdrew, as PatientMark has them: their rows are read as if they were not there.
  std::set<std::string> excluded = {};
  Format format = Format::kCsv;
  std::vector<std::string> files = {};  // idx: images and labels of each part in turn; npz: one. Absolute.
};

inline constexpr std::array<std::string_view, 3> kFormats = {"csv", "idx", "npz"};
inline std::string_view NameOf(Format format) { return kFormats.at(static_cast<std::size_t>(format)); }
inline Result<Format> FormatFrom(std::string_view name) {
  for (std::size_t i = 0; i < kFormats.size(); ++i) {
    if (kFormats[i] == name) return static_cast<Format>(i);
  }
  return Fail(Code::kInvalid, "a data set's format is csv, idx or npz");
}
// As `data add` has it: "--csv FOLDER", "--idx IMAGES LABELS", "--npz FILE".
inline std::string SourceWords(const DataSetSpec& spec) {
  std::string out = "--" + std::string(NameOf(spec.format));
  if (spec.format == Format::kCsv) return out + " " + spec.folder;
  for (const std::string& file : spec.files) out += " " + file;
  return out;
}

}  // namespace consilium::node
