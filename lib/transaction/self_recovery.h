// When a coordinator recovers by itself: once before its first transaction, or on a thread, again
// and again as long as something is left.
//
//   SelfRecoverer recoverer(store, how, {.find = ..., .go_on = ...});
//   recoverer.begin(&key);       // before each transaction
//   recoverer.leave(key);        // after one that is not finished
//
// Knows nothing of transactions but their keys.
#pragma once

#include <atomic>
#include <functional>
#include <set>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "once/coordinator.h"
#include "store/store_impl.h"

namespace once::transaction {

// Thread-safe.
class SelfRecoverer {
 public:
  struct Work {
    std::function<Result<std::vector<Key>>()> find{};  // what is not finished
    // Goes on with one. False: it is still not finished. Does not throw.
    std::function<bool(const Key&)> go_on{};
  };

  SelfRecoverer(Store::Impl& store, const CoordinatorOptions& options, Work work);
  SelfRecoverer(const SelfRecoverer&) = delete;
  SelfRecoverer& operator=(const SelfRecoverer&) = delete;
  // Ends the thread, after the transaction that it is at.
  ~SelfRecoverer();

  // Does what is to be done before a transaction, unless that was done; leaves `running` alone.
  // Errors: those of `find` (the next call does it), io (no thread).
  Result<void> begin(const Key* running);
  // Somebody else has found all that is not finished, and has told of it by leave().
  void was_found();
  // One that is not finished, and that nobody is at.
  void leave(const Key& key);
  // Asked to stop: by CoordinatorOptions::stop, or since this goes.
  [[nodiscard]] std::stop_token stop() const { return stop_.get_token(); }

 private:
  Result<void> recover_once(const Key* running);
  Result<void> start_thread();
  void run();
  // Goes on with all that is known of. False: the store is closed.
  bool pass();
  // Until there is something to do. False: to stop.
  bool wait();

  Store::Impl& store_;
  const SelfRecovery how_;
  const Duration interval_;
  const Work work_;
  std::atomic<bool> begun_ = false;
  std::stop_source stop_;
  Mutex mutex_;
  CondVar changed_;
  bool found_ ONCE_GUARDED_BY(mutex_) = false;  // all that a crash left is in left_, or done
  std::set<Key> left_ ONCE_GUARDED_BY(mutex_);  // in the background: to be gone on with
  Duration next_ ONCE_GUARDED_BY(mutex_){};     // when, since boot
  std::thread thread_ ONCE_GUARDED_BY(mutex_);
  std::stop_callback<std::function<void()>> on_stop_;  // last: it uses all of the others
};

}  // namespace once::transaction
