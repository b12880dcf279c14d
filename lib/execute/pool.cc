#include "execute/pool.h"

#include <system_error>
#include <utility>

namespace once {

namespace {

Error closed() {
  return {.code = ErrorCode::cancelled,
          .message = "the executor was destroyed before the call began; the work did not run"};
}

}  // namespace

void Pool::close() {
  std::deque<Task> refused;
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    refused.swap(waiting_);
    threads.swap(threads_);
    changed_.notify_all();
  }
  for (Task& task : refused) task(closed());
  for (std::thread& thread : threads) thread.join();
}

void Pool::submit(Task task) {
  std::optional<Error> refused;
  {
    MutexLock lock(mutex_);
    if (closed_) refused = closed();
    if (!refused && idle_ <= waiting_.size() && threads_.size() < most_threads_)
      refused = add_thread();
    if (!closed_ && !threads_.empty()) refused.reset();  // one of the others will come to it
    if (!refused && waiting_.size() >= most_waiting_ + idle_) {
      refused = Error{.code = ErrorCode::limit_exceeded,
                      .message =
                          "as many calls wait for a thread as may "
                          "(ExecutorOptions::queue); the work did not run; try again when "
                          "some are done"};
    }
    if (!refused) {
      waiting_.push_back(std::move(task));
      changed_.notify_one();
      return;
    }
  }
  task(std::move(refused));
}

std::optional<Error> Pool::add_thread() {
  try {
    threads_.emplace_back([this] { run(); });
    ++idle_;
    return std::nullopt;
  } catch (const std::system_error&) {
    return Error{.code = ErrorCode::io,
                 .message =
                     "no thread could be started for the call; the work did not run; try "
                     "again when the system has threads to spare"};
  }
}

void Pool::run() {
  MutexLock lock(mutex_);
  while (true) {
    while (waiting_.empty() && !closed_) changed_.wait(mutex_);
    if (waiting_.empty()) return;
    Task task = std::move(waiting_.front());
    waiting_.pop_front();
    --idle_;
    mutex_.unlock();
    task(std::nullopt);
    task = nullptr;  // what it captured goes while nothing is locked
    mutex_.lock();
    ++idle_;
  }
}

}  // namespace once
