#include "ledger/heartbeat.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace once::ledger {

std::unique_ptr<Heartbeat::Beat> Heartbeat::start(Duration interval, Renew renew) {
  MutexLock lock(mutex_);
  const std::uint64_t id = next_id_++;
  const Duration step = std::max(interval, Duration(1));
  const Duration due = clock_->since_boot() + step;
  entries_[id] = {
      .due = due, .interval = step, .renew = std::make_shared<const Renew>(std::move(renew))};
  if (!thread_.joinable() && !closed_) {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error&) {
      entries_.erase(id);
      return nullptr;
    }
  }
  // Only when it would sleep past the new one: most work ends long before its first beat.
  if (due < wakes_at_) changed_.notify_all();
  return std::make_unique<Beat>(*this, id);
}

void Heartbeat::stop(std::uint64_t id) {
  MutexLock lock(mutex_);
  entries_.erase(id);
}

void Heartbeat::close() {
  std::thread thread;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    entries_.clear();
    changed_.notify_all();
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
}

void Heartbeat::run() {
  MutexLock lock(mutex_);
  while (!closed_) {
    const Duration now = clock_->since_boot();
    Duration next = now + std::chrono::hours(1);
    std::uint64_t due_id = 0;
    std::shared_ptr<const Renew> due;
    for (auto& [id, entry] : entries_) {
      if (!due && entry.due <= now) {
        due_id = id;
        due = entry.renew;
        entry.due = now + entry.interval;
      }
      next = std::min(next, entry.due);
    }
    if (!due) {
      wakes_at_ = next;
      changed_.wait_until(mutex_, *clock_, next);
      wakes_at_ = Duration::min();
      continue;
    }
    mutex_.unlock();
    const bool go_on = (*due)();
    mutex_.lock();
    if (!go_on) entries_.erase(due_id);
  }
}

}  // namespace once::ledger
