// The guardian: a small process between `once run` and the command, so that no death leaves the
// command running while somebody else takes its key over.
//
//   once run (the front) ── guardian ── command ── whatever the command starts
//
// - The guardian is who holds the reservation (ReserveOptions::holder). A guardian that is dead
//   means that everything below it is dead, so that a key is taken over only then.
// - The front dies without a word (kill -9): the guardian kills everything below it, then ends.
// - The guardian dies: the front, which is a subreaper too, does the same; see supervisor.h. Until
//   then it keeps the guardian as a zombie, which counts as alive (base/process.h,
//   name_guardian()).
// - All is well: the guardian stays until the outcome is on disk and then leaves without touching
//   anything, so that a daemon which the command started on purpose lives on.
//
// It is forked before the front has any thread or an open store, and it opens no store. It stands
// in a process group of its own, with every signal blocked: neither a key of the terminal nor a
// signal sent to the group of the command reaches it.
#pragma once

#include <string>
#include <vector>

#include "descriptor.h"
#include "signals.h"

namespace once::supervise {

struct GuardianJob {
  const std::vector<std::string>* command = nullptr;  // not empty
  std::string key;                                    // written form, for ONCE_KEY
  const Signals* signals = nullptr;                   // what the command gets its signals back from
  pid_t front = 0;                                    // whose process group the command joins
  Descriptor control;
  Descriptor out;  // what the command writes to; none: the front's own
  Descriptor err;
};

// Does the guardian's work in a process just forked; never returns.
[[noreturn]] void run_guardian(GuardianJob job);

}  // namespace once::supervise
