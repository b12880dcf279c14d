#include "lease_keeper.h"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>

#include "../context.h"
#include "once/clock.h"
#include "patient_store.h"

namespace once::supervise {

LeaseKeeper::LeaseKeeper(std::string where, Reservation reservation)
    : where_(std::move(where)),
      reservation_(std::move(reservation)),
      lost_(::eventfd(0, EFD_CLOEXEC)),
      thread_([this] { run(); }) {}

void LeaseKeeper::stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LeaseKeeper::run() {
  while (wait(std::max(reservation_.lease / 3, Duration{1}))) {
    if (renew()) continue;
    ::eventfd_write(lost_.get(), 1);
    return;
  }
}

bool LeaseKeeper::wait(Duration time) {
  const auto clock = system_clock();
  const Duration deadline = clock->since_boot() + time;
  MutexLock lock(mutex_);
  while (!stopping_ && clock->since_boot() < deadline) {
    changed_.wait_until(mutex_, *clock, deadline);
  }
  return !stopping_;
}

bool LeaseKeeper::stopping() {
  MutexLock lock(mutex_);
  return stopping_;
}

bool LeaseKeeper::renew() {
  Result<void> renewed;
  {
    auto store = open_patiently(where_, std::nullopt, [this] { return stopping(); });
    if (!store) {
      renewed = std::unexpected(store.error());
    } else if (auto done = store->renew(reservation_, reservation_.lease); !done) {
      renewed = std::unexpected(done.error());
    }
  }
  if (renewed || stopping()) return true;
  if (renewed.error().code == ErrorCode::fenced) return false;
  // The next third of the lease may bring better luck; and when it lapses, the completion decides.
  if (!warned_) {
    tool::say(fmt::format("the lease on key '{}' could not be renewed, trying again: {}",
                          reservation_.key.to_string(), renewed.error().message));
  }
  warned_ = true;
  return true;
}

}  // namespace once::supervise
