// Signals: takes the signals that are meant for the command out of the normal way of signals, so
// that the loop which passes on output reads them like any other input.
//
// Signals arrive blocked, through a signalfd, and no handler is installed: what was ignored when
// we were started (nohup) is still ignored by the command, and threads that start later inherit the
// block, so that none of them is ever interrupted.
#pragma once

#include <csignal>
#include <optional>

#include "descriptor.h"
#include "once/error.h"

namespace once::supervise {

class Signals {
 public:
  // Blocks what is passed on, ignores SIGPIPE, and gives SIGCHLD its default. Call it once, before
  // any thread exists. Errors: io.
  static Result<Signals> take();

  struct Arrival {
    int number = 0;
    // The kernel sent it: a key of the terminal, or the terminal going away. Such a signal goes to
    // the whole foreground process group, so that the command has had it already.
    bool from_terminal = false;
  };

  // Readable when a signal is there.
  [[nodiscard]] int descriptor() const { return fd_.get(); }
  // The next signal that arrived, without waiting.
  [[nodiscard]] std::optional<Arrival> next() const;
  // The next one that asks a process to end, for the time in which no command runs: signals which
  // were ignored from the start are passed over, and so are all others.
  [[nodiscard]] std::optional<int> next_ending() const;

  // Puts mask and dispositions back to what they were before take(); for the command to start with.
  void restore() const;

 private:
  Descriptor fd_;
  sigset_t mask_{};
  struct sigaction pipe_{};
  struct sigaction child_{};
};

}  // namespace once::supervise
