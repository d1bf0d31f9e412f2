// What the three programs share of a terminal: text for people or one JSON document on stdout, everything else on
// stderr, and the exit status that scripts rely on.
#pragma once

#include <string>
#include <vector>

#include "common/base/checkup.h"
#include "common/settings/value.h"

namespace consilium {

class Terminal {
 public:
  // `program` is what messages begin with; with `json` people's text is left out and Document is printed.
  Terminal(std::string program, bool json) : program_(std::move(program)), json_(json) {}
  [[nodiscard]] bool json() const { return json_; }

  void Say(std::string_view text) const;      // A line (or several) on stdout; nothing under --json.
  void Document(const Value& value) const;    // The document of --json; nothing otherwise.
  void StreamLine(const Value& value) const;  // A document a line, where a command streams; --json only.
  void Note(std::string_view text) const;     // A line on stderr.
  [[nodiscard]] bool AskYes(std::string_view question) const;  // On stderr; whether the answer on stdin is yes.
  [[nodiscard]] int Report(
      const std::vector<Check>& checks) const;       // Of a doctor: a line each; 1 when something is bad.
  [[nodiscard]] int Fail(const Error& error) const;  // "program: what happened; why; type: ..." and the exit status.

 private:
  std::string program_;
  bool json_;
};

// Rows of cells, the first row a heading; columns are as wide as their widest cell and two spaces apart. Columns whose
// cells (heading aside) are all numbers stand to the right.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);
// Text of others as it may safely reach a terminal: control characters become '?'; PrintableLines keeps line ends.
std::string Printable(std::string_view text);
std::string PrintableLines(std::string_view text);
// A string as TOML writes it, quotes included.
std::string TomlString(std::string_view text);

// A secret line: the file (0600 or refused), or standard input when `file` is empty; white space at the ends is cut.
Result<std::string> ReadSecretLine(const std::string& file, std::string_view what);

}  // namespace consilium
