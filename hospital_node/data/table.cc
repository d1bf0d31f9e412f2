// What all tables have.
#include "hospital_node/data/table.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "common/crypto/hash.h"

namespace consilium::node {

namespace fs = std::filesystem;

std::string PatientMark(std::string_view id) { return Fields("consilium/patient").AddText(id).Hash().Hex(); }

bool Series::Missing(std::size_t row, const std::uint8_t* bytes) const {
  switch (column.type) {
    case Column::Type::kLabel:
      return MissingAt(row);
    case Column::Type::kNumber:
      return std::isnan(Number(bytes));
    case Column::Type::kCategory:
      return Level(bytes) < 0;
    case Column::Type::kTensor:
    case Column::Type::kText:
      break;
  }
  return false;
}

const Series* Table::Find(std::string_view name) const {
  for (const Series& one : series) {
    if (one.column.name == name) return &one;
  }
  return nullptr;
}

Result<std::vector<std::string>> SourceFiles(const std::string& folder, const Schema& schema) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (fs::is_regular_file(status)) return std::vector<std::string>{folder};
  if (!fs::is_directory(status)) return Fail(Code::kInvalid, fmt::format("{}: no such folder or file", folder));
  std::vector<std::string> out;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (fnmatch(schema.pattern.c_str(), name.c_str(), FNM_PERIOD) == 0 && entry->is_regular_file(ignored))
      out.push_back(entry->path().string());
  }
  if (error)
    return Fail(Code::kIo,
                fmt::format("{}: cannot be listed ({}); let the node's user read it", folder, error.message()));
  if (out.empty()) {
    return Fail(Code::kInvalid,
                fmt::format("{}: no file matches \"{}\"; mend the folder, or [file] pattern in the schema", folder,
                            schema.pattern));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace consilium::node
