#include "common/base/error.h"

#include <cstdio>
#include <cstdlib>

#include "common/base/check.h"

namespace consilium {

int ExitStatus(Code code) {
  switch (code) {
    case Code::kInvalid:
      return 2;
    case Code::kRefused:
      return 3;
    case Code::kUnreachable:
    case Code::kUnauthorised:
      return 4;
    case Code::kNotFound:
      return 5;
    case Code::kConflict:
    case Code::kProtocol:
    case Code::kCorrupt:
    case Code::kIo:
      return 1;
  }
  return 1;
}

void CheckFailed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "consilium: internal error: %s does not hold at %s:%d; please report it\n", what, file, line);
  std::abort();
}

}  // namespace consilium
