#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <string_view>
#include <unordered_map>

#include "descriptor.h"

namespace once::supervise {
namespace {

using Children = std::unordered_map<pid_t, std::vector<pid_t>>;

// The parent of a process, or 0. /proc/PID/stat is "pid (name) state ppid ..."; the name may
// contain anything, so that only the last parenthesis counts.
pid_t parent_of(pid_t pid) {
  const Descriptor file(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  char buffer[512];
  const auto got = retry([&] { return ::read(file.get(), buffer, sizeof buffer); });
  if (got <= 0) return 0;
  const std::string_view text(buffer, static_cast<std::size_t>(got));
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 4 >= text.size()) return 0;
  pid_t parent = 0;
  std::from_chars(text.data() + name_end + 4, text.data() + text.size(), parent);
  return parent;
}

// Every process by its parent. Not from /proc/PID/task/TID/children: not every kernel has it, and
// it may skip some when one ends while it is read.
Children all_children() {
  Children children;
  DIR* const directory = ::opendir("/proc");
  if (directory == nullptr) return children;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (code != std::errc{} || *end != '\0') continue;
    if (const pid_t parent = parent_of(pid); parent > 0) children[parent].push_back(pid);
  }
  ::closedir(directory);
  return children;
}

// How long to wait for the end of one process before looking at the others again. Reached only by
// what cannot be killed at once: another user's process, or one that hangs in the kernel.
constexpr int patience_ms = 100;
constexpr int pause_ms = 5;

// Waits until `process` has ended, but not for ever.
void wait_for_end(pid_t process) {
  const Descriptor watched(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
  pollfd event = {.fd = watched.get(), .events = POLLIN, .revents = 0};
  retry([&] { return ::poll(&event, 1, patience_ms); });
}

// Reaps a child that is dying; waits for it, since a process is gone only when it says so itself.
bool reap(pid_t child, const std::function<void(pid_t, int)>& reaped) {
  wait_for_end(child);
  int status = 0;
  if (retry([&] { return ::waitpid(child, &status, WNOHANG); }) != child) return false;
  reaped(child, status);
  return true;
}

}  // namespace

std::vector<pid_t> descendants() {
  const Children children = all_children();
  std::vector<pid_t> found{::getpid()};
  for (std::size_t at = 0; at < found.size(); ++at) {
    const auto below = children.find(found[at]);
    if (below != children.end())
      found.insert(found.end(), below->second.begin(), below->second.end());
  }
  found.erase(found.begin());
  return found;
}

void kill_tree(pid_t spared, const std::function<void(pid_t, int)>& reaped) {
  // A process may fork between the moment we look and the moment it is killed. What it left is
  // below us all the same and is seen by the next look; two looks in a row that see nothing end it.
  for (int seen_nothing = 0; seen_nothing < 2;) {
    std::vector<pid_t> found = descendants();
    std::erase(found, spared);
    seen_nothing = found.empty() ? seen_nothing + 1 : 0;
    for (const pid_t pid : found) ::kill(pid, SIGKILL);
    bool reaped_one = false;
    for (const pid_t pid : found) {
      if (parent_of(pid) == ::getpid()) reaped_one |= reap(pid, reaped);
    }
    // Nothing has ended: some of it cannot be killed, or has not become our child yet. There is no
    // one thing to wait for, and without a pause we would read /proc as fast as we can.
    if (!found.empty() && !reaped_one) (void)::poll(nullptr, 0, pause_ms);
  }
}

}  // namespace once::supervise
