// The CSV reader.
#include "hospital_node/data/csv.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace consilium::node {
namespace {
constexpr std::size_t kBufferBytes = std::size_t{64} * 1024;
}

Result<CsvReader> CsvReader::Open(const std::string& path, char delimiter) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return Fail(Code::kInvalid, fmt::format("{}: not a file", path));
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    return Fail(Code::kIo,
                fmt::format("{}: cannot be opened ({}); let the node's user read it", path, std::strerror(errno)));
  }
  CsvReader reader(path, delimiter, file);
  reader.SkipByteOrderMark();
  return reader;
}

CsvReader::CsvReader(std::string path, char delimiter, std::FILE* file)
    : path_(std::move(path)), delimiter_(delimiter), file_(file), buffer_(kBufferBytes) {}

std::unexpected<Error> CsvReader::Fault(const std::string& why) const {
  return Fail(Code::kInvalid, fmt::format("{}:{}: {}", path_, line_, why));
}

// At least two bytes ahead, unless the file ends.
void CsvReader::Fill() {
  if (filled_ - used_ >= 2 || ended_) return;
  std::memmove(buffer_.data(), buffer_.data() + used_, filled_ - used_);
  filled_ -= used_;
  used_ = 0;
  while (filled_ < 2 && !ended_) {
    const std::size_t got = std::fread(buffer_.data() + filled_, 1, buffer_.size() - filled_, file_.get());
    filled_ += got;
    ended_ = got == 0;
  }
}

int CsvReader::Peek() {
  Fill();
  if (used_ == filled_) return kEnd;
  const bool crlf = buffer_[used_] == '\r' && used_ + 1 < filled_ && buffer_[used_ + 1] == '\n';
  return crlf ? '\n' : static_cast<unsigned char>(buffer_[used_]);
}

int CsvReader::Take() {
  const int c = Peek();
  if (c == kEnd) return c;
  used_ += buffer_[used_] == '\r' && c == '\n' ? 2 : 1;
  if (c == '\n') ++line_;
  return c;
}

void CsvReader::SkipByteOrderMark() {
  if (Peek() == 0xEF && filled_ >= 3 && std::memcmp(buffer_.data(), "\xEF\xBB\xBF", 3) == 0) used_ = 3;
}

Status CsvReader::ReadQuoted(std::string* field) {
  const std::uint64_t opened = line_;
  Take();
  while (true) {
    const int c = Take();
    if (c == kEnd)
      return Fail(
          Code::kInvalid,
          fmt::format("{}:{}: a quoted field opens here and is never closed; add the missing '\"'", path_, opened));
    if (c == '"') {
      if (Peek() != '"') return {};
      Take();
    }
    if (c == 0) return Fault("a zero byte: this is no text file; export it as CSV in UTF-8");
    if (field->size() == kMaxFieldBytes) return Fault("a field longer than 1 MiB; is a '\"' missing?");
    field->push_back(static_cast<char>(c));
  }
}

Status CsvReader::ReadPlain(std::string* field) {
  while (true) {
    const int c = Peek();
    if (c == kEnd || c == '\n' || c == static_cast<unsigned char>(delimiter_)) return {};
    if (c == '\r') return Fault("a carriage return without a line feed; save the file with LF or CRLF line ends");
    if (c == '"')
      return Fault(
          "a '\"' inside a field that does not start with one; quote the whole field and double the '\"' in it");
    if (c == 0) return Fault("a zero byte: this is no text file; export it as CSV in UTF-8");
    if (field->size() == kMaxFieldBytes) return Fault("a field longer than 1 MiB; is the delimiter right?");
    field->push_back(static_cast<char>(Take()));
  }
}

Result<bool> CsvReader::Next(std::vector<std::string>* fields) {
  fields->clear();
  while (Peek() == '\n') Take();
  record_line_ = line_;
  bool more = Peek() != kEnd;
  const bool found = more;
  while (more) {
    if (fields->size() == kMaxFields) return Fault("more than 4096 columns; is the delimiter right?");
    std::string& field = fields->emplace_back();
    if (Status read = Peek() == '"' ? ReadQuoted(&field) : ReadPlain(&field); !read)
      return std::unexpected(read.error());
    const int after = Peek();
    if (after != kEnd && after != '\n' && after != static_cast<unsigned char>(delimiter_)) {
      return Fault("text after a closing '\"'; put a delimiter there, or double the '\"' inside the field");
    }
    more = after == static_cast<unsigned char>(delimiter_);
    Take();
  }
  if (std::ferror(file_.get()) != 0)
    return Fail(Code::kIo, fmt::format("{}: cannot be read ({})", path_, std::strerror(errno)));
  return found;
}

}  // namespace consilium::node
