#include "common/settings/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "common/base/files.h"

namespace consilium {
namespace {

constexpr std::size_t kMaxSecretLine = 4096;

// What cannot be written to stdout is not done: a script must not take an empty file for an answer.
void Write(std::FILE* to, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), to);
  if (text.empty() || text.back() != '\n') std::fputc('\n', to);
  if (std::fflush(to) == 0 || to != stdout) return;
  std::fprintf(stderr, "cannot write to standard output: %s\n", std::strerror(errno));
  std::_Exit(1);
}

std::size_t Width(std::string_view text) {  // Code points; UTF-8's continuation bytes are not counted.
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool IsNumberLike(std::string_view cell) {
  return cell.find_first_not_of("0123456789.,+-% x/e[] ") == std::string_view::npos;
}

// C0, DEL and UTF-8's C1 (C2 80 to C2 9F) steer terminals.
std::string Clean(std::string_view text, bool keep_lines) {
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto c = static_cast<unsigned char>(out[i]);
    if (keep_lines && (c == '\n' || c == '\t')) continue;
    const bool c1 = c == 0xC2 && i + 1 < out.size() && static_cast<unsigned char>(out[i + 1]) < 0xA0;
    if (c < ' ' || c == 127 || c1) out[i] = '?';
    if (c1) out[i + 1] = '?';
  }
  return out;
}

std::string Trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

}  // namespace

void Terminal::Say(std::string_view text) const {
  if (!json_) Write(stdout, text);
}
void Terminal::Document(const Value& value) const {
  if (json_) Write(stdout, PrettyJson(value));
}
bool Terminal::AskYes(std::string_view question) const {
  Note(std::string(question) + " [y/N]");
  std::string line;
  for (int c = std::getchar(); c != EOF && c != '\n' && line.size() < kMaxSecretLine; c = std::getchar())
    line += static_cast<char>(c);
  line = Trim(line);
  return line == "y" || line == "Y" || line == "yes";
}
void Terminal::StreamLine(const Value& value) const {
  if (json_) Write(stdout, CanonicalJson(value));
}
void Terminal::Note(std::string_view text) const { Write(stderr, text); }

int Terminal::Report(const std::vector<Check>& checks) const {
  bool good = true;
  Value list{Value::Array{}};
  for (const Check& check : checks) {
    good = good && check.good;
    list.Push(Value().Set("name", check.name).Set("good", check.good).Set("text", check.text));
    Say(fmt::format("{:<5} {:<14} {}", check.good ? "good" : "BAD", check.name, PrintableLines(check.text)));
  }
  Document(Value().Set("good", good).Set("checks", std::move(list)));
  return good ? 0 : 1;
}

int Terminal::Fail(const Error& error) const {
  Write(stderr, fmt::format("{}: {}", program_, PrintableLines(error.what)));
  return ExitStatus(error.code);
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  std::vector<bool> numbers;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      if (c == widths.size()) widths.push_back(0), numbers.push_back(rows.size() > 1);
      widths[c] = std::max(widths[c], Width(rows[r][c]));
      if (r > 0 && !IsNumberLike(rows[r][c])) numbers[c] = false;
    }
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string pad(widths[c] - Width(row[c]), ' ');
      line += (c == 0 ? "" : "  ") + (numbers[c] ? pad + row[c] : row[c] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string Printable(std::string_view text) { return Clean(text, false); }
std::string PrintableLines(std::string_view text) { return Clean(text, true); }

std::string TomlString(std::string_view text) { return CanonicalJson(Value(Printable(text))); }

Result<std::string> ReadSecretLine(const std::string& file, std::string_view what) {
  if (!file.empty()) {
    if (const Status status = RequirePrivateFile(file); !status) return std::unexpected(status.error());
    const Bytes bytes = TRY(ReadFile(file, kMaxSecretLine));
    std::string line = Trim(Text(bytes));
    if (line.empty()) return Fail(Code::kInvalid, fmt::format("{} is empty; it must hold {}", file, what));
    return line;
  }
  if (isatty(STDIN_FILENO) != 0) Write(stderr, fmt::format("paste {} and press Enter:", what));
  std::string line;
  char c = 0;
  while (line.size() < kMaxSecretLine) {
    const ssize_t n = read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || (c == '\n' && !Trim(line).empty())) break;
    line.push_back(c);
  }
  line = Trim(line);
  if (line.empty()) {
    return Fail(Code::kInvalid,
                fmt::format("standard input brought nothing; give {} there, or a 0600 file with --token-file", what));
  }
  return line;
}

}  // namespace consilium
