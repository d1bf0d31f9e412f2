// Checks an exported chain (docs/protocol.md, "The audit log"); AuditLine and AuditEnd in common/turn/reply.h write
// one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace consilium {

struct AuditVerdict {
  std::uint64_t rows = 0;  // That verified, up to the first bad one.
  bool valid = false;
  std::uint64_t first_bad_row = 0;  // Line number in the file, from 1; 0 when valid.
  std::string reason;               // "" when valid.
};
// Every byte counts: a flipped one, a deleted, doubled or reordered row and a cut tail are all found.
AuditVerdict VerifyExport(std::string_view text);

}  // namespace consilium
