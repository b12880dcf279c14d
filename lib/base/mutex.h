// Mutexes with clang's thread-safety annotations: `-Wthread-safety` proves at compile time that
// what is guarded is only touched with the guard held.
//
//   Mutex mutex_;
//   int count_ ONCE_GUARDED_BY(mutex_) = 0;
//   { MutexLock lock(mutex_); ++count_; }
#pragma once

#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#include "once/clock.h"

#if defined(__clang__)
#define ONCE_ATTRIBUTE(x) __attribute__((x))
#else
#define ONCE_ATTRIBUTE(x)
#endif
#define ONCE_CAPABILITY(name) ONCE_ATTRIBUTE(capability(name))
#define ONCE_SCOPED_CAPABILITY ONCE_ATTRIBUTE(scoped_lockable)
#define ONCE_GUARDED_BY(mutex) ONCE_ATTRIBUTE(guarded_by(mutex))
#define ONCE_REQUIRES(...) ONCE_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define ONCE_EXCLUDES(...) ONCE_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ONCE_ACQUIRE(...) ONCE_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define ONCE_ACQUIRE_SHARED(...) ONCE_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define ONCE_RELEASE(...) ONCE_ATTRIBUTE(release_capability(__VA_ARGS__))
#define ONCE_RELEASE_SHARED(...) ONCE_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
#define ONCE_NO_ANALYSIS ONCE_ATTRIBUTE(no_thread_safety_analysis)

namespace once {

class ONCE_CAPABILITY("mutex") Mutex {
 public:
  void lock() ONCE_ACQUIRE() { mutex_.lock(); }
  void unlock() ONCE_RELEASE() { mutex_.unlock(); }
  std::mutex& native() { return mutex_; }

 private:
  std::mutex mutex_;
};

// A mutex for what is over in less than a microsecond and asked for by many: who finds it taken
// looks again for a moment before sleeping, since to be woken takes longer than what is waited for.
class ONCE_CAPABILITY("mutex") BriefMutex {
 public:
  void lock() ONCE_ACQUIRE() {
    for (int i = 0; i < looks; ++i) {
      if (mutex_.try_lock()) return;
      pause();
    }
    mutex_.lock();
  }
  void unlock() ONCE_RELEASE() { mutex_.unlock(); }

 private:
  static constexpr int looks = 100;  // a few microseconds

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  std::mutex mutex_;
};

template <class Lockable>
class ONCE_SCOPED_CAPABILITY LockOf {
 public:
  explicit LockOf(Lockable& mutex) ONCE_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  LockOf(const LockOf&) = delete;
  LockOf& operator=(const LockOf&) = delete;
  ~LockOf() ONCE_RELEASE() { mutex_.unlock(); }

 private:
  Lockable& mutex_;
};
using MutexLock = LockOf<Mutex>;
using BriefLock = LockOf<BriefMutex>;

class CondVar {
 public:
  // Waits for notify, or returns without a reason; test the predicate in a loop.
  void wait(Mutex& mutex) ONCE_REQUIRES(mutex) {
    std::unique_lock lock(mutex.native(), std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // The same, until `clock` reads `deadline` since boot.
  void wait_until(Mutex& mutex, const Clock& clock, Duration deadline) ONCE_REQUIRES(mutex) {
    std::unique_lock lock(mutex.native(), std::adopt_lock);
    clock.wait_until(lock, condition_, deadline);
    lock.release();
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

class ONCE_CAPABILITY("mutex") SharedMutex {
 public:
  void lock() ONCE_ACQUIRE() { mutex_.lock(); }
  void unlock() ONCE_RELEASE() { mutex_.unlock(); }
  void lock_shared() ONCE_ACQUIRE_SHARED() { mutex_.lock_shared(); }
  void unlock_shared() ONCE_RELEASE_SHARED() { mutex_.unlock_shared(); }

 private:
  std::shared_mutex mutex_;
};

}  // namespace once
