// CSV as RFC 4180 has it: quoted fields, doubled quotes, CRLF or LF, a UTF-8 byte order mark. Read as a stream, with a
// limit on everything; what is malformed is named by line, never guessed at.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/base/error.h"

namespace consilium::node {

inline constexpr std::size_t kMaxFieldBytes = 1 << 20;
inline constexpr std::size_t kMaxFields = 4096;

class CsvReader {
 public:
  // kInvalid when it is not a regular file, kIo when it cannot be opened.
  static Result<CsvReader> Open(const std::string& path, char delimiter);
  // The next record; false at the end. Lines without a character are skipped. Messages are "FILE:LINE: ..." and hold
  // nothing of the file's content.
  Result<bool> Next(std::vector<std::string>* fields);
  // Where the record of the last Next began; the first line is 1.
  [[nodiscard]] std::uint64_t line() const { return record_line_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  static constexpr int kEnd = -1;

  CsvReader(std::string path, char delimiter, std::FILE* file);
  void Fill();
  int Peek();  // CRLF reads as one '\n'.
  int Take();
  void SkipByteOrderMark();
  Status ReadQuoted(std::string* field);
  Status ReadPlain(std::string* field);
  [[nodiscard]] std::unexpected<Error> Fault(const std::string& why) const;

  std::string path_;
  char delimiter_;
  std::unique_ptr<std::FILE, Close> file_;
  std::vector<char> buffer_;
  std::size_t used_ = 0, filled_ = 0;
  bool ended_ = false;
  std::uint64_t line_ = 1, record_line_ = 0;
};

}  // namespace consilium::node
