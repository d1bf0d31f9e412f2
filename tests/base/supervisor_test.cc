// The datagrams that systemd's Type=notify and WatchdogSec wait for.
#include "common/base/supervisor.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace consilium {
namespace {

TEST(Supervisor, GetsWhatItIsToldOnItsSocket) {
  std::string folder = (std::filesystem::temp_directory_path() / "consilium-notify-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder + "/notify";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
  NotifySupervisor("READY=1");
  char text[64] = {};
  EXPECT_EQ(recv(fd, text, sizeof text, MSG_DONTWAIT), 7);
  EXPECT_STREQ(text, "READY=1");
  close(fd);
  std::filesystem::remove_all(folder);
  NotifySupervisor("WATCHDOG=1");  // Nobody listens any more: no harm.
  unsetenv("NOTIFY_SOCKET");
  NotifySupervisor("STOPPING=1");
}

TEST(Supervisor, TheWatchdogIsThisProcessesOrNone) {
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
  EXPECT_EQ(WatchdogPeriod(), std::nullopt);
  setenv("WATCHDOG_USEC", "60000000", 1);
  EXPECT_EQ(WatchdogPeriod(), std::chrono::seconds(30));
  setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(WatchdogPeriod(), std::nullopt);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  EXPECT_EQ(WatchdogPeriod(), std::chrono::seconds(30));
  for (const char* bad : {"", "0", "-5", "abc"}) {
    setenv("WATCHDOG_USEC", bad, 1);
    EXPECT_EQ(WatchdogPeriod(), std::nullopt) << bad;
  }
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
}

}  // namespace
}  // namespace consilium
