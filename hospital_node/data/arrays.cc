// From idx and npz files to a table: each column is an array, all arrays of a part have the same number of rows.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "hospital_node/data/array.h"
#include "hospital_node/data/builder.h"
#include "hospital_node/data/zip.h"

namespace consilium::node {
namespace {

constexpr double kExact = 9007199254740992.0;  // 2^53: whole numbers up to it are doubles.

// One declared column and the array that holds it.
struct Feed {
  const Column* column;
  ArrayReader array;
  CellReader cell;
  int series = -1;  // -1: text.
  Bytes row;

  [[nodiscard]] Element Stored() const {  // In the row store; 64-bit and u32 values become doubles.
    switch (array.info().element) {
      case Element::kU32:
      case Element::kU64:
      case Element::kI64:
        return Element::kF64;
      default:
        return array.info().element;
    }
  }
};

std::string AxesText(const ArrayInfo& info) { return fmt::format("{}", fmt::join(info.axes, " x ")); }

// The array has the declared shape: (rows, shape...) of a tensor, else (rows) or (rows, 1).
Status CheckShape(const Feed& feed) {
  const ArrayInfo& info = feed.array.info();
  const auto& shape = feed.column->shape;
  if (feed.column->type == Column::Type::kTensor) {
    if (std::equal(info.axes.begin() + 1, info.axes.end(), shape.begin(), shape.end())) return {};
    return Fail(Code::kInvalid,
                fmt::format("{}: is {}, and column \"{}\" is declared as rows of {}; mend [columns.{}] shape",
                            feed.array.name(), AxesText(info), feed.column->name, ShapeText(shape), feed.column->name));
  }
  if (info.RowElements() == 1 && info.axes.size() <= 2) return {};
  return Fail(Code::kInvalid, fmt::format("{}: is {}, and column \"{}\" is declared as a {} a row; is it a tensor?",
                                          feed.array.name(), AxesText(info), feed.column->name,
                                          feed.column->type == Column::Type::kLabel ? "label" : "single value"));
}

// A single value as a number, and as text for ids. nullopt when a double cannot hold it.
std::optional<double> ValueOf(const Feed& feed) {
  return Visit(feed.array.info().element, [&](auto zero) -> std::optional<double> {
    auto value = zero;
    std::memcpy(&value, feed.row.data(), sizeof value);
    const auto number = static_cast<double>(value);
    if (std::is_integral_v<decltype(value)> && std::fabs(number) > kExact) return std::nullopt;
    return number;
  });
}
std::string TextOf(const Feed& feed) {
  return Visit(feed.array.info().element, [&](auto zero) {
    auto value = zero;
    std::memcpy(&value, feed.row.data(), sizeof value);
    return fmt::format("{}", +value);
  });
}

// Why an element is not one of the declared range, or "". All of them are compared: there are no gaps in a tensor.
template <class T>
std::string TensorFault(const std::uint8_t* bytes, std::size_t count, const Column& column) {
  double least = column.minimum, most = column.maximum;
  bool number = true;
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof value, sizeof value);
    const auto v = static_cast<double>(value);
    number = number && v == v;
    least = v < least ? v : least;
    most = v > most ? v : most;
  }
  if (!number) return "an element that is not a number";
  if (std::is_integral_v<T> && sizeof(T) == 8 && std::max(-least, most) > kExact) return "an element beyond 2^53";
  if (least < column.minimum) return "an element below the declared range";
  return most > column.maximum ? "an element above the declared range" : "";
}

// Reads the parts of one data set into a builder.
class PartReader {
 public:
  PartReader(const Schema& schema, const ReadOptions& options) : schema_(schema), builder_(schema, options) {}
  TableBuilder& builder() { return builder_; }

  Result<Feed> MakeFeed(const Column& column, ArrayReader array) {
    Feed feed{&column, std::move(array), CellReader(column, schema_.missing), -1, {}};
    TRY(CheckShape(feed));
    const auto& series = builder_.series();
    const auto found = std::ranges::find_if(series, [&](const Series& one) { return one.column.name == column.name; });
    if (found != series.end()) feed.series = static_cast<int>(found - series.begin());
    if (column.type == Column::Type::kTensor)
      TRY(builder_.SetElement(static_cast<std::size_t>(feed.series), feed.Stored(), feed.array.name()));
    const bool whole = feed.array.info().element < Element::kF32;
    if (column.name == schema_.patient_id && !whole)
      return Fail(Code::kInvalid, fmt::format("{}: patients' ids must be whole numbers", feed.array.name()));
    feed.row.resize(feed.array.RowBytes());
    return feed;
  }

  Status ReadPart(std::vector<Feed>* feeds, const std::string& part) {
    for (const Feed& feed : *feeds) {
      if (feed.array.info().rows() == feeds->front().array.info().rows()) continue;
      return Fail(Code::kInvalid, fmt::format("{} has {} rows and {} has {}; they must belong together, row by row",
                                              feeds->front().array.name(), feeds->front().array.info().rows(),
                                              feed.array.name(), feed.array.info().rows()));
    }
    const std::uint64_t rows = feeds->front().array.info().rows();
    for (std::uint64_t row = 0; row < rows; ++row) {
      for (Feed& feed : *feeds) TRY(feed.array.Next(feed.row.data()));
      TRY(TakeRow(*feeds, part, row));
    }
    for (Feed& feed : *feeds) TRY(feed.array.Finish());
    return {};
  }

 private:
  Status TakeRow(const std::vector<Feed>& feeds, const std::string& part, std::uint64_t row) {
    std::string id;
    std::optional<Side> side;
    for (const Feed& feed : feeds) {
      if (feed.column->name == schema_.patient_id) id = TextOf(feed);
    }
    if (!id.empty() && builder_.Excludes(id)) return {};
    if (schema_.SplitByPart()) side = SideOf(part);
    for (const Feed& feed : feeds) {
      if (feed.column->type == Column::Type::kTensor) {
        TRY(TakeTensor(feed, row));
        continue;
      }
      const auto value = ValueOf(feed);
      CellReader::Cell cell = feed.cell.ReadValue(value.value_or(0));
      if (!value && feed.series >= 0) cell.fault = "a number beyond 2^53", cell.mend = "no double holds it exactly";
      if (!cell.fault.empty()) TRY(Fault(feed, row, cell.fault, cell.mend));
      if (feed.series >= 0) builder_.Put(static_cast<std::size_t>(feed.series), cell);
      if (!schema_.SplitByPart() && feed.column->name == schema_.split_column) side = TRY(ReadSide(feed, row));
    }
    return builder_.Commit(id, side, fmt::format("{}: row {}", feeds.front().array.name(), row));
  }

  Status TakeTensor(const Feed& feed, std::uint64_t row) {
    const std::size_t count = feed.column->Elements();
    const std::string fault = Visit(feed.array.info().element, [&](auto zero) {
      return TensorFault<decltype(zero)>(feed.row.data(), count, *feed.column);
    });
    if (!fault.empty()) {
      TRY(Fault(feed, row, fault,
                fmt::format("the schema allows {} to {}", feed.column->minimum, feed.column->maximum)));
    }
    std::uint8_t* out = builder_.Tensor(static_cast<std::size_t>(feed.series));
    if (feed.Stored() == feed.array.info().element) {
      std::memcpy(out, feed.row.data(), feed.row.size());
      return {};
    }
    Visit(feed.array.info().element, [&](auto zero) {
      for (std::size_t i = 0; i < count; ++i) {
        auto value = zero;
        std::memcpy(&value, feed.row.data() + i * sizeof value, sizeof value);
        const auto number = static_cast<double>(value);
        std::memcpy(out + i * sizeof number, &number, sizeof number);
      }
    });
    return {};
  }

  [[nodiscard]] Side SideOf(const std::string& part) const {
    const auto& test = schema_.split_test;
    return std::find(test.begin(), test.end(), part) != test.end() ? Side::kTest : Side::kTrain;
  }

  Result<Side> ReadSide(const Feed& feed, std::uint64_t row) {
    const std::string value = TextOf(feed);
    const auto any = [&](const std::vector<std::string>& codes) {
      return std::ranges::any_of(codes, [&](const std::string& code) { return SameValue(code, value); });
    };
    const bool train = any(schema_.split_train), test = any(schema_.split_test);
    if (train == test)
      TRY(Fault(feed, row, "a value that is neither train nor test", "mend it or the schema's [split]"));
    return test ? Side::kTest : Side::kTrain;
  }

  Status Fault(const Feed& feed, std::uint64_t row, const std::string& what, const std::string& mend) {
    const std::string shown = feed.column->type == Column::Type::kTensor ? "" : builder_.Shown(TextOf(feed));
    return builder_.Problem(fmt::format("{}: row {} (from 0): column \"{}\": {}{}; {}", feed.array.name(), row,
                                        feed.column->name, what, shown, mend));
  }

  const Schema& schema_;
  TableBuilder builder_;
};

// The schema's tensor and its other column: what a pair of idx files can hold.
Result<std::pair<const Column*, const Column*>> PairOf(const Schema& schema) {
  const Column *images = nullptr, *labels = nullptr;
  for (const Column& column : schema.columns) {
    const bool tensor = column.type == Column::Type::kTensor;
    if (column.type != Column::Type::kText) (tensor ? images : labels) = &column;
  }
  const bool fits = schema.columns.size() == 2 && images != nullptr && labels != nullptr &&
                    schema.patient_id == "row" && (schema.split_column.empty() || schema.SplitByPart());
  if (fits) return std::pair(images, labels);
  return Fail(Code::kInvalid,
              "a pair of idx files holds one tensor and one label a row: the schema must declare these two columns, "
              "[patient] id = \"row\", and no [split] but by part");
}

}  // namespace

Result<Table> ReadIdx(const std::vector<std::string>& files, const Schema& schema, const ReadOptions& options) {
  const auto [images, labels] = TRY(PairOf(schema));
  const std::size_t parts = std::max<std::size_t>(schema.parts.size(), 1);
  if (files.size() != 2 * parts) {
    return Fail(
        Code::kInvalid,
        fmt::format("{} idx files were given, and {} are needed: images and labels{}", files.size(), 2 * parts,
                    schema.parts.empty() ? "" : fmt::format(" of each part ({})", fmt::join(schema.parts, ", "))));
  }
  PartReader reader(schema, options);
  for (std::size_t part = 0; part < parts; ++part) {
    std::vector<Feed> feeds;
    for (const std::size_t i : {2 * part, 2 * part + 1}) {
      std::unique_ptr<ByteStream> stream = TRY(OpenFileStream(files[i]));
      ArrayReader array = TRY(ArrayReader::Idx(std::move(stream)));
      feeds.push_back(TRY(reader.MakeFeed(i % 2 == 0 ? *images : *labels, std::move(array))));
      reader.builder().NoteFile(files[i]);
    }
    TRY(reader.ReadPart(&feeds, schema.parts.empty() ? "" : schema.parts[part]));
  }
  return reader.builder().Finish();
}

Result<Table> ReadNpz(const std::string& file, const Schema& schema, const ReadOptions& options) {
  const SharedFile archive = TRY(InputFile::Open(file));
  const std::vector<ZipMember> members = TRY(ReadZipDirectory(*archive));
  std::set<std::string> unused;
  for (const ZipMember& member : members) unused.insert(member.name);
  PartReader reader(schema, options);
  const std::vector<std::string> parts = schema.parts.empty() ? std::vector<std::string>{""} : schema.parts;
  for (const std::string& part : parts) {
    std::vector<Feed> feeds;
    for (const Column& column : schema.columns) {
      const std::string array = (part.empty() ? "" : part + "_") + (column.array.empty() ? column.name : column.array);
      const auto member = std::ranges::find(members, array + ".npy", &ZipMember::name);
      if (member == members.end()) {
        std::vector<std::string> names;
        for (const ZipMember& one : members) names.push_back(one.name);
        return Fail(Code::kInvalid, fmt::format("{}: there is no array {} for column \"{}\"; there are {}; mend "
                                                "[columns.{}] array or [file] parts",
                                                file, array, column.name, fmt::join(names, ", "), column.name));
      }
      unused.erase(member->name);
      ArrayReader reading = TRY(ArrayReader::Npy(OpenMember(archive, *member)));
      feeds.push_back(TRY(reader.MakeFeed(column, std::move(reading))));
    }
    TRY(reader.ReadPart(&feeds, part));
  }
  for (const std::string& name : unused) reader.builder().NoteIgnored(name);
  reader.builder().NoteFile(file);
  return reader.builder().Finish();
}

}  // namespace consilium::node
