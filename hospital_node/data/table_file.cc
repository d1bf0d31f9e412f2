// The file of a large table.
#include "hospital_node/data/table_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "common/base/check.h"
#include "hospital_node/data/stream.h"

namespace consilium::node {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr std::string_view kMagic = "consrows";
constexpr std::size_t kEndBytes = 8 + 4 + kMagic.size(), kMostTail = std::size_t{1} << 32;
constexpr std::size_t kMostText = std::size_t{1} << 20;

class TailWriter {
 public:
  void Number(std::uint64_t v, int bytes = 8) {
    for (int i = 0; i < bytes; ++i) out_.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
  }
  void Text(std::string_view text) {
    Number(text.size(), 4);
    out_.insert(out_.end(), text.begin(), text.end());
  }
  void Texts(const std::vector<std::string>& texts) {
    Number(texts.size());
    for (const std::string& text : texts) Text(text);
  }
  template <class T>
  void Plain(const std::vector<T>& values) {
    Number(values.size());
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
    out_.insert(out_.end(), bytes, bytes + values.size() * sizeof(T));
  }
  Bytes Take() { return std::move(out_); }

 private:
  Bytes out_;
};

// Reads what there is, and zeros once something was wrong (`ok`).
class TailReader {
 public:
  explicit TailReader(ByteView in) : in_(in) {}
  std::uint64_t Number(int bytes = 8) {
    const ByteView raw = Take(static_cast<std::size_t>(bytes));
    std::uint64_t out = 0;
    for (std::size_t i = raw.size(); i > 0; --i) out = out << 8 | raw[i - 1];
    return out;
  }
  std::string Text() {
    const std::uint64_t length = Number(4);
    Require(length <= kMostText);
    return std::string(consilium::Text(Take(static_cast<std::size_t>(length))));
  }
  std::vector<std::string> Texts() {
    std::vector<std::string> out;
    for (std::uint64_t left = Number(); left > 0 && ok_; --left) out.push_back(Text());
    return out;
  }
  template <class T>
  std::vector<T> Plain(std::uint64_t most) {
    const std::uint64_t count = Number();
    Require(count <= most);
    const ByteView raw = Take(static_cast<std::size_t>(count) * sizeof(T));
    std::vector<T> out(raw.size() / sizeof(T));
    if (!out.empty()) std::memcpy(out.data(), raw.data(), raw.size());
    return out;
  }
  void Require(bool right) { ok_ = ok_ && right; }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool AtEnd() const { return ok_ && in_.empty(); }

 private:
  ByteView Take(std::size_t size) {
    Require(size <= in_.size());
    if (!ok_) return {};
    const ByteView out = in_.first(size);
    in_ = in_.subspan(size);
    return out;
  }
  ByteView in_;
  bool ok_ = true;
};

std::uint64_t ValuesOf(const Column& column) { return column.classes.empty() ? 2 : column.classes.size(); }

void CheckLabels(TailReader* in, const Series& series, std::uint64_t rows) {
  in->Require(series.numbers.size() == (series.IsLabel() ? rows : 0));
  const auto values = static_cast<double>(ValuesOf(series.column));
  for (const double v : series.numbers) in->Require(std::isnan(v) || (v >= 0 && v < values && v == std::floor(v)));
}

void ReadPatients(TailReader* in, Table* table, const Schema& schema) {
  table->patient = in->Plain<std::uint32_t>(kMaxRows);
  table->patient_ids.count = static_cast<std::size_t>(in->Number());
  table->patient_ids.names = in->Texts();
  in->Require(table->patient_ids.names.size() == (schema.patient_id == "row" ? 0 : table->patients()));
  in->Require(table->patients() <= table->rows());
  for (const std::uint32_t patient : table->patient) in->Require(patient < table->patients());
  const auto sides = in->Plain<std::uint8_t>(kMaxRows);
  in->Require(sides.size() == (schema.split_column.empty() ? 0 : table->patients()));
  for (const std::uint8_t side : sides) {
    in->Require(side <= static_cast<std::uint8_t>(Side::kTest));
    table->declared_side.push_back(static_cast<Side>(side));
  }
}

std::unexpected<Error> Damaged(const std::string& what) {
  return Fail(Code::kCorrupt, fmt::format("the node's copy of a data set {}; it is made again", what));
}

}  // namespace

std::vector<Series> SeriesOf(const Schema& schema) {
  std::vector<Series> out;
  for (const Column& column : schema.columns) {
    if (column.type == Column::Type::kText) continue;
    out.emplace_back().column = column;
    if (column.type == Column::Type::kCategory) out.back().element = Element::kI16;
  }
  return out;
}

std::size_t PlaceSeries(std::vector<Series>* series) {
  std::size_t offset = 0;
  for (Series& one : *series) {
    one.offset = offset;
    if (!one.IsLabel()) offset += one.column.Elements() * BytesOf(one.element);
  }
  return std::max<std::size_t>(offset, 1);
}

std::string TableKey(const std::string& content, const Schema& schema, const std::set<std::string>& excluded) {
  Fields fields("consilium/table");
  fields.Add(kVersion).AddText(content).AddText(CanonicalJson(ToValue(schema)));
  for (const std::string& mark : excluded) fields.AddText(mark);
  return fields.Hash().Hex();
}

Bytes TableTail(const Table& table) {
  TailWriter out;
  for (const Series& series : table.series) {
    out.Number(static_cast<std::uint64_t>(series.element), 1);
    if (series.IsLabel()) out.Plain(series.numbers);
  }
  out.Plain(table.patient);
  out.Number(table.patients());
  out.Texts(table.patient_ids.names);
  out.Plain(table.declared_side);
  out.Texts(table.files);
  out.Texts(table.ignored_columns);
  Bytes tail = out.Take();
  TailWriter end;
  end.Number(tail.size());
  end.Number(kVersion, 4);
  const Bytes last = end.Take();
  tail.insert(tail.end(), last.begin(), last.end());
  tail.insert(tail.end(), kMagic.begin(), kMagic.end());
  return tail;
}

Result<Table> ParseTableTail(ByteView tail, const Schema& schema, std::uint64_t bytes_of_rows) {
  if (tail.size() < kEndBytes) return Damaged("is too short");
  TailReader end(tail.last(kEndBytes));
  if (end.Number() != tail.size() - kEndBytes || end.Number(4) != kVersion || Text(tail.last(kMagic.size())) != kMagic)
    return Damaged("is of another version");
  TailReader in(tail.first(tail.size() - kEndBytes));
  Table table;
  table.series = SeriesOf(schema);
  for (Series& series : table.series) {
    const std::uint64_t element = in.Number(1);
    const bool tensor = series.column.type == Column::Type::kTensor;
    in.Require(element <= static_cast<std::uint64_t>(Element::kF64));
    in.Require(tensor || element == static_cast<std::uint64_t>(series.element));
    if (in.ok()) series.element = static_cast<Element>(element);
    if (series.IsLabel()) series.numbers = in.Plain<double>(kMaxRows);
  }
  ReadPatients(&in, &table, schema);
  table.files = in.Texts();
  table.ignored_columns = in.Texts();
  for (const Series& series : table.series) CheckLabels(&in, series, table.rows());
  const std::size_t row_bytes = in.ok() ? PlaceSeries(&table.series) : 1;
  in.Require(table.rows() > 0 && table.rows() * row_bytes == bytes_of_rows);
  if (!in.AtEnd()) return Damaged("holds something else than a table");
  return table;
}

Result<Table> OpenTableFile(const std::filesystem::path& path, const Schema& schema) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Fail(Code::kNotFound, "there is no " + path.string());
  const auto file = std::make_shared<const OpenedFile>(fd);
  const SharedFile input = TRY(InputFile::Open(path));
  if (input->size() < kEndBytes + Digest::kSize) return Damaged("is too short");
  const std::uint64_t hashed = input->size() - Digest::kSize;
  Bytes piece(RowCursor::kAheadBytes);
  Sha256Stream hash;
  for (std::uint64_t at = 0; at < hashed; at += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), hashed - at)));
    TRY(input->ReadAt(at, piece));
    hash.Add(piece);
  }
  Digest stored;
  TRY(input->ReadAt(hashed, stored.bytes));
  if (hash.Finish() != stored) return Damaged("has another checksum than when it was written");
  Bytes length(kEndBytes);
  TRY(input->ReadAt(hashed - kEndBytes, length));
  const std::uint64_t tail_bytes = TailReader(length).Number();
  if (tail_bytes > kMostTail || tail_bytes > hashed - kEndBytes) return Damaged("names a length that it has not");
  Bytes tail(static_cast<std::size_t>(tail_bytes) + kEndBytes);
  const std::uint64_t bytes_of_rows = hashed - tail.size();
  TRY(input->ReadAt(bytes_of_rows, tail));
  Table table = TRY(ParseTableTail(tail, schema, bytes_of_rows));
  const std::size_t rows = table.rows();
  table.store = RowStore(file, rows, static_cast<std::size_t>(bytes_of_rows / rows));
  return table;
}

}  // namespace consilium::node
