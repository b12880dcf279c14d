#include "report/machine.h"

#include <fmt/format.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

namespace once::bench {

std::string machine_text() {
  std::string processor = "processors";
  std::ifstream facts("/proc/cpuinfo");
  for (std::string line; std::getline(facts, line);) {
    if (line.starts_with("model name")) {
      processor = line.substr(line.find(':') + 2);
      break;
    }
  }
  struct sysinfo memory{};
  sysinfo(&memory);
  utsname system{};
  uname(&system);
  const double bytes = static_cast<double>(memory.totalram) * memory.mem_unit;
  return fmt::format("{} x {}, {:.0f} GiB, {} {}", std::thread::hardware_concurrency(), processor,
                     bytes / (1 << 30), system.sysname, system.release);
}

std::string disk_text(const std::filesystem::path& folder) {
  const std::string path = std::filesystem::weakly_canonical(folder).string();
  std::ifstream mounts("/proc/self/mounts");
  std::string best;
  std::string text = "an unknown file system";
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string device;
    std::string point;
    std::string type;
    fields >> device >> point >> type;
    const bool within = point == "/" || path == point || path.starts_with(point + "/");
    if (within && point.size() >= best.size()) {
      best = point;
      text = type + " on " + device;
    }
  }
  return text;
}

std::string date_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &parts);
  return text;
}

bool in_memory(const std::filesystem::path& folder) {
  constexpr auto tmpfs_magic = 0x01021994;
  struct statfs facts{};
  return statfs(folder.c_str(), &facts) == 0 && facts.f_type == tmpfs_magic;
}

}  // namespace once::bench
