#include "waiting.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string>
#include <string_view>

#include "base/process.h"
#include "once/clock.h"

namespace once::supervise {
namespace {

using namespace std::chrono_literals;

// When to look whether a process that lives on has finished, and how often at least.
constexpr Duration first_look = 250ms;
constexpr Duration longest_pause = 1s;

// The parent of a zombie, or 0 when `pid` is none.
std::uint32_t parent_of_zombie(std::uint32_t pid) {
  const Descriptor file(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  char buffer[512];
  const auto got = retry([&] { return ::read(file.get(), buffer, sizeof buffer); });
  if (got <= 0) return 0;
  const std::string_view text(buffer, static_cast<std::size_t>(got));
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 4 >= text.size()) return 0;
  if (text[name_end + 2] != 'Z') return 0;
  std::uint32_t parent = 0;
  std::from_chars(text.data() + name_end + 4, text.data() + text.size(), parent);
  return parent;
}

// The front that is still cleaning up behind the guardian `pid`, or 0. A front bears the name of
// this program; a zombie with another parent (init, after its front died too) is just dead.
std::uint32_t front_cleaning_up(std::uint32_t pid) {
  const std::uint32_t parent = parent_of_zombie(pid);
  if (parent <= 1) return 0;
  const std::string name = command_name(parent);
  return !name.empty() && name == command_name(static_cast<std::uint32_t>(::getpid())) ? parent : 0;
}

class GuardedProcesses final : public Processes {
 public:
  Holder self() const override { return system_processes()->self(); }

  Liveness liveness(const Holder& holder) const override {
    const Liveness seen = system_processes()->liveness(holder);
    if (seen != Liveness::dead) return seen;
    Holder here = self();
    here.pid = holder.pid;
    here.start_time = holder.start_time;
    // Of another boot or namespace: the number means somebody else here.
    if (!(here == holder)) return seen;
    return front_cleaning_up(holder.pid) != 0 ? Liveness::running : seen;
  }
};

// Readable when the process ends. None: it is not there, or is not the one that was meant.
Descriptor watch(const Holder& holder) {
  if (system_processes()->liveness(holder) != Liveness::running) return {};
  Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, holder.pid, 0)));
  // The number may have gone to another process before it was opened, but not after.
  if (system_processes()->liveness(holder) != Liveness::running) return {};
  return process;
}

}  // namespace

std::shared_ptr<const Processes> guarded_processes() {
  static const std::shared_ptr<const Processes> processes = std::make_shared<GuardedProcesses>();
  return processes;
}

std::optional<int> wait_for_holder(const Record& record, Duration longest, const Signals& signals,
                                   const std::function<bool()>& finished) {
  const Descriptor process = watch(record.holder);
  Duration time = longest;
  if (process) {
    // A store's time is near to the wall clock, so that this may be early or late; both are
    // harmless.
    const Duration lease = record.lease_until - system_clock()->wall();
    time = std::min(time, std::max(lease, Duration{20ms}));
  } else if (guarded_processes()->liveness(record.holder) == Liveness::unknown) {
    time = std::min(time, Duration{100ms});
  } else {
    // It has ended just now; or its front is cleaning up, which takes a moment.
    time = std::min(time, Duration{5ms});
  }
  pollfd events[] = {{.fd = process.get(), .events = POLLIN, .revents = 0},
                     {.fd = signals.descriptor(), .events = POLLIN, .revents = 0}};
  const auto clock = system_clock();
  const Duration end = clock->since_boot() + std::clamp(time, Duration{0}, Duration{24h});
  for (Duration pause = first_look;; pause = std::min(2 * pause, longest_pause)) {
    const Duration left = std::max(end - clock->since_boot(), Duration{0});
    const auto part = static_cast<int>(std::min(left, pause).count());
    const int ready = retry([&] { return ::poll(events, std::size(events), part); });
    if (ready != 0 || left <= pause || finished()) return signals.next_ending();
  }
}

}  // namespace once::supervise
