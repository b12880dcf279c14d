// Counts what asks the kernel to make data durable, by standing in for the C library's functions:
// in the benchmark itself, which its libraries then call, and as a library that is preloaded into
// servers (LD_PRELOAD). ONCE_BENCH_SYNCS names a file that holds the count, so that somebody else
// can read it; without, it is counted in this process only.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

using Count = std::atomic<std::uint64_t>;
static_assert(Count::is_always_lock_free && sizeof(Count) == 8);

Count& count() {
  static Count own;
  static Count* const shared = []() -> Count* {
    const char* path = std::getenv("ONCE_BENCH_SYNCS");
    if (path == nullptr) return &own;
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return &own;
    void* at = mmap(nullptr, sizeof(Count), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return at == MAP_FAILED ? &own : static_cast<Count*>(at);
  }();
  return *shared;
}

template <class... Arguments>
int counted(long call, Arguments... arguments) {
  count().fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(syscall(call, arguments...));
}

}  // namespace

extern "C" {

std::uint64_t once_bench_syncs() {
  return count().load(std::memory_order_relaxed);
}
// For a write that is durable when it returns (O_DSYNC), which nothing here can see.
void once_bench_count_sync() {
  count().fetch_add(1, std::memory_order_relaxed);
}

int fsync(int file) {
  return counted(SYS_fsync, file);
}
int fdatasync(int file) {
  return counted(SYS_fdatasync, file);
}
int msync(void* at, size_t length, int flags) noexcept(noexcept(::msync(at, length, flags))) {
  if ((flags & MS_SYNC) == 0) return static_cast<int>(syscall(SYS_msync, at, length, flags));
  return counted(SYS_msync, at, length, flags);
}
int syncfs(int file) noexcept {
  return counted(SYS_syncfs, file);
}

}  // extern "C"
