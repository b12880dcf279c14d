// Supervisor: the front's end of a supervised command.
//
//   auto signals = Signals::take();
//   auto supervisor = Supervisor::start({"make", "it"}, "acme/build/7", *signals,
//   Streams::captured); options.holder = supervisor->holder();  // reserve with it, then
//   supervisor->go(reservation.token.value, reservation.attempt);
//   ...
//   supervisor->finish();                   // once the outcome is on disk
//
// Not thread-safe. A Supervisor that is destroyed without finish() leaves a guardian that sees the
// end of its stream and kills everything, as it does when the front dies.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "descriptor.h"
#include "message.h"
#include "once/error.h"
#include "once/holder.h"
#include "signals.h"

namespace once::supervise {

enum class Streams {
  captured,   // stdout and stderr of the command come through us
  inherited,  // the command has ours
};

class Supervisor {
 public:
  // Forks the guardian; the command does not run yet. Call it before any thread exists and before
  // a store is opened. `signals` must outlive the call only. Errors: io.
  static Result<Supervisor> start(const std::vector<std::string>& command, std::string key,
                                  const Signals& signals, Streams streams);
  Supervisor(Supervisor&&) noexcept = default;
  Supervisor& operator=(Supervisor&&) noexcept = delete;
  ~Supervisor();

  // The process that lives for as long as anything of the command may live.
  [[nodiscard]] const Holder& holder() const { return holder_; }
  // The reading ends of what the command writes; none when inherited.
  Descriptor& out() { return out_; }
  Descriptor& err() { return err_; }

  // Starts the command; the answer comes as a notice. What these send to a guardian that died is
  // lost: the end of the notices tells.
  void go(std::uint64_t token, std::uint32_t attempt);
  void pass_signal(int number);
  // Asks the command and everything that it started to end (SIGTERM).
  void end();
  // Kills everything that the command started; the notice `killed` tells when nothing is left.
  void kill();

  // Readable when there is a notice.
  [[nodiscard]] int descriptor() const { return control_.get(); }
  // Waits for the next notice. nullopt: the guardian died; see clean_up().
  [[nodiscard]] std::optional<Notice> receive();
  // After the guardian died: kills what it left behind. The guardian stays a zombie, so that
  // others can see for how long we are at it (see GuardedProcesses). Call finish() after it, too.
  void clean_up();

  // Lets the guardian go; what the command left running lives on.
  void finish();

 private:
  Supervisor() = default;

  Descriptor control_;
  Descriptor out_;
  Descriptor err_;
  pid_t guardian_ = 0;
  Holder holder_;
};

}  // namespace once::supervise
