#include "transaction/self_recovery.h"

#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/saturating.h"

namespace once::transaction {

SelfRecoverer::SelfRecoverer(Store::Impl& store, const CoordinatorOptions& options, Work work)
    : store_(store),
      how_(options.self_recovery),
      interval_(options.recovery_interval),
      work_(std::move(work)),
      on_stop_(options.stop, [this] {
        stop_.request_stop();
        MutexLock lock(mutex_);
        changed_.notify_all();
      }) {}

SelfRecoverer::~SelfRecoverer() {
  stop_.request_stop();
  std::thread thread;
  {
    MutexLock lock(mutex_);
    changed_.notify_all();
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
}

Result<void> SelfRecoverer::begin(const Key* running) {
  if (how_ == SelfRecovery::none || begun_.exchange(true)) return {};
  auto begun = how_ == SelfRecovery::background ? start_thread() : recover_once(running);
  if (!begun) begun_ = false;
  return begun;
}

Result<void> SelfRecoverer::recover_once(const Key* running) {
  auto keys = work_.find();
  if (!keys) return once::pass(keys);
  for (const Key& key : *keys) {
    if (stop_.stop_requested()) break;
    if (running == nullptr || key != *running) (void)work_.go_on(key);
  }
  return {};
}

Result<void> SelfRecoverer::start_thread() {
  MutexLock lock(mutex_);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    return fail(ErrorCode::io,
                "no thread could be started to recover transactions ({}); try again when the "
                "system has threads to spare",
                error.what());
  }
  return {};
}

void SelfRecoverer::was_found() {
  if (how_ == SelfRecovery::before_first) begun_ = true;
  MutexLock lock(mutex_);
  found_ = true;
}

void SelfRecoverer::leave(const Key& key) {
  if (how_ != SelfRecovery::background) return;
  MutexLock lock(mutex_);
  if (left_.empty()) next_ = after(store_.clock->since_boot(), interval_);
  left_.insert(key);
  changed_.notify_all();
}

bool SelfRecoverer::pass() {
  std::set<Key> keys;
  bool found = false;
  {
    MutexLock lock(mutex_);
    keys.swap(left_);
    found = found_;
  }
  if (!found) {
    auto all = work_.find();
    if (!all && (all.error().code == ErrorCode::closed || all.error().code == ErrorCode::forked)) {
      return false;
    }
    found = all.has_value();
    if (all) keys.insert(all->begin(), all->end());
  }
  for (auto at = keys.begin(); at != keys.end() && !stop_.stop_requested();) {
    at = work_.go_on(*at) ? keys.erase(at) : std::next(at);
  }
  MutexLock lock(mutex_);
  found_ = found_ || found;
  left_.merge(keys);
  next_ = after(store_.clock->since_boot(), interval_);
  return !store_.closed;
}

bool SelfRecoverer::wait() {
  MutexLock lock(mutex_);
  while (!stop_.stop_requested()) {
    const bool any = !found_ || !left_.empty();
    if (!any) {
      changed_.wait(mutex_);
    } else if (store_.clock->since_boot() < next_) {
      changed_.wait_until(mutex_, *store_.clock, next_);
    } else {
      return true;
    }
  }
  return false;
}

void SelfRecoverer::run() {
  while (pass() && wait()) {
  }
}

}  // namespace once::transaction
