#include "common/storage/audit.h"

#include "common/turn/reply.h"

namespace consilium {
namespace {

AuditVerdict Bad(std::uint64_t rows, std::uint64_t line, std::string reason) {
  return {rows, false, line, std::move(reason)};
}

// Why a line is not the one that must follow `head`: the reader wants to know what was done, not only that it was.
std::string Why(const Value& line, const ChainHead& head, const ChainHead& next) {
  if (line["seq"].AsInteger(-1) != static_cast<std::int64_t>(next.seq))
    return "a row is missing, doubled or out of order";
  if (line["prev"].AsString() != head.hash.Hex()) return "it does not continue the row before it";
  if (line["hash"].AsString() != next.hash.Hex()) return "its content does not match its hash";
  return "it is not written in the canonical form";
}

}  // namespace

AuditVerdict VerifyExport(std::string_view text) {
  ChainHead head;
  for (std::uint64_t number = 1;; ++number) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return Bad(head.seq, number, "the file ends before its last line");
    const std::string_view line = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    if (line == AuditEnd(head)) {
      if (!text.empty()) return Bad(head.seq, number + 1, "something follows the last line");
      return {head.seq, true, 0, ""};
    }
    const Result<Value> parsed = ParseJson(line);
    if (!parsed) return Bad(head.seq, number, "it is no JSON: " + parsed.error().what);
    if (parsed->Has("end"))
      return Bad(head.seq, number, "the last line does not match the rows: rows are missing or changed");
    ChainHead next = head;
    if (AuditLine(&next, View(CanonicalJson((*parsed)["row"]))) != line)
      return Bad(head.seq, number, Why(*parsed, head, next));
    head = next;
  }
}

}  // namespace consilium
