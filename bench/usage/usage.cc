#include "usage/usage.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

extern "C" std::uint64_t once_bench_syncs();
extern "C" void once_bench_count_sync();

namespace once::bench {
namespace {

namespace fs = std::filesystem;

// The field `name` of a file of lines such as "write_bytes: 4096". 0 when it is not there.
std::uint64_t field(const fs::path& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) return std::stoull(line.substr(name.size() + 1));
  }
  return 0;
}

fs::path proc(pid_t process) {
  return fs::path("/proc") / std::to_string(process);
}

struct Stat {
  pid_t parent = 0;
  double cpu_seconds = 0;
};
// Of the process, and of those of its children that have ended.
Stat stat_of(pid_t process) {
  std::ifstream file(proc(process) / "stat");
  std::string text;
  std::getline(file, text, '\0');
  const auto end = text.rfind(')');  // the name may hold anything
  if (end == std::string::npos) return {};
  std::istringstream fields(text.substr(end + 1));
  std::string state;
  Stat stat;
  fields >> state >> stat.parent;
  std::uint64_t ticks = 0;
  for (int number = 5; number <= 17; ++number) {
    std::int64_t value = 0;
    fields >> value;
    if (number >= 14) ticks += static_cast<std::uint64_t>(value);
  }
  stat.cpu_seconds = static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return stat;
}

std::vector<pid_t> with_children(const std::vector<pid_t>& servers) {
  if (servers.empty()) return {};
  std::multimap<pid_t, pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto process = static_cast<pid_t>(std::stol(name));
    children.emplace(stat_of(process).parent, process);
  }
  std::vector<pid_t> all = servers;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto [first, last] = children.equal_range(all[i]);
    for (auto child = first; child != last; ++child) all.push_back(child->second);
  }
  return all;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

Usage usage_now(const std::vector<pid_t>& servers, const fs::path& syncs_file) {
  Usage usage;
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  usage.cpu_seconds = seconds(own.ru_utime) + seconds(own.ru_stime);
  usage.written_bytes = field("/proc/self/io", "wchar");
  usage.syncs = once_bench_syncs();
  for (const pid_t server : with_children(servers)) {
    usage.cpu_seconds += stat_of(server).cpu_seconds;
    usage.written_bytes += field(proc(server) / "io", "wchar");
  }
  if (!syncs_file.empty()) {
    std::uint64_t counted = 0;
    std::ifstream(syncs_file, std::ios::binary).read(reinterpret_cast<char*>(&counted), 8);
    usage.syncs += counted;
  }
  return usage;
}

std::uint64_t memory_of(pid_t process) {
  return field(proc(process) / "smaps_rollup", "Pss") * 1024;
}

std::uint64_t memory_now(const std::vector<pid_t>& servers) {
  std::uint64_t bytes = memory_of(getpid());
  for (const pid_t server : with_children(servers)) bytes += memory_of(server);
  return bytes;
}

std::uint64_t disk_bytes(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code gone;  // files come and go while a store works
  for (fs::recursive_directory_iterator at(folder, gone), end; !gone && at != end;
       at.increment(gone)) {
    struct stat facts{};
    if (lstat(at->path().c_str(), &facts) == 0 && S_ISREG(facts.st_mode)) {
      bytes += static_cast<std::uint64_t>(facts.st_blocks) * 512;
    }
  }
  return bytes;
}

void count_sync() {
  once_bench_count_sync();
}

}  // namespace once::bench
