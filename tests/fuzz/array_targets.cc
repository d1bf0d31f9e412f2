// idx, npy and npz files, and the node's own file of a large table.
#include <cmath>
#include <cstring>

#include "hospital_node/data/array.h"
#include "hospital_node/data/infer.h"
#include "hospital_node/data/table_file.h"
#include "hospital_node/data/zip.h"
#include "tests/fuzz/memory_file.h"

namespace consilium::fuzz {
namespace {

constexpr std::string_view kSchema = R"([patient]
id = "id"
[columns.id]
type = "text"
[columns.image]
type = "tensor"
shape = [2, 2]
minimum = -10
maximum = 300
[columns.label]
type = "label"
classes = ["0", "1", "2"]
[columns.age]
type = "number"
minimum = 0
maximum = 100
)";

const Schema& ImageSchema() {
  static const Schema schema = *ParseSchema(kSchema, "schema.toml");
  return schema;
}

// All rows, one after another. Nothing when a row is refused.
Result<Bytes> RowsOf(node::ArrayReader* array) {
  const node::ArrayInfo& info = array->info();
  CHECK(info.rows() >= 1 && info.rows() <= node::kMaxRows);
  CHECK(info.RowElements() >= 1 && info.RowElements() <= kMaxElements);
  Bytes row(array->RowBytes()), out;
  for (std::uint64_t i = 0; i < info.rows(); ++i) {
    TRY(array->Next(row.data()));
    out.insert(out.end(), row.begin(), row.end());
  }
  TRY(array->Finish());
  return out;
}

}  // namespace

// What is read is written again to the same bytes, unless it came inflated.
void IdxFile(ByteView input) {
  const MemoryFile file(input);
  auto stream = node::OpenFileStream(file.path());
  CHECK(stream.has_value());
  auto array = node::ArrayReader::Idx(std::move(*stream));
  CHECK(Says(array));
  if (!array) return;
  const auto rows = RowsOf(&*array);
  CHECK(Says(rows));
  if (!rows || (input[0] == 0x1f && input[1] == 0x8b)) return;
  Bytes again = {0, 0, input[2], static_cast<std::uint8_t>(array->info().axes.size())};
  for (const std::uint64_t axis : array->info().axes) {
    for (int shift = 24; shift >= 0; shift -= 8) again.push_back(static_cast<std::uint8_t>(axis >> shift));
  }
  const std::size_t size = node::BytesOf(array->info().element);
  for (std::size_t at = 0; at < rows->size(); at += size) {
    for (std::size_t i = size; i > 0; --i) again.push_back((*rows)[at + i - 1]);
  }
  CHECK(std::ranges::equal(again, input));
}

// Behind the header lie the rows, and nothing else.
void NpyFile(ByteView input) {
  const MemoryFile file(input);
  auto opened = node::InputFile::Open(file.path());
  CHECK(opened.has_value());
  auto array = node::ArrayReader::Npy(node::OpenStream(*opened, "array.npy", 0, input.size(), node::Packing::kNone));
  CHECK(Says(array));
  if (!array) return;
  const auto rows = RowsOf(&*array);
  CHECK(Says(rows));
  if (rows && !array->info().big_endian) CHECK(std::ranges::equal(*rows, input.last(rows->size())));
}

// Members lie apart and inside the file; each gives as many bytes as it says or an error; a table fits its schema.
void NpzFile(ByteView input) {
  const MemoryFile file(input);
  auto opened = node::InputFile::Open(file.path());
  CHECK(opened.has_value());
  const auto members = node::ReadZipDirectory(**opened);
  CHECK(Says(members));
  if (!members) return;
  std::uint64_t free = 0;
  Bytes piece(1 << 16);
  for (const node::ZipMember& member : *members) {
    CHECK(member.offset >= free && member.offset + member.packed <= input.size());
    free = member.offset + member.packed;
    const auto stream = node::OpenMember(*opened, member);
    for (std::uint64_t total = 0;;) {
      const auto got = stream->Read(piece);
      CHECK(Says(got));
      if (!got) break;
      total += *got;
      if (*got < piece.size()) {
        CHECK(total == member.size);
        break;
      }
    }
  }
  const auto table = node::ReadNpz(file.path(), ImageSchema(), {.maximum_problems = 2, .memory_bytes = 64});
  CHECK(Says(table));
  if (table) CheckTable(*table, ImageSchema());
  const auto draft = node::InferNpz(file.path());
  CHECK(Says(draft));
  if (draft) CHECK(ParseSchema(*draft, "draft.toml").has_value());
}

// A tail that is accepted is written again to the same bytes.
void TableFile(ByteView input) {
  Source source(input);
  const std::uint64_t bytes_of_rows = source.Number(2);
  const ByteView tail = source.Rest();
  const auto table = node::ParseTableTail(tail, ImageSchema(), bytes_of_rows);
  CHECK(Says(table));
  if (table) CHECK(std::ranges::equal(node::TableTail(*table), tail));
}

}  // namespace consilium::fuzz
