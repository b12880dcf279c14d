// The tree of processes below this one: everything that a command started, and that what it started
// has started, for as long as it lives.
//
// Complete only in a process that is a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): then whatever
// loses its parent, daemons with a session of their own included, becomes our child and not that
// of init. What a command asks another service to start (a container engine, systemd, at) was never
// below us.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

namespace once::supervise {

// The processes below this one at the moment of looking, nearest first; zombies too.
[[nodiscard]] std::vector<pid_t> descendants();

// Kills (SIGKILL) everything below this process but `spared`, a child that is dead already and is
// to be kept as a zombie (0: none), and returns when none of it is left. Every child that ended on
// the way is handed to `reaped` with its wait status.
void kill_tree(pid_t spared, const std::function<void(pid_t, int)>& reaped);

}  // namespace once::supervise
