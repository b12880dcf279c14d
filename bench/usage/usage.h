// Usage: what the machine did for a piece of work, by the kernel's own account: of this process,
// and of the servers that work for it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

namespace once::bench {

// Totals since the processes began. The difference of two is what happened in between.
struct Usage {
  double cpu_seconds = 0;
  std::uint64_t syncs = 0;
  // Handed to the kernel to write. (What it counts as going to the disk, write_bytes, is whole
  // pages, and where a file system keeps large folios up to a megabyte for a few bytes.) What a
  // server writes into its sockets may count too.
  std::uint64_t written_bytes = 0;
  friend Usage operator-(const Usage& a, const Usage& b) {
    return {.cpu_seconds = a.cpu_seconds - b.cpu_seconds,
            .syncs = a.syncs - b.syncs,
            .written_bytes = a.written_bytes - b.written_bytes};
  }
};

// Of this process and of `servers` with their children. `syncs_file` is where servers count their
// syncs (usage/syncs.cc); empty: there are none.
[[nodiscard]] Usage usage_now(const std::vector<pid_t>& servers,
                              const std::filesystem::path& syncs_file);

// Of what the rival in this process is and has; see measure.h. Set once, before anything is timed.
inline std::function<Usage()> usage_probe = [] { return usage_now({}, {}); };
inline std::function<std::uint64_t()> memory_probe = [] { return std::uint64_t{0}; };

// Memory in bytes of a process, with its part of what it shares.
[[nodiscard]] std::uint64_t memory_of(pid_t process);
// Of this process and of `servers` with their children.
[[nodiscard]] std::uint64_t memory_now(const std::vector<pid_t>& servers);

// Bytes on disk of everything in `folder`.
[[nodiscard]] std::uint64_t disk_bytes(const std::filesystem::path& folder);

// Adds one to the count of syncs of this process.
void count_sync();

}  // namespace once::bench
