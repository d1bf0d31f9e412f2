// Drafts for idx and npz.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "common/plan/schema.h"
#include "hospital_node/data/array.h"
#include "hospital_node/data/infer.h"
#include "hospital_node/data/zip.h"

namespace consilium::node {
namespace {

constexpr std::size_t kMostClasses = 20;
constexpr double kMost = 1e30, kExact = 9007199254740992.0;  // 2^53

// One column over all parts.
struct Seen {
  std::vector<std::uint64_t> shape;  // Of a row.
  double least = INFINITY, most = -INFINITY;
  bool whole = true, gaps = false, usable = true;
  std::set<double> values;  // The first kMostClasses + 1.

  Status Take(ArrayReader* array) {
    const ArrayInfo& info = array->info();
    const std::vector<std::uint64_t> row(info.axes.begin() + 1, info.axes.end());
    if (least > most) shape = row;
    if (row != shape)
      return Fail(Code::kInvalid, array->name() + ": its rows have another shape than in the part before");
    std::vector<std::uint8_t> bytes(array->RowBytes());
    for (std::uint64_t i = 0; i < info.rows(); ++i) {
      if (Status read = array->Next(bytes.data()); !read) return read;
      Visit(info.element, [&](auto zero) {
        for (std::size_t at = 0; at < bytes.size(); at += sizeof zero) {
          auto value = zero;
          std::memcpy(&value, bytes.data() + at, sizeof value);
          const auto v = static_cast<double>(value);
          usable =
              usable && !(std::fabs(v) > (sizeof zero == 8 && std::is_integral_v<decltype(zero)> ? kExact : kMost));
          TakeValue(v);
        }
      });
    }
    if (!usable || (gaps && IsTensor()) || least > most) {
      return Fail(Code::kInvalid, array->name() +
                                      ": holds elements that no schema can declare (beyond 1e30 or 2^53, not a "
                                      "number in a tensor, or nothing but those); convert or replace them");
    }
    return array->Finish();
  }
  void TakeValue(double v) {
    gaps = gaps || std::isnan(v);
    if (std::isnan(v)) return;
    least = std::min(least, v);
    most = std::max(most, v);
    whole = whole && v == std::floor(v);
    if (values.size() <= kMostClasses) values.insert(v);
  }
  [[nodiscard]] bool IsTensor() const { return shape.size() > 1 || (shape.size() == 1 && shape[0] > 1); }
};

std::string ColumnText(const std::string& name, const Seen& seen) {
  std::string out = fmt::format("\n[columns.{}]\n", name.contains('.') ? "\"" + name + "\"" : name);
  const double most = seen.most > seen.least ? seen.most : seen.least + 1;
  const std::string range = fmt::format(
      "unit = \"\"\nminimum = {}  # What is possible, not what these files hold.\nmaximum = {}\nmeaning = \"\"\n",
      seen.least, most);
  if (seen.IsTensor())
    return out + "type = \"tensor\"\n" + fmt::format("shape = [{}]\n", fmt::join(seen.shape, ", ")) + range;
  if (!seen.whole || seen.values.size() < 2 || seen.values.size() > kMostClasses)
    return out + "type = \"number\"\n" + range;
  std::vector<std::string> codes;
  for (const double v : seen.values) codes.push_back(fmt::format("\"{}\"", v));
  out += "type = \"label\"  # If it is no outcome: \"category\", with levels.\n";
  if (codes.size() > 2) return out + fmt::format("classes = [{}]\nmeaning = \"\"\n", fmt::join(codes, ", "));
  return out + fmt::format("positive = [{}]\nnegative = [{}]\nmeaning = \"\"\n", codes[1], codes[0]);
}

std::string Head(const std::string& file, const std::vector<std::string>& parts) {
  std::string out = fmt::format(
      "# A draft, made from {}. Correct every line: a schema says what is possible, and all hospitals of a study must\n"
      "# mean the same by it. Columns that no study needs can be taken out.\n",
      std::filesystem::path(file).filename().string());
  if (!parts.empty()) out += fmt::format("\n[file]\nparts = [\"{}\"]\n", fmt::join(parts, "\", \""));
  out += "\n[patient]\nid = \"row\"  # Every row counts as another patient; an array of ids serves too.\n";
  const bool test = std::find(parts.begin(), parts.end(), "test") != parts.end();
  if (!test || parts.size() < 2) return out;
  std::vector<std::string> train = parts;
  std::erase(train, "test");
  return out +
         fmt::format("\n[split]\ncolumn = \"part\"\ntrain = [\"{}\"]\ntest = [\"test\"]\n", fmt::join(train, "\", \""));
}

// "train", "val" and "test" when every array's name begins with one of them and an underscore.
std::vector<std::string> PartsOf(const std::vector<ZipMember>& members) {
  std::vector<std::string> out;
  for (const ZipMember& member : members) {
    const std::string part = member.name.substr(0, member.name.find('_'));
    if (!member.name.contains('_') || (part != "train" && part != "val" && part != "test")) return {};
    if (std::find(out.begin(), out.end(), part) == out.end()) out.push_back(part);
  }
  return out;
}

}  // namespace

Result<std::string> InferNpz(const std::string& file) {
  const SharedFile archive = TRY(InputFile::Open(file));
  const std::vector<ZipMember> members = TRY(ReadZipDirectory(*archive));
  const std::vector<std::string> parts = PartsOf(members);
  std::map<std::string, Seen> columns;
  for (const ZipMember& member : members) {
    if (!member.name.ends_with(".npy")) continue;
    std::string name = member.name.substr(0, member.name.size() - 4);
    if (!parts.empty()) name = name.substr(name.find('_') + 1);
    ArrayReader array = TRY(ArrayReader::Npy(OpenMember(archive, member)));
    TRY(columns[name].Take(&array));
  }
  if (columns.empty()) return Fail(Code::kInvalid, file + ": there is no array in it");
  std::string out = Head(file, parts);
  for (const auto& [name, seen] : columns) {
    const bool usable = !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
    });
    if (!usable)
      return Fail(Code::kInvalid, fmt::format("{}: an array's name is none that a schema can hold (1 to 64 of the "
                                              "letters A-Z, a-z, digits and _ . -); save it under another",
                                              file));
    out += ColumnText(name, seen);
  }
  return out;
}

Result<std::string> InferIdx(const std::string& images, const std::string& labels) {
  std::string out = Head(images, {});
  for (const auto& [file, name] : {std::pair(images, "image"), std::pair(labels, "label")}) {
    std::unique_ptr<ByteStream> stream = TRY(OpenFileStream(file));
    ArrayReader array = TRY(ArrayReader::Idx(std::move(stream)));
    Seen seen;
    TRY(seen.Take(&array));
    out += ColumnText(name, seen);
  }
  return out;
}

}  // namespace consilium::node
