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
  order_.emplace(due, id);
  if (!thread_.joinable() && !closed_) {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error&) {
      erase(id);
      return nullptr;
    }
  }
  // Only when it would sleep past the new one: most work ends long before its first beat.
  if (due < wakes_at_) changed_.notify_all();
  return std::make_unique<Beat>(*this, id);
}

void Heartbeat::stop(std::uint64_t id) {
  MutexLock lock(mutex_);
  erase(id);
}

void Heartbeat::erase(std::uint64_t id) {
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return;
  order_.erase({entry->second.due, id});
  entries_.erase(entry);
}

void Heartbeat::close() {
  std::thread thread;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    entries_.clear();
    order_.clear();
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
    if (!order_.empty()) next = std::min(next, order_.begin()->first);
    if (next > now) {
      wakes_at_ = next;
      changed_.wait_until(mutex_, *clock_, next);
      wakes_at_ = Duration::min();
      continue;
    }
    auto place = order_.extract(order_.begin());
    const std::uint64_t id = place.value().second;
    Entry& entry = entries_.at(id);
    entry.due = now + entry.interval;
    place.value().first = entry.due;
    order_.insert(std::move(place));
    const std::shared_ptr<const Renew> renew = entry.renew;
    mutex_.unlock();
    const bool go_on = (*renew)();
    mutex_.lock();
    if (!go_on) erase(id);
  }
}

}  // namespace once::ledger
