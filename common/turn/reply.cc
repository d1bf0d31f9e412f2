#include "common/turn/reply.h"

#include <array>

namespace consilium {
namespace {

struct Row {
  Code code;
  std::string_view name;
  int http;
};
constexpr std::array<Row, 9> kCodes = {{{Code::kInvalid, "invalid", 400},
                                        {Code::kRefused, "refused", 403},
                                        {Code::kUnreachable, "unreachable", 502},
                                        {Code::kUnauthorised, "unauthorised", 401},
                                        {Code::kNotFound, "not_found", 404},
                                        {Code::kConflict, "conflict", 409},
                                        {Code::kProtocol, "protocol", 400},
                                        {Code::kCorrupt, "corrupt", 500},
                                        {Code::kIo, "io", 500}}};

const Row& Find(Code code) { return kCodes[static_cast<std::size_t>(code)]; }

}  // namespace

std::string_view Name(Code code) { return Find(code).name; }

Code CodeFromName(std::string_view name) {
  for (const Row& row : kCodes) {
    if (row.name == name) return row.code;
  }
  return Code::kIo;
}

int HttpStatus(Code code) { return Find(code).http; }

Reply JsonReply(std::uint64_t request, const Value& body, int status) {
  return {request, status, "application/json", ToBytes(View(CanonicalJson(body)))};
}

Reply TextReply(std::uint64_t request, std::string_view content_type, std::string_view text) {
  return {request, 200, std::string(content_type), ToBytes(View(text))};
}

Reply ErrorReply(std::uint64_t request, const Error& error) {
  Value body;
  body.Set("error", Value().Set("code", Name(error.code)).Set("message", error.what));
  return JsonReply(request, body, HttpStatus(error.code));
}

std::string AuditLine(ChainHead* head, ByteView row) {
  const ChainHead next = ChainNext(*head, row);
  std::string line = "{\"hash\":\"" + next.hash.Hex() + "\",\"prev\":\"" + head->hash.Hex() + "\",\"row\":";
  line.append(Text(row)).append(",\"seq\":").append(std::to_string(next.seq)).append("}\n");
  *head = next;
  return line;
}

std::string AuditEnd(const ChainHead& head) {
  return "{\"end\":{\"head\":\"" + head.hash.Hex() + "\",\"rows\":" + std::to_string(head.seq) + "}}\n";
}

}  // namespace consilium
