#include "tests/e2e/transfers.h"

#include <sstream>

namespace consilium::e2e {

void LargeFederation::StartBehindProxies() {
  StartCoordinator();
  for (int i = 0; i < hospitals(); ++i) {
    proxies_.push_back(std::make_unique<Proxy>(HospitalPort()));
    SetEndpoint(i, proxies_.back()->port());
    LaunchNode(i);
  }
  ASSERT_TRUE(WaitAllOnline());
}

std::string LargeFederation::Begin(const std::string& name, int bins) {
  const std::string study =
      CliJson({"study", "submit", WritePlan(NumbersPlan(name, founding_, bins))})["study"].AsString();
  ApproveAll(study);
  return study;
}

std::string LargeFederation::End(const std::string& study) {
  Value last;
  EXPECT_TRUE(WaitUntil(
      [&] {
        last = Study(study);
        const std::string& phase = last["phase"].AsString();
        return phase == "complete" || phase == "failed" || phase == "aborted";
      },
      kLongPatience));
  EXPECT_EQ(last["phase"].AsString(), "complete") << last["reason"].AsString();
  EXPECT_EQ(last["last_answer"]["survivors"].AsArray().size(), static_cast<std::size_t>(hospitals()));
  EXPECT_EQ(last["results"]["describe"]["rows"].AsInteger(), 12 * hospitals());
  for (const Value& column : last["results"]["describe"]["columns"].AsArray()) {
    EXPECT_EQ(column["count"].AsInteger(), 12 * hospitals());
    EXPECT_GT(column["median"].AsDouble(), 0.0);
  }
  return last["last_answer"]["digest"].AsString();
}

bool LargeFederation::Uploaded(const std::string& study, int i) {
  const Value state = Study(study);
  const auto& hospitals = state["hospitals"].AsArray();
  return static_cast<std::size_t>(i) < hospitals.size() && hospitals[static_cast<std::size_t>(i)]["uploaded"].AsBool();
}

double LargeFederation::PeakMiB() {
  std::istringstream in(ReadText("/proc/" + std::to_string(coordinator_process().pid()) + "/status"));
  for (std::string word; in >> word;) {
    double kib = 0;
    if (word == "VmHWM:" && in >> kib) return kib / 1024;
  }
  ADD_FAILURE() << "no VmHWM";
  return 0;
}

}  // namespace consilium::e2e
