// acquire(): gets the right to carry a key out, waiting for whoever has it, and never holds the
// store while it waits.
#pragma once

#include <string>
#include <variant>

#include "once/error.h"
#include "once/key.h"
#include "once/options.h"
#include "once/reservation.h"
#include "signals.h"

namespace once::supervise {

// A signal asked us to end before anything had been started.
struct Interrupted {
  int signal = 0;
};

using Acquired = std::variant<Reservation, Replay, Interrupted>;

// A store, and what it is made as if it is missing.
struct Where {
  std::string path{};
  Layout make = Options{}.layout;
};

// Reserves `key` in the store at `where`, making the store if it is missing. `options.wait` is how
// long to wait while somebody else holds the key; whoever waits is woken by the end of the process
// that holds it, and asks again. A bar (progress.h) shows the waiting; it is gone on return.
// Errors: as Store::open() and Store::reserve(); busy names the key and who holds it.
[[nodiscard]] Result<Acquired> acquire(const Where& where, const Key& key, ReserveOptions options,
                                       const Signals& signals);

}  // namespace once::supervise
