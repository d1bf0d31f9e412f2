// Single checks of a machine for the `doctor` commands: each says what it found and, when that is bad, the mend.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace consilium {

struct Check {
  std::string name;  // "disk"
  bool good = false;
  std::string text;
};

Check CheckDisk(const std::filesystem::path& directory, std::uint64_t least_free_bytes);
Check CheckDirectory(const std::filesystem::path& directory);  // There, ours, closed to others, writable.
Check CheckDescriptors(std::uint64_t least);                   // That this process could be granted.
// `not_before_ms`: wall time of something that was written here before (0: nothing was).
Check CheckClock(std::int64_t not_before_ms);
Check CheckName(const std::string& host);            // DNS, or an address.
Check CheckPort(const std::string& host, int port);  // Does something accept a TCP connection within 5 s?

Check CheckPortFree(const std::string& host, int port);  // Could this process listen there? "*": on every interface.

}  // namespace consilium
