// A few threads that run calls in the order in which they came, of which only so many may wait.
//
//   Pool pool(4, 1024);
//   pool.submit([](std::optional<Error> refused) { ... });
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "once/error.h"

namespace once {

// Thread-safe. A task is called exactly once, on a thread of the pool to run, or with the error
// because of which it does not run: on the caller's thread, or on the one that destroys the pool.
// It does not throw.
class Pool {
 public:
  using Task = std::function<void(std::optional<Error> refused)>;

  // At least one thread.
  Pool(std::size_t threads, std::size_t queue) : most_threads_(threads), most_waiting_(queue) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { close(); }

  // Refuses what waits and what comes later, and waits for what runs. Not to be called twice at
  // once.
  void close();

  // Refused with limit_exceeded when the queue is full, with io when there is no thread to be had.
  void submit(Task task);

 private:
  void run();
  // Null, or why no thread could be started.
  std::optional<Error> add_thread() ONCE_REQUIRES(mutex_);

  const std::size_t most_threads_;
  const std::size_t most_waiting_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Task> waiting_ ONCE_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ONCE_GUARDED_BY(mutex_);
  std::size_t idle_ ONCE_GUARDED_BY(mutex_) = 0;
  bool closed_ ONCE_GUARDED_BY(mutex_) = false;
};

}  // namespace once
