// Holder: which process holds a reservation, and whether it still runs.
//
// A killed owner is found out at once rather than when its lease lapses: a record keeps who holds
// it, and whoever meets that record asks the operating system whether that very process (not
// another one with the same number) is still there. Where this cannot be known, only the lease
// counts.
//
//   auto found = store.find("charge:42").value();
//   if (found && found->record.status == once::Status::in_progress &&
//       once::system_processes()->liveness(found->record.holder) == once::Liveness::dead) {
//     std::cout << to_string(found->record.holder) << " has ended and left it behind\n";
//   }
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "once/clock.h"

namespace once {

// A process, told apart from later ones with the same number. Zeros mean "nobody known".
struct Holder {
  BootId boot{};                    // which start of the machine
  std::uint64_t pid_namespace = 0;  // inode of /proc/PID/ns/pid
  std::uint32_t pid = 0;
  std::uint64_t start_time = 0;  // of the process, in clock ticks since boot

  friend bool operator==(const Holder&, const Holder&) = default;
};

// "pid 4242", or "nobody known".
[[nodiscard]] std::string to_string(const Holder& holder);

enum class Liveness : std::uint8_t {
  running = 1,
  dead = 2,
  unknown = 3,  // another pid namespace, or the system does not tell
};

// All functions are safe to call from many threads at once.
class Processes {
 public:
  Processes() = default;
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;
  virtual ~Processes() = default;

  // The calling process.
  [[nodiscard]] virtual Holder self() const = 0;
  // Whether the process of `holder` runs. A zombie counts as dead: it can do nothing any more. But
  // while `once run` or `once lock` kills what its dead guardian left behind, the guardian runs.
  [[nodiscard]] virtual Liveness liveness(const Holder& holder) const = 0;
};

// The operating system's processes, by /proc. Never null; shared by the whole process.
[[nodiscard]] std::shared_ptr<const Processes> system_processes();

}  // namespace once
