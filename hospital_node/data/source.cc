// Sources.
#include "hospital_node/data/source.h"

#include "common/base/log.h"
#include "hospital_node/data/table_file.h"

namespace consilium::node {
namespace {

Result<Table> ReadFormat(const DataSetSpec& spec, const Schema& schema, const ReadOptions& options) {
  switch (spec.format) {
    case Format::kIdx:
      return ReadIdx(spec.files, schema, options);
    case Format::kNpz:
      return ReadNpz(spec.files.front(), schema, options);
    case Format::kCsv:
      break;
  }
  return ReadTable(spec.folder, schema, options);
}

}  // namespace

Result<std::vector<std::string>> FilesOf(const DataSetSpec& spec, const Schema& schema) {
  if (spec.format == Format::kCsv) return SourceFiles(spec.folder, schema);
  const bool fits =
      spec.format == Format::kNpz ? spec.files.size() == 1 : !spec.files.empty() && spec.files.size() % 2 == 0;
  if (fits) return spec.files;
  return Fail(Code::kInvalid, spec.format == Format::kNpz ? "an npz data set is one file"
                                                          : "idx files come in pairs: images, then their labels");
}

Result<Table> ReadSource(const DataSetSpec& spec, const Schema& schema, const ReadOptions& options) {
  TRY(FilesOf(spec, schema));
  if (!options.spool.name.empty()) {
    auto kept = OpenTableFile(options.spool.directory / options.spool.name, schema);
    if (kept) return kept;
    if (kept.error().code != Code::kNotFound)
      Log(LogLevel::kWarning, "table_file", {{"dataset", spec.name}, {"why", kept.error().what}});
  }
  return ReadFormat(spec, schema, options);
}

}  // namespace consilium::node
