// What the operating system tells about processes; see once/holder.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "once/clock.h"
#include "once/holder.h"

namespace once {

// The time namespace of this process (time_namespaces(7)); 0: the machine's own, or unknown.
[[nodiscard]] std::uint64_t time_namespace();
// The boot id of the running kernel; zeros if /proc does not tell.
[[nodiscard]] BootId read_boot_id();

// Counts the forks that led from the first process of this program to this one: what was opened at
// another generation belongs to another process. Costs one atomic load.
[[nodiscard]] std::uint32_t fork_generation();

// A forked child closes `file` at once, so that it does not keep a lock of this process. At most 64
// files are remembered; forget a file before closing it.
void close_in_forked_child(int file);
void forget_in_forked_child(int file);

// From now on a forked child that ends by exit() skips the destructors of what was made before this
// call: threads they would wait for exist in the parent only. Its streams are flushed, its exit
// code stays. Takes effect once, however often it is called.
void skip_destructors_in_forked_child();

// Makes this process known as one that holds a key for what runs below it, and after which `front`,
// its parent, cleans up when it dies. `front` keeps it as a zombie until then, and for so long it
// counts as running: what it held is not free yet.
void name_guardian(std::uint32_t front);

// The command name of a process of this pid namespace, or "" if there is none.
[[nodiscard]] std::string command_name(std::uint32_t pid);

}  // namespace once
