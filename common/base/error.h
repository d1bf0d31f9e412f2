// Faults of the outside world are values. A message says what happened, why, and what to type next;
// it never holds a patient's value, a weight or a key.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace consilium {

// What the caller should do; the command line maps a code to its exit status (ExitStatus).
enum class Code {
  kInvalid,       // The input is wrong; mend it.                       exit 2
  kRefused,       // Policy, consent or budget says no.                 exit 3
  kUnreachable,   // The other side does not answer; try again.         exit 4
  kUnauthorised,  // Key or token is not accepted.                      exit 4
  kNotFound,      //                                                    exit 5
  kConflict,      // Exists already, or another process holds it.       exit 1
  kProtocol,      // The peer broke the protocol.                       exit 1
  kCorrupt,       // Stored bytes do not match their hash or version.   exit 1
  kIo,            // Disk or system call.                               exit 1
};

struct Error {
  Code code;
  std::string what;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

inline std::unexpected<Error> Fail(Code code, std::string what) {
  return std::unexpected(Error{code, std::move(what)});
}
int ExitStatus(Code code);

// TRY(expression) is the value, or returns the error from the enclosing function.
#define TRY(...)                                                                          \
  ({                                                                                      \
    auto&& try_result_ = (__VA_ARGS__);                                                   \
    if (!try_result_.has_value()) return std::unexpected(std::move(try_result_).error()); \
    std::move(try_result_).value();                                                       \
  })

}  // namespace consilium
