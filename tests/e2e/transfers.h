// Large answers through real processes, over lines that may be cut or stand still.
#pragma once

#include <memory>
#include <vector>

#include "tests/e2e/federation.h"
#include "tests/e2e/proxy.h"

namespace consilium::e2e {

inline constexpr auto kLongPatience = std::chrono::minutes(10);  // For one large answer.
inline constexpr std::uint64_t kMiB = 1 << 20;

class LargeFederation : public Federation {
 public:
  explicit LargeFederation(const Founding& founding) : Federation(founding), founding_(founding) {}
  // Puts a proxy before each hospital and starts everything.
  void StartBehindProxies();
  [[nodiscard]] Proxy& proxy(int i) { return *proxies_.at(static_cast<std::size_t>(i)); }

  // Submits a describe study of 8 * columns * bins bytes, approved everywhere.
  std::string Begin(const std::string& name, int bins);
  // Expects that it ends with one answer from everybody; the coordinator's digest of it.
  std::string End(const std::string& study);
  [[nodiscard]] std::uint64_t AnswerBytes(int bins) const {
    return std::uint64_t{8} * static_cast<std::uint64_t>(founding_.columns) * static_cast<std::uint64_t>(bins);
  }
  bool Uploaded(const std::string& study, int i);

  double PeakMiB();  // The coordinator's memory at its highest since it started, in MiB.

 private:
  Founding founding_;
  std::vector<std::unique_ptr<Proxy>> proxies_;
};

}  // namespace consilium::e2e
