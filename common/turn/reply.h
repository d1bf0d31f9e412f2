// Replies to requests, the same on both daemons (docs/api.md).
#pragma once

#include "common/turn/turn.h"

namespace consilium {

std::string_view Name(Code code);          // "invalid"
Code CodeFromName(std::string_view name);  // kIo when unknown.
int HttpStatus(Code code);                 // 400, 403, ...
Reply JsonReply(std::uint64_t request, const Value& body, int status = 200);
Reply TextReply(std::uint64_t request, std::string_view content_type, std::string_view text);
Reply ErrorReply(std::uint64_t request, const Error& error);  // {"error": {"code", "message"}}

// One line of an exported chain: {"hash", "prev", "row", "seq"}; `row` is canonical JSON as stored. `head` moves on.
std::string AuditLine(ChainHead* head, ByteView row);
// The export's last line, {"end": {"head", "rows"}}: a cut tail is found too.
std::string AuditEnd(const ChainHead& head);

}  // namespace consilium
