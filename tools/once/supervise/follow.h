// follow(): the loop in which the front spends its life while the command runs. It passes output
// and signals on, and ends when there is something to decide.
#pragma once

#include "once/clock.h"
#include "signals.h"
#include "stream.h"
#include "supervisor.h"

namespace once::supervise {

struct Ending {
  enum class Kind {
    not_started,    // the command could not be executed; `value` is the errno
    ended,          // `value` is its wait status
    timed_out,      // it took too long, and it and all that it started was ended
    guardian_died,  // somebody killed the guardian; everything below it was killed then
    lease_lost,     // the reservation was lost, and everything killed for it
  };
  Kind kind = Kind::ended;
  int value = 0;
};

// The command's two streams; null when it has ours.
struct Output {
  Stream* out = nullptr;
  Stream* err = nullptr;
};

// How long the command may take. Then it is asked to end, with everything that it started; what is
// left of that when the command itself has ended, or `grace` later, is killed.
struct TimeLimit {
  Duration longest = forever;
  Duration grace{};
};

// Call it after Supervisor::go(). `lease_lost` is readable from the moment at which the reservation
// is somebody else's. What was in the pipes when the command ended has been taken from them on
// return; see flush().
[[nodiscard]] Ending follow(Supervisor& supervisor, const Signals& signals, Output output,
                            int lease_lost, const TimeLimit& limit = {});

// Writes what is still waiting, for as long as its readers take; a signal that ends processes gives
// it up.
void flush(const Signals& signals, Output output);

}  // namespace once::supervise
