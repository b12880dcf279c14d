#include "base/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <vector>

namespace once {
namespace {

// Reads a small file of /proc. nullopt when it cannot be opened or read.
std::optional<std::string> read_small_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::string content;
  char buffer[1024];
  ssize_t got = 0;
  while ((got = ::read(file, buffer, sizeof buffer)) > 0) {
    content.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(file);
  if (got < 0) return std::nullopt;
  return content;
}

struct ProcessStat {
  std::string name{};
  char state = '?';
  std::uint32_t parent = 0;
  std::uint64_t threads = 0;
  std::uint64_t start_time = 0;
};

// Reads /proc/PID/stat (proc(5)): the name in parentheses may contain anything, so fields are
// counted from the last parenthesis: state is the 1st after it, ppid the 2nd, num_threads the 18th,
// starttime the 20th.
std::optional<ProcessStat> read_stat(std::uint32_t pid) {
  const auto text = read_small_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return std::nullopt;
  const std::size_t name_end = text->rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text->size()) return std::nullopt;
  ProcessStat stat;
  if (const std::size_t begin = text->find('('); begin < name_end) {
    stat.name = text->substr(begin + 1, name_end - begin - 1);
  }
  std::size_t at = name_end + 2;
  for (int field = 1; field <= 20 && at < text->size(); ++field) {
    const std::size_t end = std::min(text->find(' ', at), text->size());
    const char* first = text->data() + at;
    const char* last = text->data() + end;
    if (field == 1) stat.state = *first;
    if (field == 2) std::from_chars(first, last, stat.parent);
    if (field == 18) std::from_chars(first, last, stat.threads);
    if (field == 20) std::from_chars(first, last, stat.start_time);
    at = end + 1;
  }
  return stat;
}

std::string guardian_name(std::uint32_t front) {
  return fmt::format("once-g:{}", front);  // 15 characters at most
}

std::uint64_t read_namespace(const char* path) {
  struct stat status{};
  return ::stat(path, &status) == 0 ? status.st_ino : 0;
}

// Processes of another time namespace count times from another boot, so that their start times say
// nothing here: they are told apart like those of another pid namespace. 0: unknown.
std::uint64_t read_pid_namespace() {
  const std::uint64_t pid_namespace = read_namespace("/proc/self/ns/pid");
  return pid_namespace == 0 ? 0 : pid_namespace ^ (time_namespace() << 32U);
}

class SystemProcesses final : public Processes {
 public:
  Holder self() const override {
    const auto pid = static_cast<std::uint32_t>(::getpid());
    const auto stat = read_stat(pid);
    return {.boot = boot_,
            .pid_namespace = read_pid_namespace(),
            .pid = pid,
            .start_time = stat ? stat->start_time : 0};
  }

  Liveness liveness(const Holder& holder) const override {
    if (holder.pid == 0 || holder.boot == BootId{} || boot_ == BootId{}) return Liveness::unknown;
    if (holder.boot != boot_) return Liveness::dead;
    // An inode number is used again only after the namespace is gone with all its processes, so an
    // equal number never makes a living owner look dead.
    if (holder.pid_namespace == 0 || holder.pid_namespace != read_pid_namespace()) {
      return Liveness::unknown;
    }
    // kill() and not the presence of /proc/PID: /proc may hide the processes of other users.
    if (::kill(static_cast<pid_t>(holder.pid), 0) != 0 && errno == ESRCH) return Liveness::dead;
    const auto stat = read_stat(holder.pid);
    if (!stat || holder.start_time == 0) return Liveness::unknown;
    if (stat->start_time != holder.start_time) return Liveness::dead;
    // A zombie whose other threads run on is alive: its first thread has ended, not the process.
    const bool ended = (stat->state == 'Z' || stat->state == 'X') && stat->threads <= 1;
    // When the front is gone too it has another parent.
    const bool cleaned_up_after = ended && stat->name == guardian_name(stat->parent);
    return ended && !cleaned_up_after ? Liveness::dead : Liveness::running;
  }

 private:
  const BootId boot_ = read_boot_id();
};

std::atomic<std::uint32_t> generation{0};

// -1: free. Atomics, since a forked child may touch nothing that another thread can have locked.
std::array<std::atomic<int>, 64> closed_in_child;
[[maybe_unused]] const bool initialised = [] {
  for (auto& file : closed_in_child) file = -1;
  return true;
}();

void on_fork_in_child() {
  generation.fetch_add(1, std::memory_order_relaxed);
  for (auto& file : closed_in_child) {
    const int number = file.exchange(-1);
    if (number >= 0) ::close(number);
  }
}

}  // namespace

std::uint64_t time_namespace() {
  constexpr std::uint64_t initial =
      0xEFFFFFFA;  // of the machine itself, by the kernel's definition
  const std::uint64_t own = read_namespace("/proc/self/ns/time");
  return own == initial ? 0 : own;
}

BootId read_boot_id() {
  BootId id{};
  const auto text = read_small_file("/proc/sys/kernel/random/boot_id");
  if (!text) return id;
  std::size_t digits = 0;
  for (const char c : *text) {
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0 || digits == 2 * id.size()) continue;
    id[digits / 2] = static_cast<std::uint8_t>(id[digits / 2] << 4 | value);
    ++digits;
  }
  return id;
}

std::uint32_t fork_generation() {
  static const int registered = ::pthread_atfork(nullptr, nullptr, &on_fork_in_child);
  (void)registered;
  return generation.load(std::memory_order_relaxed);
}

void close_in_forked_child(int file) {
  (void)fork_generation();  // registers the handler
  for (auto& slot : closed_in_child) {
    int free = -1;
    if (slot.compare_exchange_strong(free, file)) return;
  }
}

void skip_destructors_in_forked_child() {
  static const std::uint32_t home = fork_generation();
  static const int registered = ::on_exit(
      [](int code, void*) {
        if (fork_generation() == home) return;
        std::fflush(nullptr);
        ::_exit(code);
      },
      nullptr);
  (void)registered;
}

void forget_in_forked_child(int file) {
  for (auto& slot : closed_in_child) {
    int number = file;
    if (slot.compare_exchange_strong(number, -1)) return;
  }
}

void name_guardian(std::uint32_t front) {
  ::prctl(PR_SET_NAME, guardian_name(front).c_str());
}

std::string command_name(std::uint32_t pid) {
  auto name = read_small_file(fmt::format("/proc/{}/comm", pid));
  if (!name) return "";
  while (!name->empty() && name->back() == '\n') name->pop_back();
  return *name;
}

std::string to_string(const Holder& holder) {
  return holder.pid == 0 ? "nobody known" : fmt::format("pid {}", holder.pid);
}

std::shared_ptr<const Processes> system_processes() {
  static const std::shared_ptr<const Processes> processes = std::make_shared<SystemProcesses>();
  return processes;
}

}  // namespace once
