// npy headers: magic, version, length and a Python dictionary, of which numpy writes exactly one form.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>

#include "common/plan/schema.h"
#include "hospital_node/data/array.h"

namespace consilium::node {
namespace {

constexpr std::size_t kMostHeader = std::size_t{64} * 1024;
constexpr std::string_view kMagic = "\x93NUMPY";

// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } in any order and with any white space.
class HeaderText {
 public:
  explicit HeaderText(std::string_view text) : rest_(text) {}

  // false: not of that form.
  bool Parse() {
    if (!Take('{')) return false;
    while (!Take('}')) {
      const auto key = Quoted();
      if (!key || !Take(':') || !Member(*key)) return false;
      if (!Take(',') && !Ahead('}')) return false;
    }
    Blank();
    return rest_.empty() && descr && fortran && shape;
  }

  std::optional<std::string> descr;
  std::optional<bool> fortran;
  std::optional<std::vector<std::uint64_t>> shape;

 private:
  void Blank() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }
  bool Ahead(char c) {
    Blank();
    return rest_.starts_with(c);
  }
  bool Take(char c) {
    if (!Ahead(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool Word(std::string_view word) {
    Blank();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  std::optional<std::string> Quoted() {
    Blank();
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) return std::nullopt;
    const std::size_t end = rest_.find(rest_[0], 1);
    if (end == std::string_view::npos || end > 32) return std::nullopt;
    std::string out(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return out;
  }
  bool Member(const std::string& key) {
    if (key == "descr" && !descr) {
      if (Ahead('['))
        descr = "";  // A record of several fields.
      else
        descr = Quoted();
      return descr && !Ahead('[');
    }
    if (key == "fortran_order" && !fortran) {
      if (Word("False"))
        fortran = false;
      else if (Word("True"))
        fortran = true;
      return fortran.has_value();
    }
    return key == "shape" && !shape && Shape();
  }
  bool Shape() {
    if (!Take('(')) return false;
    shape.emplace();
    while (!Take(')')) {
      Blank();
      std::uint64_t length = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), length);
      if (error != std::errc() || shape->size() == 32) return false;
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      shape->push_back(length);
      if (!Take(',') && !Ahead(')')) return false;
    }
    return true;
  }

  std::string_view rest_;
};

std::optional<Element> NpyElement(std::string_view type) {
  static constexpr std::array<std::pair<std::string_view, Element>, 11> kTypes = {{{"b1", Element::kU8},
                                                                                   {"u1", Element::kU8},
                                                                                   {"i1", Element::kI8},
                                                                                   {"u2", Element::kU16},
                                                                                   {"i2", Element::kI16},
                                                                                   {"u4", Element::kU32},
                                                                                   {"i4", Element::kI32},
                                                                                   {"u8", Element::kU64},
                                                                                   {"i8", Element::kI64},
                                                                                   {"f4", Element::kF32},
                                                                                   {"f8", Element::kF64}}};
  for (const auto& [name, element] : kTypes) {
    if (name == type) return element;
  }
  return std::nullopt;
}

}  // namespace

Result<ArrayReader> ArrayReader::Npy(std::unique_ptr<ByteStream> stream) {
  const auto fault = [&](const std::string& what) {
    return Fail(Code::kInvalid, fmt::format("{}: {}", stream->name(), what));
  };
  std::array<std::uint8_t, 8> head{};
  TRY(stream->ReadAll(head, "an npy array's first bytes"));
  if (std::string_view(reinterpret_cast<const char*>(head.data()), kMagic.size()) != kMagic)
    return fault("this is no npy array: it does not begin with \\x93NUMPY");
  if (head[6] < 1 || head[6] > 3)
    return fault(fmt::format("npy version {}.{} is not known; 1 to 3 are", head[6], head[7]));
  std::array<std::uint8_t, 4> size{};
  TRY(stream->ReadAll(std::span(size).first(head[6] == 1 ? 2 : 4), "its header's length"));
  const std::size_t length = size[0] | size[1] << 8 | size[2] << 16 | std::size_t{size[3]} << 24;
  if (length > kMostHeader) return fault(fmt::format("a header of {} bytes, and {} are the most", length, kMostHeader));
  std::string text(length, '\0');
  TRY(stream->ReadAll({reinterpret_cast<std::uint8_t*>(text.data()), length}, "its header"));
  HeaderText header(text);
  if (!header.Parse())
    return fault(
        "its header is not of numpy's form ({'descr': ..., 'fortran_order': ..., 'shape': ...}), "
        "or it holds records; save plain arrays with numpy.savez");
  const std::string& type = *header.descr;
  const auto element = type.size() == 3 ? NpyElement(std::string_view(type).substr(1)) : std::nullopt;
  if (!element || std::string_view("<>|=").find(type[0]) == std::string_view::npos) {
    return fault(
        fmt::format("its elements are of type '{}'; convert them with astype to one of u1, i1, u2, i2, u4, i4, "
                    "u8, i8, f4, f8",
                    type.empty()            ? "a record"
                    : IsPlainText(type, 32) ? type
                                            : "?"));
  }
  if (*header.fortran)
    return fault("its elements lie column after column (Fortran order); save numpy.ascontiguousarray(array) instead");
  ArrayInfo info{*element, type[0] == '>', std::move(*header.shape)};
  TRY(CheckArray(info, *stream));
  return ArrayReader(std::move(info), std::move(stream));
}

}  // namespace consilium::node
